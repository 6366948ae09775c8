"""How many bytes the sessions of a store take: in memory, or on the disk with their indexes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from .services import Services


async def _memory(services: Services, folder: Path) -> float:
    """Count what Python has allocated since tracing began."""
    return tracemalloc.get_traced_memory()[0]


async def _sqlite(services: Services, folder: Path) -> float:
    return (folder / "capacity.db").stat().st_size


async def _used(url: str) -> float:
    """Ask Redis or Valkey, whose figure includes what its allocator rounds up."""
    async with Redis.from_url(url) as client:
        answer: Mapping[str, Any] = await client.info("memory")
        return float(answer["used_memory"])


def _table(name: str) -> Callable[[Services, Path], Awaitable[float]]:
    """Return a question for the size of InnoDB's file of a table."""

    async def size(services: Services, folder: Path) -> float:
        sizes = services.mariadb.run("SELECT NAME, FILE_SIZE FROM information_schema.INNODB_SYS_TABLESPACES").split()
        return float(sizes[sizes.index(f"fresh/{name}") + 1])

    return size


async def _postgresql(services: Services, folder: Path) -> float:
    return float(services.postgresql_server.run("SELECT pg_total_relation_size('sessions')").split()[-1])


async def _mongo(services: Services, folder: Path) -> float:
    """Ask for data and indexes as they are on the disk, compressed, after a checkpoint."""
    async with AsyncMongoClient[Any](services.mongo) as client:
        await client.admin.command("fsync")
        sizes = await client.get_default_database().command("collStats", "session_data")
        return float(sizes["storageSize"] + sizes["totalIndexSize"])


SIZES: Mapping[str, Callable[[Services, Path], Awaitable[float]]] = {
    "memory": _memory,
    "SQLite": _sqlite,
    "Redis": lambda services, _: _used(services.redis),
    "Valkey": lambda services, _: _used(services.valkey),
    "PostgreSQL": _postgresql,
    "Database": _table("session_data"),
    "HandlerSocket": _table("php_session"),
    "Mongo": _mongo,
}
