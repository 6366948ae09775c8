// The socket of this page: the store's state, the devices and the events, as soon as they change.

const POLICY_VIOLATION = 1008;
const RETRY_AFTER = 1000; // milliseconds

let socket = null;
let listener = {};

/** Open the socket. `show` is given each state; `ended` is called when the session has ended elsewhere. */
export function listen(show, ended) {
  listener = {show, ended};
  connect();
}

/** Close the socket, run what changes this page's own session, and open a socket on the session of then. */
export async function withoutSocket(action) {
  disconnect();
  try {
    return await action();
  } finally {
    connect();
  }
}

function connect() {
  disconnect(); // two actions may run at once, and each connects when it is done
  const opened = (socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/server/live`));
  opened.onmessage = (event) => listener.show(JSON.parse(event.data));
  opened.onclose = async ({code}) => {
    if (code === POLICY_VIOLATION) await listener.ended();
    else await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    if (socket === opened) connect();
  };
}

function disconnect() {
  if (!socket) return;
  socket.onclose = socket.onmessage = null;
  socket.close();
  socket = null;
}
