"""Read PHP's serialized values: as strictly as PHP, or more so.

The text is the bytes as Latin-1, one character for each: PHP counts bytes. Strings are skipped by their length.
Nothing here makes an object of a class or calls what the data name. A count is compared with the bytes that are left
before anything is made.

PHP changes an integer beyond 64 bits, and lets the last of two equal keys win. Here both are refused: PHP writes
neither.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import malformed
from .floats import read_float
from .limits import MAX_DEPTH, MAX_INT, MIN_INT
from .object_reader import ObjectReader
from .references import OPEN_ARRAY, References
from .scanner import Scanner

_NAMES = [str(number) for number in range(256)]
_KEYS = {f"i:{name}": name for name in _NAMES}
_VALUES = {"N": None, "b:0": False, "b:1": True, **{f"i:{name}": int(name) for name in _NAMES}}
_SCALAR_KINDS = frozenset({"N;", "b:", "i:", "d:", "s:"})
_LONGEST_KNOWN = 64
"""Characters of a token that is remembered."""

_INT = re.compile("(-?)(?=[0-9])0*+([0-9]{0,19})")
_NUMBERED_KINDS = ("R:", "r:", "O:", "C:", "E:")

_SHORTEST_ELEMENT = len("i:0;N;")


class Reader(Scanner):
    """Reads the values of one text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._keys = _KEYS.copy()
        self._values: dict[str, Any] = _VALUES.copy()
        """What was read before, by its text up to the semicolon: the keys of rows repeat, and many values."""
        self._references = References()
        self._has_references = any(kind in text for kind in _NUMBERED_KINDS)  # or a string looks like it
        self._objects = ObjectReader(self, self._references, self.read_elements)

    def read_value(self, position: int) -> Any:
        """Read the value of a variable."""
        self.count(1, position)
        return self._read_value(position, 1)

    def read_array(self, position: int, depth: int) -> list[Any] | dict[str, Any]:
        """Read an array. Return a list if its keys are 0, 1, 2 and so on, in this order.

        `depth` is the number of arrays around it, the session counted.
        """
        slots = self._references.values
        slot = len(slots)
        slots.append(OPEN_ARRAY)
        keys, values = self.read_elements(position + 2, depth)
        result: list[Any] | dict[str, Any] = values
        if keys and (keys[0] != "0" or keys != _names(len(keys))):
            result = dict(zip(keys, values, strict=True))
            if len(result) != len(keys):
                raise malformed("a key is there twice", position)
        slots[slot] = result
        return result

    def read_elements(self, position: int, depth: int) -> tuple[list[str], list[Any]]:
        """Read a count and as many keys and values in braces.

        `depth` counts the arrays and objects around them.

        All data pass this loop.
        """
        if depth >= MAX_DEPTH:
            raise malformed(f"arrays and objects nest deeper than {MAX_DEPTH}", position)
        text, find_semicolon, known_keys, known_values = self.text, self.text.index, self._keys, self._values
        count, position = self._read_header(position)
        keys: list[str] = []
        values: list[Any] = []
        number = self._references.values.append if self._has_references else None
        for _ in range(count):
            end = find_semicolon(";", position)
            raw = text[position:end]
            if raw in known_keys:
                keys.append(known_keys[raw])
                position = end + 1
            else:
                keys.append(self._read_key(raw, position))
                position = self.position
            end = find_semicolon(";", position)
            raw = text[position:end]
            if raw in known_values:
                value = known_values[raw]
                values.append(value)
                position = end + 1
                if number is not None:
                    number(value)
            else:
                values.append(self._read_value(position, depth + 1))
                position = self.position
        if text[position] != "}":
            raise malformed("an array or object has more elements than it says", position)
        self.position = position + 1
        return keys, values

    def _read_header(self, position: int) -> tuple[int, int]:
        """Read a count and an opening brace.

        Returns the count and the position of the first element.
        """
        brace = self.text.index("{", position)
        count = self.read_count(position, brace - 1)
        if self.text[brace - 1] != ":":
            raise malformed("an array or object has no count", position)
        if count * _SHORTEST_ELEMENT > self.length - brace:
            raise malformed("an array or object has fewer elements than it says", position)
        self.count(count, position)
        return count, brace + 1

    def _read_key(self, raw: str, position: int) -> str:
        """Read a key.

        `raw` is what stands before the first semicolon, which is behind a string or in it.
        """
        if raw[:2] == "s:":
            key: Any = self._read_string(position)
            if isinstance(key, bytes):
                raise malformed("a key isn't UTF-8", position)
        elif raw[:2] == "i:":
            key = str(_read_int(raw[2:], position))
            self.position = position + len(raw) + 1
        else:
            raise malformed("a key is neither an integer nor a string", position)
        if self.position == position + len(raw) + 1 and len(raw) < _LONGEST_KNOWN:
            self._keys[raw] = key
        return key  # type: ignore[no-any-return]

    def _read_value(self, position: int, depth: int) -> Any:
        """Read a value that isn't known. `depth` counts the arrays and objects around it."""
        kind = self.text[position : position + 2]
        if kind == "a:":
            return self.read_array(position, depth)
        if kind not in _SCALAR_KINDS:
            return self._objects.read(kind, position, depth)
        end = self.text.index(";", position)
        raw = self.text[position:end]
        self.position = end + 1
        value: Any
        if kind == "s:":
            value = self._read_string(position)
        elif kind == "i:":
            value = _read_int(raw[2:], position)
        elif kind == "d:":
            value = _read_float(raw[2:], position)
        elif raw in _VALUES:
            value = _VALUES[raw]
        else:
            raise malformed("a boolean is neither 0 nor 1", position)
        if self.position == end + 1 and end - position < _LONGEST_KNOWN:
            self._values[raw] = value
        if self._has_references:
            self._references.values.append(value)
        return value

    def _read_string(self, position: int) -> str | bytes:
        colon = self.text.index(":", position + 2)
        start = colon + 2
        end = start + self.read_count(position + 2, colon)
        if self.text[colon + 1] != '"' or self.text[end : end + 2] != '";':
            raise malformed("a string isn't as long as it says", position)
        self.position = end + 2
        text = self.text[start:end]
        return text if text.isascii() else decoded(text)


def decoded(latin_1: str) -> str | bytes:
    """Return bytes as text if they are UTF-8, and as they are otherwise."""
    raw = latin_1.encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _read_int(digits: str, position: int) -> int:
    if digits.isdecimal() and len(digits) < 19:
        return int(digits)
    match = _INT.fullmatch(digits)
    value = int(match[1] + (match[2] or "0")) if match else MAX_INT + 1
    if not MIN_INT <= value <= MAX_INT:
        raise malformed("an integer isn't a number, or has more than 64 bits", position)
    return value


def _read_float(text: str, position: int) -> float:
    value = read_float(text)
    if value is None:
        raise malformed("a float isn't a number", position)
    return value


def _names(count: int) -> list[str]:
    return _NAMES[:count] if count <= len(_NAMES) else [str(number) for number in range(count)]
