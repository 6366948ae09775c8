"""`store_from_url`: what it opens, and what it says of what it can't open. Never the URL, which holds a password."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, SessionStore, SQLiteStore, store_from_url


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("sqlite:///sessions.db", "SQLiteStore"),
        ("sqlite:////tmp/sessions.db", "SQLiteStore"),
        ("redis://localhost", "RedisStore"),
        ("rediss://localhost", "RedisStore"),
        ("valkey://localhost", "RedisStore"),
        ("valkeys://localhost", "RedisStore"),
        ("VALKEY://localhost", "RedisStore"),
        ("unix:///run/redis.sock", "RedisStore"),
        ("mysql://user@localhost/app", "DatabaseStore"),
        ("mariadb://user@localhost/app", "DatabaseStore"),
        ("postgresql://user@localhost/app", "PostgreSQLStore"),
        ("postgres://user@localhost/app", "PostgreSQLStore"),
        ("postgresql+asyncpg://user@localhost/app", "PostgreSQLStore"),
        ("mongodb://localhost", "MongoStore"),
        ("handlersocket://localhost", "HandlerSocketStore"),
        ("memory://", "MemoryStore"),
        ("MEMORY://", "MemoryStore"),
    ],
)
def test_one_syntax_opens_every_store(address: str, kind: str) -> None:
    store: Any = store_from_url(address, max_data_bytes=1000)
    assert type(store).__name__ == kind
    assert isinstance(store, SessionStore)
    assert store.max_data_bytes == 1000


def test_a_relative_and_an_absolute_file(tmp_path: Path) -> None:
    relative, absolute = store_from_url("sqlite:///a%20b.db"), store_from_url("sqlite:////a/b.db")
    assert isinstance(relative, SQLiteStore)
    assert isinstance(absolute, SQLiteStore)
    assert (relative._path, absolute._path) == (Path("a b.db"), Path("/a/b.db"))


@pytest.mark.parametrize(
    "address",
    ["", "sqlite://", "sqlite:///", "sqlite://host/x", "sqlite:///x?a=1", "sqlite://[x", "memory://x", "ftp://x"],
)
def test_what_names_no_store_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        store_from_url(address)


@pytest.mark.parametrize("address", [None, b"memory://", Path("sessions.db"), 5])
def test_what_isnt_text_is_refused(address: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a str.*environment variable"):
        store_from_url(address)


@pytest.mark.parametrize(
    ("scheme", "meant"),
    [
        ("postgresql+psycopg", r"write postgresql:// instead"),
        ("postgres+psycopg2", r"write postgresql:// instead"),
        ("sqlite3", r"write sqlite:// instead"),
        ("sqlite+aiosqlite", r"write sqlite:// instead"),
        ("file", r"write sqlite:// instead"),
        ("valkey+socket", r"write unix:// instead"),
        ("redis+socket", r"write unix:// instead"),
        ("mysql+asyncmy", r"write mysql:// instead"),
        ("MySQL+pymysql", r"write mysql:// instead"),
        ("mongo", r"write mongodb:// instead"),
        ("redis+sentinel", r"RedisStore\(Sentinel\(.*\)\.master_for"),
        ("sentinel", r"RedisStore\(Sentinel\(.*\)\.master_for"),
        ("redis+cluster", r"RedisStore\(RedisCluster\("),
        ("", r"^that isn't the URL of a store; stores are sqlite"),
        ("hunter2", r"^that isn't the URL of a store; stores are sqlite"),
    ],
)
def test_it_says_what_to_write_instead(scheme: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=meant) as caught:
        store_from_url(f"{scheme}://user:hunter2@host/database")
    assert "stores are sqlite:///" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "kind", "options"),
    [
        ("memory://", "MemoryStore", "clock, max_bytes, max_data_bytes, max_entries"),
        ("sqlite:///x.db", "SQLiteStore", "clock, max_data_bytes, must_exist, timeout"),
        ("redis://localhost", "RedisStore", "clock, max_data_bytes, pool_size, prefix, timeout"),
        ("mysql://user@localhost/app", "DatabaseStore", ".*, pool_size, table, timeout"),
        ("postgresql://user@localhost/app", "PostgreSQLStore", ".*, pool_size, schema, table, timeout"),
        ("mongodb://localhost", "MongoStore", "clock, collection, max_data_bytes, timeout"),
        ("handlersocket://localhost", "HandlerSocketStore", ".*, pool_size, .*, timeout, verify_writes"),
    ],
)
@pytest.mark.parametrize("option", ["tiemout", "self", "path", "collection_or_url"])
def test_an_option_that_there_isnt_is_named(address: str, kind: str, options: str, option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{kind} has no option {option}; its options are {options}$"):
        store_from_url(address, **{option: 5})


def test_what_the_url_says_cant_be_said_again() -> None:
    with pytest.raises(ConfigurationError, match=r"^host is in the URL already: leave it out of the options$"):
        store_from_url("handlersocket://localhost", host="other")
    store_from_url("handlersocket://localhost", port_wr=1234)


@pytest.mark.parametrize(
    "address",
    [
        "redis://:hunter2@host:port/0",
        "rediss://:hunter2@[host",
        "mysql://u:hunter2@host:port/x",
        "mysql://u:hunter2@[host/x",
        "mongodb://u:hunter2@host:port/x",
        "mongodb://u:hunter2/@host/x",
        "mongodb+srv://u:hunter2@host:1/x",
        "handlersocket://:hunter2@[host",
        "handlersocket://host?port_wr=hunter2",
        "handlersocket://host?secret=hunter2",
        "sqlite://:hunter2@[host",
        "sqlite://u:hunter2@host/x",
        "memory://:hunter2@",
        "user:hunter2@host/database",
        "postgres://u:hunter2@host:port/x",
        "postgresql://u:hunter2@[host/x",
        "postgresql://u:hunter2@host/x?sslmode=hunter2",
        "postgresql://u:hunter2@host/x?password=hunter2",
    ],
)
def test_no_password_is_ever_shown(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        store_from_url(address)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
