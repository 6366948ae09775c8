"""Load a session in one of the ways that few requests need.

The session was renewed, the client sent several cookies, or the cookie is another middleware's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import CorruptRecord, NotSerializable, StoreUnavailable
from ..events import EventKind, SessionEvent, logger
from .ids import id_of_legacy, key_of
from .plan import Entry
from .record import Alias
from .repository import Replaced

if TYPE_CHECKING:
    from ..legacy_cookies import LegacySession
    from .context import SessionContext


async def follow(context: SessionContext, alias: Alias, session_id: str) -> None:
    """Fill the session with what the alias of a client's id leads to."""
    entry = _unless_replaced(context, await context.config.repository.follow(alias, session_id))
    if entry is not None:
        context.fill(entry)


async def load_first(context: SessionContext, session_id: str | None, others: Sequence[str]) -> None:
    """Fill the session with the first of the client's ids that has one.

    If none has one, the session stays new. The client is sent the id in use, since it has several. If
    `session_id` is None, the client sent two ids where no browser holds two, and none is used.
    """
    context.config.emit(SessionEvent(EventKind.DUPLICATE_COOKIES))
    context.client_id = None
    if session_id is None:
        return
    context.other_ids = (session_id, *others)
    for candidate in context.other_ids:
        try:
            entry = _unless_replaced(context, await context.config.repository.get(candidate))
            if entry is not None:
                context.fill(entry)
                context.replaced_key = None
                return
        except CorruptRecord as error:
            context.handle_load_error(candidate, error)
        except StoreUnavailable as error:
            context.degrade(error)
            return


async def import_legacy(context: SessionContext, legacy: LegacySession) -> None:
    """Fill the session from another middleware's, or from what has become of it since."""
    legacy_id = id_of_legacy(legacy.identity)
    try:
        body = context.dumps(legacy.data)
    except NotSerializable as error:
        logger.warning("another middleware's session was left out: %s", error)
        return
    try:
        found, is_new = await context.config.repository.import_once(legacy_id, body, legacy.valid_until)
        entry = _unless_replaced(context, found)
        if entry is not None:
            context.fill(entry)
            if is_new:
                context.emit(EventKind.LEGACY_IMPORTED, entry.header.key, entry)
    except CorruptRecord:
        context.emit(EventKind.RECORD_CORRUPT, key_of(legacy_id))


def _unless_replaced(context: SessionContext, found: Entry | Replaced | None) -> Entry | None:
    """Return the entry, or note that the client's id was replaced a moment ago."""
    if isinstance(found, Replaced):
        context.replaced_key = found.key
        return None
    return found
