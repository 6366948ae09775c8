"""Notice that a session's user has changed, and act on it.

The session gets a new id, or begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotSerializable, SessionError, StoreUnavailable
from ..events import logger
from ..session import Intent, SignIn
from .merge import is_same
from .owner import Users
from .plan import Entry
from .refusals import refuse_without_users, require_writable

if TYPE_CHECKING:
    from .context import SessionContext


def current_user(context: SessionContext) -> str | None:
    """Return the user of the session now.

    Raises `NotSerializable` for what can't be a user.
    """
    if context.config.rows.users is None:
        refuse_without_users()
    return context.config.rows.users.of(context.session._data())


def note_user(context: SessionContext, before: Entry | None, intent: Intent, body: bytes) -> tuple[Intent, bytes]:
    """Return the intent and the data with what follows from the session's user.

    Whenever the user changes the id is rotated, so that an id known before is worthless. Where one user
    follows another nothing of the first one's stays: the session ends, and another begins with what the
    request itself has set.
    """
    users = _users(context)
    was = None if before is None or intent.end else users.of_body(before.body)
    now = users.of_body(body)
    if now is None:
        if intent.reauthenticates:
            raise SessionError("session.reauthenticated() needs a user: put one into the session first")
        if was is not None:  # a sign-out is complete without a new id, where none can be sent
            intent = intent._replace(rotate=intent.rotate or context.writable, sign_in=SignIn(None, None))
    elif now != was or intent.reauthenticates:
        intent = intent._replace(sign_in=SignIn(int(context.config.rows.clock() * 1000), context.sign_in_details()))
        if was is not None and now != was:
            assert before is not None
            require_writable(context)
            body = _set_since(context, before.body, body)
            intent = intent._replace(end=True)
        else:
            intent = intent._replace(rotate=True)
    elif before is not None and before.header.signed_in_ms is None:
        intent = intent._replace(sign_in=SignIn(before.header.created_at * 1000, None))
    return intent, body


async def after_sign_in(context: SessionContext, sign_in: SignIn, given: bytes, saved: bytes) -> None:
    """Let the handler's session become what was saved, and end surplus sessions.

    Those are sessions of the user over the limit. An error of the store there costs no sign-in: the next one
    repeats it.
    """
    if given != saved:
        context.adopt(given, saved)
    config, entry = context.config, context.entry
    if sign_in.ms is None or config.max_sessions_per_user is None or config.directory is None or entry is None:
        return
    owner = config.rows.owner_of(entry.body)
    if owner is None:  # another request has signed the user out, and the save merged with that
        return
    try:
        await config.directory.end_oldest(owner, config.max_sessions_per_user)
    except StoreUnavailable as error:
        logger.warning("sessions beyond max_sessions_per_user couldn't be ended: %s", error)


def is_claim_due(context: SessionContext, entry: Entry) -> bool:
    """Return whether a session has a user that its row doesn't name yet.

    That is so for rows from before the option `user`.
    """
    if entry.header.signed_in_ms is not None:
        return False
    try:
        return _users(context).of(context.session._data()) is not None
    except NotSerializable:  # a save says why; to look at the session does no harm
        return False


def refuse_change_of_user(context: SessionContext, before: bytes, after: bytes) -> None:
    """Raise `SessionError` if `Session.atomic` has changed the user.

    A change of user takes a new id.
    """
    users = context.config.rows.users
    if users is not None and users.of_body(before) != users.of_body(after):
        raise SessionError(
            "session.atomic can't change whose session it is, for that takes a new id: set the user outside of it. "
            "Nothing was saved."
        )


def _set_since(context: SessionContext, before: bytes, after: bytes) -> bytes:
    """Return what the request has put in or changed.

    A value counts also where it was there before.
    """
    base, mine, session = context.loads(before), context.loads(after), context.session
    assigned = set(map(str, session._assigned))

    def is_set(key: str, value: object) -> bool:
        if key in session._put_back:
            return False
        return key in assigned or key not in base or not is_same(key, base[key], value, context.dumps)

    return context.dumps({key: value for key, value in mine.items() if is_set(key, value)})


def _users(context: SessionContext) -> Users:
    users = context.config.rows.users
    assert users is not None
    return users
