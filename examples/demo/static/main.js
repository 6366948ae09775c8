// Put the page together.

import {ask, notify} from "./page.js";
import {listen} from "./live.js";
import {prepareServer, showDevices, showEvents, showStore} from "./server.js";
import {showShop, showShops} from "./shops.js";
import {prepareTrials} from "./trials.js";

function show({running, devices, events}) {
  showStore(running);
  showEvents(events);
  if (devices) showDevices(devices);
}

/** The session has ended, or another tab was given a new id for it: then this tab has its cookie too. */
async function ended() {
  const shop = await showShop("server");
  if (shop && shop.user === null) {
    notify("You were signed out from another tab or device.");
  }
}

prepareTrials();
prepareServer();
await showShops();
showStore((await ask("GET", "/store")).running);
listen(show, ended);
