"""A terminal in the place of stderr, and what was shown on it."""

from __future__ import annotations

import pty
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

_END = "the end"


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make stderr a terminal. What is yielded returns all that was shown since the last time."""
    screen, program = pty.openpty()
    with open(screen, "rb", buffering=0) as screen_file, open(program, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)

        def shown() -> str:
            """Read up to a mark, for a terminal passes on what was written a part at a time."""
            print(end=_END, file=stderr, flush=True)
            text = ""
            while not text.endswith(_END):
                text += screen_file.read(10_000).decode()
            return text.removesuffix(_END)

        yield shown
