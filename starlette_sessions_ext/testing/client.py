"""The session of a test client, from outside of a request.

A test reads it, fills it, and signs in. What is done here goes through the application's own
`SessionMiddleware` and store, in requests of the client. So the cookie, the id and the row are those of a
real visitor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..discovery import find_session_middleware
from ..errors import ConfigurationError, SessionError
from ..middleware import SessionMiddleware
from ..session import NO_INTENT, Session

USER_KEY = "user_id"


def session_of(client: Any, session_cookie: str | None = None) -> SessionOf:
    """Return a context manager that gives a test client's session, and saves it.

        with session_of(client) as session:
            session["user_id"] = 42

    `client` is Starlette's `TestClient`, or an httpx client with an `ASGITransport`; for an `AsyncClient`
    write `async with`. `session_cookie` names the middleware where the application has several. Only
    what changed is saved, so requests inside of the block keep their changes. Nothing is saved after an
    exception.

    Raises `ConfigurationError` if there is no such middleware, or if the client doesn't send the cookie
    back, and what `Session.save` raises.
    """
    return SessionOf(client, session_cookie)


def sign_in(client: Any, user: Any, *, key: str | None = None, session_cookie: str | None = None) -> None:
    """Sign a user in, as a handler does: the session gets the user and a new id.

    Raises as `session_of`.

    `key` is that of the option `user` of `SessionMiddleware`, or "user_id" without the option.
    """
    block = session_of(client, session_cookie)
    with block:
        block.sign_in(user, key)


async def sign_in_async(client: Any, user: Any, *, key: str | None = None, session_cookie: str | None = None) -> None:
    """Sign a user in, as `sign_in` does, for an httpx `AsyncClient`."""
    block = session_of(client, session_cookie)
    async with block:
        block.sign_in(user, key)


class SessionOf:
    """The context manager of `session_of`."""

    def __init__(self, client: Any, session_cookie: str | None) -> None:
        self._client = client
        self._is_async = iscoroutinefunction(client.request)
        transport: Any = getattr(client, "_transport", None)
        if not hasattr(transport, "app"):
            raise ConfigurationError("session_of takes Starlette's TestClient, or an httpx client with ASGITransport")
        self._transport = transport
        self._middleware = _choose(find_session_middleware(self._transport.app), session_cookie)
        self._session = Session()
        self._before: dict[str, Any] = {}

    def sign_in(self, user: Any, key: str | None) -> None:
        """Put the user into the session, which gets a new id.

        With the option `user` it also gets the time of the sign-in.
        """
        self._session[key or self.user_key()] = user
        if self._middleware._config.rows.users is None:
            self._session.rotate()
        else:
            self._session.reauthenticated()

    def user_key(self) -> str:
        """Return the key that names the session's user.

        Raises `ConfigurationError` where a function does.
        """
        users = self._middleware._config.rows.users
        if users is None:
            return USER_KEY
        if users.key is None:
            raise ConfigurationError(
                "the option user is a function, so name the key that it reads: sign_in(.., key=..)"
            )
        return users.key

    def __enter__(self) -> Session:
        if self._is_async:
            raise TypeError("this client is async: write `async with session_of(client)`")
        self._call(self._read)
        return self._session

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if kind is None and self._has_changed():
            self._call(self._write)
            self._call(self._check)

    async def __aenter__(self) -> Session:
        if not self._is_async:
            raise TypeError("this client isn't async: write `with session_of(client)`")
        await self._call_async(self._read)
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if kind is None and self._has_changed():
            await self._call_async(self._write)
            await self._call_async(self._check)

    # In the client's requests

    async def _read(self, session: Session) -> None:
        self._before = copy.deepcopy(session._data())
        self._session = Session(session._data())
        self._session._stored = session._stored

    async def _write(self, session: Session) -> None:
        wanted = self._session._data()
        if self._session._intent.end:
            session.clear()
            session.update(wanted)
        else:
            for key in self._before.keys() - wanted.keys():
                session.pop(key, None)
            session.update({key: value for key, value in wanted.items() if self._differs(key, value)})
        session._ask(self._session._intent)
        await session.save()

    async def _check(self, session: Session) -> None:
        if self._session._data() and session.is_new:
            raise ConfigurationError(
                "the client doesn't send the session's cookie back. A Secure cookie needs "
                'base_url="https://testserver", and the options domain and path have to fit the base_url'
            )

    # Requests of the client

    def _call(self, act: Callable[[Session], Any]) -> None:
        probe = _Probe(self._middleware, act)
        with self._diverted(probe):
            response = self._client.get(self._url())
        probe.raise_failure(response.status_code)

    async def _call_async(self, act: Callable[[Session], Any]) -> None:
        probe = _Probe(self._middleware, act)
        with self._diverted(probe):
            response = await self._client.get(self._url())
        probe.raise_failure(response.status_code)

    @contextmanager
    def _diverted(self, probe: _Probe) -> Iterator[None]:
        """Let the client's requests go to the probe.

        They pass the middleware and routes of the application.
        """
        app = self._transport.app
        self._transport.app = probe.app
        try:
            yield
        finally:
            self._transport.app = app

    def _url(self) -> Any:
        return self._client.base_url.copy_with(path=self._middleware.path)  # where the client sends the cookie

    def _has_changed(self) -> bool:
        wanted = self._session._data()
        return (
            self._session._intent != NO_INTENT
            or wanted.keys() != self._before.keys()
            or any(self._differs(key, value) for key, value in wanted.items())
        )

    def _differs(self, key: str, value: Any) -> bool:
        return key not in self._before or value != self._before[key] or repr(value) != repr(self._before[key])


class _Probe:
    """The application's middleware around one act on the session."""

    def __init__(self, middleware: SessionMiddleware, act: Callable[[Session], Any]) -> None:
        self.app = copy.copy(middleware)
        self.app.app = self._respond
        self.app._excludes = None
        self._act = act
        self._failure: Exception | None = None

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._act(scope["session"])
        except Exception as error:  # to raise where the test is, whatever the client does with exceptions
            self._failure = error
        await Response()(scope, receive, send)

    def raise_failure(self, status: int) -> None:
        if self._failure is not None:
            raise self._failure
        if status != 200:
            raise SessionError(f"the session middleware answered {status}: its log says why")


def _choose(found: list[SessionMiddleware], session_cookie: str | None) -> SessionMiddleware:
    named = [one for one in found if session_cookie in (None, one.session_cookie)]
    if len(named) == 1:
        return named[0]
    names = ", ".join(repr(one.session_cookie) for one in found)
    if not found:
        raise ConfigurationError("the client's application has no SessionMiddleware that can be found")
    if not named:
        raise ConfigurationError(f"no SessionMiddleware of the application has this session_cookie: there is {names}")
    raise ConfigurationError(f"the application has several SessionMiddleware: name the session_cookie, of {names}")
