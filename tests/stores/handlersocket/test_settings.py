"""What a HandlerSocketStore is given."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    HandlerSocketStore,
    StoreUnavailable,
    store_from_url,
)

from ...support.mariadb_server import MariaDBServer
from .stores import make_store

pytestmark = pytest.mark.anyio


async def test_P6_a_wrong_secret_is_one_clear_error_without_it(mariadb: MariaDBServer, key: str) -> None:
    for wrong in ({"secret": "canary"}, {"secret_wr": "canary"}, {"secret": None}):
        store = make_store(mariadb, **wrong)
        with pytest.raises(StoreUnavailable, match="refuses the secret: give secret= and secret_wr=") as failure:
            await store.open()
        assert "canary" not in f"{failure.value!r}{failure.value}{store!r}{vars(store)!r}"
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
        {"mysql_url": 5},
        *({"host": None}, {"host": ""}, {"host": 5}, {"port": "9998"}, {"port": 0}, {"port_wr": True}),
        *({"port_wr": 65536}, {"secret": 5}, {"secret_wr": b"secret"}, {"clock": 5}, {"timeout": 0}),
        *({"timeout": float("nan")}, {"max_data_bytes": 0}, {"pool_size": 1.5}),
    ],
)
async def test_S6_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        HandlerSocketStore(**settings)


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


async def test_no_repr_shows_a_secret() -> None:
    store: Any = store_from_url("handlersocket://:can%26ary%2C@host/app/web?secret_wr=can%40ary&port_wr=2")
    assert (store._address.secret, store._address.secret_wr) == ("can&ary,", "can@ary")
    assert "ary" not in f"{store._address!r}{store._address}{vars(store)!r}"


@pytest.mark.parametrize(
    "secret", ["can&ary", "can,ary", "can@ary", "can#ary", "can?ary", "can/ary", "can:ary", "can%zz"]
)
@pytest.mark.parametrize("place", ["handlersocket://:{}@h:1/a/b", "handlersocket://h:1/a/b?secret_wr={}"])
async def test_a_secret_that_isnt_encoded_works_or_is_refused_without_being_shown(secret: str, place: str) -> None:
    try:
        store: Any = store_from_url(place.format(secret))
    except ConfigurationError as error:
        message = f"{error!r}{error}"
    else:
        host, _, _, *secrets = store._address
        assert host == "h"
        assert secret in secrets
        message = f"{store._address}"
    assert "can" not in message.replace("can't", "")
