"""Flash messages: text for the next page, by Flask's names, shown once.

Each message has a key in the session that no other has, so parallel requests that flash lose none. The
keys are in the order of time. `claim_flashed_messages` takes messages out of the store, so of parallel
requests one alone gets each. It puts them back into this request's session: what no template shows
is saved with it, for another page.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection
from typing import Any, Literal, overload

from starlette.requests import HTTPConnection

from .access import find_session, get_session
from .errors import ConfigurationError, SessionGone
from .session.from_thread import NotInThread, run_on_event_loop

PREFIX = "_flash."
_KEY = re.compile(r"_flash\.[0-9a-f]{24}")
KEPT = "_flash.kept"
"""Stays in a session that held messages alone: an empty one would end, and with it what others flash now."""

_STATE = "starlette_sessions_ext.flash"


_UNKNOWN = object()


class _State:
    """The messages of one request, and what it knows of them.

    `claimed_at` is the session's row at the time of the claim. `unsaved` are the keys of messages that
    this request has made, with the session's row at that time. While the row is the same, no other
    request can have seen them.
    """

    def __init__(self) -> None:
        self.claimed_at: object = _UNKNOWN
        self.unsaved: dict[str, object] = {}
        self.shown: list[tuple[str, Any]] = []


def flash(connection: HTTPConnection, message: Any, category: str = "message") -> None:
    """Keep a message for the next page that shows messages.

    `message` is text, or whatever the session's serializer takes. A session that is ended afterwards
    takes its messages along: flash after `destroy`.
    """
    session = get_session(connection)
    last = max(_keys(session), default=PREFIX)
    key = _key(time.time_ns())
    if key[:-8] <= last[:-8]:
        key = _key(int(last[len(PREFIX) : -8], 16) + 1)
    session[key] = [category, message]
    _state(connection).unsaved[key] = session._stored


async def claim_flashed_messages(connection: HTTPConnection) -> None:
    """Take the session's messages for this request, so that templates can show them.

    Await it before a template calls `get_flashed_messages`, or name it as a FastAPI dependency. It asks
    the store only if there are messages. Raises `StoreError` if the store fails then.
    """
    session, state = find_session(connection), _state(connection)
    waiting = [key for key in _keys(session) if state.unsaved.get(key, _UNKNOWN) is not session._stored]
    if waiting:
        try:
            claimed = await session.atomic(_take)
        except SessionGone:  # and its messages with it
            for key in waiting:
                dict.pop(session, key)
        else:
            session.update(claimed)
            session._put_back = waiting
    state.claimed_at = session._stored


@overload
def get_flashed_messages(
    connection: HTTPConnection, with_categories: Literal[False] = False, category_filter: Collection[str] = ()
) -> list[Any]: ...


@overload
def get_flashed_messages(
    connection: HTTPConnection, with_categories: Literal[True], category_filter: Collection[str] = ()
) -> list[tuple[str, Any]]: ...


def get_flashed_messages(
    connection: HTTPConnection, with_categories: bool = False, category_filter: Collection[str] = ()
) -> list[Any] | list[tuple[str, Any]]:
    """Return the messages that this request shows, in the order of `flash`.

    Another call in the same request returns them again. `with_categories` gives pairs of category and
    message. With a `category_filter` messages of other categories wait for another call. In a plain
    `def` endpoint this claims messages itself; elsewhere `claim_flashed_messages` comes first, or
    `ConfigurationError` is raised. Messages that were saved after they were claimed wait for another page.
    """
    session = get_session(connection)
    state = _state(connection)
    if state.claimed_at is _UNKNOWN:
        _claim_from_thread(connection)
    if state.claimed_at is session._stored:
        for key in _keys(session):
            category, message = dict.__getitem__(session, key)
            if not category_filter or category in category_filter:
                state.shown.append((category, message))
                del session[key]
    shown = [pair for pair in state.shown if not category_filter or pair[0] in category_filter]
    return shown if with_categories else [message for _, message in shown]


def _claim_from_thread(connection: HTTPConnection) -> None:
    try:
        run_on_event_loop(claim_flashed_messages, connection)
    except NotInThread:
        raise ConfigurationError(
            "flash messages have to be claimed before a template shows them: "
            "await claim_flashed_messages(request) in the handler, or add Depends(claim_flashed_messages)"
        ) from None


def _state(connection: HTTPConnection) -> _State:
    state: _State = connection.scope.setdefault(_STATE, _State())
    return state


def _key(moment: int) -> str:
    return f"{PREFIX}{moment:016x}{secrets.token_hex(4)}"


def _keys(data: dict[str, Any]) -> list[str]:
    """Return the keys of messages, oldest first."""
    return sorted(key for key in dict.keys(data) if isinstance(key, str) and _KEY.fullmatch(key))


def _take(data: dict[str, Any]) -> dict[str, Any]:
    taken = {key: data.pop(key) for key in _keys(data)}
    if not data:
        data[KEPT] = True
    return taken
