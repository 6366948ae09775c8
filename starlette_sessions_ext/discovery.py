"""Find the session middleware of an application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette

from .middleware import SessionMiddleware

_INNER = ("middleware_stack", "app", "application", "router")
"""Attributes in which middleware, mounts and applications keep what they call."""


def find_session_middleware(app: Any) -> list[SessionMiddleware]:
    """Return every `SessionMiddleware` of an ASGI application, outer ones first.

    Those below mounts and in routes are found too. Builds the middleware of a Starlette application, as its
    first request would.
    """
    found: list[SessionMiddleware] = []
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SessionMiddleware):
            found.append(node)
        waiting.extend(reversed([*_inner(node)]))
    return found


def _inner(node: Any) -> Iterator[Any]:
    if isinstance(node, Starlette) and node.middleware_stack is None:
        node.middleware_stack = node.build_middleware_stack()
    for name in _INNER:
        if (inner := getattr(node, name, None)) is not None:
            yield inner
    routes = getattr(node, "routes", None)
    if isinstance(routes, list):
        yield from routes
