"""Start the demo: python -m examples.demo, or scripts/demo.

SESSIONS_URL names another store than the SQLite file demo.db, and SECRET_KEY signs the cookies.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys

import uvicorn

from starlette_sessions_ext import SupportsOwners, store_from_url

from .main import create_app

PORT = 8000


def main() -> None:
    parser = argparse.ArgumentParser("scripts/demo", description="One shop on two kinds of sessions.")
    parser.add_argument("--port", type=int, help=f"the port to listen on; {PORT} or a free one if not given")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 65536:
        parser.error("a port is a number from 1 to 65535")
    store = store_from_url(os.environ.get("SESSIONS_URL", "sqlite:///demo.db"))
    assert isinstance(store, SupportsOwners)  # every store that a URL names is one
    listener = listen(arguments.port)
    port = listener.getsockname()[1]
    print(f"The demo is on http://127.0.0.1:{port} (sessions in {type(store).__name__}, Ctrl-C ends it)", flush=True)
    server = uvicorn.Server(uvicorn.Config(create_app(store), log_level="warning"))
    with contextlib.suppress(KeyboardInterrupt):
        server.run([listener])


def listen(port: int | None) -> socket.socket:
    """Listen on this port; without one on `PORT`, or on a free one if that is taken."""
    for candidate in (PORT, 0) if port is None else (port,):
        try:
            return socket.create_server(("127.0.0.1", candidate))
        except OSError as error:
            problem = error
    sys.exit(f"Port {port} can't be used ({problem}). Stop what runs there, or choose another: --port 8001")


if __name__ == "__main__":
    main()
