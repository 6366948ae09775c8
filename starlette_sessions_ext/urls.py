"""One URL syntax that opens every store: for settings files, and for the command line."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .errors import ConfigurationError
from .stores.base import SessionStore
from .stores.handlersocket import HandlerSocketStore
from .stores.memory import MemoryStore
from .stores.sqlite import SQLiteStore

EXAMPLES = (
    "sqlite:///sessions.db",
    "redis://:password@host:6379/0",
    "mysql://user:password@host:3306/database",
    "mongodb://user:password@host:27017/database",
    "handlersocket://:secret@host:9998/database/table?port_wr=9999",
    "memory://",
)


def store_from_url(url: str, **options: Any) -> SessionStore:
    """Make the store that a URL names. `options` are given to its class, such as `timeout=5`.

    `sqlite:///relative.db` and `sqlite:////absolute.db`; `redis://`, `rediss://` (TLS) and
    `unix://` for Redis; `mysql://` or `mariadb://`; `mongodb://` or `mongodb+srv://`;
    `handlersocket://`; `memory://`. A store's own class says what may stand in its URL.

    Raises `ConfigurationError` for another scheme, and ImportError, naming what to install, where a
    driver is missing.
    """
    scheme = url.partition("://")[0].lower()
    if scheme == "sqlite":
        return SQLiteStore(_sqlite_path(url), **options)
    if scheme in ("redis", "rediss", "unix"):
        from .stores.redis import RedisStore

        return RedisStore(url, **options)
    if scheme in ("mysql", "mariadb"):
        from .stores.database import DatabaseStore

        return DatabaseStore(url, **options)
    if scheme in ("mongodb", "mongodb+srv"):
        from .stores.mongo import MongoStore

        return MongoStore(url, **options)
    if scheme == "handlersocket":
        return HandlerSocketStore(**_handlersocket_settings(url), **options)
    if url == "memory://":
        return MemoryStore(**options)
    raise ConfigurationError(f"that isn't the URL of a store; stores are {', '.join(EXAMPLES)}")


def _sqlite_path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or parts.query or parts.fragment or not path:
        raise ConfigurationError("an SQLite URL is sqlite:///relative.db or sqlite:////absolute.db")
    return path


def _handlersocket_settings(url: str) -> dict[str, Any]:
    """`handlersocket://:SECRET@host:9998/dbname/dbtable?port_wr=9999&secret_wr=SECRET&mysql_url=mysql://...`."""
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
