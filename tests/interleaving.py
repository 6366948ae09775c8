"""All orders in which the store calls of parallel requests can be made, one after another.

Every request is an actor that stops before each of its store calls. Who goes next is decided
here, and each run notes where there was a choice; the runs go on until every choice was taken.

Where that is too much, a scenario can say by `Turnstile.state` all that what follows depends on:
what the stores hold and what each actor has seen. A choice that was met before in just that state
isn't taken again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar

import anyio

Actor = Callable[[], Awaitable[None]]

_actor: ContextVar[int] = ContextVar("actor")


def actor() -> int | None:
    """The number of the actor that is running; None outside of all."""
    return _actor.get(None)


class Turnstile:
    """Lets one waiting actor through at a time, as `choices` say; the first one where they say nothing."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = list(choices)
        self.options: list[int] = []  # how many actors there were to choose from, decision by decision
        self.states: list[Hashable] = []  # and in what state
        self.state: Callable[[], Hashable] = object
        self._waiting: dict[int, anyio.Event] = {}
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
                while running and len(self._waiting) < len(running):
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


async def every_order(scenario: Callable[[Turnstile], Awaitable[None]], limit: int = 400) -> int:
    """Run `scenario` once for every order, and say how many there were. It calls `Turnstile.run` itself."""
    todo: list[list[int]] = [[]]
    seen: set[Hashable] = set()
    runs = 0
    while todo:
        turnstile = Turnstile(todo.pop())
        given = len(turnstile.choices)
        await scenario(turnstile)
        runs += 1
        assert runs <= limit, "more orders than expected: the scenario doesn't end, or does too much"
        for decision in range(given, len(turnstile.options)):
            if turnstile.states[decision] in seen:
                break
            seen.add(turnstile.states[decision])
            for other in range(1, turnstile.options[decision]):
                todo.append([*turnstile.choices[:decision], other])
    return runs
