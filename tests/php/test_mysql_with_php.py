"""Tables that a real PHP and the stores use at the same time, with what Phalcon's adapters ask the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php import dumps
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.stores.url import handlersocket_settings

from ..support.asyncio_only import anyio_backend
from ..support.mariadb_server import MariaDBServer
from ..support.php_server import PHPServer
from ..support.servers import running
from .hits import CLIENTS, alternate, get, in_parallel, python_in_parallel, read, soon
from .php_tables import DATABASE, make_tables

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

TOKYO = ZoneInfo("Asia/Tokyo")
EXTENSIONS = ("mysqlnd", "pdo", "pdo_mysql")


AnyStore = PHPDatabaseStore | PHPSessionTableStore | PHPHandlerSocketStore


def over_handlersocket(server: MariaDBServer) -> PHPHandlerSocketStore:
    options = handlersocket_settings(server.handlersocket_url(DATABASE))
    return PHPHandlerSocketStore(**options, timezone="Asia/Tokyo")


SETTINGS: dict[str, tuple[str, Callable[[MariaDBServer], AnyStore]]] = {
    "session_data": ("database.php", lambda server: PHPDatabaseStore(server.url(DATABASE))),
    "php_session": (
        "handlersocket.php",
        lambda server: PHPSessionTableStore(server.url(DATABASE), timezone="Asia/Tokyo"),
    ),
    "handlersocket": ("handlersocket.php", over_handlersocket),
}


class Setting(NamedTuple):
    """A page of PHP, and the store over its rows."""

    page: str
    servers: tuple[PHPServer, ...]
    store: AnyStore


@pytest.fixture(scope="module")
def servers(mariadb: MariaDBServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PHPServer, ...]]:
    make_tables(mariadb)
    mariadb.run(f"CREATE OR REPLACE USER php IDENTIFIED BY 'php'; GRANT ALL ON {DATABASE}.* TO php;")
    settings: dict[str, object] = {
        "test.dsn": f"mysql:host=127.0.0.1;port={mariadb.port};dbname={DATABASE};charset=utf8mb4",
        "test.handlersocket": f"127.0.0.1:{mariadb.hs_port_wr}",
        "test.secret": mariadb.hs_secret_wr,
        "test.database": DATABASE,
        "date.timezone": "Asia/Tokyo",
    }
    folder: Path = tmp_path_factory.mktemp("php")
    with running(*(PHPServer(folder, settings, EXTENSIONS) for _ in range(CLIENTS))) as started:
        yield started


@pytest.fixture(params=SETTINGS)
async def setting(
    request: pytest.FixtureRequest, servers: tuple[PHPServer, ...], mariadb: MariaDBServer
) -> AsyncIterator[Setting]:
    page, make_store = SETTINGS[request.param]
    async with make_store(mariadb) as store:
        yield Setting(page, servers, store)


@pytest.fixture
async def key(setting: Setting) -> str:
    return await new_session(setting)


async def new_session(setting: Setting) -> str:
    """Make a session in Python, and return its id."""
    key = key_of(new_id())
    assert await setting.store.create(key, dumps({"by": "python"}, "php"), soon())
    return key


async def test_hits_that_alternate_are_counted(setting: Setting, key: str) -> None:
    await alternate(setting.store, setting.servers, key, 100, setting.page)


async def test_parallel_hits_of_python_are_counted(setting: Setting, key: str) -> None:
    await python_in_parallel(setting.store, key, 100)


async def test_parallel_hits_destroy_nothing(setting: Setting, key: str) -> None:
    await in_parallel(setting.store, setting.servers, key, 100, setting.page)


@pytest.mark.slow
async def test_2000_hits_that_alternate_are_counted(setting: Setting, key: str) -> None:
    await alternate(setting.store, setting.servers, key, 2000, setting.page)


@pytest.mark.slow
async def test_2000_parallel_hits_destroy_nothing(setting: Setting, key: str) -> None:
    await python_in_parallel(setting.store, key, 2000)
    other = await new_session(setting)
    assert await in_parallel(setting.store, setting.servers, other, 2000, setting.page) > 0, (
        "PHP never overwrote anything: it proves nothing"
    )


async def test_an_end_on_either_side_is_one_on_both(setting: Setting, key: str) -> None:
    version = dumps({"by": "python"}, "php")
    await get(setting.servers[0], f"{setting.page}?do=destroy", key)
    assert await setting.store.load(key) is None
    assert not await setting.store.replace(key, b"", soon(), version)
    assert await setting.store.create(key, version, soon())
    assert await setting.store.delete(key)
    assert (await get(setting.servers[0], setting.page, key))["session"] == []


async def test_what_php_makes_is_read(setting: Setting) -> None:
    key = "abcdefghijklmnopqrstuv0123"
    await setting.store.delete(key)
    await get(setting.servers[0], f"{setting.page}?do=set&key=name&value=%C3%A9", key)
    assert await read(setting.store, key) == {"name": "é"}
    row = await setting.store.load(key)
    assert row is not None
    assert 0 <= soon() - row.expires_at < 60


async def test_php_reads_what_python_emptied(setting: Setting, key: str) -> None:
    assert await setting.store.replace(key, b"", soon(), dumps({"by": "python"}, "php"))
    assert (await get(setting.servers[0], f"{setting.page}?do=count", key))["session"]["count"] == 1
    assert (await read(setting.store, key))["count"] == 1


@pytest.mark.parametrize("table", ["php_session", "handlersocket"])
async def test_times_are_in_the_zone_of_php(table: str, servers: tuple[PHPServer, ...], mariadb: MariaDBServer) -> None:
    """Or PHP's collection would delete a row that Python has just written."""
    async with SETTINGS[table][1](mariadb) as store:
        key = key_of(new_id())
        assert await store.create(key, b"", soon())
        text = mariadb.run(f"SELECT modified FROM php_session WHERE id = '{key}'", DATABASE).strip()
        written = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=TOKYO).timestamp()
        assert abs(written - time.time()) < 60
