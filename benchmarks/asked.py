"""A process that asks one application, for `instructions` to measure: it waits on its stdin before and after each part.

python -m benchmarks.asked APP KIND...
"""

from __future__ import annotations

import gc
import sys

from . import apps
from .transport import body_of, connected, request_for

REQUESTS = 200
WARM_UP = 50
"""Requests after which caches are full and the interpreter has specialised its code."""

_UNKNOWN = b"session=" + b"x" * 76
"""A cookie for the application that has no sessions: as long as ours."""


def main(app: str, *kinds: str) -> None:
    with connected(getattr(apps, app)()) as connection:
        cookie = connection.begin_session() or _UNKNOWN
        for kind in kinds:
            request = request_of(kind, cookie)
            for _ in range(WARM_UP):
                body_of(connection.ask(request))
            gc.collect()
            gc.freeze()  # so that a collection doesn't depend on what was imported
            _wait(kind)
            for _ in range(REQUESTS):
                connection.ask(request)
            _wait(kind)
            body_of(connection.ask(request))


def request_of(kind: str, cookie: bytes) -> bytes:
    """Return the request of a kind. A forged cookie looks like a true one."""
    if kind == "anonymous":
        cookie = b""
    elif kind == "forged":
        cookie = cookie[:-6] + b"forged"
    return request_for("/write" if kind == "write" else "/read", cookie)


def _wait(kind: str) -> None:
    print(kind, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
