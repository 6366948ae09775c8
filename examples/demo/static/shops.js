// The two shops: the same card for each side, filled from what its session holds.

import {SIDES, ask, make} from "./page.js";
import {withoutSocket} from "./live.js";

const HOLDS = {
  server: (bytes) => `The browser holds ${bytes} bytes: a signed id.`,
  cookie: (bytes) => `The browser holds ${bytes} bytes: the whole session, readable.`,
};
const money = (cents) => `€${(cents / 100).toFixed(2)}`;

const cards = Object.fromEntries(Object.keys(SIDES).map((side) => [side, makeCard(side)]));

/** Show what a session holds now, and return it; null if the server can't say. */
export async function showShop(side) {
  const card = cards[side];
  try {
    const [shop, bytes] = [await ask("GET", `/${side}/shop`), await ask("GET", "/cookies")];
    fill(card, shop);
    card.querySelector(".holds").textContent = bytes[side] ? HOLDS[side](bytes[side]) : "The browser holds no cookie.";
    report(card, null);
    return shop;
  } catch (error) {
    report(card, error.message);
    return null;
  }
}

export const showShops = () => Promise.all(Object.keys(SIDES).map(showShop));

/** Sign in on one side. */
export const signIn = (side, name) => ask("POST", `/${side}/sign-in`, {name});

function makeCard(side) {
  const card = make("shop");
  card.id = `${side}-shop`;
  card.querySelector(".side").textContent = SIDES[side];
  card.querySelector(".side").classList.add(side);

  const act = async (action) => {
    try {
      await action();
    } catch (error) {
      return report(card, error.message);
    }
    await showShop(side);
  };
  // A sign-in or a sign-out gives the session another cookie, under which the socket is opened again.
  const actAsUser = (action) => act(side === "server" ? () => withoutSocket(action) : action);
  card.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.matches(".person")) actAsUser(() => signIn(side, form.elements.name.value));
    else act(() => ask("PUT", `/${side}/notes/${form.dataset.key}`, {text: form.elements.text.value}));
  });
  card.querySelector(".signed-in button").addEventListener("click", () => {
    actAsUser(() => ask("DELETE", `/${side}/session`));
  });
  card.querySelector(".shelf").addEventListener("click", (event) => {
    const product = event.target.value;
    if (product) act(() => ask("POST", `/${side}/cart`, {product}));
  });
  document.getElementById("shops").append(card);
  return card;
}

function fill(card, shop) {
  card.querySelector(".person").hidden = shop.user !== null;
  card.querySelector(".signed-in").hidden = shop.user === null;
  card.querySelector(".signed-in b").textContent = shop.user;
  const shelf = card.querySelector(".shelf");
  if (!shelf.children.length) shelf.append(...shop.products.map(makeProduct));
  const lines = shop.cart.map(({name, quantity}) => `${quantity} × ${name}`);
  card.querySelector(".cart").textContent = lines.length ? `${lines.join(", ")}: ${money(shop.cents)}` : "The cart is empty.";
  for (const form of card.querySelectorAll(".note")) form.elements.text.value = shop.notes[form.dataset.key];
}

function makeProduct({id, name, cents}) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.className = "quiet";
  button.value = id;
  button.textContent = "Add";
  button.setAttribute("aria-label", `Add ${name} to the cart`);
  const price = document.createElement("span");
  price.className = "soft";
  price.textContent = money(cents);
  item.append(name, price, button);
  return item;
}

function report(card, message) {
  const problem = card.querySelector(".problem");
  problem.hidden = !message;
  problem.textContent = message;
}
