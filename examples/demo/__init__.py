"""One shop on two kinds of sessions, to see in a minute what sessions on the server are for: scripts/demo."""
