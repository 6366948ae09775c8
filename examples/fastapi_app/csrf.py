"""A secret token in every form, so that another site can't send one in a user's name (CSRF).

The session cookie is SameSite=Lax, which keeps other sites' forms out already. The token also stops
other hosts of the same domain. It is kept in the session, so it ends when the session does.
"""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Form, HTTPException
from starlette.requests import Request

from starlette_sessions_ext import get_session
from starlette_sessions_ext.fastapi import SessionDep

_KEY = "csrf_token"
_SAFE = {"GET", "HEAD", "OPTIONS"}


def csrf_token(request: Request) -> str:
    """Return the session's token, for a hidden field. Makes one first, and with it a session, if there is none."""
    token: str = get_session(request).setdefault(_KEY, secrets.token_urlsafe(32))
    return token


def replace_csrf_token(request: Request) -> None:
    """Make another token at sign-in: one that was known before is useless then, as the old session id is."""
    get_session(request)[_KEY] = secrets.token_urlsafe(32)


async def check_csrf(request: Request, session: SessionDep, csrf_token: Annotated[str, Form()] = "") -> None:
    """Refuse a form without the token of its session: a dependency of every page that takes forms."""
    if request.method in _SAFE:
        return
    expected = session.get(_KEY)
    if expected is None or not secrets.compare_digest(expected.encode(), csrf_token.encode()):
        raise HTTPException(403, "The form was out of date, so nothing was changed. Please try again.")
