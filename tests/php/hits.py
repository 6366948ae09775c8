"""Hits of PHP and Python on one session, one after the other and all at once."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Hashable, Sequence
from typing import Any

import anyio
import anyio.to_thread

from starlette_sessions_ext.php import dumps, loads
from starlette_sessions_ext.stores.base import SessionStore

from ..support.php_server import PHPServer

LIFETIME = 1440
CLIENTS = 4


def soon() -> int:
    return int(time.time()) + LIFETIME


async def get(server: PHPServer, page: str, key: str) -> Any:
    return json.loads(await anyio.to_thread.run_sync(server.get, page, key))


async def read(store: SessionStore, key: str) -> dict[str, Any]:
    row = await store.load(key)
    assert row is not None
    return loads(row.data, "php")


async def count(store: SessionStore, key: str, by: str, conflicts: list[int], token: str = "") -> Hashable:
    """Count once in Python, as often as it takes. Return the version that was replaced."""
    while True:
        row = await store.load(key)
        assert row is not None
        data = loads(row.data, "php")
        data["count"] = data.get("count", 0) + 1
        data["text"] = "é" * random.randrange(300)
        data["token"] = token
        data.setdefault(by, {"own": 0})["own"] += 1
        if await store.replace(key, dumps(data, "php"), soon(), row.version):
            return row.version
        conflicts[0] += 1


async def alternate(
    store: SessionStore, servers: Sequence[PHPServer], key: str, hits: int, page: str = "session.php"
) -> None:
    """Let PHP and Python take turns: every hit is counted, and Python never has to try again."""
    conflicts = [0]
    for hit in range(hits // 2):
        await get(servers[hit % len(servers)], f"{page}?do=count", key)
        await count(store, key, "python", conflicts)
    data = await read(store, key)
    assert data["count"] == hits // 2 * 2
    assert data["python"] == {"own": hits // 2}
    assert data["php"] == {"php": hits // 2}
    assert conflicts == [0]


async def in_parallel_under_locks(store: SessionStore, servers: Sequence[PHPServer], key: str, hits: int) -> None:
    """Let all count at once, where PHP reads and writes under a lock: every hit is counted."""
    each = hits // (2 * CLIENTS)
    conflicts = [0]

    async def php_client(server: PHPServer, name: str) -> None:
        for _ in range(each):
            await get(server, f"session.php?do=count&by={name}", key)

    async def python_client(name: str) -> None:
        for _ in range(each):
            await count(store, key, name, conflicts)

    async with anyio.create_task_group() as group:
        for number in range(CLIENTS):
            group.start_soon(php_client, servers[number % len(servers)], f"p{number}")
            group.start_soon(python_client, f"python{number}")
    data = await read(store, key)
    assert data["count"] == 2 * CLIENTS * each
    assert data["php"] == {f"p{number}": each for number in range(CLIENTS)}
    for number in range(CLIENTS):
        assert data[f"python{number}"] == {"own": each}


async def in_parallel(
    store: SessionStore, servers: Sequence[PHPServer], key: str, hits: int, page: str = "session.php"
) -> int:
    """Let all count at once, where PHP overwrites what was written since it read. Return how many hits that cost.

    Each hit leaves a token, and knows that of the hit which it continues. So the hits that survive are a chain, and
    the session has counted just these. No two hits of Python continue the same one: none of them overwrote another.
    """
    each = hits // (2 * CLIENTS)
    conflicts = [0]
    parents: dict[str, str | None] = {}
    replaced: list[Hashable] = []

    async def php_client(server: PHPServer, name: str) -> None:
        for number in range(each):
            token = f"{name}-{number}"
            answer = await get(server, f"{page}?do=count&by={name}&token={token}", key)
            assert answer["session"]["by"] == "python", "PHP destroyed the session, or found none"
            parents[token] = answer["before"]

    async def python_client(name: str) -> None:
        for number in range(each):
            token = f"{name}-{number}"
            version = await count(store, key, name, conflicts, token)
            assert isinstance(version, bytes)
            replaced.append(version)
            parents[token] = loads(version, "php").get("token")

    async with anyio.create_task_group() as group:
        for number in range(CLIENTS):
            group.start_soon(php_client, servers[number % len(servers)], f"p{number}")
            group.start_soon(python_client, f"python{number}")
    data = await read(store, key)
    chain = []
    token: str | None = data["token"]
    while token is not None:
        chain.append(token)
        token = parents[token]
    assert data["count"] == len(chain)
    assert len(set(replaced)) == len(replaced) == CLIENTS * each
    assert len(parents) == 2 * CLIENTS * each
    return len(parents) - len(chain)


async def python_in_parallel(store: SessionStore, key: str, hits: int) -> None:
    """Let requests of Python alone count at once: every hit is counted."""
    each = hits // CLIENTS
    conflicts = [0]

    async def client(name: str) -> None:
        for number in range(each):
            await count(store, key, name, conflicts, f"{name}-{number}")

    async with anyio.create_task_group() as group:
        for number in range(CLIENTS):
            group.start_soon(client, f"python{number}")
    assert (await read(store, key))["count"] == CLIENTS * each
