"""The options of Phalcon's four session adapters, as their README prints them.

    options = phalcon.redis({"path": "tcp://127.0.0.1:6379?weight=1", "lifetime": 3600})
    app.add_middleware(PHPSessionMiddleware, **options.for_middleware())

The live sessions of the Phalcon application are shared: the rows are those of the adapter. Every option has an effect,
those included that the HandlerSocket adapter never read. An option that an adapter doesn't have is a
`ConfigurationError`. `settings` are those of php.ini that the adapter has no options for.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigurationError
from ..stores.base import SessionStore
from .settings import PHPSettings
from .unique_id import PhalconVariables, Separator

Options = Mapping[str, Any]

_HANDLERSOCKET: dict[str, Any] = {"host": "localhost", "port": 9999, "dbname": "session", "dbtable": "php_session"}


@dataclass(frozen=True)
class PhalconOptions:
    """What the options of an adapter mean here."""

    store: SessionStore
    settings: PHPSettings
    unique_id: str = ""

    def for_middleware(self) -> dict[str, Any]:
        """Return options of `PHPSessionMiddleware`."""
        return {"store": self.store, "settings": self.settings}

    def variables(self, session: MutableMapping[str, Any], separator: Separator = "#") -> PhalconVariables:
        """Return the application's variables in a session.

        They have their names without `uniqueId`.
        """
        return PhalconVariables(session, self.unique_id, separator)


def database(options: Options, settings: PHPSettings | None = None, *, charset: str = "utf8mb4") -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Database`.

    `db` is the URL of the database. `charset` is the option of that name of Phalcon's connection.
    """
    from .mysql import PHPDatabaseStore

    settings = settings or PHPSettings()
    columns = ("column_session_id", "column_data", "column_created_at", "column_modified_at")
    given = _read(options, required=("db", "table"), optional=columns)
    store = PHPDatabaseStore(
        given["db"],
        table=given["table"],
        lifetime=settings.gc_maxlifetime,
        charset=charset,
        **{name: given[name] for name in columns if name in given},
    )
    return PhalconOptions(store, settings, given.get("uniqueId", ""))


def mongo(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Mongo`.

    `collection` is a collection, or the URL of the database of one that is called session_data.
    """
    from .mongo import PHPMongoStore

    settings = settings or PHPSettings()
    given = _read(options, required=("collection",))
    store = PHPMongoStore(given["collection"], lifetime=settings.gc_maxlifetime)
    return PhalconOptions(store, settings, given.get("uniqueId", ""))


def redis(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Redis`.

    `path` is a `save_path` of phpredis.
    """
    from .redis import PHPRedisStore

    names = {
        "name": "name",
        "lifetime": "gc_maxlifetime",
        "cookie_lifetime": "cookie_lifetime",
        "cookie_secure": "cookie_secure",
    }
    given = _read(options, required=("path",), optional=tuple(names))
    settings = replace(settings or PHPSettings(), **{names[name]: given[name] for name in names if name in given})
    return PhalconOptions(PHPRedisStore(given["path"]), settings, given.get("uniqueId", ""))


def handlersocket(
    options: Options,
    settings: PHPSettings | None = None,
    *,
    timezone: str = "UTC",
    read_port: int = 9998,
    secret: str | None = None,
    secret_wr: str | None = None,
) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\HandlerSocket`.

    `port` of `server` is the port for writing, which the adapter uses for everything; `read_port` is the other one.
    `timezone` is PHP's `date.timezone`. The adapter gives no secrets; `secret` and `secret_wr` are the server's.
    """
    from .handlersocket import PHPHandlerSocketStore

    given = _read(options, optional=("cookie_path", "cookie_domain", "lifetime", "server"))
    if not isinstance(given.get("server", {}), Mapping) or given.get("server", {}).keys() - _HANDLERSOCKET.keys():
        raise ConfigurationError(f"server must be a dict with some of {', '.join(_HANDLERSOCKET)}")
    server = _HANDLERSOCKET | dict(given.get("server", {}))
    settings = replace(
        settings or PHPSettings(),
        cookie_path=given.get("cookie_path", "/"),
        cookie_domain=given.get("cookie_domain", ""),
        gc_maxlifetime=given.get("lifetime", 3600),
    )
    store = PHPHandlerSocketStore(
        server["host"],
        read_port,
        server["port"],
        server["dbname"],
        server["dbtable"],
        secret=secret,
        secret_wr=secret_wr,
        lifetime=settings.gc_maxlifetime,
        timezone=timezone,
    )
    return PhalconOptions(store, settings, given.get("uniqueId", ""))


def _read(options: Options, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Options:
    """Return the options.

    Raises `ConfigurationError` for one that is missing, and for one that the adapter hasn't.
    """
    if not isinstance(options, Mapping):
        raise ConfigurationError("the options of an adapter are a dict")
    known = (*required, *optional, "uniqueId")
    if unknown := options.keys() - set(known):
        raise ConfigurationError(f"the adapter has no option {min(map(repr, unknown))}: it has {', '.join(known)}")
    if missing := [name for name in required if name not in options]:
        raise ConfigurationError(f"the adapter needs the option {missing[0]}")
    if not isinstance(options.get("uniqueId", ""), str):
        raise ConfigurationError("uniqueId must be a str")
    return options
