"""A function of the session's data that is run again until no other request came between. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .commit import merge
from .state import State

T = TypeVar("T")


class Rerun(Generic[T]):
    """`fn` of `Session.atomic`. `view` and `result` are what it left and returned the last time it ran.

    It sees what the handler changed before, but of what is saved only its own changes are part.
    """

    def __init__(self, state: State, fn: Callable[[dict[str, Any]], T]) -> None:
        self.view: dict[str, Any] = {}
        self.result: T
        self._state = state
        self._fn = fn
        self._base = {} if state.row is None else state.loads(state.row.record.body)
        self._mine = state.loads(state.dumps(state.session))

    def on(self, fresh: dict[str, Any]) -> bytes:
        """Run it on the freshest data; what to save."""
        loads, dumps = self._state.loads, self._state.dumps
        before = merge(self._base, self._mine, fresh, dumps).data
        view = loads(dumps(before))
        self.result = self._fn(view)
        self.view = loads(dumps(view))
        return dumps(merge(before, self.view, fresh, dumps).data)
