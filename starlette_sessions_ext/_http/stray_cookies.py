"""Cookies of our name that an earlier configuration left in the browser. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from starlette.types import Scope

from .cookie import SessionCookie

MAX_REMOVALS = 8
"""How many cookies of other domains and paths one response removes."""

MAX_HOST, MAX_PATH = 260, 1024
"""Characters of a host with its port (RFC 1035, 2.3.4), and of a path. No cookie of ours has longer ones."""

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_ADDRESS = re.compile(r"[0-9.]+")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")


def removals(cookie: SessionCookie, scope: Scope, *, secure: bool) -> list[bytes]:
    """Return Set-Cookie lines that remove our cookies of other domains and paths.

    A request doesn't say where its cookies come from, so these are the places that a browser may
    have them from: no domain, the host and its parents, and the paths above the request's. Ours stays.
    """
    domains = ((cookie.path, domain) for domain in chain([None], _domains(scope)) if domain != cookie.domain)
    paths = ((path, cookie.domain) for path in _paths(scope["path"]) if path != cookie.path)
    places = islice(chain(domains, paths), MAX_REMOVALS)
    return [cookie.render_removal(path, domain, secure=secure) for path, domain in places]


def _domains(scope: Scope) -> Iterator[str]:
    """Yield the request's host and its parents, except those with one label."""
    value = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if len(value) > MAX_HOST:
        return
    host = value.decode("latin-1").lower().partition(":")[0]
    if _HOST.fullmatch(host) and not _ADDRESS.fullmatch(host):
        labels = host.split(".")
        yield from (".".join(labels[start:]) for start in range(len(labels) - 1))


def _paths(path: str) -> Iterator[str]:
    """Yield the paths whose cookies a browser sends to this one, shortest first.

    RFC 6265bis, 5.1.4, has the rule.
    """
    yield "/"
    if len(path) <= MAX_PATH and _PATH.fullmatch(path):
        segments = path.split("/")[1:]
        yield from ("/" + "/".join(segments[:end]) for end in range(1, len(segments) + 1) if segments[end - 1])
