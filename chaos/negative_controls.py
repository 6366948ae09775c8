"""Applications that are wrong on purpose, some as other packages are. The checks have to find each fault.

Each is a factory for uvicorn, on the Redis that the environment names.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Hashable
from contextvars import ContextVar
from dataclasses import replace

from redis.asyncio import Connection, Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from starlette_sessions_ext import Session, Stored
from starlette_sessions_ext._core import record, repository, rows
from starlette_sessions_ext._core.ids import new_id
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext._time import MAX_TIMESTAMP
from starlette_sessions_ext.stores.redis import RedisStore
from starlette_sessions_ext.stores.redis.rows import read
from tests.support.client import SECRET

from .application import IDLE, make_application


class BlindStore(RedisStore):
    """Replaces whatever is there."""

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return bool(await _client(self).set(f"session:{key}", data, ex=IDLE, xx=True))


class UpsertStore(RedisStore):
    """Compares, but where there is nothing to compare with it writes as well."""

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await super().replace(key, data, expires_at, version, owner) or await self.create(
            key, data, expires_at, owner
        )


class NaiveStore(RedisStore):
    """Ask, and read the next line. A cancelled call leaves its answer to the next call on the connection."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()

    async def load(self, key: str) -> Stored | None:
        if self._free.empty():
            pool = _client(self).connection_pool
            connection = Connection(
                host=pool.connection_kwargs["host"], port=pool.connection_kwargs["port"], protocol=2
            )
            await connection.connect()  # type: ignore[no-untyped-call]
        else:
            connection = self._free.get_nowait()
        try:
            await connection.send_command("GET", f"session:{key}")
            data = await connection.read_response(disconnect_on_error=False)
        finally:
            self._free.put_nowait(connection)
        return None if data is None else Stored(read(data).data, data, int(self._clock()) + IDLE)


class Adopting:
    """Lets clients choose their id: a session that begins takes the one that the cookie has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._cookie = SessionCookie("session", SECRET)
        self._chosen: ContextVar[str | None] = ContextVar("chosen", default=None)
        vars(repository)["new_id"] = lambda: self._chosen.get() or new_id()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._chosen.set(self._cookie.find(scope).session_id)
        await self._app(scope, receive, send)


def blind() -> ASGIApp:
    return make_application(BlindStore(os.environ["SESSIONS"]))


def upsert() -> ASGIApp:
    return make_application(UpsertStore(os.environ["SESSIONS"]))


def adopting() -> ASGIApp:
    return Adopting(make_application(RedisStore(os.environ["SESSIONS"])))


def credulous() -> ASGIApp:
    """Whatever the store gives is taken for what was asked."""
    vars(rows)["decode"] = lambda raw, key: record.decode(raw, raw.split()[1].decode())
    return make_application(NaiveStore(os.environ["SESSIONS"]))


def abrupt() -> ASGIApp:
    """A renewal is a rotation: other tabs lose the session."""
    Session.renew = lambda session, grace: session.rotate()  # type: ignore[method-assign, assignment]
    return make_application(RedisStore(os.environ["SESSIONS"]))


def clinging() -> ASGIApp:
    """The grace of a renewed id has no end."""

    def decode(raw: bytes, key: str) -> tuple[record.Header, bytes] | record.Alias:
        found = record.decode(raw, key)
        return replace(found, until=MAX_TIMESTAMP) if isinstance(found, record.Alias) else found

    vars(rows)["decode"] = decode
    return make_application(RedisStore(os.environ["SESSIONS"]))


def _client(store: RedisStore) -> Redis:
    client = store._clients.here().client
    assert isinstance(client, Redis)
    return client
