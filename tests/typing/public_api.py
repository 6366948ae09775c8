"""State the types that applications see. mypy and pyright check this module; nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

from starlette.applications import Starlette
from starlette.requests import Request

import starlette_sessions_ext as package
from starlette_sessions_ext import (
    DatabaseStore,
    EventKind,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    Session,
    SessionEvent,
    SessionMiddleware,
    SessionStore,
    SQLiteStore,
    StarletteCookie,
    Stored,
    get_session,
    store_from_url,
)
from starlette_sessions_ext.fastapi import SessionDep


def count_visit(data: dict[str, Any]) -> int:
    data["visits"] = data.get("visits", 0) + 1
    return int(data["visits"])


async def use_a_session(request: Request, session: SessionDep) -> None:
    assert_type(get_session(request), Session)
    assert_type(session, Session)
    assert_type(await session.atomic(count_visit), int)
    assert_type(await session.save(), None)
    assert_type(session["user"], Any)
    session.rotate()
    session.renew(grace=30)
    session.set_lifetime(3600)
    session.destroy()


async def use_a_store(store: SessionStore) -> None:
    assert_type(await store.load("key"), Stored | None)
    assert_type(await store.create("key", b"data", 0), bool)
    assert_type(await store.delete("key"), bool)
    assert_type(store_from_url("sqlite:///sessions.db"), SessionStore)
    async with SQLiteStore("sessions.db") as sqlite:
        assert_type(sqlite, SQLiteStore)
    stores: list[SessionStore] = [
        MemoryStore(),
        RedisStore("redis://localhost"),
        DatabaseStore("mysql://localhost/shop"),
        PostgreSQLStore("postgresql://localhost/shop"),
        MongoStore("mongodb://localhost"),
    ]
    for one in stores:
        await one.aclose()


def report(event: SessionEvent) -> None:
    assert_type(event.kind, EventKind)
    assert_type(event.key_digest, str | None)


app = Starlette()
app.add_middleware(
    SessionMiddleware,
    secret_key=["new", "old"],
    store=MemoryStore(),
    exclude=["/static"],
    save_if=lambda status: status < 500,
    legacy_cookies=[StarletteCookie("old")],
    on_event=report,
)


def a_name_that_isnt_there() -> None:
    """Names that are loaded at their first use are known, and others are not."""
    assert_type(package.SQLiteStore("sessions.db"), SQLiteStore)
    package.SQLitStore("sessions.db")  # type: ignore[attr-defined]
