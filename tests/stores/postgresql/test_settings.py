"""What a PostgreSQLStore is given: URLs, names, TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, StoreUnavailable
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.stores.postgresql.url import address_of, migrate_command, settings_of

from ...support.postgresql_server import PostgreSQLServer, migrate, running_postgresql
from .control import load

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://", "postgresql://user@host", "postgresql://user@host/", "postgresql://host/database"),
        *(
            "redis://user@host/database",
            "postgresql://user@host:port/database",
            "postgresql://user@host:99999/database",
        ),
        *("postgresql://user@host/database?sslmode", "postgresql://user@host/a/b", "postgresql://user@host/a#b"),
        "postgresql://user@[host/database",
    ],
)
async def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host:5432/database"):
        PostgreSQLStore(url)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("sslmode=perhaps", "sslmode in a PostgreSQL URL is disable, allow, prefer"),
        ("sslmode=prefer&sslrootcert=system", "go without sslrootcert"),
        ("sslrootcert=/nowhere/ca.pem", "No such file"),
        ("statement_cache_size=none", "a number; 0 is for PgBouncer"),
        ("target_session_attrs=any", "need the primary"),
        ("options=-c", "no option options, but"),
    ],
)
async def test_a_bad_option_is_explained(option: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PostgreSQLStore(f"postgresql://user:secret@host/database?{option}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgres+asyncpg"])
async def test_what_a_url_says(scheme: str) -> None:
    settings = settings_of(f"{scheme}://us%40er:p%2Fw@one,two:1234,[::1]:5/data%20base?application_name=shop")
    assert settings["host"] == ["one", "two", "::1"]
    assert settings["port"] == [5432, 1234, 5]
    assert (settings["user"], settings["password"](), settings["database"]) == ("us@er", "p/w", "data base")
    assert settings["target_session_attrs"] == "read-write"
    assert settings["server_settings"] == {"application_name": "shop"}
    assert "statement_cache_size" not in settings
    assert "p/w" not in repr(settings)
    assert address_of(settings) == "PostgreSQL at one:5432,two:1234,::1:5"


async def test_a_url_of_a_unix_socket() -> None:
    settings = settings_of("postgresql://user@:6543/app?host=/run/postgresql&ssl=false&target_session_attrs=primary")
    assert (settings["host"], settings["port"], settings["password"]) == (["/run/postgresql"], [6543], None)
    assert address_of(settings) == "PostgreSQL at /run/postgresql"
    assert migrate_command(settings) == "sessions-ext migrate postgresql://USER:PASSWORD@HOST/DATABASE"


@pytest.mark.parametrize("name", ["statement_cache_size", "prepared_statement_cache_size"])
async def test_prepared_statements_can_be_switched_off(name: str) -> None:
    assert settings_of(f"postgresql://user@host/app?{name}=0")["statement_cache_size"] == 0


@pytest.mark.parametrize("option", ["sslmode", "ssl"])
async def test_the_modes_of_tls_are_those_of_libpq(tmp_path: Path, option: str) -> None:
    authority = certificate(tmp_path)
    for mode, expected in {
        "disable": "disable",
        "allow": "allow",
        "prefer": "prefer",
        "require": (ssl.CERT_NONE, False),
        "true": (ssl.CERT_REQUIRED, True),
        "verify-full": (ssl.CERT_REQUIRED, True),
        "verify-ca": (ssl.CERT_REQUIRED, False),
        f"require&sslrootcert={authority}": (ssl.CERT_REQUIRED, False),
        "verify-full&sslrootcert=system": (ssl.CERT_REQUIRED, True),
    }.items():
        found = settings_of(f"postgresql://user@host/app?{option}={mode}")["ssl"]
        assert (found if isinstance(found, str) else (found.verify_mode, found.check_hostname)) == expected
    assert settings_of(f"postgresql://user@host/app?sslrootcert={authority}")["ssl"].check_hostname


@pytest.mark.parametrize(
    "settings",
    [
        *({"table": "session data"}, {"table": 'a"; DROP TABLE b'}, {"table": "a.b"}, {"table": "x" * 64}),
        *({"table": ""}, {"table": "séance"}, {"schema": "a.b"}, {"schema": ""}, {"table": 5}, {"table": None}),
        *({"schema": b"web"}, {"pool_size": 0}, {"pool_size": True}, {"timeout": 0}, {"timeout": float("nan")}),
        *({"clock": 5}, {"max_data_bytes": 0}, {"max_data_bytes": None}, {"max_data_bytes": 2**28 + 1}),
    ],
)
async def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PostgreSQLStore("postgresql://user@host/database", **settings)


async def test_a_table_and_schema_of_any_name(postgresql: PostgreSQLServer, control: Any, key: str, soon: int) -> None:
    await control.execute('CREATE SCHEMA "Select"')
    store = PostgreSQLStore(postgresql.url(), table="order$", schema="Select")
    try:
        with pytest.raises(ConfigurationError, match=r'there is no table "Select"\."order\$"') as refusal:
            await store.open()
        await control.execute(str(refusal.value).partition("Make it: ")[2])
        async with store:
            await store.create(key, b"data", soon)
            assert (await load(store, key)).data == b"data"
            assert await control.fetchval('SELECT key FROM "Select"."order$"') == key
    finally:
        await store.aclose()
        await control.execute('DROP SCHEMA "Select" CASCADE')


async def test_a_unix_socket(postgresql: PostgreSQLServer, control: Any, key: str, soon: int) -> None:
    url = f"postgres://tester@:{postgresql.port}/fresh?host={postgresql.folder}"
    async with PostgreSQLStore(url) as store:
        await store.create(key, b"data", soon)
        assert (await load(store, key)).data == b"data"


async def test_tls(tmp_path: Path, key: str, soon: int) -> None:
    authority = certificate(tmp_path)
    with running_postgresql() as server:
        server.stop()
        server.use_certificate(authority, tmp_path / "key.pem")
        server.start()
        server.run("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()")
        migrate(f"{server.url()}?sslmode=prefer")
        for options in (f"sslrootcert={authority}", "sslmode=require", "ssl=prefer", ""):
            async with PostgreSQLStore(f"{server.url()}?{options}".rstrip("?"), timeout=20) as store:
                await store.create(key, b"data", soon)
                async with store._connections().acquire() as connection:
                    assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        store = PostgreSQLStore(f"{server.url()}?sslmode=verify-full")
        with pytest.raises(StoreUnavailable, match="TLS failed"):
            await store.open()  # the system knows no such authority
        await store.aclose()


async def test_a_server_without_tls_is_no_server_for_one_that_requires_it(postgresql: PostgreSQLServer) -> None:
    store = PostgreSQLStore(f"{postgresql.url()}?sslmode=require")
    with pytest.raises(StoreUnavailable, match="TLS failed"):
        await store.open()
    await store.aclose()


def certificate(folder: Path) -> Path:
    """Make a certificate that is its own authority, and its key."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*make.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True
    )
    return folder / "cert.pem"
