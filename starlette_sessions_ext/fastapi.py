"""The session, and objects in it, as FastAPI dependencies.

They work for HTTP and WebSocket routes alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Annotated, Any

try:
    from fastapi import Depends, params
except ImportError as error:  # pragma: no cover - tested in an interpreter without fastapi
    raise ImportError("starlette_sessions_ext.fastapi needs FastAPI: pip install fastapi") from error
from starlette.requests import HTTPConnection

from .access import get_session, require_session
from .session import Session
from .typed.adapters import adapter_of

__all__ = ["SessionDep", "TypedSession", "current_session", "get_session", "require_session"]


async def current_session(connection: HTTPConnection) -> Session:
    """Return the session, as `get_session` does.

    FastAPI would run a plain function in a thread.
    """
    return get_session(connection)


SessionDep = Annotated[Session, Depends(current_session)]


def TypedSession(key: str) -> params.Depends:
    """Return the dependency for `Session.typed` with this key.

    The annotation names the class.

        async def show(cart: Annotated[Cart, TypedSession("cart")]) -> Cart: ...

    FastAPI reports a class that `Session.typed` doesn't take when the route is added.
    """
    dependency: params.Depends = type("TypedSession", (_TypedSession,), {"key": key})()
    return dependency


class _TypedSession(params.Depends):
    """A dependency that is given its class by FastAPI.

    FastAPI takes an annotation for a missing dependency. FastAPI copies dependencies by the fields that it
    knows of. So the key belongs to the class.
    """

    key: str
    _kind: Any = None

    @property
    def dependency(self) -> Callable[..., Any] | None:
        return None if self._kind is None else _reader(self._kind, self.key)

    @dependency.setter
    def dependency(self, kind: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if kind is not None:
            adapter_of(kind)
            self.__dict__["_kind"] = kind


@lru_cache(256)
def _reader(kind: Any, key: str) -> Callable[[HTTPConnection], Awaitable[Any]]:
    async def read(connection: HTTPConnection) -> Any:
        return get_session(connection).typed(kind, key)

    return read
