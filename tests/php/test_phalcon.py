"""The option arrays of Phalcon's adapters, as their README prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext.php import PHPSettings, phalcon
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.middleware import PHPSessionMiddleware
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore
from starlette_sessions_ext.php.redis import PHPRedisStore
from starlette_sessions_ext.php.unique_id import PhalconVariables

MYSQL = "mysql://user:secret@localhost/shop"
MONGO = "mongodb://localhost/shop"


def handlersocket(options: Any) -> phalcon.PhalconOptions:
    return phalcon.handlersocket(options, timezone="Asia/Tokyo")


PRINTED: list[tuple[Callable[[Any], phalcon.PhalconOptions], dict[str, Any], type, int]] = [
    (phalcon.database, {"db": MYSQL, "table": "session_data"}, PHPDatabaseStore, 1440),
    (phalcon.mongo, {"collection": MONGO}, PHPMongoStore, 1440),
    (phalcon.redis, {"path": "tcp://127.0.0.1:6379?weight=1"}, PHPRedisStore, 1440),
    (
        handlersocket,
        {
            "cookie_path": "/",
            "cookie_domain": "",
            "lifetime": 3600,
            "server": {"host": "localhost", "port": 9999, "dbname": "session", "dbtable": "php_session"},
        },
        PHPHandlerSocketStore,
        3600,
    ),
    (handlersocket, {}, PHPHandlerSocketStore, 3600),
]


@pytest.mark.parametrize(("read", "options", "store", "lifetime"), PRINTED)
def test_options_as_they_were_printed(read: Any, options: Any, store: type, lifetime: int) -> None:
    result = read(options)
    assert type(result.store) is store
    assert getattr(result.store, "lifetime", lifetime) == lifetime
    assert result.for_middleware() == {"store": result.store, "settings": PHPSettings(gc_maxlifetime=lifetime)}
    PHPSessionMiddleware(Starlette(), **result.for_middleware())


def test_every_option_of_the_redis_adapter_has_an_effect() -> None:
    options = {"path": "localhost", "name": "shop", "lifetime": 7200, "cookie_lifetime": 600, "cookie_secure": True}
    given = phalcon.redis({**options, "uniqueId": "my-app"}, PHPSettings(sid_length=26))
    assert given.unique_id == "my-app"
    assert given.settings == PHPSettings(
        name="shop", gc_maxlifetime=7200, cookie_lifetime=600, cookie_secure=True, sid_length=26
    )
    assert isinstance(given.store, PHPRedisStore)
    assert given.store._servers[0]._answers._server.address == "Redis at localhost:6379"


def test_every_option_of_the_handlersocket_adapter_has_an_effect() -> None:
    given = handlersocket(
        {
            "cookie_path": "/shop",
            "cookie_domain": "example.org",
            "lifetime": 60,
            "server": {"host": "db", "port": 9, "dbname": "d", "dbtable": "t"},
        }
    )
    assert given.settings == PHPSettings(cookie_path="/shop", cookie_domain="example.org", gc_maxlifetime=60)
    assert isinstance(given.store, PHPHandlerSocketStore)
    assert given.store._address[:3] == ("db", 9998, 9)
    assert given.store._indexes.table.quoted == "`d`.`t`"
    assert given.store._table.modified(60) == "1970-01-01 09:00:00"


def test_what_the_handlersocket_adapter_has_no_option_for_has_an_effect_too() -> None:
    given = phalcon.handlersocket({}, read_port=8, secret="read", secret_wr="write")
    assert isinstance(given.store, PHPHandlerSocketStore)
    assert given.store._address == ("localhost", 8, 9999, "read", "write")


NAMES = ["table", "column_session_id", "column_data", "column_created_at", "column_modified_at"]


@pytest.mark.parametrize("option", NAMES)
def test_every_option_of_the_database_adapter_has_an_effect(option: str) -> None:
    names = {name: f"other_{number}" for number, name in enumerate(NAMES)}
    phalcon.database({"db": MYSQL, **names})
    with pytest.raises(ConfigurationError, match="a table or column is named"):
        phalcon.database({"db": MYSQL, **names, option: "no`name"})


def test_what_the_adapters_have_no_option_for_is_a_setting() -> None:
    settings = PHPSettings(name="shop", gc_maxlifetime=60, cookie_samesite="Strict", cookie_domain="example.org")
    for given in (
        phalcon.mongo({"collection": MONGO}, settings),
        phalcon.redis({"path": "localhost"}, settings),
        phalcon.database({"db": MYSQL, "table": "t"}, settings, charset="latin1"),
    ):
        assert given.settings == settings
        assert getattr(given.store, "lifetime", 60) == 60


@pytest.mark.parametrize(
    ("read", "options", "message"),
    [
        (phalcon.database, {"table": "session_data"}, "needs the option db"),
        (phalcon.database, {"db": MYSQL}, "needs the option table"),
        (phalcon.database, {"db": MYSQL, "table": "t", "lifetime": 5}, "no option 'lifetime'"),
        (phalcon.mongo, {}, "needs the option collection"),
        (phalcon.redis, {"save_path": "localhost"}, "no option 'save_path'"),
        (phalcon.redis, {"path": "localhost", "uniqueId": 5}, "uniqueId must be a str"),
        (phalcon.redis, {"path": "localhost", "cookie_secure": "yes"}, "cookie_secure must be"),
        (phalcon.redis, {"path": "localhost", "lifetime": "3600"}, "gc_maxlifetime must be"),
        (phalcon.redis, {"path": "localhost", "name": "a b"}, "name can't"),
        (handlersocket, {"server": {"hostname": "db"}}, "server must be"),
        (handlersocket, {"server": "db"}, "server must be"),
        (handlersocket, ["lifetime"], "are a dict"),
    ],
)
def test_what_cant_work_is_refused(read: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(options)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("name", value) for value in ("", "5", "a=b", "a,b", "a;b", "a.b", "a[b", "a b", "a\n", 5)),
        *(("gc_maxlifetime", value) for value in (0, -1, True, 1.5, "1440")),
        *(("cookie_lifetime", value) for value in (-1, None)),
        *(("sid_length", value) for value in (21, 257)),
        *(("sid_bits_per_character", value) for value in (3, 7)),
        ("cookie_path", None),
        ("cookie_secure", 1),
        ("cookie_samesite", "bogus"),
        ("serialize_handler", "igbinary"),
    ],
)
def test_settings_that_php_wouldnt_take_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        PHPSettings(**{setting: value})


@pytest.mark.parametrize(("separator", "key"), [("#", "my-app#user"), ("", "my-appuser")])
def test_variables_have_their_names_without_the_unique_id(separator: Any, key: str) -> None:
    session: dict[str, Any] = {key: "ann", "_token": "x"}
    variables = phalcon.mongo({"collection": MONGO, "uniqueId": "my-app"}).variables(session, separator)
    assert dict(variables) == {"user": "ann"}
    assert len(variables) == 1
    variables["user"] = "bob"
    assert session == {key: "bob", "_token": "x"}
    del variables["user"]
    assert session == {"_token": "x"}
    assert "user" not in variables


def test_without_a_unique_id_every_variable_is_the_application_s() -> None:
    assert dict(PhalconVariables({"user": "ann", "a#b": 1}, "")) == {"user": "ann", "a#b": 1}


@pytest.mark.parametrize(("unique_id", "separator"), [(5, "#"), ("app", "-")])
def test_a_unique_id_is_checked(unique_id: Any, separator: Any) -> None:
    with pytest.raises(ConfigurationError):
        PhalconVariables({}, unique_id, separator)
