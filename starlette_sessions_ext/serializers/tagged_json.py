"""JSON with tags for values of other types. Pure.

A tagged value is a dict with one key, which begins with "!":

    {"expires":{"!datetime":"2030-01-01T00:00:00+00:00"},"tags":{"!set":["new","sale"]}}

A dict of the session that looks like this is written as `{"!dict":[[key,value]]}`.
"""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from ..errors import ConfigurationError, CorruptRecord
from .json_faults import Part, explain, find_fault, json_parts, json_remedy
from .plain_json import JSONSerializer


def _write_time(value: datetime | time) -> str:
    offset = value.utcoffset()
    if offset is not None and offset.microseconds:
        raise TypeError  # Python 3.11 reads an offset below a second as UTC
    return value.isoformat()


_PLAIN = frozenset({str, int, float, bool, type(None)})

_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    datetime: ("!datetime", _write_time),
    date: ("!date", date.isoformat),
    time: ("!time", _write_time),
    timedelta: ("!timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    UUID: ("!uuid", str),
    Decimal: ("!decimal", str),
    bytes: ("!bytes", lambda value: b64encode(value).decode()),
    Path: ("!path", str),
}

_READERS: dict[str, Callable[[Any], Any]] = {
    "!datetime": datetime.fromisoformat,
    "!date": date.fromisoformat,
    "!time": time.fromisoformat,
    "!timedelta": lambda parts: timedelta(*parts),
    "!uuid": UUID,
    "!decimal": Decimal,
    "!bytes": lambda text: b64decode(text, validate=True),
    "!path": Path,
    "!tuple": tuple,
    "!set": set,
    "!frozenset": frozenset,
    "!dict": dict,
}


class TaggedJSONSerializer:
    """JSON that gives more types back as they were. Compact ASCII.

    These are datetime, date, time, timedelta, UUID, Decimal, bytes, Path, tuple, set and frozenset.
    `types` are enums and dataclasses of the application: only these are made from what is stored, by
    the name of the class. It reads what `JSONSerializer` wrote, and where no tag occurs
    `JSONSerializer` reads what this one wrote. An aware datetime comes back with its UTC offset in
    place of its time zone, and `fold` is 0. Raises `ConfigurationError` for other types, and for two of one name.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._json = JSONSerializer()
        self._types: dict[str, type] = {}
        for kind in types:
            if not isinstance(kind, type) or not (issubclass(kind, Enum) or dataclasses.is_dataclass(kind)):
                raise ConfigurationError("TaggedJSONSerializer: types must be enums and dataclasses")
            if self._types.setdefault(kind.__name__, kind) is not kind:
                raise ConfigurationError(f"TaggedJSONSerializer: two types are named {kind.__name__}")
        self._readers = _READERS | {"!enum": self._read_enum, "!dataclass": self._read_dataclass}
        self._decode = json.JSONDecoder(object_hook=self._untag, parse_constant=_refuse_constant).decode

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        try:
            return self._dump(data)
        except (TypeError, ValueError, RecursionError):
            raise explain(find_fault(data, self._dump, _parts), data, self._remedy) from None

    def loads(self, raw: bytes) -> dict[str, Any]:
        try:
            data = self._decode(raw.decode("ascii"))
        except Exception:  # a dataclass may raise anything
            data = None
        if type(data) is not dict:
            raise CorruptRecord(
                "a stored session isn't tagged JSON, or holds a type that TaggedJSONSerializer wasn't given; "
                "its row was left as it is"
            )
        return data

    def _dump(self, value: Any) -> bytes:
        return self._json.dump_value(self._tag(value))

    def _tag(self, value: Any) -> Any:
        """Return a value as JSON can express it. Raises TypeError."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, dict):
            return self._tag_dict(value)
        if kind is list:
            return [self._tag(item) for item in value]
        if kind.__name__ in self._types and self._types[kind.__name__] is kind:
            return self._tag_own(value)
        if isinstance(value, Enum):  # also one that is a str or an int, which JSON would make of it
            raise TypeError
        return self._tag_builtin(value)

    def _tag_dict(self, value: Mapping[Any, Any]) -> Any:
        tagged = {key: self._tag(item) for key, item in value.items()}
        if len(tagged) == 1:
            [(key, item)] = tagged.items()
            if isinstance(key, str) and key.startswith("!"):
                return {"!dict": [[key, item]]}
        return tagged

    def _tag_own(self, value: Any) -> Any:
        name = type(value).__name__
        if isinstance(value, Enum):
            return {"!enum": [name, self._tag(value.value)]}
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return {"!dataclass": [name, [[field, self._tag(getattr(value, field))] for field in fields]]}

    def _tag_builtin(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            items = sorted((self._tag(item) for item in value), key=json.dumps)  # equal sets are equal bytes
            return {"!set" if isinstance(value, set) else "!frozenset": items}
        if isinstance(value, tuple):
            return {"!tuple": [self._tag(item) for item in value]}
        for kind, (tag, write) in _WRITERS.items():
            if isinstance(value, kind):
                return {tag: write(value)}
        return value  # JSON takes or refuses it, such as a subclass of str

    def _untag(self, data: dict[str, Any]) -> Any:
        if len(data) != 1:
            return data
        [(tag, value)] = data.items()
        return self._readers[tag](value) if tag.startswith("!") else data

    def _read_enum(self, stored: Any) -> Any:
        name, value = stored
        return self._types[name](value)

    def _read_dataclass(self, stored: Any) -> Any:
        name, fields = stored
        return self._types[name](**dict(fields))

    def _remedy(self, value: Any) -> str:
        if isinstance(value, Enum) or dataclasses.is_dataclass(value):
            return f"name its class, TaggedJSONSerializer(types=[{type(value).__name__}])"
        if isinstance(value, datetime | time):
            return "give it a UTC offset of whole seconds"
        return json_remedy(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _parts(value: Any) -> Iterable[Part]:
    if isinstance(value, set | frozenset):
        return (Part("{...}", item, {item}) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return (Part(f".{name}", getattr(value, name), [getattr(value, name)]) for name in names)
    return json_parts(value)
