// The two trials. Each does the same on both sides, and says what became of it.

import {SIDES, ask, make, onBothSides, onPress} from "./page.js";
import {showShop, signIn} from "./shops.js";
import {withoutSocket} from "./live.js";

const NOTES = {delivery_note: "Ring twice", gift_message: "Happy birthday"};

/** Empty both notes, one after the other, and save them in parallel. The server lets the two requests of a pair overlap. */
async function saveTwoNotes(side) {
  for (const key in NOTES) await ask("PUT", `/${side}/notes/${key}`, {text: ""});
  const pair = `${side}-${Date.now()}-${Math.random()}`.slice(0, 40);
  await Promise.all(
    Object.entries(NOTES).map(([key, text]) => ask("PUT", `/${side}/notes/${key}?pair=${pair}`, {text})),
  );
  const {notes} = await showShop(side);
  const lost = Object.keys(NOTES).filter((key) => notes[key] !== NOTES[key]);
  return lost.length
    ? {good: false, text: "One note is lost", detail: `“${lost.map((key) => NOTES[key]).join("”, “")}” is gone.`}
    : {good: true, text: "Both notes are kept", detail: "The parallel changes were merged."};
}

/** Sign in, copy the cookies, sign out, put the copies back, and see who is signed in. */
async function useCopiedCookies() {
  await onBothSides((side) => signIn(side, "Ann"));
  await ask("PUT", "/cookies/copy");
  await onBothSides((side) => ask("DELETE", `/${side}/session`));
  await ask("PUT", "/cookies/restore");
  return onBothSides(async (side) => {
    const {user} = await showShop(side);
    return user === null
      ? {good: true, text: "Signed out for good", detail: "The copied cookie opens nothing."}
      : {good: false, text: `${user} is signed in again`, detail: "The copied cookie opens the session."};
  });
}

function prepare(id, run) {
  const card = document.getElementById(id);
  const rows = Object.entries(SIDES).map(([side, name]) => {
    const row = make("outcome");
    row.dataset.side = side;
    row.querySelector(".side").textContent = name;
    row.querySelector(".side").classList.add(side);
    return row;
  });
  card.querySelector(".outcomes").append(...rows);
  const show = (row, {good, text, detail}) => {
    row.dataset.good = good;
    row.querySelector("strong").textContent = text;
    row.querySelector(".soft").textContent = detail;
  };
  onPress(card.querySelector("button"), async () => {
    try {
      const outcomes = await run();
      for (const row of rows) show(row, outcomes[row.dataset.side]);
    } catch (error) {
      for (const row of rows) show(row, {good: "", text: "The trial didn’t run", detail: error.message});
    }
  });
}

export function prepareTrials() {
  prepare("notes-trial", () => onBothSides(saveTwoNotes));
  prepare("logout-trial", () => withoutSocket(useCopiedCookies));
}
