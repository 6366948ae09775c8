"""Hostile bytes are refused early: what they cost is counted, in calls and bytes of memory."""

from __future__ import annotations

import re
import sys
import tracemalloc
from types import FrameType
from typing import Any, Self

import pytest

from starlette_sessions_ext.php import PHPDecodeError, dumps, loads
from starlette_sessions_ext.php.limits import MAX_BYTES, MAX_COPIES, MAX_DEPTH, MAX_VALUES

CALLS = 100_000
"""Calls that a refusal may take: 10,000 copies are most of them."""
MEMORY = 16 * 1024 * 1024

BOMB = b"".join(
    b"i:%d;a:4:{i:0;R:%d;i:1;R:%d;i:2;R:%d;i:3;R:%d;}" % (number, *[5 + number if number > 1 else 2] * 4)
    for number in range(1, 40)
)

HOSTILE: list[tuple[str, bytes, str]] = [
    ("arrays", b"k|" + b"a:1:{i:0;" * 100_000, f"deeper than {MAX_DEPTH}"),
    ("objects", b"k|" + b'O:1:"A":1:{i:0;' * 100_000, f"deeper than {MAX_DEPTH}"),
    ("enums", b"k|" + b'O:1:"A":1:{i:0;' * (MAX_DEPTH - 1) + b'E:3:"A:B";', f"deeper than {MAX_DEPTH}"),
    ("count", b"k|a:999999999:{i:0;i:0;}", "fewer elements than it says"),
    ("large count", b"k|a:1000000000:{i:0;i:0;}", "a length isn't a number"),
    ("properties", b'k|O:1:"A":999999999:{}', "fewer elements than it says"),
    ("length", b'k|s:999999999:"abc";', "isn't as long as it says"),
    ("custom", b'k|C:1:"A":999999999:{}', "ends too early"),
    ("digits", b"k|i:" + b"9" * 100_000 + b";", "more than 64 bits"),
    ("zeros", b"k|i:" + b"0" * 100_000 + b"x;", "isn't a number"),
    ("zeros of a length", b"k|s:" + b"0" * 100_000 + b'x:"";', "a length isn't a number"),
    ("digits of a float", b"k|d:" + b"9" * 100_000 + b";", "a float isn't a number"),
    ("digits of a reference", b"k|R:" + b"9" * 100_000 + b";", "a reference isn't a number"),
    (
        "references",
        b"k|a:40:{i:0;a:4:{i:0;i:1;i:1;i:1;i:2;i:1;i:3;i:1;}" + BOMB + b"}",
        f"more than {MAX_COPIES} values",
    ),
    (
        "references to text",
        b'a|s:1000000:"' + b"x" * 1_000_000 + b'";b|a:1000:{' + b"".join(b"i:%d;R:1;" % n for n in range(1000)) + b"}",
        f"more than {MAX_BYTES} bytes",
    ),
    (
        "references that nest",
        b"0|a:1:{i:0;i:7;}1|a:1:{i:0;R:1;}" + b"".join(b"%d|a:1:{i:0;R:%d;}" % (n, n + 1) for n in range(2, 200)),
        f"nest deeper than {MAX_DEPTH}",
    ),
    ("values", b"k|a:200001:{" + b"i:0;N;" * 200_001 + b"}", f"more than {MAX_VALUES} values"),
    ("size", b"k|" + b"x" * MAX_BYTES, f"more than {MAX_BYTES} bytes"),
    ("semicolons", b"k|" + b";" * (MAX_BYTES - 2), "no value begins like this"),
]


class Cost:
    """Counts calls, those of C included, and the bytes that are held at most."""

    def __enter__(self) -> Self:
        self.calls = 0
        self.peak = 0
        tracemalloc.start()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        _, self.peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


@pytest.mark.parametrize(("data", "message"), [entry[1:] for entry in HOSTILE], ids=[entry[0] for entry in HOSTILE])
def test_hostile_bytes_cost_little(data: bytes, message: str) -> None:
    with Cost() as cost, pytest.raises(PHPDecodeError, match=re.escape(message)):
        loads(data, "php")
    assert cost.calls < CALLS
    assert cost.peak < MEMORY


def test_the_cost_of_reading_is_counted() -> None:
    with Cost() as cost:
        loads(b"k|a:1000:{" + b"".join(b"i:%d;i:%d;" % (n, 10_000 + n) for n in range(1000)) + b"}", "php")
    assert 1000 < cost.calls < CALLS


def test_a_name_in_the_data_imports_nothing() -> None:
    before = set(sys.modules)
    loads(b'k|O:8:"antigravity":0:{}'.replace(b":8:", b":11:"), "php")
    assert set(sys.modules) == before


def test_the_call_stack_may_be_nearly_used_up() -> None:
    """Where it ends, the session is refused like any other that can't be read, or it is read."""
    stored = dumps({"k": nested(100)}, "php")

    def descend(levels: int) -> object:
        return descend(levels - 1) if levels else loads(stored, "php")

    outcomes: set[object] = set()
    for levels in range(0, sys.getrecursionlimit(), 10):
        try:
            outcomes.add(descend(levels) == {"k": nested(100)})
        except PHPDecodeError as error:
            outcomes.add("call stack" in str(error) and "refused")
        except RecursionError:
            break
    assert outcomes == {True, "refused"}


def nested(depth: int) -> Any:
    value: Any = "leaf"
    for _ in range(depth):
        value = [value]
    return value
