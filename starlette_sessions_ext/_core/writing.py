"""Carry out what a handler asked for, and set the cookie that follows from it.

It does one write at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CorruptRecord, SessionConflict, SessionGone, StoreUnavailable
from ..events import EventKind, logger
from ..session import NO_INTENT, Intent
from .atomic import AtomicUpdate
from .lifetimes import RENEW_GRACE
from .merge import merge
from .plan import ClearCookie, Entry, Plan, Write
from .refusals import refuse_degraded, require_writable
from .user_changes import after_sign_in, note_user, refuse_change_of_user

if TYPE_CHECKING:
    from .context import SessionContext

T = TypeVar("T")


async def write(context: SessionContext, intent: Intent, body: bytes) -> None:
    """Carry out an intent, with the session's data as it was then.

    Raises as `Session.save` does.
    """
    empty = context.config.empty_body
    if context.session._degraded and (intent != NO_INTENT or body != empty):
        refuse_degraded()
    if context.replaced_key is not None and (intent.rotate or intent.end):
        context.replaced_key, context.is_gone = None, False
    if intent.end:
        await _end(context, is_replaced=body != empty)
    elif context.is_gone:
        raise SessionGone("the session ended while this request ran; its changes weren't saved")
    if context.entry is not None:
        await _write_entry(context, context.entry, intent, body)
    elif body != empty:
        await _create(context, intent, body)
    elif intent.sets_lifetime:  # there is no session yet: it holds for the one that begins
        lifetime = Intent(sets_lifetime=True, lifetime=intent.lifetime)
        context.session._intent = lifetime.then(context.session._intent)


async def write_atomically(context: SessionContext, fn: Callable[[dict[str, Any]], T]) -> T:
    """Save what `fn` changes, and return its result. See `Session.atomic`."""
    empty, entry, session = context.config.empty_body, context.entry, context.session
    mine = context.dumps(session._data())
    base, nested = empty if entry is None else entry.body, context.config.nested_keys
    update = AtomicUpdate(fn, context.config.serializer, base, mine, nested)
    if entry is not None:
        await _update_atomically(context, entry, update)
    elif (body := update.apply(empty)) != empty:
        intent = session._intent
        if context.config.rows.users is not None:
            intent, body = note_user(context, None, intent, body)
        await _create(context, intent, body)
        if intent.sign_in is not None:
            await after_sign_in(context, intent.sign_in, body, body)
    context.adopt(mine, update.view)
    return update.result


async def _write_entry(context: SessionContext, entry: Entry, intent: Intent, body: bytes) -> None:
    if context.attempts:
        entry = entry._replace(version=None)  # only another load can tell what is stored
    planned = context.plan(entry, body, intent)
    in_doubt = bool(context.attempts)

    def rebase(theirs: Entry) -> Entry | None:
        nonlocal planned, in_doubt
        planned = context.plan(theirs, _merged(context, entry.body, body, theirs), intent)
        in_doubt = False
        return planned.entry

    try:
        if planned.changes_id:
            await _change_id(context, entry, intent, planned, rebase)
        elif planned.write is Write.UPDATE or planned.write is Write.DELETE or context.attempts:
            saved = await context.config.repository.update(entry, planned.entry, rebase)
            await _after_update(context, entry, saved, planned)
        elif planned.write is Write.TOUCH:
            context.set_entry(await context.config.rows.touch(entry) or entry)
        elif planned.sends_cookie:
            await _send_current_id(context, entry)
    except SessionGone:
        if planned.is_asked or in_doubt:
            context.mark_gone(entry.header.key, entry)
            raise
    except StoreUnavailable as error:
        if planned.is_asked or in_doubt:
            raise
        # Nothing is lost but time: the next request does it.
        logger.warning("a session's expiry couldn't be moved, or its id renewed: %s", error)
    stored = context.config.empty_body if context.entry is None else context.entry.body
    if stored != body:  # it holds what others changed
        context.adopt(body, stored)


async def _change_id(
    context: SessionContext, entry: Entry, intent: Intent, planned: Plan, rebase: Callable[[Entry], Entry | None]
) -> None:
    """Rotate or renew the session's id."""

    def change(theirs: Entry) -> Entry | None:
        return planned.entry if theirs is entry and not context.attempts else rebase(theirs)

    require_writable(context)
    repository = context.config.repository
    if planned.write is Write.ROTATE:
        await _after_new_id(context, entry, await repository.rotate(entry, change), EventKind.ROTATED)
        return
    grace = RENEW_GRACE if intent.renew_grace is None else intent.renew_grace
    saved, is_mine = await repository.renew(entry, change, grace)
    if is_mine:
        await _after_new_id(context, entry, saved, EventKind.RENEWED)
    else:
        await _after_update(context, entry, saved, planned)


async def _update_atomically(context: SessionContext, entry: Entry, update: AtomicUpdate[T]) -> None:
    def plan(theirs: Entry) -> Plan:
        body = update.apply(theirs.body)
        refuse_change_of_user(context, theirs.body, body)
        return context.plan(theirs, body, NO_INTENT, renews=False)

    planned = plan(entry)

    def rebase(theirs: Entry) -> Entry | None:
        nonlocal planned
        planned = plan(theirs)
        return planned.entry

    if planned.entry is entry:
        return
    try:
        saved = await context.config.repository.update(entry, planned.entry, rebase)
    except SessionGone:
        context.mark_gone(entry.header.key, entry)
        raise
    await _after_update(context, entry, saved, planned)


async def _create(context: SessionContext, intent: Intent, body: bytes) -> None:
    if context.replaced_key is not None:
        context.mark_gone(context.replaced_key)
        raise SessionGone("the session's id was replaced before this request began; its changes weren't saved")
    require_writable(context)
    repository = context.config.repository
    entry = await repository.create(context.config.rows.new_header(intent.lifetime, intent.sign_in), body)
    if context.ended_key is not None:
        await repository.remember_replaced(context.ended_key)
        context.ended_key = None
    await _after_new_id(context, entry, entry, EventKind.CREATED)


async def _end(context: SessionContext, *, is_replaced: bool) -> None:
    """End the session, and all that other cookies of the client open.

    `is_replaced` means that another session begins.
    """
    repository = context.config.repository
    if (entry := context.entry) is not None:
        removed = await repository.delete(entry, replaced=is_replaced)
        context.is_gone = False
        context.set_entry(None)
        if removed is not None:  # if another request ended it, only that response clears the cookie
            context.ended_key = None if is_replaced else removed.header.key
            _after_end(context, removed)
    await _end_others(context)


async def _end_others(context: SessionContext) -> None:
    """End what other cookies of the client open.

    The session that has just ended is not found.
    """
    repository = context.config.repository
    for session_id in context.other_ids:
        with suppress(CorruptRecord):
            other = await repository.get(session_id)
            if isinstance(other, Entry):
                await repository.delete(other)


async def _send_current_id(context: SessionContext, entry: Entry) -> None:
    """Send the current id if the request used an alias.

    Only after another load: a sign-in in another request has given the client a cookie that must stay.
    """
    try:
        context.send_id(await context.config.repository.refresh(entry))
    except (SessionGone, CorruptRecord):
        return
    context.set_entry(entry)


def _merged(context: SessionContext, base: bytes, mine: bytes, theirs: Entry) -> bytes:
    """Put the change of `base` into `mine` onto what another request has saved."""
    if theirs.body == base and not context.attempts:
        return mine
    sides = (context.loads(base), context.loads(mine), context.loads(theirs.body))
    attempts = [context.loads(attempt) for attempt in context.attempts]
    merged = merge(*sides, context.dumps, attempts, context.config.nested_keys)
    if merged.contested and not context.config.overwrites:
        keys = ", ".join(map(repr, merged.contested))
        raise SessionConflict(f"a parallel request changed the same keys: {keys}. Nothing was saved.")
    context.emit(
        EventKind.CONFLICT_OVERWRITTEN if merged.contested else EventKind.CONFLICT_MERGED, theirs.header.key, theirs
    )
    return context.dumps(merged.data)


async def _after_update(context: SessionContext, entry: Entry, saved: Entry | None, planned: Plan) -> None:
    context.attempts = ()
    if saved is None:
        await _after_emptied(context, entry)
        return
    if planned.sends_cookie:
        context.send_id(saved)
    context.set_entry(saved)


async def _after_new_id(context: SessionContext, entry: Entry, saved: Entry | None, kind: EventKind) -> None:
    context.attempts = ()
    if saved is None:
        await _after_emptied(context, entry)
        return
    context.send_id(saved)
    context.set_entry(saved)
    context.emit(kind, saved.header.key, saved)


async def _after_emptied(context: SessionContext, entry: Entry) -> None:
    """End a session of which a change, merged or not, has left nothing."""
    context.set_entry(None)
    _after_end(context, entry)
    await _end_others(context)


def _after_end(context: SessionContext, entry: Entry) -> None:
    context.cookie = ClearCookie()
    context.client_id = None
    context.emit(EventKind.DESTROYED, entry.header.key, entry)
