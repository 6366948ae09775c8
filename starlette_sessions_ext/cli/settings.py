"""The settings of a session middleware for people, and doubts about them."""

from __future__ import annotations

from typing import Any

from ..discovery import find_session_middleware
from ..middleware import SessionMiddleware
from ..stores._support.wrapping import WrappingStore
from ..stores.base import Finding, SessionStore
from ..stores.memory import MemoryStore
from ..stores.migrating import MigratingStore


def settings_of(middleware: SessionMiddleware) -> dict[str, Any]:
    """Return the settings, in seconds where they are times. No secret is among them."""
    rows, config, cookie = middleware._rows, middleware._config, middleware._http.cookie
    return {
        "class": type(middleware).__name__,
        "cookie": cookie.name,
        "path": cookie.path,
        "attributes": middleware.security_flags.removeprefix("; "),
        "https_only": cookie.secure,
        "store": _name_of(middleware.store),
        "max_age": middleware.max_age,
        "idle_timeout": rows.lifetimes._usual_pace[0],
        "absolute_timeout": rows.lifetimes.absolute,
        "renew_after": rows.lifetimes.renew_after,
        "serializer": type(config.serializer).__name__,
        "on_conflict": "merge" if config.overwrites else "raise",
        "on_store_error": "anonymous" if config.degrades else "unavailable",
        "user": None if rows.users is None else rows.users.key or "a function",
        "max_sessions_per_user": config.max_sessions_per_user,
    }


def doubts_about(middleware: SessionMiddleware) -> list[Finding]:
    """Return findings on settings that work, but hardly as the application means them."""
    name = middleware.session_cookie
    doubts = []
    if any(isinstance(store, MemoryStore) for store in _stores(middleware.store)):
        doubts.append(
            Finding(
                "sessions are kept in this process's memory",
                "give SessionMiddleware a store that all workers share and that keeps them, such as SQLiteStore",
            )
        )
    if not middleware._http.cookie.secure:
        doubts.append(
            Finding(f"the cookie {name} is sent over http without TLS as well", 'set https_only="auto", or True')
        )
    if any(getattr(store, "_accept_plain", False) for store in _stores(middleware.store)):
        doubts.append(
            Finding("EncryptedStore reads rows that aren't encrypted", "leave accept_plain out when none is left")
        )
    if any(inner.session_cookie == name for inner in find_session_middleware(middleware.app)):
        doubts.append(
            Finding(
                f"two SessionMiddleware, one inside of the other, have the cookie {name}",
                "remove one, or give one of them another session_cookie and state_attr",
            )
        )
    return doubts


def _stores(store: SessionStore) -> list[SessionStore]:
    """Return a store, and those that it wraps."""
    if isinstance(store, WrappingStore):
        return [store, *_stores(store._store)]
    if isinstance(store, MigratingStore):
        return [store, *_stores(store._new), *_stores(store._old)]
    return [store]


def _name_of(store: SessionStore) -> str:
    if isinstance(store, WrappingStore):
        return f"{type(store).__name__}({_name_of(store._store)})"
    if isinstance(store, MigratingStore):
        return f"MigratingStore({_name_of(store._new)}, {_name_of(store._old)})"
    return type(store).__name__
