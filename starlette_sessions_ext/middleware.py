"""The ASGI side: cookie in, load, application, commit, cookie out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from ._core.config import make_config
from ._core.lifetimes import Lifetimes
from ._core.loading import follow, import_legacy, load_first
from ._core.options import (
    UnavailableHandler,
    check_callbacks,
    check_choices,
    check_limit,
    read_store,
)
from ._core.owner import UserOption
from ._core.plan import Entry
from ._core.refusals import refuse_without_users
from ._core.rows import Rows
from ._core.secret_keys import SecretKey, read_secrets
from ._core.sign_in_details import Describe, describe
from ._http.cookie import HTTPSOnly, SameSite, SessionCookie
from ._http.exchange import Exchange, HTTPConfig
from ._http.lifespan import run_lifespan
from ._http.path_filter import EXCLUDED, Exclude, read_exclude
from ._http.responses import is_disconnect, send_unavailable
from ._http.starlette_attributes import StarletteAttributes
from .errors import CorruptRecord, StoreUnavailable
from .events import EventHandler, SessionEvent, log_event, logger
from .serializers import Serializer, read_serializer
from .stores.base import SessionStore

if TYPE_CHECKING:
    from ._core.session_directory import SessionDirectory
    from .legacy_cookies import LegacyCookie

_SERVED = frozenset({"http", "websocket"})


class SessionMiddleware(StarletteAttributes):
    """Server-side sessions, in `request.session` and `request.state.session` alike.

    Both names are one object. The first parameters are those of Starlette's own middleware, in its order; times
    are seconds.

    `secret_key`: signs the cookie; of several the first signs and all verify.
    `max_age`: the cookie's lifetime, and without `idle_timeout` the session's; None: until the browser closes.
    `https_only`: "auto" marks the cookie Secure on https.
    `store`: where sessions are kept; a `MemoryStore` if not given, which one process alone sees.
    `idle_timeout`, `absolute_timeout`: how long a session lives without use, and at all.
    `touch_interval`: how far its expiry has to move before it is written; a tenth of the idle time.
    `renew_after`: the age at which a session's id is replaced, without anybody noticing; None: never.
    `serializer`: turns a session's data into bytes and back; a `JSONSerializer` if not given.
    `on_conflict`: what to do if parallel requests changed the same key: "merge" lets the later
    win, "raise" raises `SessionConflict`. Changes of different keys are always merged.
    `on_store_error`: what to do if a session can't be loaded: "unavailable" answers 503, "anonymous"
    goes on with an empty one that is `degraded`, and answers 503 to whatever would change it.
    `exclude`: a predicate on the scope, or path prefixes: these requests have no session and cost nothing.
    `save_if`: given the response's status says whether to save; None: always. An exception that
    nobody handled saves nothing in any case, and `Session.save` always saves.
    `legacy_cookies`: whose cookies to take over, such as `[StarletteCookie(secret_key=...)]`.
    `on_event`: called with a `SessionEvent` for what operators want to count.
    `unavailable_handler`: makes the response where the store can't be reached, in place of a plain 503.
    `user`: the key of a session that names its user, such as "user_id", or a function of the session's
    data that returns it (str, int or None). The id is then rotated whenever the user changes, and
    `directory` lists and revokes the sessions of a user.
    `describe`: what to keep of a sign-in, given the request's scope; by default browser and address.
    `max_sessions_per_user`: a sign-in beyond it ends the session unused for longest; None: no limit.
    `state_attr`: the name in `request.state`.
    `clock`: returns unix seconds; tests give another one.

    Raises `ConfigurationError` for settings that can't work.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: SecretKey,
        session_cookie: str = "session",
        max_age: int | timedelta | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: HTTPSOnly = "auto",
        domain: str | None = None,
        partitioned: bool = False,
        *,
        store: SessionStore | None = None,
        idle_timeout: int | timedelta | None = None,
        absolute_timeout: int | timedelta | None = None,
        touch_interval: int | timedelta | None = None,
        renew_after: int | timedelta | None = None,
        serializer: Serializer | None = None,
        on_conflict: Literal["merge", "raise"] = "merge",
        on_store_error: Literal["unavailable", "anonymous"] = "unavailable",
        exclude: Exclude = None,
        save_if: Callable[[int], bool] | None = None,
        legacy_cookies: Sequence[LegacyCookie] = (),
        on_event: EventHandler | None = None,
        unavailable_handler: UnavailableHandler | None = None,
        user: UserOption | None = None,
        describe: Describe = describe,
        max_sessions_per_user: int | None = None,
        state_attr: str = "session",
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_choices(on_conflict, on_store_error, state_attr)
        check_callbacks(clock, describe, unavailable_handler, save_if=save_if, on_event=on_event)
        check_limit(max_sessions_per_user, user)
        lifetimes = Lifetimes.configured(max_age, idle_timeout, absolute_timeout, touch_interval, renew_after)
        cookie = SessionCookie(session_cookie, secret_key, path, same_site, https_only, domain, partitioned)
        self.app, self.store = app, read_store(store, clock)
        self._config = make_config(
            Rows.configured(self.store, lifetimes, clock, user, serializer := read_serializer(serializer)),
            read_secrets(secret_key),
            serializer,
            overwrites=on_conflict == "merge",
            degrades=on_store_error == "anonymous",
            max_sessions_per_user=max_sessions_per_user,
            emit=self._emit,
        )
        self._http = HTTPConfig(cookie, state_attr, save_if, describe)
        self._rows, self._find = self._config.rows, cookie.find
        self._excludes, self._legacy = read_exclude(exclude), _read_legacy(legacy_cookies)
        self._on_event, self._unavailable_handler = on_event, unavailable_handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _SERVED or (self._excludes is not None and self._excludes(scope)):
            await self._pass_on(scope, receive, send)
            return
        session_id, client_id, others = self._find(scope)
        exchange = Exchange(self._config, self._http, scope, send, client_id)
        try:
            try:
                if session_id is not None and not others:
                    try:
                        found = await self._rows.read(session_id)
                        if type(found) is Entry:
                            exchange.fill(found)
                        elif found is not None:
                            await follow(exchange, found, session_id)
                    except (CorruptRecord, StoreUnavailable) as error:
                        exchange.handle_load_error(session_id, error)
                elif others:
                    await load_first(exchange, session_id, others)
                elif self._legacy:
                    await self._import_legacy(exchange, scope)
                if scope["type"] == "websocket":
                    receive = exchange.wrap_receive(receive)
                await self.app(scope, receive, exchange.send)
                session = exchange.session
                if session.modified or (session._lent and exchange.differs()):
                    await exchange.save_late()
            finally:
                exchange.close()
        except Exception as error:
            await self._fail(error, exchange, scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what has no session: the lifespan, excluded requests, and other protocols."""
        if scope["type"] == "lifespan":
            await run_lifespan(self.app, self.store, self._rows.owned, scope, receive, send)
            return
        if scope["type"] in _SERVED:
            scope[EXCLUDED] = True
        await self.app(scope, receive, send)

    async def _import_legacy(self, exchange: Exchange, scope: Scope) -> None:
        """Fill the session from another middleware's cookie, if there is one."""
        from .legacy_cookies import find_legacy

        try:
            now = self._rows.clock()
            legacy = await find_legacy(self._legacy, self._http.cookie.name, scope["headers"], now)
            if legacy is not None:
                await import_legacy(exchange, legacy)
        except StoreUnavailable as error:
            exchange.degrade(error)

    async def _fail(self, error: Exception, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 where the store couldn't be reached and nothing was sent yet.

        Otherwise raise the error.
        """
        if not exchange.writable:
            if is_disconnect(error):  # the client left: that is no failure of the handler's
                await exchange.save_after_disconnect()
            raise error
        failure = exchange.failure
        if failure is not None and error.__cause__ is failure:  # Starlette wraps what it has a handler for
            error = failure
        if not isinstance(error, StoreUnavailable):
            raise error
        logger.error("answered 503: %s", error)
        await send_unavailable(error, scope, receive, send, self._unavailable_handler)

    def _emit(self, event: SessionEvent) -> None:
        log_event(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("on_event raised; the response goes on")

    @property
    def directory(self) -> SessionDirectory:
        """The sessions of users. Raises `ConfigurationError` without the option `user`."""
        if self._config.directory is None:
            refuse_without_users()
        return self._config.directory


def _read_legacy(legacy_cookies: Sequence[LegacyCookie]) -> Sequence[LegacyCookie]:
    """Check the option `legacy_cookies`. Only that option loads its module."""
    if legacy_cookies == ():
        return ()
    from .legacy_cookies import read_legacy

    return read_legacy(legacy_cookies)
