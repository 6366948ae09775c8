// Show on how many devices the user is signed in, and leave the page when its session ends.

const POLICY_VIOLATION = 1008;

function connect(hasEnded) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  let opened = false;
  socket.onopen = () => {
    opened = true;
  };
  socket.onmessage = (event) => {
    document.getElementById("devices").textContent = `(${JSON.parse(event.data).devices})`;
  };
  socket.onclose = (event) => {
    if (event.code === POLICY_VIOLATION) {
      // The session has ended, or has a new id, which another tab was given. By then this tab has its cookie too.
      setTimeout(connect, 1000, true);
    } else if (hasEnded && !opened) {
      location.reload(); // the server shows what a visitor may see
    }
  };
}

connect(false);
