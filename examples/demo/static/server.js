// What only sessions on the server have: a store with a switch, the user's devices, and events.

import {ask, onPress, send} from "./page.js";
import {showShop, signIn} from "./shops.js";
import {withoutSocket} from "./live.js";

const TRY_EVERY = 500; // milliseconds
const MEANING = {
  created: "a session began",
  rotated: "a new id; the old one is worthless",
  destroyed: "a session was signed out",
  conflict_merged: "parallel changes, both kept",
  conflict_overwritten: "two changed one key; the later won",
  write_dropped: "a change of a session that had ended",
  record_corrupt: "a row that can’t be read",
  duplicate_cookies: "two cookies of one name",
};

const store = document.getElementById("store");
const devices = document.getElementById("devices");
const feed = document.getElementById("feed");
let running = null;
let shown = null;

/** Show whether the store runs. */
export function showStore(isRunning) {
  const status = document.getElementById("status");
  status.textContent = isRunning ? "Store running" : "Store stopped";
  status.dataset.good = isRunning;
  store.querySelector("button").textContent = isRunning ? "Stop the store" : "Start the store";
  if (running === false && isRunning) showShop("server");
  running = isRunning;
}

/** Show a user's devices, each with a button that signs it out. */
export function showDevices(list) {
  if (JSON.stringify(list) === shown) return; // a button that stays in place can be pressed
  shown = JSON.stringify(list);
  devices.querySelector(".sign-in").hidden = list.length > 0;
  devices.querySelector(".others").hidden = list.length < 2;
  const current = list.find((device) => device.is_current);
  devices.querySelector("ul").replaceChildren(...list.map((device) => {
    const row = makeRow(device.browser + (device.system ? ` on ${device.system}` : ""), `${device.host}, since ${clock(device.at)}`);
    if (device === current) {
      row.append(make("span", "pill", "this one"));
    } else {
      const button = make("button", "quiet", "Sign out");
      onPress(button, () => ask("DELETE", `/server/devices/${device.id}`));
      row.append(button);
    }
    return row;
  }));
}

/** Show the latest events, the last one first. */
export function showEvents(events) {
  feed.querySelector("ul").replaceChildren(...events.map(({kind, session, at}) => {
    const row = makeRow(kind, MEANING[kind] ?? "");
    row.append(make("span", "soft", clock(at)));
    row.title = session ? `Session ${session}` : "";
    return row;
  }));
}

export function prepareServer() {
  onPress(store.querySelector("button"), () => (running ? stop() : start()));
  onPress(devices.querySelector(".sign-in"), () => withoutSocket(async () => {
    await signIn("server", "Ann");
    await showShop("server");
  }));
  onPress(devices.querySelector(".others"), () => ask("DELETE", "/server/devices"));

  // A browser keeps other cookies for another host name, so that page is another device.
  const others = {"127.0.0.1": "localhost", localhost: "127.0.0.1"};
  const second = devices.querySelector(".second");
  second.hidden = !(location.hostname in others);
  second.querySelector("a").href = `//${others[location.hostname]}:${location.port}`;
}

async function stop() {
  await ask("PUT", "/store", {running: false});
  showStore(false);
  store.querySelector("ol").replaceChildren();
  await addTea();
  await showShop("server");
}

async function start() {
  await ask("PUT", "/store", {running: true});
  showStore(true);
  // If several sessions have failed, the middleware asks the store once a second until it answers.
  while (running && (await addTea()) === 503) await new Promise((resolve) => setTimeout(resolve, TRY_EVERY));
  await showShop("server");
}

/** Put tea into the cart, note the answer, and return its status. */
async function addTea() {
  const response = await send("POST", "/server/cart", {product: "tea"});
  const wait = response.headers.get("Retry-After");
  const line = make("li", "", `Add tea: ${response.status}`);
  line.dataset.good = response.ok;
  line.append(make("span", "soft", wait ? `Retry-After: ${wait} s` : "The session is as it was, plus the tea."));
  store.querySelector("ol").append(line);
  return response.status;
}

function makeRow(title, detail) {
  const row = make("li");
  const text = make("div");
  text.append(make("b", "", title), make("span", "soft", detail));
  row.append(text);
  return row;
}

function make(name, className = "", text = "") {
  return Object.assign(document.createElement(name), {className, textContent: text});
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString();
}
