"""A dict that knows whether it was looked at, changed, or lent. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from starlette.middleware.sessions import Session as StarletteSession

IMMUTABLE = frozenset({str, int, float, bool, type(None), bytes})
"""Types of values that nothing can change in place."""


class TrackedDict(StarletteSession):
    """The data of a session. `accessed` and `modified` are Starlette's.

    `_lent`: a value that can change in place was handed out, or put in. What nobody was given nobody can
    have changed, so until then there is nothing to compare. `_assigned` are the keys that were put in.
    """

    __slots__ = ("_lent", "accessed", "modified")  # every request looks at them, and they take a third of the time

    _lent: bool
    accessed: bool
    modified: bool
    _assigned: frozenset[Any] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lent = self.accessed = self.modified = False

    # Ways in: a mutable value that is put in may be kept, and changed later, by its giver.

    def __setitem__(self, key: str, value: Any) -> None:
        self.mark_modified()
        if type(value) not in IMMUTABLE:
            self._lent = True
        dict.__setitem__(self, key, value)
        self._assigned |= {key}

    def setdefault(self, key: str, default: Any = None) -> Any:
        self.accessed = True
        if not dict.__contains__(self, key):
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.mark_modified()
        given = dict(*args, **kwargs)
        dict.update(self, given)
        self._assigned |= given.keys()
        self._lend_all()

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    # Ways out: each marks the session as accessed, so that the response varies with the cookie.

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        value = dict.__getitem__(self, key)
        if type(value) not in IMMUTABLE:
            self._lent = True
        return value

    def get(self, key: str, default: Any = None) -> Any:
        self.accessed = True
        value = dict.get(self, key, default)
        if type(value) not in IMMUTABLE:
            self._lent = True
        return value

    def popitem(self) -> tuple[str, Any]:
        self.accessed = True  # also if there is nothing to pop
        item = dict.popitem(self)
        self.mark_modified()
        return item

    def _lend_all(self) -> None:
        if not IMMUTABLE.issuperset(map(type, dict.values(self))):
            self._lent = True


def _marking_access(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def read(self: TrackedDict, /, *args: Any) -> Any:
        self.accessed = True
        return method(self, *args)

    read.__name__ = name
    return read


def _lending_all(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def read(self: TrackedDict, /, *args: Any) -> Any:
        self.accessed = True
        self._lend_all()
        return method(self, *args)

    read.__name__ = name
    return read


for _name in ("__contains__", "__iter__", "__reversed__", "__len__", "keys"):
    setattr(TrackedDict, _name, _marking_access(_name))
for _name in ("__eq__", "__ne__", "__or__", "__ror__", "values", "items", "copy"):
    setattr(TrackedDict, _name, _lending_all(_name))
