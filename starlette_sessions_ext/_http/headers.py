"""The headers of a response with a session: Vary, Cache-Control, Set-Cookie. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import itemgetter

from starlette.types import Message

Headers = list[tuple[bytes, bytes]]

NAME = itemgetter(0)
VARY = (b"vary", b"Cookie")
RELATED = frozenset({b"vary", b"Vary", b"set-cookie", b"Set-Cookie"})
"""Headers that those of a session have to agree with. ASGI asks for lower case; a second Vary does no harm."""

_CDN_HEADERS = (b"cdn-cache-control", b"surrogate-control")

_LOCAL = re.compile(rb"(?i)(([a-z0-9-]+\.)*(localhost|test)|testserver|127\.[0-9.]+|\[::1\])(:[0-9]*)?")


def is_local(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request stays on this machine, judged by its Host.

    The Host is localhost, a loopback address or that of a test client. "testserver" is Starlette's, and no
    server of the internet is below "test" (RFC 6761, 6.2).
    """
    return any(name == b"host" and _LOCAL.fullmatch(value) for name, value in headers)


def may_read_later(message: Message, headers: Headers) -> bool:
    """Return whether a body may follow that is still to be made: it has no length.

    Making it may read the session.
    """
    status = message.get("status", 204)  # an accepted WebSocket has none
    return status >= 200 and status not in (204, 304) and b"content-length" not in (name.lower() for name, _ in headers)


def sets_cookie(headers: Headers, prefix: bytes) -> bool:
    """Return whether the application sets a cookie that begins with `prefix`.

    An example of such a beginning is `session=`.
    """
    return any(name.lower() == b"set-cookie" and value.startswith(prefix) for name, value in headers)


def vary_by_cookie(headers: Headers) -> None:
    """Add Cookie to Vary (RFC 9110, 12.5.5), unless it or `*` is there already."""
    present = [header for header in headers if header[0].lower() == b"vary"]
    if not present:
        headers.append(VARY)
        return
    fields = {field.strip().lower() for _, value in present for field in value.split(b",")}
    if not fields & {b"cookie", b"*"}:
        name, value = present[0]
        headers[headers.index(present[0])] = (name, value + b", Cookie" if value.strip() else b"Cookie")


def set_cookies(headers: Headers, name: str, lines: Sequence[bytes]) -> None:
    """Add our Set-Cookie lines, and keep the response from caches.

    They replace any that the application set under the same name. A cache that stored this response would
    hand the session's cookie to others.
    """
    headers[:] = [
        (key, value)
        for key, value in headers
        if not (key.lower() == b"set-cookie" and _cookie_name(value) == name.encode())
    ]
    headers.extend((b"set-cookie", line) for line in lines)
    keep_from_caches(headers)


def keep_from_caches(headers: Headers) -> None:
    """Make Cache-Control `no-store` (RFC 9111, 5.2.2.5), unless that or `private`.

    The headers by which an application addresses a CDN alone (RFC 9213, and Surrogate-Control) would
    override it there, so they go.
    """
    headers[:] = [header for header in headers if not header[0].lower().endswith(_CDN_HEADERS)]
    if not any(key.lower() == b"cache-control" and _is_private(value) for key, value in headers):
        headers[:] = [(key, value) for key, value in headers if key.lower() != b"cache-control"]
        headers.append((b"cache-control", b"no-store"))


def _cookie_name(set_cookie: bytes) -> bytes:
    """Return the name as browsers read it: without blanks around (RFC 6265bis, 5.6)."""
    return set_cookie.partition(b"=")[0].strip(b" \t")


def _is_private(cache_control: bytes) -> bool:
    directives = {directive.strip().lower() for directive in cache_control.split(b",")}
    return bool(directives & {b"private", b"no-store"})
