"""A real PHP reads what we write, and we read what it writes: random sessions, floats and bytes."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starlette_sessions_ext.php import Format, PHPDecodeError, dumps, loads
from starlette_sessions_ext.php.floats import float_text, read_float

from ..support.php_process import PHPProcess

FORMATS: tuple[Format, ...] = get_args(Format)

INTS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | INTS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text() | INTS.map(str) | st.sampled_from(["0", "1", "2", "-0", "007", "9223372036854775808", "\0*\0x"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)
SESSIONS = st.dictionaries(st.text().map(lambda key: "k" + key.replace("|", "")[:30]), VALUES)

PIECES = [
    *(
        b"k|",
        b"x|",
        b"\1k",
        b"i:0;",
        b"i:1;",
        b"i:-7;",
        b"i:007;",
        b"N;",
        b"b:1;",
        b"b:0;",
        b"d:1.5;",
        b"d:.5E3;",
        b"d:INF;",
    ),
    *(
        b's:1:"a";',
        b's:0:"";',
        b's:3:"a|b";',
        b's:2:"\xc3\xa9";',
        b's:1:"\xff";',
        b"a:0:{}",
        b"a:1:{",
        b"a:2:{",
        b"}",
        b";",
    ),
    *(b"R:1;", b"R:2;", b"r:1;", b"r:2;", b"R:3;", b'O:8:"stdClass":1:{', b'O:5:"Point":0:{}', b'O:4:"None":1:{'),
    *(b'E:11:"Suit:Hearts";', b"0", b'"', b":", b"|", b"\0", b"\n"),
]


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=50)
@given(session=SESSIONS)
def test_php_reads_what_is_written(session: dict[str, Any], format: Format, php: PHPProcess) -> None:
    check_written(session, format, php)


def check_written(session: dict[str, Any], format: Format, php: PHPProcess) -> None:
    stored = dumps(session, format)
    verdict = php.read(stored, format)
    assert not verdict.destroyed
    assert verdict.reencoded == stored
    data = loads(stored, format)
    assert dumps(data, format) == stored
    assert json.dumps(data) == json.dumps(verdict.value)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=50)
@given(session=SESSIONS)
def test_what_php_writes_is_read(session: dict[str, Any], format: Format, php: PHPProcess) -> None:
    stored = php.write(json.dumps(session), format)
    assert stored == dumps(session, format)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=100)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_nothing_is_read_that_php_refuses(pieces: list[bytes], format: Format, php: PHPProcess) -> None:
    check_not_laxer(b"".join(pieces), format, php)


@pytest.mark.parametrize("format", FORMATS)
def test_of_damaged_sessions_nothing_is_read_that_php_refuses(format: Format, php: PHPProcess) -> None:
    check_damaged(range(300), format, php)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_of_20_000_damaged_sessions_nothing_is_read_that_php_refuses(format: Format, php: PHPProcess) -> None:
    check_damaged(range(20_000), format, php)


def check_damaged(seeds: range, format: Format, php: PHPProcess) -> None:
    """Replace a few bytes of a session by a piece of another."""
    for seed in seeds:
        stored = dumps(RandomSession(seed).session(), format)
        source = random.Random(seed)
        start = source.randrange(len(stored) + 1)
        stored = stored[:start] + source.choice(PIECES) + stored[start + source.randrange(4) :]
        check_not_laxer(stored, format, php)


def check_not_laxer(stored: bytes, format: Format, php: PHPProcess) -> None:
    """What PHP refuses is refused. What is read is the same to PHP after it was written again."""
    verdict = php.read(stored, format)
    try:
        data = loads(stored, format)
    except PHPDecodeError:
        return
    assert not verdict.destroyed
    again = dumps(data, format)
    assert dumps(loads(again, format), format) == again
    assert php.read(again, format).value == verdict.value


def random_floats(count: int, seed: int) -> Iterator[float]:
    """Yield floats with any bits, and such as people write."""
    source = random.Random(seed)
    for _ in range(count // 2):
        yield struct.unpack("d", source.randbytes(8))[0]
        yield round(source.uniform(-1e6, 1e6), source.randrange(5)) * 10.0 ** source.randrange(-20, 20)


def check_floats(values: list[float], php: PHPProcess) -> None:
    texts = php.floats(values)
    assert [float_text(value) for value in values] == texts
    for value, text in zip(values, texts, strict=True):
        read = read_float(text)
        assert read is not None
        assert read == value or (math.isnan(read) and math.isnan(value))


EDGES = [
    0.0,
    -0.0,
    0.1,
    1e15,
    1e16,
    1e17,
    1e18,
    123456789012345678.0,
    1e-4,
    1e-5,
    1.5e-5,
    5e-324,
    1.7976931348623157e308,
]
EDGES += [float("nan"), float("inf"), float("-inf"), 2.0**53, 1 / 3, 12345678901234567.0, 99999999999999999.0]


def test_floats_are_written_as_php_does(php: PHPProcess) -> None:
    check_floats([*EDGES, *map(float.__neg__, EDGES)], php)
    check_floats(list(random_floats(2000, seed=1)), php)


@pytest.mark.slow
def test_200_000_floats_are_written_as_php_does(php: PHPProcess) -> None:
    for seed in range(100):
        check_floats(list(random_floats(2000, seed)), php)


class RandomSession:
    """Makes sessions like those of applications: rows, texts, numbers, in any depth."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def session(self) -> dict[str, Any]:
        return {f"{self._name()}k{number}": self._value(0) for number in range(self._source.randrange(6))}

    def _name(self) -> str:
        return self._source.choice(["user", "cart", "é", "_token", "", "$X/Y$"]) + self._source.choice(["", "a", ".b"])

    def _value(self, depth: int) -> Any:
        source = self._source
        kind = source.randrange(9 if depth < 4 else 7)
        if kind == 0:
            return source.choice([None, True, False])
        if kind == 1:
            return source.randrange(-(2**63), 2**63)
        if kind == 2:
            return source.randrange(-1000, 3000)
        if kind == 3:
            return next(random_floats(2, source.randrange(2**32))) if source.random() < 0.2 else source.random()
        if kind < 7:
            return "".join(source.choices('ab ;:"{}|\0\n€é🐘0N', k=source.randrange(80)))
        if kind == 7:
            return [self._value(depth + 1) for _ in range(source.randrange(6))]
        return {
            source.choice([self._name(), str(source.randrange(-2, 9))]): self._value(depth + 1)
            for _ in range(source.randrange(6))
        }


def has_no_json(value: Any) -> bool:
    """Return whether there is NaN or an infinity in the value."""
    if isinstance(value, dict | list):
        return any(map(has_no_json, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


def check_random(seeds: range, php: PHPProcess) -> None:
    for seed in seeds:
        session = RandomSession(seed).session()
        if has_no_json(session):
            continue
        check_written(session, FORMATS[seed % 3], php)


def test_php_reads_random_sessions(php: PHPProcess) -> None:
    check_random(range(1000), php)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_php_reads_20_000_random_sessions(part: int, php: PHPProcess) -> None:
    check_random(range(5000 * part, 5000 * (part + 1)), php)
