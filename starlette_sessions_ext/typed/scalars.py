"""Values without parts, by their class: as JSON, and read back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path as FilePath
from typing import Any, NamedTuple
from uuid import UUID

from .invalid import Invalid, Path


class Form(NamedTuple):
    """The form of a class in JSON: its type there, and the two functions."""

    stored: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


FORMS: dict[Any, Form] = {
    datetime: Form(str, datetime.isoformat, datetime.fromisoformat),
    date: Form(str, date.isoformat, date.fromisoformat),
    time: Form(str, time.isoformat, time.fromisoformat),
    timedelta: Form(list, lambda value: [value.days, value.seconds, value.microseconds], lambda n: timedelta(*n)),
    UUID: Form(str, str, UUID),
    Decimal: Form(str, str, Decimal),
    FilePath: Form(str, str, FilePath),
    bytes: Form(str, lambda value: b64encode(value).decode(), lambda text: b64decode(text, validate=True)),
}
JSON_TYPES = frozenset({str, int, float, bool, type(None)})


def is_scalar(kind: Any) -> bool:
    return kind in JSON_TYPES or kind in FORMS or (isinstance(kind, type) and issubclass(kind, Enum))


def read_scalar(kind: Any, stored: Any, path: Path) -> Any:
    """Return the value that was stored. Raises `Invalid`."""
    if kind in JSON_TYPES:
        return _json_type(kind, stored, path)
    try:
        if issubclass(kind, Enum):
            return kind(stored)
        form = FORMS[kind]
        if type(stored) is form.stored:
            return form.read(stored)
    except (ValueError, TypeError, ArithmeticError):
        pass
    raise Invalid(path, f"expected {kind.__name__}")


def write_scalar(kind: Any, value: Any, path: Path) -> Any:
    """Return what to store. Raises `Invalid`."""
    if kind in JSON_TYPES:
        return _json_type(kind, value, path)
    if not isinstance(value, kind) or (kind is date and isinstance(value, datetime)):
        raise Invalid(path, f"expected {kind.__name__}, got {type(value).__name__}")
    return value.value if issubclass(kind, Enum) else FORMS[kind].write(value)


def _json_type(kind: Any, value: Any, path: Path) -> Any:
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    raise Invalid(path, f"expected {kind.__name__}, got {type(value).__name__}")
