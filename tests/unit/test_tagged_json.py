"""Tagged JSON: what comes back as it was, what it shares with plain JSON, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    JSONSerializer,
    MemoryStore,
    NotSerializable,
    TaggedJSONSerializer,
)

from ..support.client import Browser, make_app
from .test_serializers import SESSIONS, nested


class Colour(Enum):
    RED = "r"
    BLUE = ("b", 1)


class Size(IntEnum):
    SMALL = 1


class Language(str, Enum):  # noqa: UP042 - what many applications have
    DE = "de"


class Right(Flag):
    READ = 1
    WRITE = 2


@dataclass
class Address:
    street: str
    since: date | None = None
    label: str = field(init=False, default="")


@dataclass(frozen=True)
class Line:
    item: str
    address: Address


class Point(NamedTuple):
    x: int
    y: int


PLAIN, TAGGED = JSONSerializer(), TaggedJSONSerializer(types=[Colour, Size, Language, Right, Address, Line])

OFFSETS = st.integers(-23 * 3600, 23 * 3600).map(lambda seconds: timezone(timedelta(seconds=seconds)))
SPLIT = timezone(timedelta(microseconds=1))
"""An offset that no place has, and that Python 3.11 reads as UTC."""
ZONES = st.none() | st.just(UTC) | OFFSETS
HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.datetimes(timezones=ZONES).map(lambda value: value.replace(fold=0))
    | st.dates()
    | st.times(timezones=ZONES).map(lambda value: value.replace(fold=0))
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Colour, *Size, *Language, Right.READ | Right.WRITE, Path("/etc/x"), Path()]),
    lambda inner: st.frozensets(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)
KEYS = st.text() | st.sampled_from(["!", "!datetime", "!set", "!dict"])
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(HASHABLE, max_size=4)
        | st.builds(Address, st.text(), st.none() | st.dates())
    ),
    max_leaves=10,
)


def shape(value: object) -> object:
    """Return what tells values apart that are equal in Python, such as 1 and True."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(shape, value)))
    return type(value), value


@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_it_takes_comes_back_equal(data: dict[str, Any]) -> None:
    raw = TAGGED.dumps(data)
    read = TAGGED.loads(raw)
    assert read == data
    assert shape(read) == shape(data)
    assert raw.isascii()
    assert TAGGED.dumps(read) == raw
    assert PLAIN.dumps(PLAIN.loads(raw)) == raw, "it is JSON that keeps the rules of our JSON"


@given(data=SESSIONS)
def test_without_tags_it_is_plain_json(data: dict[str, Any]) -> None:
    raw = PLAIN.dumps(data)
    if '{"!' not in raw.decode():
        assert TAGGED.dumps(data) == raw
        assert TAGGED.loads(raw) == data


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (datetime(2030, 1, 2, 3, 4, 5, 6), '{"!datetime":"2030-01-02T03:04:05.000006"}'),
        (datetime(2030, 7, 1, tzinfo=ZoneInfo("Europe/Paris")), '{"!datetime":"2030-07-01T00:00:00+02:00"}'),
        (date(2030, 1, 2), '{"!date":"2030-01-02"}'),
        (time(3, 4), '{"!time":"03:04:00"}'),
        (timedelta(days=-1, microseconds=5), '{"!timedelta":[-1,0,5]}'),
        (UUID(int=1), '{"!uuid":"00000000-0000-0000-0000-000000000001"}'),
        (Decimal("1.50"), '{"!decimal":"1.50"}'),
        (b"\x00\xff", '{"!bytes":"AP8="}'),
        (Path("a/b"), '{"!path":"a/b"}'),
        ((1, (2,)), '{"!tuple":[1,{"!tuple":[2]}]}'),
        ({"b", "a", 3}, '{"!set":["a","b",3]}'),
        (frozenset([(1,)]), '{"!frozenset":[{"!tuple":[1]}]}'),
        (Colour.BLUE, '{"!enum":["Colour",{"!tuple":["b",1]}]}'),
        (Language.DE, '{"!enum":["Language","de"]}'),
        (Line("tea", Address("x")), None),
        ({"!set": [1]}, '{"!dict":[["!set",[1]]]}'),
        ({"!set": [1], "more": 2}, '{"!set":[1],"more":2}'),
    ],
)
def test_what_is_stored(value: Any, stored: str | None) -> None:
    raw = TAGGED.dumps({"a": value})
    assert TAGGED.loads(raw) == {"a": value}
    if stored is not None:
        assert raw.decode() == f'{{"a":{stored}}}'


def test_a_decimal_that_is_no_number_comes_back() -> None:
    read = TAGGED.loads(TAGGED.dumps({"a": Decimal("NaN")}))
    assert math.isnan(read["a"])


def test_equal_sets_are_equal_bytes() -> None:
    one, other = set([0, 8]), set([8, 0])  # noqa: C405 - a set goes through them as they went in
    assert list(one) != list(other)
    assert TAGGED.dumps({"a": one}) == TAGGED.dumps({"a": other})


def test_a_tuple_of_a_class_is_a_tuple() -> None:
    assert TAGGED.loads(TAGGED.dumps({"a": Point(1, 2)})) == {"a": (1, 2)}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": {"b": [Colour.RED]}}, "session['a']['b'][0] is a Colour: name its class, {0}(types=[Colour])"),
        ({"a": Language.DE}, "session['a'] is a Language: name its class, {0}(types=[Language])"),
        ({"a": Address("x")}, "session['a'] is an Address: name its class, {0}(types=[Address])"),
        ({"a": {PurePosixPath("a")}}, "session['a']{{...}} is a PurePosixPath: store str() of it, or pass .*"),
        ({"a": time(tzinfo=SPLIT)}, "session['a'] is a time: give it a UTC offset of whole seconds"),
        ({"a": datetime(2030, 1, 1, tzinfo=SPLIT)}, "session['a'] is a datetime: give it a UTC offset of whole .*"),
        ({"a": object()}, "session['a'] is an object: store text, numbers, lists and dicts in its place"),
        ({"a": frozenset([math.inf])}, "session['a']{{...}} can't be stored: it holds NaN, .*"),
        ({"a": {(1,): 1}}, "session['a'] can't be stored: a key of a dict has to be a str"),
        ({"a": nested(10**5)}, "session['a'] can't be stored: it is nested too deeply, or holds itself"),
    ],
)
def test_what_it_cant_say_is_refused_by_its_path(data: Any, message: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        TaggedJSONSerializer().dumps(data)
    text = message.format("TaggedJSONSerializer")
    if text.endswith(".*"):
        assert str(caught.value).startswith(text[:-2])
    else:
        assert str(caught.value) == f"{text}. Nothing was saved."


def test_a_fault_in_a_field_is_named() -> None:
    with pytest.raises(NotSerializable, match=r"^session\['a'\]\.address\.street is an object: "):
        TAGGED.dumps({"a": Line("tea", Address(object()))})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b'{"a":1', b'{"a":1}x', b'{"a":NaN}', '{"a":"é"}'.encode(), b'{"!date":"2030-01-01"}'),
        *(b'{"a":{"!unknown":1}}', b'{"a":{"!date":"yesterday"}}', b'{"a":{"!timedelta":[1e99]}}'),
        *(b'{"a":{"!bytes":"?"}}', b'{"a":{"!set":[[]]}}', b'{"a":{"!enum":["Path","x"]}}'),
        *(b'{"a":{"!dataclass":["Address",[["street",1],["no",1]]]}}', b'{"a":{"!enum":["Colour","x"]}}'),
        pytest.param(b'{"a":' + b"[" * 10**5, id="bottomless"),
    ],
)
def test_other_bytes_are_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptRecord, match=r"^a stored session isn't tagged JSON, or .*left as it is$") as caught:
        TAGGED.loads(raw)
    assert caught.value.__context__ is None, "the decoder's own error holds the document"


@dataclass(frozen=True)
class Touchy:
    def __post_init__(self) -> None:
        raise OSError("ann")


def test_a_class_that_refuses_what_is_stored_makes_it_corrupt() -> None:
    with pytest.raises(CorruptRecord):
        TaggedJSONSerializer([Touchy]).loads(b'{"a":{"!dataclass":["Touchy",[]]}}')


def test_nothing_but_what_it_was_given_is_made() -> None:
    raw = TAGGED.dumps({"a": Address("x")})
    with pytest.raises(CorruptRecord):
        TaggedJSONSerializer().loads(raw)
    assert json.loads(raw) == {"a": {"!dataclass": ["Address", [["street", "x"], ["since", None]]]}}


def test_types_that_cant_work_are_refused() -> None:
    twin = Enum("Colour", ["RED"])  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="two types are named Colour"):
        TaggedJSONSerializer([Colour, twin])
    for wrong in (dict, Address("x"), "Colour"):
        with pytest.raises(ConfigurationError, match="types must be enums and dataclasses"):
            TaggedJSONSerializer([wrong])  # type: ignore[list-item]
    TaggedJSONSerializer([Colour, Colour])


@pytest.mark.anyio
async def test_sessions_carry_its_values() -> None:
    since = datetime(2030, 1, 2, tzinfo=UTC)

    async def put(request: Request) -> None:
        request.session.update(since=since, tags={"a"})

    async def add(request: Request) -> None:
        request.session["tags"].add("b")

    async def look(request: Request) -> Any:
        assert request.session["since"] == since
        return sorted(request.session["tags"])

    app = make_app(MemoryStore(), {"/put": put, "/add": add, "/": look}, serializer=TaggedJSONSerializer())
    browser = Browser(app)
    for path in ("/put", "/add"):
        assert (await browser.get(path)).status == 200
    assert (await browser.get("/")).json() == ["a", "b"]
