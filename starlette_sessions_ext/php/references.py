"""The values of a session by their numbers in PHP, and what refers to them.

PHP numbers values from 1 as it reads them, keys left out. `R:2;` is the second value again, as a PHP reference, and
gets no number. `r:2;` is the object that is the second value, and gets one.

Python has no such references: outside objects they are replaced by copies. References to references would grow
exponentially, so what is copied is counted.
"""

from __future__ import annotations

from typing import Any, Final

from .errors import malformed
from .limits import MAX_BYTES, MAX_COPIES, MAX_DEPTH
from .objects import LOST, PHPObject, Reference


class Nested:
    """An object or enum inside another object.

    `root` is the outermost object, once that is read.
    """

    __slots__ = ("class_name", "offset", "root")

    def __init__(self) -> None:
        self.class_name = ""
        self.root: PHPObject | None = None
        self.offset = 0


class _Mark:
    """What stands for a value that can't be referred to by value."""


OPEN_ARRAY: Final = _Mark()
"""An array that is being read."""
OPEN_OBJECT: Final = _Mark()
"""An object that is being read."""
INSIDE: Final = _Mark()
"""A value inside an object that isn't an object."""


class References:
    """All values read so far; `values[n - 1]` is what PHP calls `n`."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.is_countable = True
        """False behind a value that doesn't show how many values PHP counts in it."""
        self._copied_values = 0
        self._copied_bytes = 0

    def check(self, kind: str, number: int, position: int) -> Any:
        """Return what a reference refers to. Raise for one that PHP refuses."""
        if not self.is_countable:
            raise malformed("a reference behind an object of the form C: can't be resolved", position)
        if not 1 <= number <= len(self.values):
            raise malformed("a reference to a value that isn't there", position)
        target = self.values[number - 1]
        if kind == "r" and target is not OPEN_OBJECT and not isinstance(target, PHPObject | Nested):
            raise malformed("a reference to an object, where there is none", position)
        return target

    def resolve(self, kind: str, number: int, position: int, depth: int) -> Any:
        """Return the value that a reference outside objects stands for."""
        target = self.check(kind, number, position)
        if isinstance(target, PHPObject):
            return target
        if isinstance(target, Nested):
            assert target.root is not None
            return PHPObject(target.class_name, (Reference("r", target.root, target.offset),), 1)
        if isinstance(target, _Mark):
            raise malformed("a reference to what holds it, or into an object", position)
        return self._copy(target, position, depth)

    def enter_root(self, first: int, root: PHPObject) -> None:
        """Enter an object that has been read, which is the value with the index `first`."""
        self.values[first] = root
        for index in range(first + 1, len(self.values)):
            value = self.values[index]
            if not isinstance(value, Nested):
                self.values[index] = INSIDE
            elif value.root is None:
                value.root, value.offset = root, index - first

    def relative(self, kind: str, number: int | None, first: int) -> Reference:
        """Return a reference inside the object whose index is `first`, without its number."""
        if number is None:
            return Reference(kind, None, LOST)
        if number > first:
            return Reference(kind, None, number - 1 - first)
        target = self.values[number - 1]
        if isinstance(target, Nested):
            return Reference(kind, target.root, target.offset)
        if isinstance(target, PHPObject):
            return Reference(kind, target, 0)
        return Reference(kind, None, LOST)

    def _copy(self, value: Any, position: int, depth: int) -> Any:
        self._copied_values += 1
        if self._copied_values > MAX_COPIES:
            raise malformed(f"its references stand for more than {MAX_COPIES} values", position)
        if isinstance(value, str | bytes):
            self._copied_bytes += len(value)
            if self._copied_bytes > MAX_BYTES:
                raise malformed(f"its references stand for more than {MAX_BYTES} bytes", position)
        if not isinstance(value, list | dict):
            return value
        if depth >= MAX_DEPTH:
            raise malformed(f"its references nest deeper than {MAX_DEPTH}", position)
        if isinstance(value, list):
            return [self._copy(inner, position, depth + 1) for inner in value]
        return {key: self._copy(inner, position, depth + 1) for key, inner in value.items()}
