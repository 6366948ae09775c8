"""Holds a request up between its load and its end, so that another one comes in between."""

from __future__ import annotations

import threading

PATIENCE = 30.0
"""Seconds after which a request that was held up or waited for will not come any more."""


class Gate:
    """One request at a time waits here. Handlers and trials run in threads of one process."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._opened = threading.Event()

    def close(self) -> None:
        """Hold up the next request."""
        self._arrived.clear()
        self._opened.clear()

    def wait(self) -> None:
        """Wait, in a handler, until the gate is opened."""
        self._arrived.set()
        if not self._opened.wait(PATIENCE):
            raise TimeoutError("no trial opened the gate")

    def wait_for_request(self) -> None:
        """Wait, in a trial, until a request is held up."""
        if not self._arrived.wait(PATIENCE):
            raise TimeoutError("no request came to the gate")

    def open(self) -> None:
        """Let the request go on."""
        self._opened.set()


gate = Gate()
