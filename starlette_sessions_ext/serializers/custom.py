"""Read the option `serializer`, and check an application's own serializer."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any

from ..errors import ConfigurationError, CorruptRecord, NotSerializable, SessionError
from .base import Serializer
from .plain_json import JSONSerializer


def read_serializer(serializer: Serializer | None) -> Serializer:
    """Return the serializer that the option `serializer` names; None is JSON.

    An application's serializer is wrapped, so that any failure of it is a `CorruptRecord` or a
    `NotSerializable`. Raises `ConfigurationError` for one that can't work.
    """
    if serializer is None:
        return JSONSerializer()
    if type(serializer) is JSONSerializer:
        return serializer
    if isinstance(serializer, type):
        raise ConfigurationError(f"serializer must be an instance, not a class: serializer={serializer.__name__}()")
    dumps, loads = getattr(serializer, "dumps", None), getattr(serializer, "loads", None)
    if not callable(dumps) or not callable(loads):
        raise ConfigurationError("serializer has to have the methods dumps(dict) -> bytes and loads(bytes) -> dict")
    if iscoroutinefunction(dumps) or iscoroutinefunction(loads):
        raise ConfigurationError("serializer: dumps and loads must be no async functions")
    _try_out(serializer)
    return _Checked(serializer)


def _try_out(serializer: Serializer) -> None:
    """Raise `ConfigurationError` unless an empty session comes back."""
    failure, read = None, None
    try:
        raw = serializer.dumps({})
        read = serializer.loads(raw) if type(raw) is bytes else None
    except Exception as error:
        failure = type(error).__name__
    if failure is not None:
        raise ConfigurationError(f"serializer: dumps or loads failed on an empty session: {failure}")
    if type(raw) is not bytes:
        raise ConfigurationError(f"serializer: dumps must return bytes, and returned a {type(raw).__name__}")
    if not isinstance(read, dict) or read:
        raise ConfigurationError("serializer: loads doesn't give an empty session back")


class _Checked:
    """Turn the failures of an application's serializer into errors of ours.

    They name the type of the failure, and hold no data.
    """

    def __init__(self, serializer: Serializer) -> None:
        self._serializer = serializer

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        try:
            raw = self._serializer.dumps(data)
        except SessionError:
            raise
        except Exception as error:
            fault = f"failed ({type(error).__name__})"
        else:
            if type(raw) is bytes:
                return raw
            fault = f"made a {type(raw).__name__} of it, not bytes"
        raise NotSerializable(f"the session can't be stored: its serializer {fault}. Nothing was saved.")

    def loads(self, raw: bytes) -> dict[str, Any]:
        try:
            data = self._serializer.loads(raw)
        except SessionError:
            raise
        except Exception as error:
            fault = f"can't read a stored session ({type(error).__name__})"
        else:
            if isinstance(data, dict):
                return data
            fault = f"made a {type(data).__name__} of a stored session, not a dict"
        raise CorruptRecord(f"the serializer {fault}; its row was left as it is")
