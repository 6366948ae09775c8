"""Load and replace sessions, a number of them at a time, and measure how long each takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import quantiles

from starlette_sessions_ext import SessionStore
from starlette_sessions_ext._core.ids import digest_of, key_of, new_id, new_nonce
from starlette_sessions_ext._core.record import Header
from starlette_sessions_ext.serializers import JSONSerializer

from .apps import SESSION
from .drivers import Subject

LIFETIME = 3600  # seconds
BODY = JSONSerializer().dumps(SESSION)


def encoded(key: str, body: bytes = BODY) -> bytes:
    """Return the bytes of a session as the middleware writes them."""
    now = int(time.time())
    return Header(key, now, now, None, digest_of(key)).encode(new_nonce(), body)


async def create(store: SessionStore, count: int, body: bytes = BODY) -> list[str]:
    """Make sessions, and return their keys."""
    keys = [key_of(new_id()) for _ in range(count)]
    expires_at = int(time.time()) + LIFETIME
    await timed(lambda key: store.create(key, encoded(key, body), expires_at), keys, 16)
    return keys


async def load(subject: Subject, keys: Sequence[str], in_flight: int) -> dict[str, float]:
    return await timed(subject.load, keys, in_flight)


async def replace(
    subject: Subject, store: SessionStore, keys: Sequence[str], in_flight: int, body: bytes = BODY
) -> dict[str, float]:
    """Replace what `store` has under these keys through `subject`."""
    found = await asyncio.gather(*(store.load(key) for key in keys))
    rows = {key: (encoded(key, body), stored.version) for key, stored in zip(keys, found, strict=True) if stored}
    expires_at = int(time.time()) + LIFETIME

    async def replace_one(key: str) -> object:
        data, version = rows[key]
        return await subject.replace(key, data, expires_at, version)

    return await timed(replace_one, keys, in_flight)


async def timed(operation: Callable[[str], Awaitable[object]], keys: Sequence[str], in_flight: int) -> dict[str, float]:
    """Operations a second, milliseconds, and microseconds of this process's processor time for each.

    Raises RuntimeError if one fails.
    """
    left = iter(keys)
    took: list[float] = []

    async def work() -> None:
        for key in left:
            before = time.perf_counter()
            if not await operation(key):
                raise RuntimeError("a session wasn't there, or wasn't replaced")
            took.append(time.perf_counter() - before)

    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    percentiles = quantiles(took, n=100)
    return {
        "rate": len(keys) / seconds,
        "p50": percentiles[49] * 1000,
        "p99": percentiles[98] * 1000,
        "cpu": used / len(keys) * 1e6,
    }
