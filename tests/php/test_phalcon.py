"""The option arrays of Phalcon's adapters, as their README prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from starlette_sessions_ext import ConfigurationError, HandlerSocketStore, SessionMiddleware
from starlette_sessions_ext.php import PHPSettings, phalcon
from starlette_sessions_ext.php.unique_id import PhalconVariables
from starlette_sessions_ext.stores.mongo import MongoStore
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.redis.sharded import WeightedRedisStore

MYSQL = "mysql://user:secret@localhost/shop"
MONGO = "mongodb://localhost/shop"

PRINTED: list[tuple[Callable[[Any], phalcon.PhalconOptions], dict[str, Any], type, int]] = [
    (phalcon.database, {"db": MYSQL, "table": "session_data"}, DatabaseStore, 1440),
    (phalcon.mongo, {"collection": MONGO}, MongoStore, 1440),
    (phalcon.redis, {"path": "tcp://127.0.0.1:6379?weight=1"}, WeightedRedisStore, 1440),
    (
        phalcon.handlersocket,
        {
            "cookie_path": "/",
            "cookie_domain": "",
            "lifetime": 3600,
            "server": {"host": "localhost", "port": 9999, "dbname": "session", "dbtable": "php_session"},
        },
        HandlerSocketStore,
        3600,
    ),
    (phalcon.handlersocket, {}, HandlerSocketStore, 3600),
]


@pytest.mark.parametrize(("read", "options", "store", "lifetime"), PRINTED)
def test_options_as_they_were_printed(read: Any, options: Any, store: type, lifetime: int) -> None:
    result = read(options)
    assert isinstance(result.store, store)
    assert result.for_middleware() == {
        "store": result.store,
        "session_cookie": "PHPSESSID",
        "max_age": None,
        "idle_timeout": lifetime,
        "path": "/",
        "domain": None,
        "same_site": "lax",
        "https_only": "auto",
    }
    SessionMiddleware(Starlette(), "secret of this test", **result.for_middleware())


def test_every_option_of_the_redis_adapter_has_an_effect() -> None:
    options = {"path": "localhost", "name": "shop", "lifetime": 7200, "cookie_lifetime": 600, "cookie_secure": True}
    given = phalcon.redis({**options, "uniqueId": "my-app"})
    assert given.unique_id == "my-app"
    expected = {"session_cookie": "shop", "max_age": 600, "idle_timeout": 600, "https_only": True}
    assert expected.items() <= given.for_middleware().items()
    assert phalcon.redis({**options, "cookie_lifetime": 9000}).for_middleware()["idle_timeout"] == 7200
    assert phalcon.redis({**options, "cookie_secure": False}).for_middleware()["https_only"] is False


def test_every_option_of_the_handlersocket_adapter_has_an_effect() -> None:
    given = phalcon.handlersocket(
        {"cookie_path": "/shop", "cookie_domain": "example.org", "lifetime": 60, "server": {"host": "db", "port": 9}}
    )
    assert given.for_middleware().items() >= {"path": "/shop", "domain": "example.org", "idle_timeout": 60}.items()
    address = given.store._address  # type: ignore[attr-defined]
    assert (address.host, address.port, address.port_wr) == ("db", 9, 9)


NAMES = ["table", "column_session_id", "column_data", "column_created_at", "column_modified_at"]


@pytest.mark.parametrize("option", NAMES)
def test_every_option_of_the_database_adapter_has_an_effect(option: str) -> None:
    names = {name: f"other_{number}" for number, name in enumerate(NAMES)}
    phalcon.database({"db": MYSQL, **names})
    with pytest.raises(ConfigurationError, match="a table or column is named"):
        phalcon.database({"db": MYSQL, **names, option: "no`name"})


def test_what_the_adapters_have_no_option_for_is_a_setting() -> None:
    settings = PHPSettings(name="shop", gc_maxlifetime=60, cookie_samesite="Strict", cookie_domain="example.org")
    expected = {"session_cookie": "shop", "idle_timeout": 60, "same_site": "strict", "domain": "example.org"}
    for given in (phalcon.mongo({"collection": MONGO}, settings), phalcon.redis({"path": "localhost"}, settings)):
        assert expected.items() <= given.for_middleware().items()


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
        (phalcon.handlersocket, {"server": {"hostname": "db"}}, "server must be"),
        (phalcon.handlersocket, {"server": "db"}, "server must be"),
        (phalcon.handlersocket, ["lifetime"], "are a dict"),
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
