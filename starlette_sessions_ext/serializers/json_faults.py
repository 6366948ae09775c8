"""Find the value of a session that can't be stored, and say what to do. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

from .._paths import step
from ..errors import NotSerializable
from .plain_json import SameKey

Dump = Callable[[Any], object]


class Part(NamedTuple):
    """One value of a container, and the end of its path.

    `alone` is a container that holds the value alone.
    """

    step: str
    value: Any
    alone: Any


class Fault(NamedTuple):
    """The innermost value that was refused. `in_key` means that a key is at fault."""

    path: str
    value: Any
    error: Exception
    in_key: bool = False


Parts = Callable[[Any], Iterable[Part]]


def json_parts(value: Any) -> Iterable[Part]:
    """Return the parts of what JSON can nest."""
    if isinstance(value, Mapping):
        return (Part(step(key), item, {key: item}) for key, item in value.items())
    if isinstance(value, list | tuple):
        return (Part(step(index), item, [item]) for index, item in enumerate(value))
    return ()


def find_fault(data: Mapping[str, Any], dump: Dump, parts: Parts = json_parts) -> Fault | None:
    """Return the first fault of a session; None if each value alone can be stored."""
    for key, value in data.items():
        if (error := _refusal(dump, {key: value})) is not None:
            return _find_in(value, f"session[{key!r}]", error, dump, parts)
    return None


def _find_in(value: Any, path: str, error: Exception, dump: Dump, parts: Parts) -> Fault:
    """Return the innermost fault of a value that was refused with this error.

    The value was refused as the value of its key.
    """
    if (inner := _refusal(dump, value)) is None:
        return Fault(path, value, error, in_key=True)
    fault = Fault(path, value, inner)
    while not isinstance(fault.error, RecursionError):  # further in it's as deep, or itself again
        for part in parts(fault.value):
            refusal = _refusal(dump, part.alone)
            if refusal is None:
                continue
            inner = _refusal(dump, part.value)
            if inner is None:
                return Fault(fault.path, fault.value, refusal, in_key=True)
            fault = Fault(fault.path + part.step, part.value, inner)
            break
        else:
            return fault
    return fault


def explain(fault: Fault | None, data: Mapping[Any, Any], remedy: Callable[[Any], str]) -> NotSerializable:
    """Return the error for a fault: path, type and remedy, and never the value itself."""
    if fault is not None:
        return NotSerializable(f"{fault.path} {_reason(fault, remedy)}. Nothing was saved.")
    for key in data if isinstance(data, dict) else ():
        if not isinstance(key, str) and (name := next(iter(json.loads(json.dumps({key: 0}))))) in data:
            return NotSerializable(
                f"session[{key!r}] and session[{name!r}] would become one key in JSON: use one of them. "
                "Nothing was saved."
            )
    return NotSerializable("the session as a whole can't be stored: it isn't a dict. Nothing was saved.")


def json_remedy(value: Any) -> str:
    """Say what to store in place of a value that JSON can't say."""
    name = type(value).__name__
    if dataclasses.is_dataclass(value) or hasattr(value, "model_dump") or hasattr(value, "__struct_fields__"):
        return f"ask for it with session.typed({name}, key=...)"
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            types = f"types=[{name}]" if kind is Enum else ""
            return f"store {form}, or pass serializer=TaggedJSONSerializer({types})"
    return "store text, numbers, lists and dicts in its place"


_FORMS: dict[type, str] = {
    datetime: ".isoformat()",
    date: ".isoformat()",
    time: ".isoformat()",
    timedelta: ".total_seconds()",
    Enum: ".value",
    Decimal: "str() of it",
    UUID: "str() of it",
    PurePath: "str() of it",
    bytes: "base64 text",
    set: "sorted() of it",
    frozenset: "sorted() of it",
}


def _refusal(dump: Dump, value: Any) -> Exception | None:
    try:
        dump(value)
    except (TypeError, ValueError, RecursionError) as error:
        return error
    return None


def _reason(fault: Fault, remedy: Callable[[Any], str]) -> str:
    match fault.error:
        case RecursionError():
            reason = "it is nested too deeply, or holds itself"
        case UnicodeError():
            reason = "it holds a lone surrogate, which isn't text"
        case SameKey():
            reason = 'two keys of a dict in it would become one in JSON, as 1 and "1" do'
        case ValueError():
            reason = "it holds NaN, an infinity or an int of thousands of digits"
        case _ if fault.in_key:
            reason = "a key of a dict has to be a str"
        case _:
            article = "an" if type(fault.value).__name__[:1].lower() in "aeio" else "a"
            return f"is {article} {type(fault.value).__name__}: {remedy(fault.value)}"
    return f"can't be stored: {reason}"
