// What all parts of the page use. Each side of the page is one shop: "server" or "cookie".

export const SIDES = {server: "On the server", cookie: "In a cookie"};

/** Send a request and return the response, whatever its status. */
export function send(method, path, body) {
  const json = body && {body: JSON.stringify(body), headers: {"Content-Type": "application/json"}};
  return fetch(path, {method, cache: "no-store", ...json});
}

/** Send a request and return the JSON of its answer, if it has any. Throws an error with what the server says. */
export async function ask(method, path, body) {
  const response = await send(method, path, body);
  if (!response.ok) throw new Error(await problemOf(response));
  return response.status === 204 ? null : response.json();
}

/** Do the same for both sides at the same time, and return the results by side. */
export async function onBothSides(action) {
  const results = await Promise.all(Object.keys(SIDES).map(async (side) => [side, await action(side)]));
  return Object.fromEntries(results);
}

async function problemOf(response) {
  const text = await response.text();
  try {
    const {detail} = JSON.parse(text);
    return typeof detail === "string" ? detail : detail.map((one) => one.msg).join(" ");
  } catch {
    return `${response.status}: ${text}`;
  }
}

/** Return a copy of a <template>'s element. */
export function make(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

/** Show a message at the bottom of the page, until it is closed. */
export function notify(message) {
  const notice = document.getElementById("notice");
  notice.querySelector("span").textContent = message;
  notice.querySelector("button").onclick = () => { notice.hidden = true; };
  notice.hidden = false;
}

/** Run an action when a button is pressed. The button waits until it is done. */
export function onPress(button, action) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      notify(error.message);
    } finally {
      button.disabled = false;
    }
  });
}
