"""Read and write dataclasses and TypedDicts by their annotations.

No other library is needed.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from functools import lru_cache
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ..errors import ConfigurationError
from .invalid import Invalid, Path
from .scalars import is_scalar, read_scalar, write_scalar

Convert = Callable[[Any, Any, Path], Any]
"""Turn a value into another form by its annotation: `read` or `write`."""


class Field(NamedTuple):
    hint: Any
    required: bool


@lru_cache(256)
def fields_of(kind: Any) -> dict[str, Field]:
    """Return the fields of a dataclass or TypedDict. Raises `ConfigurationError`."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"session.typed: an annotation of {kind.__name__} names {error.name!r}, which its module doesn't have"
        ) from None
    if is_typeddict(kind):
        return {name: _key_of_typeddict(kind, name, hint) for name, hint in hints.items()}
    return {field.name: Field(hints[field.name], False) for field in dataclasses.fields(kind) if field.init}


def _key_of_typeddict(kind: Any, name: str, hint: Any) -> Field:
    origin = get_origin(hint)
    if origin in (Required, NotRequired):  # which a class with postponed annotations doesn't know of
        return Field(get_args(hint)[0], origin is Required)
    return Field(hint, name in kind.__required_keys__)


def read(hint: Any, stored: Any, path: Path = ()) -> Any:
    """Return the value that was stored.

    Raises `Invalid`, and `ConfigurationError` for an annotation it can't read.
    """
    if is_scalar(hint):
        return read_scalar(hint, stored, path)
    if is_typeddict(hint) or dataclasses.is_dataclass(hint):
        return _read_fields(hint, stored, path)
    return _convert_parts(hint, stored, path, read)


def write(hint: Any, value: Any, path: Path = ()) -> Any:
    """Return what to store. Raises as `read`."""
    if is_scalar(hint):
        return write_scalar(hint, value, path)
    if is_typeddict(hint):
        return _write_fields(hint, value, value, path)
    if dataclasses.is_dataclass(hint):
        if type(value) is not hint:
            raise Invalid(path, f"expected {_name(hint)}, got {type(value).__name__}")
        return _write_fields(hint, vars_of(value), value, path)
    return _convert_parts(hint, value, path, write)


def vars_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance, which may have slots."""
    kind: Any = type(value)
    return {name: getattr(value, name) for name in fields_of(kind)}


def _read_fields(kind: Any, stored: Any, path: Path) -> Any:
    given = _require(dict, stored, path)
    fields = fields_of(kind)
    values = {name: read(fields[name].hint, given[name], (*path, name)) for name in fields if name in given}
    if is_typeddict(kind):
        for name, field in fields.items():
            if field.required and name not in given:
                raise Invalid((*path, name), "it is missing")
        return values
    try:
        return kind(**values)
    except Exception as error:  # a field without a default, or what __post_init__ says
        raise Invalid(path, f"{kind.__name__} refuses it ({type(error).__name__})") from None


def _write_fields(kind: Any, values: Any, value: Any, path: Path) -> dict[str, Any]:
    fields = fields_of(kind)
    _require(dict, values, path)
    for name in values:
        if name not in fields:
            raise Invalid((*path, name), f"{_name(kind)} has no such key")
    return {name: write(fields[name].hint, item, (*path, name)) for name, item in values.items()}


def _convert_parts(hint: Any, value: Any, path: Path, convert: Convert) -> Any:
    """Read or write a value of parts, or of alternative types."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return convert(args[0], value, path)
    if hint_of := getattr(hint, "__supertype__", None):
        return convert(hint_of, value, path)
    if origin is Union or origin is types.UnionType:
        return _convert_union(args, value, path, convert)
    if origin is Literal:
        if any(type(value) is type(one) and value == one for one in args):
            return value
        raise Invalid(path, f"expected one of {len(args)} values")
    if origin is dict:
        return _convert_dict(args or (Any, Any), value, path, convert)
    if origin in (list, set, frozenset, tuple):
        return _convert_items(origin, args, value, path, convert)
    raise ConfigurationError(f"session.typed can't read the annotation {hint!r}: use a class that JSON can say")


def _convert_union(kinds: tuple[Any, ...], value: Any, path: Path, convert: Convert) -> Any:
    """Take the first kind that fits.

    If there is a lone alternative to None, the error is of that one.
    """
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    for kind in kinds:
        try:
            return convert(kind, value, path)
        except Invalid as error:
            if len(kinds) == 1:
                raise
            del error
    raise Invalid(path, f"expected {' or '.join(map(_name, kinds))}, got {type(value).__name__}")


def _convert_dict(args: tuple[Any, ...], value: Any, path: Path, convert: Convert) -> dict[Any, Any]:
    key_kind, item_kind = args
    made = {}
    for key, item in _require(dict, value, path).items():
        if key_kind in (str, Any):
            made[key] = convert(item_kind, item, (*path, key))
        elif convert is write:
            made[str(write(key_kind, key, path))] = write(item_kind, item, (*path, str(key)))
        else:
            made[_read_key(key_kind, key, path)] = read(item_kind, item, (*path, key))
    return made


def _read_key(kind: Any, key: str, path: Path) -> Any:
    if kind is int:
        if not key.lstrip("-").isdecimal():
            raise Invalid(path, "expected key to be an int")
        return int(key)
    return read(kind, key, path)


def _convert_items(origin: Any, args: tuple[Any, ...], value: Any, path: Path, convert: Convert) -> Any:
    items = _require(list if convert is read else origin, value, path)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(items) != len(args):
            raise Invalid(path, f"expected {len(args)} items, got {len(items)}")
        kinds = list(args)
    else:
        kinds = [args[0] if args else Any] * len(items)
    if convert is write:
        made = [write(kind, item, (*path, index)) for index, (kind, item) in enumerate(zip(kinds, items, strict=True))]
        return sorted(made, key=repr) if origin in (set, frozenset) else made
    return origin(read(kind, item, (*path, index)) for index, (kind, item) in enumerate(zip(kinds, items, strict=True)))


def _require(kind: type, value: Any, path: Path) -> Any:
    if not isinstance(value, kind):
        raise Invalid(path, f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)
