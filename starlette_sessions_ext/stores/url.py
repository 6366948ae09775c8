"""Open any store by a URL, for settings files and the command line."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigurationError
from .base import SessionStore

EXAMPLES = (
    "sqlite:///sessions.db",
    "redis://:password@host:6379/0",
    "mysql://user:password@host:3306/database",
    "postgresql://user:password@host:5432/database",
    "mongodb://user:password@host:27017/database",
    "handlersocket://:secret@host:9998/database/table?port_wr=9999",
    "memory://",
)


_INSTEAD = {
    "sqlite3": "sqlite",
    "file": "sqlite",
    "redis+socket": "unix",
    "valkey+socket": "unix",
    "mongo": "mongodb",
    "postgres": "postgresql",
}
"""Schemes that other packages have for what a store opens, and what they are here."""

_SENTINEL = 'for Sentinel make the client: RedisStore(Sentinel([("host", 26379)]).master_for("mymaster"))'

_HINTS = {
    "sentinel": _SENTINEL,
    "redis+sentinel": _SENTINEL,
    "redis+cluster": 'for a cluster make the client: RedisStore(RedisCluster(host="host", port=6379))',
}


def store_from_url(url: str, **options: Any) -> SessionStore:
    """Make the store of a URL, with `options` of its class such as `timeout=5`.

    `sqlite:///relative.db` and `sqlite:////absolute.db`; `redis://`, `rediss://` (TLS) and
    `unix://` for Redis, and for Valkey also `valkey://` and `valkeys://`; `mysql://` or `mariadb://`;
    `postgresql://` or `postgres://`, also with `+asyncpg`; `mongodb://` or `mongodb+srv://`;
    `handlersocket://`; `memory://`. A store's own class says what may stand in its URL.

    Raises `ConfigurationError` for another scheme and for an option that the class doesn't have, and
    ImportError, naming what to install, where a driver is missing. No error holds the URL.
    """
    if not isinstance(url, str):
        raise ConfigurationError("the URL of a store is a str: is the environment variable set that should hold it?")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme == "sqlite":
        from .sqlite import SQLiteStore

        return _make(SQLiteStore, options, _sqlite_path(url))
    if scheme in ("redis", "rediss", "valkey", "valkeys", "unix"):
        from .redis import RedisStore

        return _make(RedisStore, options, url)
    if scheme in ("mysql", "mariadb"):
        from .mysql import DatabaseStore

        return _make(DatabaseStore, options, url)
    if scheme in ("postgresql", "postgres", "postgresql+asyncpg", "postgres+asyncpg"):
        from .postgresql import PostgreSQLStore

        return _make(PostgreSQLStore, options, url)
    if scheme in ("mongodb", "mongodb+srv"):
        from .mongo import MongoStore

        return _make(MongoStore, options, url)
    if scheme == "handlersocket":
        from .handlersocket import HandlerSocketStore

        return _make(HandlerSocketStore, options, **handlersocket_settings(url))
    if scheme == "memory" and not rest:
        from .memory import MemoryStore

        return _make(MemoryStore, options)
    raise ConfigurationError(f"{_hint(scheme)}; stores are {', '.join(EXAMPLES)}")


def _make(kind: Callable[..., SessionStore], options: dict[str, Any], *url: str, **settings: Any) -> SessionStore:
    """Call the class. Raise `ConfigurationError` for an option that it doesn't have."""
    known = list(signature(kind).parameters)[len(url) :]
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"{kind.__name__} has no option {name}; its options are {', '.join(sorted(known))}"
            )
        if name in settings:
            raise ConfigurationError(f"{name} is in the URL already: leave it out of the options")
    return kind(*url, **settings, **options)


def _hint(scheme: str) -> str:
    """Return what to write instead, without the scheme: it may be the whole URL."""
    base = scheme.partition("+")[0]  # as in SQLAlchemy, which names the driver after it
    for known in (scheme, base):
        if known in _HINTS:
            return _HINTS[known]
        if known in _INSTEAD:
            return f"that isn't the URL of a store: write {_INSTEAD[known]}:// instead"
    if base != scheme and any(example.startswith(f"{base}://") for example in EXAMPLES):
        return f"that isn't the URL of a store: write {base}:// instead"
    return "that isn't the URL of a store"


def _sqlite_path(url: str) -> str:
    rest = url.partition("://")[2]
    path = unquote(rest).removeprefix("/")
    if not rest.startswith("/") or "?" in rest or "#" in rest or not path:
        raise ConfigurationError("an SQLite URL is sqlite:///relative.db or sqlite:////absolute.db")
    return path


def handlersocket_settings(url: str) -> dict[str, Any]:
    """Read a HandlerSocket URL.

    `handlersocket://:SECRET@host:9998/dbname/dbtable?port_wr=9999&secret_wr=SECRET&mysql_url=mysql://...`
    """
    try:
        parts = urlsplit(url)
        options: dict[str, Any] = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if "port_wr" in options:
            options["port_wr"] = int(options["port_wr"])
        dbname, _, dbtable = parts.path[1:].partition("/")
        names = {"dbname": unquote(dbname), "dbtable": unquote(dbtable)}
        given = {"host": parts.hostname, "port": parts.port, **names, **options}
    except ValueError:
        given = {"": None}
    if (
        given.keys() - {"host", "port", "dbname", "dbtable", "port_wr", "secret_wr", "mysql_url"}
        or parts.username
        or parts.fragment
    ):
        raise ConfigurationError("a HandlerSocket URL is handlersocket://:secret@host:9998/database/table?port_wr=9999")
    secret = None if parts.password is None else unquote(parts.password)
    return {"secret": secret, **{name: value for name, value in given.items() if value}}
