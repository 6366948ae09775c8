"""What can be stored for PHP, and what is refused: PHP would drop it, change it, or destroy the session."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any

import pytest

from starlette_sessions_ext import CorruptRecord, NotSerializable
from starlette_sessions_ext.php import Format, PHPDecodeError, PHPEncodeError, dumps, loads
from starlette_sessions_ext.php.keys import _MOST
from starlette_sessions_ext.php.limits import MAX_BYTES, MAX_DEPTH, MAX_VALUES


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Metres(float):
    pass


class Name(str):
    pass


def itself() -> Any:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, b"N;"),
        (True, b"b:1;"),
        (2**63 - 1, b"i:9223372036854775807;"),
        ("Zoë 🐘", 's:9:"Zoë 🐘";'.encode()),
        (b"caf\xe9", b's:4:"caf\xe9";'),
        (0.0, b"d:0;"),
        ((1, [2]), b"a:2:{i:0;i:1;i:1;a:1:{i:0;i:2;}}"),
        ({"42": 1, "042": 2, "-7": 3}, b'a:3:{i:42;i:1;s:3:"042";i:2;i:-7;i:3;}'),
        ({42: 1, "a": 2}, b'a:2:{i:42;i:1;s:1:"a";i:2;}'),
        ({"9223372036854775808": 1}, b'a:1:{s:19:"9223372036854775808";i:1;}'),
        ({"é": 1}, 'a:1:{s:2:"é";i:1;}'.encode()),
        ({}, b"a:0:{}"),
        (OrderedDict(a=1), b'a:1:{s:1:"a";i:1;}'),
        ({Name("a"): Name("b")}, b'a:1:{s:1:"a";s:1:"b";}'),
        (Colour.RED, b's:3:"red";'),
        (Level.LOW, b"i:1;"),
        (Metres(1.5), b"d:1.5;"),
    ],
)
def test_what_is_stored(value: object, stored: bytes) -> None:
    assert dumps({"k": value}, "php") == b"k|" + stored


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "an int in it has more than 64 bits"),
        (-(2**63) - 1, "an int in it has more than 64 bits"),
        ({1, 2}, "a set isn't a value of PHP"),
        ("\ud800", "a lone surrogate"),
        ({"\udcff": 1}, "a key of a dict in it holds a lone surrogate"),
        (b"text", "bytes in it are UTF-8"),
        ({1: "a", "1": "b"}, "would become one in PHP"),
        ({True: "a"}, "neither a str nor an int"),
        ({None: "a"}, "neither a str nor an int"),
        (itself(), f"nested deeper than {MAX_DEPTH}, or holds itself"),
        (nested(MAX_DEPTH), f"nested deeper than {MAX_DEPTH}"),
    ],
)
@pytest.mark.parametrize("format", ["php", "php_serialize", "php_binary"])
def test_what_is_refused(value: object, reason: str, format: Format) -> None:
    for session in ({"cart": value}, {"ok": 1, "cart": [value]} if reason[:6] != "nested" else {"cart": value}):
        with pytest.raises(PHPEncodeError, match=reason) as caught:
            dumps(session, format)
        assert str(caught.value).startswith("session['cart'] can't be stored for PHP: ")
        assert str(caught.value).endswith("Nothing was saved.")


@pytest.mark.parametrize(
    ("key", "format", "reason"),
    [
        ("a|b", "php", "no key can hold a |"),
        ("5", "php", "a key is a number"),
        ("-7", "php_binary", "a key is a number"),
        ("k" * 128, "php_binary", "at most 127 bytes"),
        ("é" * 64, "php_binary", "at most 127 bytes"),
        ("\ud800", "php", "a lone surrogate"),
        (5, "php", "a key isn't a str"),
        (5, "php_serialize", "a key isn't a str"),
    ],
)
def test_keys_that_php_would_drop_are_refused(key: Any, format: Format, reason: str) -> None:
    with pytest.raises(PHPEncodeError, match=reason):
        dumps({key: 1}, format)


@pytest.mark.parametrize(
    ("session", "format", "stored"),
    [
        ({"a|b": 1}, "php_serialize", b'a:1:{s:3:"a|b";i:1;}'),
        ({"5": 1}, "php_serialize", b"a:1:{i:5;i:1;}"),
        ({"a|b": 1}, "php_binary", b"\3a|bi:1;"),
        ({"k" * 127: 1}, "php_binary", b"\x7f" + b"k" * 127 + b"i:1;"),
        ({"": 1}, "php", b"|i:1;"),
        ({"042": 1}, "php", b"042|i:1;"),
        ({"é": 1}, "php", "é|i:1;".encode()),
    ],
)
def test_keys_that_php_keeps_are_stored(session: dict[str, Any], format: Format, stored: bytes) -> None:
    assert dumps(session, format) == stored
    assert loads(stored, format) == session


def test_the_deepest_that_is_written_is_read() -> None:
    deepest = {"k": nested(MAX_DEPTH - 1)}
    assert loads(dumps(deepest, "php_serialize"), "php_serialize") == deepest


@pytest.mark.parametrize("value", ["x" * MAX_BYTES, [None] * MAX_VALUES], ids=["bytes", "values"])
def test_what_is_too_large_to_read_isnt_written(value: object) -> None:
    with pytest.raises(PHPEncodeError, match="keep less in it"):
        dumps({"k": value}, "php")


def test_the_largest_that_is_written_is_read() -> None:
    for largest in ({"k": "x" * (MAX_BYTES - 15)}, {"k": [None] * (MAX_VALUES - 2)}):
        assert loads(dumps(largest, "php"), "php") == largest


def test_a_key_is_written_as_before_however_many_there_were() -> None:
    """Keys that were written lately are remembered, and forgotten all at once."""
    many = {f"key {number}": number for number in range(2 * _MOST)}
    many["k" * 1000] = 1
    assert loads(dumps({"k": many}, "php"), "php") == {"k": many}
    assert dumps({"k": {"1": 1}}, "php") == dumps({"k": {1: 1}}, "php") == b"k|a:1:{i:1;i:1;}"


def test_the_call_stack_may_be_nearly_used_up() -> None:
    session = {"k": nested(100)}
    stored = dumps(session, "php")

    def descend(levels: int) -> bytes:
        return descend(levels - 1) if levels else dumps(session, "php")

    outcomes: set[object] = set()
    for levels in range(0, 1000, 10):
        try:
            outcomes.add(descend(levels) == stored)
        except PHPEncodeError as error:
            outcomes.add("too deeply" in str(error) and "refused")
        except RecursionError:
            break
    assert outcomes == {True, "refused"}


def test_arguments_are_checked() -> None:
    wrong: Any = "igbinary"
    for call in (lambda: loads(b"", wrong), lambda: dumps({}, wrong)):
        with pytest.raises(ValueError, match="php, php_serialize, php_binary"):
            call()
    text: Any = "k|i:1;"
    with pytest.raises(TypeError, match="bytes"):
        loads(text, "php")


@pytest.mark.parametrize(
    ("stored", "format", "seems"),
    [
        (b"\0\0\0\2\x14\1\x11\1a\6\1", "php", "igbinary"),
        (b"\0\0\0\2\x14\1\x11\1a\6\1", "php_binary", "igbinary"),
        (b'{"user": 1}', "php", "JSON"),
        (b'a:1:{s:1:"k";i:1;}', "php", "php_serialize"),
        (b"k|i:1;", "php_serialize", "php"),
        (b"k|i:1;", "php_binary", "php"),
    ],
)
def test_another_format_is_named(stored: bytes, format: Format, seems: str) -> None:
    with pytest.raises(PHPDecodeError, match=f"format {format} and seems to be {seems}:"):
        loads(stored, format)


@pytest.mark.parametrize("stored", [b"k|i:1", b"k|N", b'k|s:1:"a"', b"k", b"k|a:1:{i:0;i:1;", b'k|O:1:"A"', b"k|s:3"])
def test_what_ends_too_early_is_refused(stored: bytes) -> None:
    with pytest.raises(PHPDecodeError):
        loads(stored, "php")


@pytest.mark.parametrize(
    ("stored", "format", "reason"),
    [
        (b"k|i:1;k|i:2;", "php", "a key is there twice"),
        (b"caf\xe9|i:1;", "php", "a key isn't UTF-8"),
        (b'k|a:1:{s:1:"\xe9";i:1;}', "php", "a key isn't UTF-8"),
        (b'k|a:2:{i:1;N;s:1:"1";N;}', "php", "a key is there twice"),
        (b"\x81ki:1;", "php_binary", "a key has no value"),
        (b"i:1;", "php_serialize", "it isn't an array"),
    ],
)
def test_what_php_never_writes_is_refused(stored: bytes, format: Format, reason: str) -> None:
    with pytest.raises(PHPDecodeError, match=reason):
        loads(stored, format)


def test_php_references_become_copies() -> None:
    data = loads(b'a|a:2:{s:1:"x";a:1:{i:0;s:1:"v";}s:1:"y";R:2;}b|R:1;c|R:3;', "php")
    assert data["a"] == data["b"] == {"x": ["v"], "y": ["v"]}
    assert data["c"] == "v"
    data["a"]["x"].append("new")
    assert data["b"] == {"x": ["v"], "y": ["v"]}


def test_what_follows_an_array_is_ignored_as_in_php() -> None:
    assert loads(b"a:1:{i:0;i:1;}\n", "php_serialize") == {"0": 1}


def test_the_errors_are_those_of_any_session() -> None:
    assert issubclass(PHPDecodeError, CorruptRecord)
    assert issubclass(PHPEncodeError, NotSerializable)
