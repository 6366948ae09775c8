"""Serializers of an application: what goes wrong in them costs no more than it has to, and how to change them."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    EventKind,
    JSONSerializer,
    MemoryStore,
    NotSerializable,
    Serializer,
    SessionEvent,
    SessionMiddleware,
    SessionTooLarge,
)
from starlette_sessions_ext.serializers import read_serializer

from ..support.client import SECRET, Browser, make_app

pytestmark = pytest.mark.anyio


class Pickled:
    """Bytes of any Python object. Never where others can write to the store: reading them runs code."""

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        return pickle.dumps(dict(data))

    def loads(self, raw: bytes) -> dict[str, Any]:
        data: dict[str, Any] = pickle.loads(raw)
        return data


class ReadsBoth:
    """The recipe of the documentation: writes one format, reads both."""

    def __init__(self, write: Serializer) -> None:
        self.dumps = write.dumps

    def loads(self, raw: bytes) -> dict[str, Any]:
        try:
            return JSONSerializer().loads(raw)
        except CorruptRecord:
            return Pickled().loads(raw)


class Whatever(JSONSerializer):
    """Returns or raises what it is given, except for an empty session."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        return self._give() if data else super().dumps(data)

    def loads(self, raw: bytes) -> dict[str, Any]:
        return self._give() if raw != b"{}" else super().loads(raw)

    def _give(self) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


# At construction


class Async:
    async def dumps(self, data: Any) -> bytes:
        return b""

    async def loads(self, raw: bytes) -> Any:
        return {}


class Forgets(Pickled):
    def loads(self, raw: bytes) -> dict[str, Any]:
        return {"more": "than was given"}


class CantDumpNothing(JSONSerializer):
    def dumps(self, data: Any) -> bytes:
        raise KeyError("user")


@pytest.mark.parametrize(
    ("serializer", "message"),
    [
        (json, r"dumps must return bytes, and returned a str"),
        (JSONSerializer, r"an instance, not a class: serializer=JSONSerializer\(\)"),
        (Pickled, r"an instance, not a class: serializer=Pickled\(\)"),
        (object(), r"has to have the methods dumps\(dict\) -> bytes and loads\(bytes\) -> dict"),
        ("json", r"has to have the methods"),
        (0, r"has to have the methods"),
        (Async(), r"must be no async functions"),
        (Forgets(), r"doesn't give an empty session back"),
        (CantDumpNothing(), r"failed on an empty session: KeyError"),
    ],
)
def test_what_cant_work_is_refused(serializer: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^serializer.* {message}") as caught:
        SessionMiddleware(make_app(MemoryStore(), {}), SECRET, store=MemoryStore(), serializer=serializer)
    assert caught.value.__context__ is None


def test_ours_isnt_wrapped() -> None:
    ours = JSONSerializer()
    assert read_serializer(ours) is ours
    assert type(read_serializer(None)) is JSONSerializer


def test_a_module_will_do() -> None:
    serializer = read_serializer(pickle)
    assert serializer.loads(serializer.dumps({"a": {1}})) == {"a": {1}}


# In use


@pytest.mark.parametrize("error", [ValueError("ann"), KeyError("ann"), AttributeError("ann"), RecursionError("ann")])
def test_what_it_raises_is_told_as_what_it_means(error: Exception) -> None:
    serializer = read_serializer(Whatever(error))
    kind = type(error).__name__
    with pytest.raises(CorruptRecord) as unreadable:
        serializer.loads(b"anything")
    assert str(unreadable.value) == f"the serializer can't read a stored session ({kind}); its row was left as it is"
    with pytest.raises(NotSerializable) as unwritable:
        serializer.dumps({"a": 1})
    assert str(unwritable.value) == f"the session can't be stored: its serializer failed ({kind}). Nothing was saved."
    assert unreadable.value.__context__ is unwritable.value.__context__ is None, "they may hold the data"


@pytest.mark.parametrize(
    "error", [SessionTooLarge("2 MB"), NotSerializable("a"), CorruptRecord("b"), KeyboardInterrupt()]
)
def test_errors_of_ours_and_those_that_stop_a_program_are_left(error: BaseException) -> None:
    serializer = read_serializer(Whatever(error))
    with pytest.raises(type(error)) as caught:
        serializer.loads(b"anything")
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        serializer.dumps({"a": 1})
    assert caught.value is error


@pytest.mark.parametrize("result", [None, [], "text", 1, bytearray(b"{}")])
def test_what_it_returns_is_looked_at(result: object) -> None:
    serializer = read_serializer(Whatever(result))
    kind = type(result).__name__
    with pytest.raises(CorruptRecord, match=f"the serializer made a {kind} of a stored session, not a dict"):
        serializer.loads(b"anything")
    with pytest.raises(NotSerializable, match=f"its serializer made a {kind} of it, not bytes"):
        serializer.dumps({"a": 1})


async def view(request: Request) -> Any:
    return dict(request.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.session.update(request.query_params)


HANDLERS = {"/": view, "/put": put}


@pytest.mark.parametrize(("before", "after"), [(None, Pickled()), (Pickled(), None)])
async def test_sessions_of_the_serializer_before_are_corrupt_and_left_alone(before: Any, after: Any) -> None:
    events: list[SessionEvent] = []
    store = MemoryStore()
    browser = Browser(make_app(store, HANDLERS, serializer=before))
    await browser.get("/put?user=ann")
    rows = dict(store._rows)
    browser.app = make_app(store, HANDLERS, serializer=after, on_event=events.append)
    answer = await browser.get("/")
    assert (answer.status, answer.json()) == (200, {})
    assert [event.kind for event in events] == [EventKind.RECORD_CORRUPT]
    assert (await browser.get("/put?user=bob")).status == 200
    assert (await browser.get("/")).json() == {"user": "bob"}
    assert rows.items() <= store._rows.items()


async def test_nobody_is_signed_out_by_a_change_in_two_steps() -> None:
    """First all workers read both, then they write the new one: old and new workers run next to each other."""
    store = MemoryStore()
    steps = [
        make_app(store, HANDLERS, serializer=serializer)
        for serializer in (JSONSerializer(), ReadsBoth(JSONSerializer()), ReadsBoth(Pickled()), Pickled())
    ]
    browser = Browser(steps[0])
    await browser.get("/put?user=ann")
    for number, (earlier, later) in enumerate(itertools.pairwise(steps)):
        for app in (later, earlier, later):
            browser.app = app
            assert (await browser.get(f"/put?number={number}")).status == 200
            assert (await browser.get("/")).json() == {"user": "ann", "number": str(number)}
