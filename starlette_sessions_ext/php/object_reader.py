"""Read objects, enums and references of PHP.

The module `objects` says what becomes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .errors import malformed
from .limits import MAX_DEPTH
from .objects import PHPObject, Reference
from .references import OPEN_OBJECT, Nested, References
from .scanner import Scanner

_CLASS = re.compile(r"[0-9A-Za-z_\\\x7f-\xff]+")
_CASE = re.compile(r"([0-9A-Za-z_\\\x7f-\xff]+):[0-9A-Za-z_\x7f-\xff]+")
_NUMBER = re.compile("[1-9][0-9]{0,8}")
_MAY_REFER = re.compile("[rR]:[0-9]")


class _Place(NamedTuple):
    """A reference inside the object that is being read.

    `number` is None if that can't be known.
    """

    start: int
    end: int
    kind: str
    number: int | None


class ObjectReader:
    """Reads what begins with O, C, E, R or r. `read_elements` reads properties."""

    def __init__(
        self, scanner: Scanner, references: References, read_elements: Callable[[int, int], tuple[list[str], object]]
    ) -> None:
        self._scanner = scanner
        self._references = references
        self._read_elements = read_elements
        self._places: list[_Place] | None = None
        """The references in the outermost object; None outside objects."""

    def read(self, kind: str, position: int, depth: int) -> Any:
        """Read the value at a position, which begins with `kind`.

        Raises `PHPDecodeError` for what PHP has no value for.
        """
        if kind in ("R:", "r:"):
            return self._read_reference(kind[0], position, depth)
        if kind not in ("O:", "C:", "E:"):
            raise malformed("no value begins like this", position)
        numbered = self._references.values
        if self._places is not None:
            nested = Nested()
            numbered.append(nested)
            nested.class_name = self._read_body(kind, position, depth)
            return nested
        first = len(numbered)
        numbered.append(OPEN_OBJECT)
        self._places = []
        class_name = self._read_body(kind, position, depth)
        count = len(numbered) - first if self._references.is_countable else None
        result = PHPObject(class_name, self._parts(position, first), count)
        self._places = None
        self._references.enter_root(first, result)
        return result

    def _read_body(self, kind: str, position: int, depth: int) -> str:
        """Read an object up to its end. Return its class."""
        scanner = self._scanner
        if depth >= MAX_DEPTH:
            raise malformed(f"arrays and objects nest deeper than {MAX_DEPTH}", position)
        name = scanner.read_quoted(position + 2)
        match = (_CASE if kind == "E:" else _CLASS).fullmatch(name)
        if match is None:
            raise malformed("a class has a name that PHP doesn't take", position)
        if kind == "E:":
            scanner.expect(";")
            return as_text(match[1])
        scanner.expect(":")
        if kind == "O:":
            keys, _ = self._read_elements(scanner.position, depth)
            if len({*keys}) != len(keys):
                raise malformed("an object has a property twice", position)
        else:
            self._read_raw()
        return as_text(name)

    def _read_raw(self) -> None:
        """Read what a class of PHP's Serializable interface has written.

        Its form is that class's secret.
        """
        scanner, start = self._scanner, self._scanner.position
        colon = scanner.text.index(":", start)
        length = scanner.read_count(start, colon)
        scanner.position = colon + 1
        scanner.expect("{")
        scanner.position += length
        scanner.expect("}")
        self._references.is_countable = False
        assert self._places is not None
        if _MAY_REFER.search(scanner.text, colon, scanner.position):
            self._places.append(_Place(scanner.position, scanner.position, "r", None))

    def _read_reference(self, kind: str, position: int, depth: int) -> Any:
        end = self._scanner.text.index(";", position)
        match = _NUMBER.fullmatch(self._scanner.text, position + 2, end)
        if match is None:
            raise malformed("a reference isn't a number", position)
        number = int(match[0])
        self._scanner.position = end + 1
        if self._places is None:
            value = self._references.resolve(kind, number, position, depth)
        else:
            value = self._references.check(kind, number, position)
            self._places.append(_Place(position, end + 1, kind, number))
        if kind == "r":
            self._references.values.append(value)
        return value

    def _parts(self, start: int, first: int) -> tuple[str | Reference, ...]:
        """Return the text from `start` to the position, with its references cut out."""
        text, parts = self._scanner.text, list[str | Reference]()
        for place in self._places or ():
            parts.append(as_text(text[start : place.start]))
            parts.append(self._references.relative(place.kind, place.number, first))
            start = place.end
        parts.append(as_text(text[start : self._scanner.position]))
        return tuple(parts)


def as_text(latin_1: str) -> str:
    """Return the text whose UTF-8 is these bytes.

    Bytes that aren't UTF-8 become surrogate escapes.
    """
    return latin_1.encode("latin-1").decode(errors="surrogateescape")
