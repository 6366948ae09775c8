"""Keep what distinguishes a user's sessions: browser and address. Pure.

The option `describe` replaces these defaults.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import Scope

from ..events import logger

Describe = Callable[[Scope], Mapping[str, Any]]

MAX_BYTES = 2000
"""As JSON: every load of the session carries it."""

_USER_AGENT_LENGTH = 300


def describe(scope: Scope) -> dict[str, Any]:
    """Return the user agent and the client's address as the server gives it."""
    agents = [value for name, value in scope["headers"] if name == b"user-agent"]
    client = scope.get("client")
    return {
        "user_agent": agents[0].decode("latin-1")[:_USER_AGENT_LENGTH] if agents else None,
        "client": client[0] if client else None,
    }


def encode_details(function: Describe, scope: Scope) -> str | None:
    """Return the details of a request as base64url for a record; None for nothing.

    A function that raises, or returns what doesn't fit, costs no sign-in: it is logged.
    """
    try:
        details = dict(function(scope))
        raw = json.dumps(details, separators=(",", ":"), allow_nan=False).encode() if details else b""
    except Exception:
        logger.exception("describe raised, so the sign-in is kept without details")
        return None
    if len(raw) > MAX_BYTES:
        logger.error("describe returned more than %d bytes of JSON, so the sign-in is kept without details", MAX_BYTES)
        return None
    return urlsafe_b64encode(raw).decode().rstrip("=") or None


def decode_details(details: str | None) -> dict[str, Any]:
    """Return what `encode_details` was given; empty if it can't be read or is None."""
    try:
        decoded = json.loads(urlsafe_b64decode((details or "") + "==="))
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
