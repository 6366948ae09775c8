"""The options of Phalcon's four session adapters, as their README prints them.

    options = phalcon.redis({"path": "tcp://127.0.0.1:6379?weight=1", "lifetime": 3600})
    app.add_middleware(SessionMiddleware, secret_key=..., **options.for_middleware())

Every option has an effect, those included that the HandlerSocket adapter never read. An option that an adapter
doesn't have is a `ConfigurationError`. `settings` are those of php.ini that the adapter has no options for.

Tables, keys and documents are those of this package's stores: each side signs its visitors in.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigurationError
from ..stores.base import SessionStore
from .settings import PHPSettings
from .unique_id import PhalconVariables, Separator

Options = Mapping[str, Any]


@dataclass(frozen=True)
class PhalconOptions:
    """What the options of an adapter mean here."""

    store: SessionStore
    settings: PHPSettings
    unique_id: str = ""
    secure: bool | None = field(default=None)
    """The option `cookie_secure`; None if it isn't given."""

    def for_middleware(self) -> dict[str, Any]:
        """Return options of `SessionMiddleware`: its store, its lifetimes and its cookie.

        Without `cookie_secure` the cookie is Secure on https.
        """
        settings = self.settings
        lifetime, max_age = settings.gc_maxlifetime, settings.cookie_lifetime or None
        return {
            "store": self.store,
            "session_cookie": settings.name,
            "max_age": max_age,
            "idle_timeout": lifetime if max_age is None else min(lifetime, max_age),
            "path": settings.cookie_path,
            "domain": settings.cookie_domain or None,
            "same_site": settings.cookie_samesite.lower() or "lax",
            "https_only": "auto" if self.secure is None else self.secure,
        }

    def variables(self, session: MutableMapping[str, Any], separator: Separator = "#") -> PhalconVariables:
        """Return the application's variables in a session, under their names without `uniqueId`."""
        return PhalconVariables(session, self.unique_id, separator)


def database(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Database`.

    `db` is a URL or an asyncmy pool, as `DatabaseStore` takes it.
    """
    from ..stores.mysql import DatabaseStore

    settings = settings or PHPSettings()
    columns = ("column_session_id", "column_data", "column_created_at", "column_modified_at")
    given = _read(options, required=("db", "table"), optional=columns)
    store = DatabaseStore(
        given["db"],
        table=given["table"],
        lifetime=settings.gc_maxlifetime,
        **{name: given[name] for name in columns if name in given},
    )
    return PhalconOptions(store, settings, given.get("uniqueId", ""))


def mongo(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Mongo`.

    `collection` is a collection, or the URL of one, as `MongoStore` takes it.
    """
    from ..stores.mongo import MongoStore

    given = _read(options, required=("collection",))
    return PhalconOptions(MongoStore(given["collection"]), settings or PHPSettings(), given.get("uniqueId", ""))


def redis(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\Redis`. `path` is a `save_path` of phpredis."""
    from ..stores.redis import RedisStore

    names = {"name": "name", "lifetime": "gc_maxlifetime", "cookie_lifetime": "cookie_lifetime"}
    given = _read(options, required=("path",), optional=(*names, "cookie_secure"))
    settings = replace(settings or PHPSettings(), **{names[name]: given[name] for name in names if name in given})
    store = RedisStore.from_save_path(given["path"])
    return PhalconOptions(store, settings, given.get("uniqueId", ""), given.get("cookie_secure"))


def handlersocket(options: Options, settings: PHPSettings | None = None) -> PhalconOptions:
    """Read the options of `Phalcon\\Session\\Adapter\\HandlerSocket`.

    `port` is the port for writing. Like the adapter, the store uses it for reading as well.
    """
    from ..stores.handlersocket import HandlerSocketStore

    given = _read(options, optional=("cookie_path", "cookie_domain", "lifetime", "server"))
    server = {"host": "localhost", "port": 9999, "dbname": "session", "dbtable": "php_session"}
    if not isinstance(given.get("server", {}), Mapping) or given.get("server", {}).keys() - server.keys():
        raise ConfigurationError(f"server must be a dict with some of {', '.join(server)}")
    server |= given.get("server", {})
    settings = replace(
        settings or PHPSettings(),
        cookie_path=given.get("cookie_path", "/"),
        cookie_domain=given.get("cookie_domain", ""),
        gc_maxlifetime=given.get("lifetime", 3600),
    )
    store = HandlerSocketStore(**server, port_wr=server["port"], lifetime=settings.gc_maxlifetime)  # type: ignore[arg-type]
    return PhalconOptions(store, settings, given.get("uniqueId", ""))


def _read(options: Options, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Options:
    """Return the options. Raise `ConfigurationError` for one that is missing, and for one that the adapter hasn't."""
    if not isinstance(options, Mapping):
        raise ConfigurationError("the options of an adapter are a dict")
    known = (*required, *optional, "uniqueId")
    if unknown := options.keys() - set(known):
        raise ConfigurationError(f"the adapter has no option {min(map(repr, unknown))}: it has {', '.join(known)}")
    if missing := [name for name in required if name not in options]:
        raise ConfigurationError(f"the adapter needs the option {missing[0]}")
    if not isinstance(options.get("uniqueId", ""), str):
        raise ConfigurationError("uniqueId must be a str")
    if not isinstance(options.get("cookie_secure", True), bool):
        raise ConfigurationError("cookie_secure must be True or False")
    return options
