"""Choose how a class is read from JSON and written to it.

Pydantic, msgspec or the annotations of the class do that. Neither library is imported before the application
has: its class comes from there.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from functools import lru_cache
from typing import Any, Protocol, is_typeddict

from ..errors import ConfigurationError
from . import fields
from .invalid import Invalid, Path


class Adapter(Protocol):
    """Read and write the values of one class. Both raise `Invalid`."""

    def read(self, stored: Any) -> Any:
        """Return a value of the class, made from parsed JSON."""
        ...

    def write(self, value: Any) -> Any:
        """Return the value as JSON can express it, in new lists and dicts."""
        ...

    def assign(self, value: Any, other: Any) -> None:
        """Give a value the fields of another one."""
        ...


def adapter_of(kind: Any) -> Adapter:
    """Return the adapter of a class. Raises `ConfigurationError`."""
    adapter = _find(kind) if isinstance(kind, type) else None
    if adapter is None:
        name = kind.__name__ if isinstance(kind, type) else f"a {type(kind).__name__}"
        raise ConfigurationError(
            "session.typed takes a class: a pydantic model, a dataclass, a msgspec Struct or a TypedDict. "
            f"{name} is none of them"
        )
    return adapter


@lru_cache(256)
def _find(kind: Any) -> Adapter | None:
    pydantic, msgspec = sys.modules.get("pydantic"), sys.modules.get("msgspec")
    if pydantic is not None and (issubclass(kind, pydantic.BaseModel) or hasattr(kind, "__pydantic_validator__")):
        return PydanticAdapter(kind)
    if msgspec is not None and issubclass(kind, msgspec.Struct):
        return MsgspecAdapter(kind)
    if is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return FieldsAdapter(kind)
    return None


class FieldsAdapter:
    """Dataclasses and TypedDicts."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def read(self, stored: Any) -> Any:
        return fields.read(self._kind, stored)

    def write(self, value: Any) -> Any:
        return fields.write(self._kind, value)

    def assign(self, value: Any, other: Any) -> None:
        if isinstance(value, dict):
            value.clear()
            value.update(other)
        else:
            for name, item in fields.vars_of(other).items():
                object.__setattr__(value, name, item)


class PydanticAdapter:
    """Models and dataclasses of pydantic, by JSON.

    What it validates as strictly is what was written.
    """

    def __init__(self, kind: Any) -> None:
        from pydantic import TypeAdapter, ValidationError
        from pydantic_core import PydanticSerializationError

        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
        self._refusal: type[ValidationError] = ValidationError
        self._failure = PydanticSerializationError
        # Of a model, or of a dataclass of pydantic's.
        self._names = list(kind.model_fields if hasattr(kind, "model_fields") else kind.__pydantic_fields__)

    def read(self, stored: Any) -> Any:
        try:
            return self._adapter.validate_json(json.dumps(stored))
        except self._refusal as error:
            [fault, *_] = error.errors(include_url=False, include_context=False, include_input=False)
            said_by_application = fault["type"] in ("value_error", "assertion_error")  # which may hold the value
            raise Invalid(fault["loc"], fault["type"] if said_by_application else fault["msg"]) from None

    def write(self, value: Any) -> Any:
        try:
            return self._adapter.dump_python(value, mode="json", round_trip=True, by_alias=True, warnings="error")
        except self._failure:
            raise self._refuse(value) from None

    def _refuse(self, value: Any) -> Invalid:
        """Return the place where the value isn't of its class, if pydantic names it."""
        try:
            self.read(self._adapter.dump_python(value, mode="json", round_trip=True, by_alias=True, warnings=False))
        except Invalid as error:
            return error
        except self._failure:
            pass
        return Invalid((), "a field holds another type")

    def assign(self, value: Any, other: Any) -> None:
        for name in self._names:
            object.__setattr__(value, name, getattr(other, name))


class MsgspecAdapter:
    """Structs of msgspec."""

    def __init__(self, kind: Any) -> None:
        import msgspec

        self._msgspec = msgspec
        self._kind = kind

    def read(self, stored: Any) -> Any:
        try:
            return self._msgspec.convert(stored, self._kind, str_keys=True)
        except self._msgspec.ValidationError as error:
            raise _from_msgspec(error) from None

    def write(self, value: Any) -> Any:
        try:
            return self._msgspec.to_builtins(value, str_keys=True, order="deterministic")
        except TypeError:
            raise Invalid((), "a field holds another type") from None

    def assign(self, value: Any, other: Any) -> None:
        for name in self._kind.__struct_fields__:
            self._msgspec.structs.force_setattr(value, name, getattr(other, name))


def _from_msgspec(error: Exception) -> Invalid:
    """Take apart an error message of msgspec.

    An example is "Expected `int`, got `str` - at `$.items[0].price`".
    """
    reason, _, where = str(error).partition(" - at `$")
    if error.__cause__ is not None or reason.startswith("Invalid enum value"):  # it may hold the value
        reason = "a value that its class refuses"
    steps: Path = tuple(
        int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|\.?(\w+|\[\.\.\.\])", where)
    )
    return Invalid(steps, reason)
