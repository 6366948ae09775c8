"""What docs/lifetimes.md says of wrong clocks is what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.signing_in import ROUTES

Servers = Callable[..., Awaitable[list[Browser]]]


@pytest.mark.anyio
class TestClocks:
    """Two servers with one store, and clocks that differ by `skew` seconds. The first has the right time."""

    @pytest.fixture
    async def servers(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Servers]:
        async with AsyncExitStack() as stores:

            async def make(skew: float, **options: Any) -> list[Browser]:
                browsers, cookies = [], dict[str, str]()
                for now in (clock, lambda: clock() + skew):
                    store = await stores.enter_async_context(SQLiteStore(tmp_path / "sessions.db", clock=now))
                    app = make_app(store, {**ROUTES, "/renew": renew}, clock=now, **options)
                    browsers.append(Browser(app, cookies=cookies))
                return browsers

            yield make

    @pytest.mark.parametrize(("skew", "lives"), [(5, 595), (-5, 605), (60, 540), (-60, 660), (3600, 0)])
    async def test_expiry_is_early_or_late_by_the_skew(
        self, servers: Servers, clock: FakeClock, skew: int, lives: int
    ) -> None:
        right, wrong = await servers(skew, idle_timeout=600)
        await right.get("/in")
        clock.advance(lives)
        assert (await wrong.get("/")).json() is None
        clock.advance(-1)
        assert (await wrong.get("/")).json() == (None if skew == 3600 else "ann")

    @pytest.mark.parametrize(("skew", "found"), [(5, "ann"), (-5, "ann"), (60, None), (-61, None)])
    async def test_an_old_id_is_found_if_the_clocks_are_close(
        self, servers: Servers, skew: int, found: str | None
    ) -> None:
        right, wrong = await servers(skew)
        await right.get("/in")
        late = wrong.tab()
        await right.get("/renew")
        assert (await late.get("/")).json() == found

    async def test_a_clock_that_is_set_back_reopens_sessions_and_no_old_ids(
        self, servers: Servers, clock: FakeClock
    ) -> None:
        browser, _ = await servers(0, idle_timeout=600)
        await browser.get("/in")
        late = browser.tab()
        await browser.get("/renew")
        clock.advance(600)
        assert (await browser.get("/")).json() is None
        clock.advance(-3600)
        assert (await browser.get("/")).json() == "ann"
        assert (await late.get("/")).json() is None

    async def test_the_next_use_corrects_what_was_written_ahead_of_time(
        self, servers: Servers, clock: FakeClock
    ) -> None:
        right, wrong = await servers(3600, idle_timeout=600)
        await wrong.get("/in")
        await right.get("/")
        clock.advance(600)
        assert (await right.get("/")).json() is None


async def renew(request: Request) -> None:
    request.state.session.renew(grace=10)
