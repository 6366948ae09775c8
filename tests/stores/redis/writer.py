"""A process that writes sessions of two owners without end, until it is killed: `python -m ... PORT [cluster]`."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from typing import Any

from redis.asyncio import RedisCluster

from starlette_sessions_ext import RedisStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id

OWNERS = ("a" * 32, "b" * 32)
HOUR = 3600


async def write(store: RedisStore) -> None:
    """Write one session after another. A client of a Cluster may lose a connection, on a busy machine at least."""
    while True:
        with suppress(StoreUnavailable):
            await live(store)


async def live(store: RedisStore) -> None:
    """Sign in, change the user, touch, and now and then sign out."""
    key, owner = key_of(new_id()), random.choice(OWNERS)
    await store.create(key, b"0", later(), owner)
    for step in range(random.randrange(4)):
        row = await store.load(key)
        assert row is not None
        await store.replace(key, b"%d" % (step + 1), later(), row.version, random.choice((*OWNERS, owner, None)))
        await store.touch(key, later())
    if random.random() < 0.3:
        await store.delete(key)


def later() -> int:
    return int(time.time()) + random.randrange(1, 9) * HOUR


async def main(port: int, clustered: bool) -> None:
    server: Any = RedisCluster("127.0.0.1", port) if clustered else f"redis://127.0.0.1:{port}"
    async with RedisStore(server, timeout=60) as store:
        await asyncio.gather(*(write(store) for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:] == ["cluster"]))
