"""The protocols that connect a session with its request and its stored row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class SessionPersistence(Protocol):
    """Carry a session between its request and the store."""

    @property
    def directory(self) -> Any: ...

    def user(self) -> str | None: ...

    def now(self) -> float: ...

    async def save(self) -> None: ...

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T: ...


ENDED: Any = object()
"""Takes the place of a session's persistence when its request is over."""


class StoredSession(Protocol):
    """The store's knowledge of a session.

    Times are unix seconds, the lifetime is in seconds.
    """

    @property
    def created_at(self) -> int: ...

    @property
    def expires_at(self) -> int: ...

    @property
    def lifetime(self) -> int | None: ...

    @property
    def key(self) -> str: ...

    @property
    def public_id(self) -> str: ...

    @property
    def signed_in_at(self) -> int | None: ...
