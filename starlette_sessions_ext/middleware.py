"""The ASGI side: cookie in, load, application, commit, cookie out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .cookie import Clear, Headers, HTTPSOnly, Issue, SameSite, SessionCookie
from .errors import ConfigurationError, SessionGone, StoreUnavailable
from .events import EventHandler, EventKind, SessionEvent, log_event, logger
from .guard import Guard
from .headers import is_local, keep_from_caches, set_cookie, vary_by_cookie
from .ids import Successors
from .legacy import LegacyCookie, find_legacy, read_legacy
from .lifespan import live
from .record import Lifetimes
from .refusal import refuse
from .rows import Rows
from .secret import SecretKey, is_published, is_short, read_secrets
from .serializers import Serializer, read_serializer
from .session import Session
from .skip import SKIPPED, Skip, read_skip
from .state import Settings
from .stores.base import SessionStore
from .stores.memory import MemoryStore
from .transaction import Transaction


class SessionMiddleware:
    """Server-side sessions in `request.session` and `request.state.session`, one object.

    The first parameters are those of Starlette's own middleware, in its order; times are seconds.

    `secret_key`: signs the cookie; of several the first signs and all verify.
    `max_age`: the cookie's lifetime, and without `idle_timeout` the session's; None: until the browser closes.
    `https_only`: "auto" marks the cookie Secure on https.
    `store`: where sessions are kept; a `MemoryStore` if not given, which one process alone sees.
    `idle_timeout`, `absolute_timeout`: how long a session lives without use, and at all.
    `touch_interval`: how far its expiry has to move before it is written; a tenth of the idle time.
    `renew_after`: the age at which a session's id is replaced, without anybody noticing; None: never.
    `on_conflict`: what to do if parallel requests changed the same key: "merge" lets the later
    win, "raise" raises `SessionConflict`. Changes of different keys are always merged.
    `on_store_error`: what to do if a session can't be loaded: "unavailable" answers 503, "anonymous"
    goes on with an empty one that is `degraded`, and answers 503 to whatever would change it.
    `skip`: a predicate on the scope, or path prefixes: these requests have no session and cost nothing.
    `save_when`: given the response's status says whether to save; None: always. An exception that
    nobody handled saves nothing in any case, and `Session.save` always saves.
    `migrate_from`: whose cookies to take over, such as `[StarletteCookie(secret_key=...)]`.
    `on_event`: called with a `SessionEvent` for what operators want to count.
    `state_attr`: the name in `request.state`.

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
        skip: Skip = None,
        save_when: Callable[[int], bool] | None = None,
        migrate_from: Sequence[LegacyCookie] = (),
        on_event: EventHandler | None = None,
        state_attr: str = "session",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if on_conflict not in ("merge", "raise"):
            raise ConfigurationError('on_conflict must be "merge" or "raise"')
        if on_store_error not in ("unavailable", "anonymous"):
            raise ConfigurationError('on_store_error must be "unavailable" or "anonymous"')
        if not state_attr.isidentifier():
            raise ConfigurationError("state_attr must be a name that can stand after request.state.")
        if store is None:
            logger.warning("sessions are kept in this process's memory: give SessionMiddleware a store to keep them")
            store = MemoryStore(clock=clock)
        elif not isinstance(store, SessionStore):
            raise ConfigurationError("store must be a SessionStore, such as SQLiteStore(path) or RedisStore(url)")
        self.app = app
        self.store = store
        self._cookie = SessionCookie(
            session_cookie,
            secret_key,
            path=path,
            same_site=same_site,
            https_only=https_only,
            domain=domain,
            partitioned=partitioned,
        )
        serializer = read_serializer(serializer)
        lifetimes = Lifetimes.configured(max_age, idle_timeout, absolute_timeout, touch_interval, renew_after)
        secrets = read_secrets(secret_key)
        if any(map(is_short, secrets)):
            logger.warning("secret_key is shorter than 16 bytes: make one with secrets.token_hex()")
        if any(map(is_published, secrets)):
            logger.warning("secret_key is a placeholder of the documentation: make one with secrets.token_hex()")
        self._settings = Settings(
            rows=Rows(store, lifetimes, clock, Successors(secrets), Guard(store)),
            serializer=serializer,
            nothing=serializer.dumps({}),
            overwrite=on_conflict == "merge",
            degrade=on_store_error == "anonymous",
            emit=self._emit,
        )
        self._skips = read_skip(skip)
        self._save_when = save_when
        self._legacy = read_legacy(migrate_from)
        self._on_event = on_event
        self._state_attr = state_attr
        self._clock = clock
        self._warned_of_http = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self.app, self.store, scope, receive, send)
        elif scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif self._skips(scope):
            scope[SKIPPED] = True
            await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        transaction = Transaction(self._settings)
        started = False
        saves = True
        failure: Exception | None = None  # why the response that was about to start couldn't be saved

        async def send_wrapper(message: Message) -> None:
            nonlocal started, saves, failure
            if not started and message["type"] in _STARTS:
                # After a failed save an error page goes out as it is; anything else has to save first.
                if failure is None or message.get("status", 200) < 400:
                    accessed = transaction.session.accessed  # by the application; a serializer reads it as well
                    try:
                        saves = self._saves(message)
                        if saves and not transaction.is_quiet():
                            await self._save(transaction)
                    except Exception as error:
                        failure = error
                        raise
                    failure = None
                    transaction.reply.is_sent = True
                    if accessed or transaction.reply.cookie is not None:
                        self._tell(transaction, scope, message)
                started = True
            await send(message)

        try:
            found = self._cookie.find(scope["headers"])
            if found.duplicates:
                self._emit(SessionEvent(EventKind.DUPLICATE_COOKIES))
            if found.session_id is not None:
                await transaction.load(found.session_id, outdated=found.outdated)
            elif self._legacy:
                await self._take_over(transaction, scope["headers"])
            self._publish(transaction.session, scope)
            if scope["type"] == "websocket":
                receive = _watched(receive, transaction)
            await self.app(scope, receive, send_wrapper)
            if failure is None and saves and (started or scope["type"] == "websocket"):
                transaction.reply.is_sent = True  # a socket that was refused had no headers for one
                if not transaction.is_quiet():
                    await self._save(transaction)  # what changed after the response had started
        except Exception as error:
            if started:
                raise
            if failure is not None and error.__cause__ is failure:  # Starlette wraps what it has a handler for
                error = failure
            if not isinstance(error, StoreUnavailable):
                raise error
            logger.error("answered 503: %s", error)
            await refuse(scope, send)
        finally:
            transaction.session._backing = None

    async def _take_over(self, transaction: Transaction, headers: Headers) -> None:
        """Fill the session from another middleware's cookie, if there is one."""
        try:
            legacy = await find_legacy(self._legacy, self._cookie.name, headers, self._clock())
            if legacy is not None:
                await transaction.migrate(legacy)
        except StoreUnavailable as error:
            transaction.degrade(error)

    def _publish(self, session: Session, scope: Scope) -> None:
        """Put the session into the scope.

        It is kept in the transaction too: a mounted application may bring its own session
        middleware, and `Mount` lets both write to one scope.
        """
        state = scope.setdefault("state", {})
        taken = state.get(self._state_attr)
        if taken is not None and not isinstance(taken, Session):
            raise ConfigurationError(
                f"request.state.{self._state_attr} is taken by the application: choose another state_attr"
            )
        state[self._state_attr] = scope["session"] = session

    async def _save(self, transaction: Transaction) -> None:
        with suppress(SessionGone):  # a logout or a rotation in a parallel request stands; an event has told of it
            await transaction.commit()

    def _tell(self, transaction: Transaction, scope: Scope, message: Message) -> None:
        """Say in the headers of the response that is about to start what there is to say of the session."""
        cookie = transaction.reply.cookie
        headers = message["headers"] = list(message.get("headers", ()))
        vary_by_cookie(headers)
        if transaction.session._degraded:
            keep_from_caches(headers)
        if cookie is not None:
            set_cookie(headers, self._cookie.name, self._render(cookie, scope))

    def _saves(self, message: Message) -> bool:
        """Whether the response that starts with this message saves the session; an accepted socket always does."""
        return self._save_when is None or "status" not in message or self._save_when(message["status"])

    def _render(self, cookie: Issue | Clear, scope: Scope) -> bytes:
        secure = self._cookie.secure
        if secure == "auto":
            secure = scope.get("scheme") in ("https", "wss")
            if not secure and not self._warned_of_http and not is_local(scope["headers"]):
                self._warned_of_http = True
                logger.warning(
                    "a session cookie goes out over plain http, where anybody on the way can read it: "
                    "use https, and behind a proxy let the server trust its X-Forwarded-Proto"
                )
        return self._cookie.render(cookie, secure=secure)

    def _emit(self, event: SessionEvent) -> None:
        log_event(event)
        if self._on_event is not None:
            self._on_event(event)


def _watched(receive: Receive, transaction: Transaction) -> Receive:
    """What a socket receives; each message is a use of its session."""
    transaction.begin_to_watch()

    async def receive_message() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive":
            await transaction.keep_alive()
        return message

    return receive_message


_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
