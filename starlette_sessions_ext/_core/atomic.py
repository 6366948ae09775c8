"""Run a function of the session's data again until no other request came between.

This module does no I/O.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from ..serializers import Serializer
from .callables import is_async
from .merge import merge

T = TypeVar("T")


class AtomicUpdate(Generic[T]):
    """The function of `Session.atomic`, with what it left and returned.

    After a run `view` is the data that the function left, and `result` is what it returned. `base` is the
    session as loaded and `mine` as the handler has changed it since. `fn` sees those changes, but only its
    own are saved. For `nested` see `merge`.
    """

    def __init__(
        self,
        fn: Callable[[dict[str, Any]], T],
        serializer: Serializer,
        base: bytes,
        mine: bytes,
        nested: Iterable[str] = (),
    ) -> None:
        self.view = b""
        self.result: T
        self._fn = fn
        self._serializer = serializer
        self._base = base
        self._mine = mine
        self._nested = nested

    def apply(self, fresh: bytes) -> bytes:
        """Run the function on the freshest data, and return what to save."""
        loads, dumps = self._serializer.loads, self._serializer.dumps
        before = merge(loads(self._base), loads(self._mine), loads(fresh), dumps, nested=self._nested).data
        view = loads(dumps(before))
        self.result = self._fn(view)
        _refuse_awaitable(self.result)
        self.view = dumps(view)
        return dumps(merge(before, loads(self.view), loads(fresh), dumps, nested=self._nested).data)


def refuse_async(fn: Callable[[dict[str, Any]], Any]) -> None:
    """Raise TypeError for what isn't a plain function."""
    if is_async(fn):
        raise TypeError("session.atomic takes a plain function, which can run again: this one is async")
    if not callable(fn):
        raise TypeError("session.atomic takes a function of the session's data")


def _refuse_awaitable(result: object) -> None:
    """Raise TypeError if the function returned a coroutine.

    A lambda around an async function does that.
    """
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("session.atomic takes a plain function, which can run again: this one returned an awaitable")
