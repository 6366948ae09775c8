"""Session: a dict that notices whether it was read, and gives nothing away."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.middleware.sessions import Session as StarlettesSession
from starlette.requests import Request

from starlette_sessions_ext import ConfigurationError, MemoryStore, Session, SessionError, SQLiteStore

from ..support.client import Browser, make_app

READS: dict[str, Callable[[Session], Any]] = {
    "[]": lambda s: s["a"],
    "get": lambda s: s.get("a"),
    "get missing": lambda s: s.get("missing"),
    "in": lambda s: "a" in s,
    "not in": lambda s: "missing" not in s,
    "iter": lambda s: list(s),
    "reversed": lambda s: list(reversed(s)),
    "len": len,
    "bool": bool,
    "==": lambda s: s == {"a": 1},
    "!=": lambda s: s != {"a": 1},
    "==, from the right": lambda s: {"a": 1} == s,  # noqa: SIM300
    "|": lambda s: s | {"b": 2},
    "|, from the right": lambda s: {"b": 2} | s,
    "keys": lambda s: s.keys(),
    "values": lambda s: s.values(),
    "items": lambda s: s.items(),
    "copy": lambda s: s.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "dict()": dict,
    "**": lambda s: dict(**s),
    "{**}": lambda s: {**s},
    "dict.update": lambda s: dict[str, Any]().update(s),
    "json.dumps": json.dumps,
    "json.dumps, indented": lambda s: json.dumps(s, indent=2),
    "pop of a missing key": lambda s: s.pop("missing", None),
    "setdefault of a present key": lambda s: s.setdefault("a", 2),
}

CHANGES: dict[str, Callable[[Session], Any]] = {
    "[]=": lambda s: s.__setitem__("b", 2),
    "del": lambda s: s.__delitem__("a"),
    "clear": lambda s: s.clear(),
    "pop": lambda s: s.pop("a"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("b", 2),
    "update": lambda s: s.update(b=2),
    "|=": lambda s: s.__ior__({"b": 2}),
    "rotate": lambda s: s.rotate(),
    "destroy": lambda s: s.destroy(),
    "set_lifetime": lambda s: s.set_lifetime(60),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_marks_the_session_as_accessed(read: Callable[[Session], Any]) -> None:
    session = Session({"a": 1})
    assert not session.accessed
    read(session)
    assert session.accessed
    assert not session.modified


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changing_marks_it_as_accessed_and_modified(change: Callable[[Session], Any]) -> None:
    session = Session({"a": 1})
    change(session)
    assert session.accessed
    assert session.modified


def test_reading_gives_what_a_dict_gives() -> None:
    plain, session = {"a": 1, "b": [2]}, Session({"a": 1, "b": [2]})
    assert (session["a"], session.get("x", 3), "a" in session, len(session)) == (1, 3, True, 2)
    assert (list(session), list(reversed(session)), dict(session)) == (list(plain), list(reversed(plain)), plain)
    assert (session == plain, session != plain, session | {"c": 3}) == (True, False, plain | {"c": 3})
    assert json.dumps(session) == json.dumps(plain)
    assert session.copy() == plain
    with pytest.raises(KeyError):
        session["missing"]


def test_it_is_a_session_of_starlettes_for_whoever_asks() -> None:
    assert isinstance(Session(), StarlettesSession)
    assert isinstance(Session(), dict)


def test_no_repr_shows_data() -> None:
    session = Session({"password": "hunter2"})
    for text in (repr(session), str(session), f"{session}", f"{[session]}"):
        assert "password" not in text
        assert "hunter2" not in text
    assert repr(session) == "<Session of 1 keys>"
    assert not session.accessed


def test_a_new_session_has_no_times() -> None:
    session = Session()
    assert session.is_new
    assert (session.created_at, session.expires_at) == (None, None)


@pytest.mark.parametrize("lifetime", [0, -1, True, 1.5, "60", timedelta(0), 10**12])
def test_a_lifetime_is_a_positive_duration(lifetime: Any) -> None:
    with pytest.raises(ConfigurationError, match="lifetime"):
        Session().set_lifetime(lifetime)


@pytest.mark.anyio
async def test_a_session_without_a_request_cant_be_saved() -> None:
    with pytest.raises(SessionError, match="isn't part of a running request"):
        await Session().save()
    with pytest.raises(SessionError, match="isn't part of a running request"):
        await Session().atomic(lambda data: data.update(a=1))


@pytest.mark.anyio
async def test_a_session_kept_after_its_request_cant_be_saved() -> None:
    kept: list[Session] = []

    async def keep(request: Request) -> Any:
        kept.append(request.state.session)

    await Browser(make_app(MemoryStore(), {"/": keep})).get("/")
    with pytest.raises(SessionError):
        await kept[0].save()


@pytest.mark.anyio
async def test_a_copy_of_a_session_in_use_is_data_and_no_second_session(tmp_path: Any) -> None:
    async def copies(request: Request) -> Any:
        session: Session = request.state.session
        session["cart"] = [1]
        await session.save()
        copied = copy.deepcopy(session)
        copied["cart"].append(2)
        with pytest.raises(SessionError):
            await copied.save()
        return [dict(copied), dict(session)]

    async with SQLiteStore(tmp_path / "sessions.db") as store:
        answer = await Browser(make_app(store, {"/": copies})).get("/")
    assert answer.json() == [{"cart": [1, 2]}, {"cart": [1]}]


def test_common_keys_are_no_attributes() -> None:
    """Templates look for an attribute before a key: `session.user` must lead to the key."""
    common = [
        "user",
        "user_id",
        "name",
        "email",
        "cart",
        "id",
        "username",
        "role",
        "roles",
        "csrf",
        "csrf_token",
        "key",
    ]
    common += [
        "theme",
        "locale",
        "language",
        "account",
        "token",
        "flash",
        "messages",
        "next",
        "state",
        "visits",
        "count",
    ]
    assert not [name for name in common if hasattr(Session(), name)]
