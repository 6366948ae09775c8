"""Several worker processes on one store: requirement K1, and writes that outlive kill -9."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.workers import port_of, running_workers

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PROCESSES = 4
TASKS = 8
INCREMENTS = 100
SESSIONS = 10


def browser(port: int, cookies: Any = None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=cookies, timeout=60)


@pytest.mark.timeout(600)
async def test_K1_atomic_increments_from_four_processes_are_exact(url: str, tmp_path: Path) -> None:
    with running_workers(PROCESSES, url, tmp_path / "workers.log") as workers:
        ports = [port_of(worker) for worker in workers]
        async with browser(ports[0]) as first:
            (await first.get("/put", params={"start": "0"})).raise_for_status()

            async def increment(port: int) -> None:
                async with browser(port, first.cookies) as client:
                    for _ in range(INCREMENTS):
                        while (answer := await client.get("/count")).status_code == 409:
                            pass
                        answer.raise_for_status()

            async with anyio.create_task_group() as group:
                for port in ports * TASKS:
                    group.start_soon(increment, port)
            assert (await first.get("/")).json() == {"start": "0", "count": PROCESSES * TASKS * INCREMENTS}


@pytest.mark.timeout(180)
async def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    """The worker dies in the middle of writes of many sessions; another opens the same file."""
    database = f"sqlite:///{tmp_path / 'sessions.db'}"
    acknowledged: dict[int, int] = {}
    cookies: dict[int, Any] = {}
    with running_workers(1, database, tmp_path / "workers.log") as [worker]:

        async def count_on(number: int) -> None:
            async with browser(port_of(worker)) as client:
                (await client.get("/put", params={"number": str(number)})).raise_for_status()
                cookies[number] = client.cookies
                with suppress(httpx2.TransportError):
                    while True:
                        acknowledged[number] = (await client.get("/count")).raise_for_status().json()
                        if len(acknowledged) == SESSIONS and min(acknowledged.values()) >= INCREMENTS / 10:
                            worker.kill()

        async with anyio.create_task_group() as group:
            for number in range(SESSIONS):
                group.start_soon(count_on, number)
    with running_workers(1, database, tmp_path / "workers.log") as [worker]:
        for number, count in acknowledged.items():
            async with browser(port_of(worker), cookies[number]) as client:
                data = (await client.get("/")).json()
            assert data["number"] == str(number)
            assert data["count"] in (count, count + 1), "what was answered is there; one more may have been under way"
