"""Name the value that a loop of a test is at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named(value: object) -> Iterator[None]:
    """Add the value to what fails in the block, so that one test can try many values."""
    try:
        yield
    except BaseException as failure:  # pytest's own failures are no Exception
        failure.add_note(f"with {value!r}")
        raise
