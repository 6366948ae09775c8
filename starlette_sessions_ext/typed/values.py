"""Keep values of a session as objects of classes; see `Session.typed`.

An object is read from the session's dict when it is first asked for. When the session is encoded,
to be compared or saved, objects that have changed are written back into the dict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..errors import ConfigurationError, InvalidSessionData, NotSerializable, SessionError
from .adapters import Adapter, adapter_of
from .invalid import Invalid

T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    """An object that was handed out, with the texts to compare it with.

    `form` is the text to be stored for the object when it was last read or written. `seen` is the text that
    the session's dict held under its key then, None for nothing.
    """

    kind: Any
    adapter: Adapter
    value: Any
    form: str
    seen: str | None


class TypedValues:
    """The objects that one session has handed out, by key."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def get(self, session: dict[str, Any], kind: type[T], key: str, default: Callable[[], T] | None) -> T:
        """Return the object of a key.

        It is the same one as long as nothing else is put under the key.
        """
        cls: Any = kind
        held = self._held.get(key)
        if held is not None and held.seen == _text(session, key):
            if held.kind is not kind:
                raise SessionError(f"session[{key!r}] was asked for as another class in this request: use one of them")
            return cast(T, held.value)
        if held is not None:
            self._refuse_two_changes(held, key)
        adapter = adapter_of(cls)
        value = _read(session, kind, key, adapter) if dict.__contains__(session, key) else _make(kind, key, default)
        form = repr(_write(adapter, value, kind, key))
        self._held[key] = _Held(kind, adapter, value, form, _text(session, key))
        return cast(T, value)

    def store(self, session: dict[str, Any]) -> None:
        """Write the objects that have changed into the session's dict.

        Raises `NotSerializable`.
        """
        for key, held in list(self._held.items()):
            seen = _text(session, key)
            if seen is None and held.seen is not None:  # a deletion wins over a change inside of what is deleted
                del self._held[key]
                continue
            form = _write(held.adapter, held.value, held.kind, key)
            if repr(form) == held.form:
                continue
            if seen != held.seen:
                self._refuse_two_changes(held, key)
            _check(held, form, key)
            dict.__setitem__(session, key, form)
            held.form = held.seen = repr(form)

    def refresh(self, session: dict[str, Any]) -> None:
        """Give unchanged objects the present content of the session's dict."""
        for key, held in list(self._held.items()):
            seen = _text(session, key)
            if seen == held.seen:
                continue
            if seen is None:
                del self._held[key]
                continue
            try:
                if repr(held.adapter.write(held.value)) == held.form:
                    held.adapter.assign(held.value, held.adapter.read(dict.__getitem__(session, key)))
                    held.form, held.seen = repr(held.adapter.write(held.value)), seen
            except Invalid:  # the next save refuses a change of the object
                continue

    def _refuse_two_changes(self, held: _Held, key: str) -> None:
        if repr(_write(held.adapter, held.value, held.kind, key)) != held.form:
            raise SessionError(
                f"session[{key!r}] was assigned, and the {held.kind.__name__} that session.typed gave out for it was "
                "changed: do one of both"
            )


def _text(session: dict[str, Any], key: str) -> str | None:
    return repr(dict.__getitem__(session, key)) if dict.__contains__(session, key) else None


def _read(session: dict[str, Any], kind: Any, key: str, adapter: Adapter) -> Any:
    try:
        return adapter.read(dict.__getitem__(session, key))
    except Invalid as error:
        raise InvalidSessionData(
            f"session[{key!r}] isn't a valid {kind.__name__}, {error}. It was left as it is: "
            "delete the key, or let the class read what was stored"
        ) from None


def _make(kind: Any, key: str, default: Callable[[], Any] | None) -> Any:
    if default is not None:
        return default()
    try:
        return adapter_of(kind).read({})
    except Invalid as error:
        raise ConfigurationError(
            f"the session has no {key!r}, and {kind.__name__} can't be made without values, {error}: "
            "give its fields defaults, or session.typed a default"
        ) from None


def _write(adapter: Adapter, value: Any, kind: Any, key: str) -> Any:
    try:
        return adapter.write(value)
    except Invalid as error:
        raise _refusal(kind, key, error) from None


def _check(held: _Held, form: Any, key: str) -> None:
    """Refuse a form that couldn't be read again."""
    try:
        held.adapter.read(form)
    except Invalid as error:
        raise _refusal(held.kind, key, error) from None


def _refusal(kind: Any, key: str, error: Invalid) -> NotSerializable:
    return NotSerializable(f"session[{key!r}] isn't a valid {kind.__name__}, {error}. Nothing was saved.")
