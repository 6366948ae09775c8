"""Objects and enums of PHP: kept as they are, never made into objects of Python.

A serialized object may refer to others by number: `r:3;` is the object that is the third value of the session.
What stands before an object changes these numbers. So an object is kept as text with the references cut out,
each relative to the object it points into, and they are numbered anew when it is written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LOST = -1
"""The offset of a reference to a value outside all objects, which can't be found again once it is in Python."""


class Reference(NamedTuple):
    """A reference inside an object.

    It leads to a value `offset` values into `root`. If `root` is None, it leads into the same object.
    """

    kind: str
    """`r` for the same object, `R` for a PHP reference."""
    root: PHPObject | None
    offset: int

    @property
    def _name(self) -> tuple[str, int, object]:
        return self.kind, self.offset, self.root and (self.root.class_name, self.root._texts())


class PHPObject:
    """An object or enum of PHP inside a session. It is opaque and immutable.

    It can be moved within a session, copied to another key, or deleted. Two keys that hold the same
    `PHPObject` hold the same object in PHP.
    """

    __slots__ = ("_parts", "_value_count", "class_name")

    class_name: str
    """The name of its class or enum, with the namespace."""
    _parts: tuple[str | Reference, ...]
    _value_count: int | None

    def __init__(self, class_name: str, parts: tuple[str | Reference, ...], value_count: int | None) -> None:
        """Set the object's class, its parts and its count.

        `value_count` is how many values PHP counts in it, itself included. It is None if only its class knows.
        """
        set_once = super().__setattr__
        set_once("class_name", class_name)
        set_once("_parts", parts)
        set_once("_value_count", value_count)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a PHPObject can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a PHPObject can't be changed")

    def __repr__(self) -> str:
        return f"PHPObject({self.class_name!r})"  # no data: a repr ends up in logs

    def __eq__(self, other: object) -> bool:
        """Compare as serialized.

        What references point to is compared by its class and text.
        """
        if not isinstance(other, PHPObject):
            return NotImplemented
        return self.class_name == other.class_name and self._comparable() == other._comparable()

    def __hash__(self) -> int:
        return hash((self.class_name, self._texts()))

    def __copy__(self) -> PHPObject:
        return self

    def __deepcopy__(self, memo: Any) -> PHPObject:
        return self

    def _texts(self) -> tuple[str, ...]:
        return tuple(part for part in self._parts if isinstance(part, str))

    def _comparable(self) -> tuple[object, ...]:
        return tuple(part if isinstance(part, str) else part._name for part in self._parts)
