"""JSON as it is stored: what comes back equal, what is refused and how."""

from __future__ import annotations

import gc
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from starlette_sessions_ext import CorruptRecord, JSONSerializer, NotSerializable
from starlette_sessions_ext.serializers.plain_json import MAX_DEPTH, _depth, fast_writer

JSON = JSONSerializer()

TOO_DEEP = " can't be stored: it is nested too deeply, or holds itself"
SURROGATE = " can't be stored: it holds a lone surrogate, which isn't text"
NOT_A_NUMBER = " can't be stored: it holds NaN, an infinity or an int of thousands of digits"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
SESSIONS = st.dictionaries(st.text(), VALUES)


def nested(depth: int) -> Any:
    """Lists in lists, `depth` of them."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def itself() -> Any:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


@given(data=SESSIONS)
def test_any_json_comes_back_equal(data: dict[str, Any]) -> None:
    raw = JSON.dumps(data)
    # Compared as text: 1, 1.0 and True are equal in Python, and so are 0.0 and -0.0.
    assert json.dumps(JSON.loads(raw)) == json.dumps(data)
    assert JSON.dumps(JSON.loads(raw)) == raw


@given(data=SESSIONS)
def test_it_is_written_as_by_python_s_own_encoder(data: dict[str, Any]) -> None:
    encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
    assert "".join(fast_writer(encoder)(data, 0)) == encoder.encode(data) == JSON.dumps(data).decode()


@pytest.mark.parametrize(
    ("value", "error"),
    [({"a": float("nan")}, ValueError), ({(1, 2): 3}, TypeError), ({"a": b""}, TypeError), (itself(), RecursionError)],
)
def test_what_python_s_own_encoder_refuses_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        fast_writer(json.JSONEncoder(allow_nan=False))(value, 0)


def test_there_need_be_no_encoder_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.encoder.c_make_encoder", None)
    encoder = json.JSONEncoder()
    assert "".join(fast_writer(encoder)({"a": [1]}, 0)) == encoder.encode({"a": [1]})


@given(data=SESSIONS)
def test_the_bytes_are_ascii_on_one_line(data: dict[str, Any]) -> None:
    raw = JSON.dumps(data)
    assert raw.isascii()
    assert not set(raw) & {*range(0x20), 0x7F} - {0x7F}  # only DEL may stand as itself


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        ({}, b"{}"),
        ({"a": 1, "b": [True, None]}, b'{"a":1,"b":[true,null]}'),
        ({"b": 1, "a": 2}, b'{"b":1,"a":2}'),
        ({"pair": (1, 2)}, b'{"pair":[1,2]}'),
        ({2: "two", None: 0, True: 0, 1.5: 0}, b'{"2":"two","null":0,"true":0,"1.5":0}'),
        ({"🐘": "é"}, b'{"\\ud83d\\udc18":"\\u00e9"}'),
        ({"path": "\\ud800"}, b'{"path":"\\\\ud800"}'),
        ({"": "\0\t\n"}, b'{"":"\\u0000\\t\\n"}'),
        ({"zero": -0.0, "big": 2**70}, b'{"zero":-0.0,"big":1180591620717411303424}'),
    ],
)
def test_what_is_stored(data: dict[Any, Any], stored: bytes) -> None:
    assert JSON.dumps(data) == stored


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        pytest.param(float("nan"), NOT_A_NUMBER, id="NaN"),
        pytest.param([0, float("-inf")], f"[1]{NOT_A_NUMBER}", id="infinity"),
        pytest.param({float("nan"): 1}, NOT_A_NUMBER, id="NaN as a key"),
        pytest.param(10**5000, NOT_A_NUMBER, id="int"),
        pytest.param(itself(), TOO_DEEP, id="itself"),
        pytest.param("\ud800", SURROGATE, id="surrogate"),
        pytest.param({"\udfff": 1}, SURROGATE, id="surrogate in a key"),
        # Two halves aren't the whole: they would come back as another str.
        pytest.param("\ud83d\udc18", SURROGATE, id="two surrogates"),
        pytest.param(nested(MAX_DEPTH), TOO_DEEP, id="a level too deep"),
        pytest.param(nested(10**5), TOO_DEEP, id="bottomless"),
        pytest.param({(1, 2): 1}, " can't be stored: a key of a dict has to be a str", id="tuple as a key"),
        pytest.param(
            {"a": {"ann@example.com": {"k" * 41: {-1: [math.nan]}}}},
            f"['a'][...][...][-1][0]{NOT_A_NUMBER}",
            id="keys that may be data",
        ),
    ],
)
def test_what_json_cant_say_is_refused_by_its_path(value: Any, refusal: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        JSON.dumps({"fine": 1, "culprit": value, "later": {1}})
    assert str(caught.value) == f"session['culprit']{refusal}. Nothing was saved."
    assert caught.value.__suppress_context__, "the encoder's own error may hold the value"


class Colour(Enum):
    RED = 1


@dataclass
class Address:
    street: str


class Model(BaseModel):
    name: str


TAGGED = "or pass serializer=TaggedJSONSerializer()"


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (datetime(2030, 1, 2), f"is a datetime: store .isoformat(), {TAGGED}"),
        (date(2030, 1, 2), f"is a date: store .isoformat(), {TAGGED}"),
        (time(1, 2), f"is a time: store .isoformat(), {TAGGED}"),
        (timedelta(1), f"is a timedelta: store .total_seconds(), {TAGGED}"),
        (UUID(int=1), f"is a UUID: store str() of it, {TAGGED}"),
        (Decimal(1), f"is a Decimal: store str() of it, {TAGGED}"),
        (Path("/"), f"is a PosixPath: store str() of it, {TAGGED}"),
        ({1}, f"is a set: store sorted() of it, {TAGGED}"),
        (frozenset(), f"is a frozenset: store sorted() of it, {TAGGED}"),
        (b"bytes", f"is a bytes: store base64 text, {TAGGED}"),
        (Colour.RED, "is a Colour: store .value, or pass serializer=TaggedJSONSerializer(types=[Colour])"),
        (Address("secret"), "is an Address: ask for it with session.typed(Address, key=...)"),
        (Model(name="secret"), "is a Model: ask for it with session.typed(Model, key=...)"),
        (object(), "is an object: store text, numbers, lists and dicts in its place"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_type_that_json_lacks_is_refused_with_a_remedy(value: Any, refusal: str) -> None:
    faulty: list[tuple[Any, str]] = [
        ({"fine": 1, "culprit": value, "later": {1}}, "session['culprit']"),
        ({"prefs": {"a": 1, "seen": [0, (value,)]}}, "session['prefs']['seen'][1][0]"),
        ({7: value}, "session[7]"),
    ]
    for data, path in faulty:
        with pytest.raises(NotSerializable) as caught:
            JSON.dumps(data)
        assert str(caught.value) == f"{path} {refusal}. Nothing was saved."


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ((1, "1"), "session[1] and session['1']"),
        (("-1", -1), "session[-1] and session['-1']"),
        ((None, "null"), "session[None] and session['null']"),
        (("true", True), "session[True] and session['true']"),
        ((False, "false"), "session[False] and session['false']"),
        ((1.5, "1.5"), "session[1.5] and session['1.5']"),
        (("1e+16", 1e16), "session[1e+16] and session['1e+16']"),
    ],
)
def test_keys_that_json_makes_one_are_refused(keys: tuple[Any, Any], message: str) -> None:
    data = dict.fromkeys(keys, "value")
    with pytest.raises(NotSerializable) as caught:
        JSON.dumps({"fine": 1, **data})
    assert str(caught.value) == f"{message} would become one key in JSON: use one of them. Nothing was saved."
    for value in (data, [{"deep": (data,)}]):
        with pytest.raises(NotSerializable) as caught:
            JSON.dumps({"fine": 1, "cart": value, **{"later": 1}})
        assert str(caught.value).startswith("session['cart']")
        assert str(caught.value).endswith(
            ' can\'t be stored: two keys of a dict in it would become one in JSON, as 1 and "1" do. Nothing was saved.'
        )


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        ({"1": 1, "address1": (2, 3)}, b'{"1":1,"address1":[2,3]}'),
        ({"cart": {"17": (1,), "null": 2}}, b'{"cart":{"17":[1],"null":2}}'),
        ({1: (2,), "2": [{3: 4}]}, b'{"1":[2],"2":[{"3":4}]}'),
        ({"text": '{"1":', "1": 0}, b'{"text":"{\\"1\\":","1":0}'),
    ],
)
def test_keys_that_look_like_numbers_are_keys(data: dict[Any, Any], stored: bytes) -> None:
    assert JSON.dumps(data) == stored


KEYS = (
    st.text()
    | st.integers(-3, 3)
    | st.none()
    | st.booleans()
    | st.sampled_from(["1", "-1", "null", "true", "1.5", 1.5])
)
MIXED = st.dictionaries(
    KEYS, st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=10)
)


def made_one(value: object) -> bool:
    """Whether a dict in `value` has two keys that are the same in JSON."""
    if isinstance(value, dict):
        names = {next(iter(json.loads(json.dumps({key: 0})))) for key in value}
        return len(names) < len(value) or any(map(made_one, value.values()))
    return isinstance(value, list) and any(map(made_one, value))


@given(data=MIXED)
def test_no_two_keys_are_ever_stored_as_one(data: dict[Any, Any]) -> None:
    if made_one(data):
        with pytest.raises(NotSerializable, match="one"):
            JSON.dumps(data)
    else:
        assert JSON.dumps(data).decode() == json.dumps(data, separators=(",", ":"))


def test_a_key_that_isnt_text_is_named() -> None:
    with pytest.raises(NotSerializable, match=r"session\['\\ud800'\]"):
        JSON.dumps({"\ud800": 1})


def test_what_isnt_a_dict_is_refused_as_a_whole() -> None:
    with pytest.raises(NotSerializable, match=r"^the session as a whole can't .* a dict\. Nothing was saved\.$"):
        JSON.dumps(MappingProxyType({"a": 1}))


@pytest.mark.parametrize(
    "value",
    [
        nested(MAX_DEPTH - 1),
        [[]] * 1000,
        {"brackets": "[{" * 1000},
        {'escaped "brackets"': ['\\"[{\\' * 1000, '"' + "[" * 1000, "]" * 1000 + "\\\\"]},
        tuple({"in": (number,)} for number in range(300)),
    ],
    ids=["deepest", "wide", "text", "escaped", "tuples"],
)
def test_what_is_wide_isnt_taken_for_deep(value: Any) -> None:
    raw = JSON.dumps({"value": value})
    assert JSON.dumps(JSON.loads(raw)) == raw


@pytest.mark.parametrize("container", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {"in": inner}])
def test_every_container_counts_as_a_level(container: Any) -> None:
    value: Any = "leaf"
    for _ in range(MAX_DEPTH - 1):
        value = container(value)
    JSON.dumps({"value": value})
    with pytest.raises(NotSerializable, match="nested too deeply"):
        JSON.dumps({"value": container(value)})


def deepest(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(deepest, value.values()), default=0)
    return 1 + max(map(deepest, value), default=0) if isinstance(value, list) else 0


TRICKY = st.recursive(
    st.text('[]{}"\\,:ab', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(data=st.dictionaries(st.text('[]{}"\\:', max_size=5), TRICKY, max_size=5))
def test_depth_is_that_of_the_data_whatever_is_in_its_text(data: dict[str, Any]) -> None:
    assert _depth(JSON.dumps(data).decode()) == deepest(data)


def lines(call: Callable[[], object]) -> int:
    """Count the lines that run in Python, every turn of a loop included."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # hypothesis measures collections in Python
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


@pytest.mark.parametrize(
    "make",
    [
        lambda count: [{"a": 1}] * count,
        lambda count: [{"name": "[", "path": "\\"}] * count,
        lambda count: [{"17": 1}] * count,
        lambda count: [[["deep"]]] * count,
    ],
    ids=["small dicts", "brackets in text", "numbers as keys", "lists"],
)
def test_all_that_grows_with_a_session_runs_in_c(make: Callable[[int], object]) -> None:
    few, many = {"items": make(1000)}, {"items": make(20_000)}
    one, other = JSON.dumps(many), JSON.dumps(few)  # modules that are loaded at their first use are there now
    assert lines(lambda: JSON.dumps(many)) == lines(lambda: JSON.dumps(few)) > 0
    assert lines(lambda: JSON.loads(one)) == lines(lambda: JSON.loads(other)) > 0


def at_stack_depth(frames: int, raw: bytes) -> dict[str, Any]:
    return at_stack_depth(frames - 1, raw) if frames else JSON.loads(raw)


def test_what_was_written_is_read_below_a_deep_stack() -> None:
    """How deep the stack was when it was written must not decide whether it can be read."""
    raw = JSON.dumps({"value": nested(MAX_DEPTH - 1)})
    assert JSON.dumps(at_stack_depth(500, raw)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"[]", b"null", b"1", b'"text"', b"{", b'{"a":1', b'{"a":1}x', b"{'a':1}"),
        *(b'{"a":NaN}', b'{"a":[Infinity]}', b'{"a":-Infinity}'),
        *('{"a":"é"}'.encode(), b"\xff\xfe{\0}\0", b"\x81\xa1a\x01", b"\x80\x04}."),
        pytest.param(b'{"a":' + b"[" * 10**5, id="bottomless"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="int"),
    ],
)
def test_other_bytes_are_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptRecord, match=r"^a stored session isn't a JSON object") as caught:
        JSON.loads(raw)
    assert caught.value.__context__ is None, "the decoder's own error holds the document"


@given(data=SESSIONS.filter(bool), cut=st.integers(min_value=0))
def test_no_beginning_of_it_is_taken_for_the_whole(data: dict[str, Any], cut: int) -> None:
    raw = JSON.dumps(data)
    with pytest.raises(CorruptRecord):
        JSON.loads(raw[: cut % len(raw)])
