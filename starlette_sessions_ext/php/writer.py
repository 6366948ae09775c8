"""Write values exactly as PHP 7.1 and later do.

The bytes are the same for the same values.

Each piece of the text is one value with its key, or a closing brace. So the number that PHP gives a value is the
number of pieces that aren't braces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .errors import CantWrite
from .floats import float_text
from .keys import texts_of_keys
from .limits import MAX_DEPTH, MAX_INT, MIN_INT
from .objects import LOST, PHPObject, Reference

_LIST_KEYS = tuple(f"i:{number};" for number in range(2000))


class Writer:
    """Writes the values of one session into `pieces`."""

    def __init__(self, first_number: int) -> None:
        """Begin with nothing written.

        `first_number` is the number that PHP gives the first value.
        """
        self.pieces: list[str] = []
        self._numbers: dict[int, int | None] = {}
        """By the id of each object that was written, its number."""
        self._next: int | None = first_number
        self._numbered = 0
        """How many of the pieces `_next` counts."""

    def write(self, key: str, value: Any, depth: int = 1) -> None:
        """Write one value behind the text of its key.

        `depth` is the number of arrays around it.
        """
        self._write_all(((key, value),), depth)

    def _write_all(self, items: Iterable[tuple[str, Any]], depth: int) -> None:
        """Write values with the texts of their keys.

        Most sessions hold what is written without a call of another Python function.
        """
        add = self.pieces.append
        for key, value in items:
            kind = type(value)
            if kind is str:
                length = len(value) if value.isascii() else byte_length(value)
                add(f'{key}s:{length}:"{value}";')
            elif kind is int:
                if not MIN_INT <= value <= MAX_INT:
                    raise CantWrite("an int in it has more than 64 bits")
                add(f"{key}i:{value};")
            elif kind is bool:
                add(key + ("b:1;" if value else "b:0;"))
            elif value is None:
                add(key + "N;")
            elif kind is float:
                add(f"{key}d:{float_text(value)};")
            elif kind is dict:
                self._write_array(key, texts_of_keys(value), value.values(), depth)
            elif kind is list:
                self._write_array(key, _list_keys(len(value)), value, depth)
            else:
                self._write_other(key, value, depth)

    def _write_array(self, key: str, keys: Sequence[str], values: Iterable[Any], depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise CantWrite(f"it is nested deeper than {MAX_DEPTH}, or holds itself")
        self.pieces.append(f"{key}a:{len(keys)}:{{")
        self._write_all(zip(keys, values, strict=True), depth + 1)
        self.pieces.append("}")

    def _write_other(self, key: str, value: Any, depth: int) -> None:
        """Write an object, bytes, or what is derived from a type that JSON has."""
        if isinstance(value, PHPObject):
            self._write_object(key, value)
        elif isinstance(value, bytes):
            self.pieces.append(f'{key}s:{len(value)}:"{_text_of(value)}";')
        elif isinstance(value, str):
            self.write(key, str.__str__(value), depth)
        elif isinstance(value, int):
            self.write(key, int(value), depth)
        elif isinstance(value, float):
            self.write(key, float(value), depth)
        elif isinstance(value, dict):
            self.write(key, dict(value), depth)
        elif isinstance(value, list | tuple):
            self.write(key, list(value), depth)
        else:
            raise CantWrite(f"a {type(value).__name__} isn't a value of PHP, or something in it isn't")

    def _write_object(self, key: str, value: PHPObject) -> None:
        own = self._next_number()
        if id(value) in self._numbers:
            self.pieces.append(f"{key}r:{self._find(value, 0, value)};")
            return
        self._numbers[id(value)] = own
        texts = [part if isinstance(part, str) else self._reference_text(part, value) for part in value._parts]
        self.pieces.append(key + "".join(texts))
        self._next = None if own is None or value._value_count is None else own + value._value_count
        self._numbered = len(self.pieces)

    def _reference_text(self, reference: Reference, holder: PHPObject) -> str:
        return f"{reference.kind}:{self._find(reference.root or holder, reference.offset, holder)};"

    def _find(self, root: PHPObject, offset: int, holder: PHPObject) -> int:
        """Return the number of a value in an object that was written.

        A reference in `holder` needs it.
        """
        number = self._numbers.get(id(root))
        if number is None or offset == LOST:
            raise CantWrite(
                f"an object of the class {holder.class_name} in it refers to a value that is no longer before it, "
                "or that can't be found"
            )
        return number + offset

    def _next_number(self) -> int | None:
        """Return what PHP will give the next value; None if that depends on a class."""
        if self._next is not None:
            new = self.pieces[self._numbered :]
            self._next += len(new) - new.count("}")
            self._numbered = len(self.pieces)
        return self._next


def byte_length(text: str) -> int:
    """Return the length of the text in bytes of UTF-8.

    Raises `CantWrite` if it has none.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise CantWrite("it holds a lone surrogate, which isn't text") from None


def _text_of(value: bytes) -> str:
    """Return the text that is encoded as these bytes at the end."""
    text = value.decode(errors="surrogateescape")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text
    raise CantWrite("bytes in it are UTF-8, and would come back as a str: decode them")


def _list_keys(length: int) -> Sequence[str]:
    return _LIST_KEYS[:length] if length <= len(_LIST_KEYS) else [f"i:{number};" for number in range(length)]
