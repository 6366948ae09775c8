"""Keep a session alive while its WebSocket is in use, without further cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CorruptRecord, SessionGone, StoreUnavailable
from ..events import logger
from .plan import Entry
from .repository import ALIAS_RETENTION

if TYPE_CHECKING:
    from .context import SessionContext


async def keep_alive(context: SessionContext) -> None:
    """Move the expiry of a socket's session now and then.

    Also follows renewals while the alias exists. Errors surface on the next `save`.
    """
    entry, rows = context.entry, context.config.rows
    now = rows.clock()
    if entry is None or context.is_busy:  # an operation under way is a use as well
        return
    if now - context.kept_alive_at < min(rows.lifetimes.touch_every(entry.header), ALIAS_RETENTION // 2):
        return
    context.kept_alive_at = now
    try:
        latest = await context.config.repository.refresh(entry)
        if rows.lifetimes.touch_due(latest.header, latest.expires_at, now):
            latest = await rows.touch(latest) or latest
    except (SessionGone, CorruptRecord):
        return
    except StoreUnavailable as error:
        logger.warning("a session's expiry couldn't be moved: %s", error)
        return
    if context.entry is entry:  # an operation may have saved it in between
        context.set_entry(_with_body_of(entry, latest))


def _with_body_of(entry: Entry, latest: Entry) -> Entry:
    """Return the latest entry, with the body to compare the session's data with."""
    if latest.body == entry.body:
        return latest
    return latest._replace(body=entry.body, version=None)
