"""All orders in which the store calls of parallel requests can be made, one after another.

Every request is an actor that stops before each of its store calls. Who goes next is decided
here, and each run notes where there was a choice; the runs go on until every choice was taken.

A request that waits until another one has written the same session can't go on: it is no choice
until then.

Where that is too much, a scenario can say by `Scheduler.state` all that what follows depends on:
what the stores hold and what each actor has seen. A choice that was met before in just that state
isn't taken again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from unittest.mock import patch

import anyio

from starlette_sessions_ext._core import write_queues

Actor = Callable[[], Awaitable[None]]

_actor: ContextVar[int] = ContextVar("actor")


def actor() -> int | None:
    """The number of the actor that is running; None outside of all."""
    return _actor.get(None)


class Scheduler:
    """Lets one waiting actor through at a time, as `choices` say; the first one where they say nothing."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = list(choices)
        self.options: list[int] = []  # how many actors there were to choose from, decision by decision
        self.states: list[Hashable] = []  # and in what state
        self.state: Callable[[], Hashable] = object
        self._waiting: dict[int, anyio.Event] = {}
        self._queueing: set[int] = set()
        self._changed = anyio.Event()

    async def pass_through(self) -> None:
        """Wait for one's turn. Calls made by nobody's request pass at once."""
        number = actor()
        if number is None:
            return
        turn = self._waiting[number] = anyio.Event()
        self._changed.set()
        await turn.wait()

    async def run(self, actors: list[Actor]) -> None:
        with patch.object(write_queues, "_Queue", _watched_by(self)):
            await self._run(actors)

    def queue(self, number: int) -> None:
        """Note that an actor waits for another one's writing."""
        self._queueing.add(number)
        self._changed.set()

    def go_on(self, number: int) -> None:
        self._queueing.discard(number)

    async def _run(self, actors: list[Actor]) -> None:
        running = set(range(len(actors)))

        async def act(number: int) -> None:
            _actor.set(number)
            try:
                await actors[number]()
            finally:
                running.discard(number)
                self._changed.set()

        async with anyio.create_task_group() as group:
            for number in range(len(actors)):
                group.start_soon(act, number)
            while running:
                while running and len(self._waiting) + len(self._queueing) < len(running):
                    self._changed = anyio.Event()
                    await self._changed.wait()
                if self._waiting:
                    self._waiting.pop(self._choose()).set()

    def _choose(self) -> int:
        candidates = sorted(self._waiting)
        decision = len(self.options)
        self.options.append(len(candidates))
        self.states.append(self.state())
        if decision == len(self.choices):
            self.choices.append(0)
        return candidates[self.choices[decision]]


class WatchedQueue(write_queues._Queue):
    """In place of the queue of a session's writers: tells the scheduler who waits in it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.length = 0
        self.lock = self  # type: ignore[assignment]
        self._turnstile = scheduler
        self._is_held = False
        self._next: deque[tuple[int, anyio.Event]] = deque()

    async def __aenter__(self) -> None:
        number = actor()
        if self._is_held and number is not None:
            turn = anyio.Event()
            self._next.append((number, turn))
            self._turnstile.queue(number)
            await turn.wait()
        self._is_held = True

    async def __aexit__(self, *error: object) -> None:
        self._is_held = bool(self._next)
        if self._next:
            number, turn = self._next.popleft()
            self._turnstile.go_on(number)
            turn.set()


def _watched_by(scheduler: Scheduler) -> type[WatchedQueue]:
    class Watched(WatchedQueue):
        def __init__(self) -> None:
            super().__init__(scheduler)

    return Watched


async def every_order(scenario: Callable[[Scheduler], Awaitable[None]], limit: int = 400) -> int:
    """Run `scenario` once for every order, and say how many there were. It calls `Scheduler.run` itself."""
    todo: list[list[int]] = [[]]
    seen: set[Hashable] = set()
    runs = 0
    while todo:
        scheduler = Scheduler(todo.pop())
        given = len(scheduler.choices)
        await scenario(scheduler)
        runs += 1
        assert runs <= limit, "more orders than expected: the scenario doesn't end, or does too much"
        for decision in range(given, len(scheduler.options)):
            if scheduler.states[decision] in seen:
                break
            seen.add(scheduler.states[decision])
            for other in range(1, scheduler.options[decision]):
                todo.append([*scheduler.choices[:decision], other])
    return runs
