"""Questions of one turn of the event loop, asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext.stores._support.batching import Batcher

from ..support.asyncio_only import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio


class Oracle:
    """Answers a question with its square once `gate` is open, and notes in `asked` what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, questions: list[int]) -> list[int | Exception]:
        self.asked.append(questions)
        await self.gate.wait()
        if 0 in questions:
            raise ZeroDivisionError
        return [question**2 if question > 0 else ValueError(question) for question in questions]


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def answers(*asked: Awaitable[int]) -> list[int | BaseException]:
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_questions_of_one_turn_are_asked_together(oracle: Oracle) -> None:
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)
    assert await answers(*(batcher.submit(number) for number in (1, 2, 2, 3, 4))) == [1, 4, 4, 9, 16]
    assert await batcher.submit(5) == 25
    assert oracle.asked == [[1, 2, 2], [3, 4], [5]]


async def test_who_asks_after_they_were_sent_isnt_among_them(oracle: Oracle) -> None:
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)
    oracle.gate.clear()
    first = batcher.submit(1)
    await anyio.wait_all_tasks_blocked()
    second = batcher.submit(1)
    await anyio.wait_all_tasks_blocked()
    assert oracle.asked == [[1], [1]]
    oracle.gate.set()
    assert await answers(first, second) == [1, 1]


async def test_an_exception_is_for_whom_it_answers(oracle: Oracle) -> None:
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)
    one, error, two = await answers(*(batcher.submit(number) for number in (1, -1, 2)))
    assert (one, two) == (1, 4)
    assert isinstance(error, ValueError)


async def test_a_failure_is_everybodys_and_each_has_its_own(oracle: Oracle) -> None:
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)
    failures = await answers(*(batcher.submit(number) for number in (1, 0, 2)))
    assert [type(failure) for failure in failures] == [ZeroDivisionError] * 3
    assert len(set(map(id, failures))) == 3


async def test_a_deadline_is_everybodys(oracle: Oracle) -> None:
    oracle.gate.clear()
    batcher = Batcher(oracle.ask, max_size=3, timeout=0.01)
    failures = await answers(batcher.submit(1), batcher.submit(2))
    assert [type(failure) for failure in failures] == [TimeoutError] * 2


async def test_who_stops_waiting_takes_nothing_from_the_others(oracle: Oracle) -> None:
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)
    oracle.gate.clear()
    patient = batcher.submit(1)
    with anyio.move_on_after(0.01):
        await batcher.submit(2)
    with anyio.move_on_after(0.01):
        await batcher.submit(0)
    oracle.gate.set()
    await batcher.wait_all()
    assert patient.result() == 1
    await batcher.wait_all()


def test_each_event_loop_has_its_own() -> None:
    """One that ended before it asked leaves nothing that the next would wait for."""
    oracle = Oracle()
    batcher = Batcher(oracle.ask, max_size=3, timeout=60)

    async def leave() -> None:
        batcher.submit(1)

    async def ask() -> int:
        return await batcher.submit(2)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    assert asyncio.run(ask()) == 4
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    assert oracle.asked in ([[2]], [[1], [2]])
