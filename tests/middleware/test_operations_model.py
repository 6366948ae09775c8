"""Random interleavings of what one request does to its session, against what Python does to a dict."""

from __future__ import annotations

import random
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore, Session
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._core.record import Alias, decode
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

RUNS = 600
TASKS, STEPS = 4, 6


class JitteryStore(CountingStore):
    """Lets other tasks run for a random while at each call."""

    def __init__(self, clock: FakeClock, chance: random.Random) -> None:
        super().__init__(MemoryStore(clock=clock))
        self.chance = chance

    async def before(self, call: str) -> None:
        for _ in range(self.chance.randrange(8)):
            await anyio.lowlevel.checkpoint()


class Run:
    """One request whose handler works on its session in several tasks.

    `data` is the reference: a dict to which the handler does the same. `tokens` are put in by
    `atomic`, each with the number of ends at its start and at its return, and `theirs` by parallel
    requests, each with the number of ends at its return.
    """

    def __init__(self, seed: int, clock: FakeClock) -> None:
        self.chance = random.Random(seed)
        self.store = JitteryStore(clock, self.chance)
        self.app = make_app(self.store, {"/": self._handle, "/view": self._view, "/theirs": self._theirs})
        self.browser = Browser(self.app)
        self.data: dict[str, Any] = {}
        self.tokens: dict[str, tuple[int, int]] = {}
        self.theirs: dict[str, int] = {}
        self.ends = self.rotations = 0
        self.lifetime: int | None = None
        self.emptied = False
        self.starts_empty = self.chance.random() < 0.3
        self.acts = ["set", "set", "nest", "delete", "save", "save", "atomic", "lifetime", "parallel", "wait"]
        if self.chance.random() < 0.5:
            self.acts += ["destroy", "rotate"]

    async def check(self) -> None:
        if not self.starts_empty:
            self.data = {"nested": [], "begun": 1}
            await self._request(self._begin)
        before = self.browser.tab()
        await self._request(self._work)
        found: dict[str, Any] = (await self.browser.tab().get("/view")).json()
        tokens = {key for key in found if key.startswith("token")}
        theirs = {key for key in found if key.startswith("their")}
        assert {key: found[key] for key in found.keys() - tokens - theirs} == self.data
        for token, (started, returned) in self.tokens.items():
            if started == self.ends:
                assert token in tokens, "an atomic change was lost"
            elif returned < self.ends:
                assert token not in tokens, "an atomic change survived an end"
        if not self.ends and not self.rotations:
            assert theirs == set(self.theirs), "a change of a parallel request was lost"
        assert all(self.theirs[key] == self.ends for key in theirs), "what others wrote survived an end"
        if (self.ends or self.rotations) and before.cookies:
            assert (await before.get("/view")).json() == {}, "the old id still opens the session"
        if found:
            assert self.emptied or await self._stored_lifetime() == self.lifetime
        else:
            assert self.browser.cookies == {} or before.cookies == self.browser.cookies

    async def _stored_lifetime(self) -> int | None:
        key = key_of(self.browser.cookies["session"][:32])
        row = await self.store.load(key)
        assert row is not None
        found = decode(row.data, key)
        assert not isinstance(found, Alias)
        return found[0].lifetime

    async def _request(self, act: Any) -> None:
        self.act = act
        assert (await self.browser.get("/")).status == 200

    async def _handle(self, request: Request) -> Any:
        await self.act(request.state.session)

    async def _view(self, request: Request) -> Any:
        return dict(request.state.session)

    async def _theirs(self, request: Request) -> Any:
        request.state.session.update(request.query_params)

    async def _begin(self, session: Session) -> None:
        session.update(nested=[], begun=1)

    async def _work(self, session: Session) -> None:
        async with anyio.create_task_group() as group:
            for name in range(TASKS):
                group.start_soon(self._task, session, str(name))

    async def _task(self, session: Session, name: str) -> None:
        for step in range(STEPS):
            await getattr(self, "_" + self.chance.choice(self.acts))(session, f"{name}{step}")

    async def _set(self, session: Session, name: str) -> None:
        key, value = self.chance.choice("abc"), name
        session[key] = value
        self.data[key] = value

    async def _nest(self, session: Session, name: str) -> None:
        if "nested" in self.data:
            session["nested"].append(name)
            self.data["nested"].append(name)

    async def _delete(self, session: Session, name: str) -> None:
        key = self.chance.choice("abc")
        session.pop(key, None)
        self.data.pop(key, None)
        self.emptied = self.emptied or not self.data  # which may end the session, with its lifetime

    async def _save(self, session: Session, name: str) -> None:
        await session.save()

    async def _atomic(self, session: Session, name: str) -> None:
        started = self.ends
        await session.atomic(lambda data: data.update({f"token {name}": 1}))
        self.tokens[f"token {name}"] = (started, self.ends)

    async def _lifetime(self, session: Session, name: str) -> None:
        self.lifetime = self.chance.randrange(10, 1000)
        session.set_lifetime(self.lifetime)

    async def _parallel(self, session: Session, name: str) -> None:
        if self.browser.cookies:
            await self.browser.tab().get(f"/theirs?their{name}=1")
            self.theirs[f"their{name}"] = self.ends

    async def _wait(self, session: Session, name: str) -> None:
        await anyio.lowlevel.checkpoint()

    async def _destroy(self, session: Session, name: str) -> None:
        self.chance.choice([session.destroy, session.clear])()
        self.data = {}
        self.lifetime = None
        self.ends += 1

    async def _rotate(self, session: Session, name: str) -> None:
        session.rotate()
        self.rotations += 1


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_that_is_asked_for_is_lost(clock: FakeClock) -> None:
    for seed in range(RUNS):
        try:
            await Run(seed, clock).check()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
