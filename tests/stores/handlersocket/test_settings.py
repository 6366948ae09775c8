"""What a HandlerSocketStore is given."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    HandlerSocketStore,
    StoreUnavailable,
    store_from_url,
)
from starlette_sessions_ext.handlersocket import Pool

from ...mariadb_server import MariaDBServer
from .stores import make_store

pytestmark = pytest.mark.anyio


async def test_P6_a_wrong_secret_is_one_clear_error_without_it(mariadb: MariaDBServer, key: str) -> None:
    for wrong in ({"secret": "canary"}, {"secret_wr": "canary"}, {"secret": None}):
        store = make_store(mariadb, **wrong)
        with pytest.raises(StoreUnavailable, match="refuses the secret: give secret= and secret_wr=") as failure:
            await store.open()
        assert "canary" not in f"{failure.value!r}{failure.value}{store!r}{store._ports!r}"
        await store.aclose()


@pytest.mark.parametrize(
    "settings",
    [
        {"dbtable": "php session"},
        {"dbtable": "a\tb"},
        {"dbname": "a,b"},
        {"dbname": "x" * 65},
        {"dbname": ""},
        {"dbname": None},
        {"lifetime": 0},
        {"lifetime": True},
        {"lifetime": timedelta(days=20_000)},
        {"pool_size": 0},
        {"mysql_url": "mysql://"},
    ],
)
async def test_S6_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        HandlerSocketStore(**settings)


async def test_the_php_adapters_cookie_options_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    HandlerSocketStore(cookie_path="/", cookie_domain="", lifetime=timedelta(hours=1))
    assert not caplog.text
    HandlerSocketStore(cookie_path="/shop", cookie_domain="example.com")
    assert "give SessionMiddleware path and domain" in caplog.text


def test_looking_over_sql_needs_a_driver() -> None:
    code = """if 1:
        import sys
        sys.modules["asyncmy"] = None
        from starlette_sessions_ext import HandlerSocketStore
        HandlerSocketStore()
        HandlerSocketStore(mysql_url="mysql://user@localhost/app")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        'ImportError: mysql_url needs asyncmy: pip install "starlette-sessions-ext[mysql]"'
    )


def test_a_url_says_all_that_a_store_needs() -> None:
    store: Any = store_from_url("handlersocket://:a%2Fb@db.internal:1/app/web?port_wr=2&secret_wr=c")
    assert store._address == ("db.internal", 1, 2, "a/b", "c")
    assert (store._indexes.rows.database, store._indexes.rows.table) == ("app", "web")


def test_what_a_url_leaves_out_is_as_in_the_adapter() -> None:
    store: Any = store_from_url("handlersocket://")
    assert store._address == ("localhost", 9998, 9999, None, None)
    assert (store._indexes.rows.database, store._indexes.rows.table) == ("session", "php_session")
    assert store._lifetime == 3600
    same: Any = store_from_url("handlersocket://:one@host", lifetime=60)
    assert (same._address.secret_wr, same._lifetime) == ("one", 60)


@pytest.mark.parametrize(
    "url",
    [
        *("handlersocket://user:secret@host", "handlersocket://host:port", "handlersocket://host?port_wr=x"),
        *("handlersocket://host?timeout=1", "handlersocket://host?x"),
    ],
)
def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="handlersocket://:secret@host:9998/database/table"):
        store_from_url(url)


async def test_the_end_of_an_event_loop_is_the_end_of_its_connections(mariadb: MariaDBServer, key: str) -> None:
    store = make_store(mariadb)
    pools: list[Pool] = []

    async def leave_it_open() -> None:
        await store.load(key)
        assert store._ports is not None
        pools.extend((store._ports.reading, store._ports.writing))

    async def close_pools() -> None:
        for pool in pools:
            await pool.aclose()

    def elsewhere() -> None:
        with asyncio.Runner() as runner:
            runner.run(leave_it_open())
            runner.run(close_pools())

    await anyio.to_thread.run_sync(elsewhere)
    await store.aclose()
    assert await store.load(key) is None
    await store.aclose()
