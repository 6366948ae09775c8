"""The whole middleware over all stores: requests of three users in turn, and the answers of each store's site.

A site is an application on one store. The same is asked of every site, with separate cookies, and
the model says what has to be answered. It knows sessions by number, in the order of their ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from starlette.requests import Request

from starlette_sessions_ext._core.repository import LATE_FOR
from starlette_sessions_ext.testing import FakeClock
from tests.support.client import Answer, Browser, make_app

from .differential import MINUTE, Machine, Subject

IDLE, ABSOLUTE, GRACE = 4 * MINUTE, 9 * MINUTE, 2 * MINUTE
CLIENTS = st.integers(0, 2)


async def view(request: Request) -> Any:
    return dict(request.state.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.state.session.update(request.query_params)
    return await view(request)


async def rotate(request: Request) -> Any:
    request.state.session.rotate()
    return await view(request)


async def renew(request: Request) -> Any:
    request.state.session.renew(grace=GRACE)
    return await view(request)


async def log_out(request: Request) -> Any:
    request.state.session.destroy()
    return await view(request)


HANDLERS = {"/": view, "/put": put, "/rotate": rotate, "/renew": renew, "/log-out": log_out}


@dataclass
class Live:
    """A session in the model."""

    data: dict[str, str]
    begun: float
    expires_at: float = 0


@dataclass
class Old:
    """A number that was renewed, and leads to the next one until then; or that was rotated, and leads nowhere."""

    leads_to: int | None
    until: float


@dataclass
class Site:
    """The application on one store, a browser for each client, and every cookie it has sent, by number."""

    subject: Subject
    browsers: list[Browser]
    cookies: dict[int, str] = field(default_factory=dict)


class SharedScenarios(Machine):
    def __init__(self, subjects: Sequence[Subject], clock: FakeClock, runner: asyncio.Runner) -> None:
        super().__init__(subjects, clock, runner)
        self.sites: dict[Subject, Site] = {}
        for subject in subjects:
            settings: dict[str, Any] = {
                "idle_timeout": IDLE,
                "absolute_timeout": ABSOLUTE,
                "touch_interval": MINUTE // 2,
            }
            app = make_app(subject.store, HANDLERS, clock=clock, **settings)
            self.sites[subject] = Site(subject, [Browser(app) for _ in range(3)])
        self.sessions: dict[int, Live | Old] = {}
        self.held: list[int | None] = [None] * 3
        """Which number's cookie each client has."""
        self.numbers = 0

    @rule(client=CLIENTS)
    def get(self, client: int) -> None:
        session = self._live(client)
        self._ask(client, "/", session.data if session else {})

    @rule(client=CLIENTS, key=st.sampled_from(["own", "common"]), value=st.integers(0, 3))
    def put(self, client: int, key: str, value: int) -> None:
        name = f"{key}-{client}" if key == "own" else key
        if self._is_late(client):  # what it would write is dropped, and its cookie is left alone
            self._ask(client, f"/put?{name}={value}", {name: str(value)})
            return
        if self._live(client) is None:
            self._begin(client, Live({}, self.clock()))
        session = self._live(client)
        assert session
        session.data[name] = str(value)
        self._ask(client, f"/put?{name}={value}", session.data)

    @rule(client=CLIENTS)
    def put_in_two_tabs(self, client: int) -> None:
        """At once: neither is lost."""
        if session := self._live(client):
            session.data |= {"left": "1", "right": "1"}

            async def together(site: Site) -> list[int]:
                browser = site.browsers[client]
                answers = await asyncio.gather(browser.get("/put?left=1"), browser.tab().get("/put?right=1"))
                return [answer.status for answer in answers]

            statuses = self.each(lambda subject: together(self.sites[subject]))
            assert statuses == [[200, 200]] * len(statuses)
            self.get(client)

    @rule(client=CLIENTS)
    def rotate(self, client: int) -> None:
        """The old number opens nothing, and is remembered for a moment."""
        if session := self._live(client):
            old = self.held[client]
            self._begin(client, session)
            assert old is not None
            self.sessions[old] = Old(None, self.clock())
        self._ask(client, "/rotate", session.data if session else {})

    @rule(client=CLIENTS)
    def renew(self, client: int) -> None:
        """The old number leads to the new one for a while."""
        if session := self._live(client):
            old = self.held[client]
            self._begin(client, session)
            assert old is not None
            self.sessions[old] = Old(self.numbers, self.clock() + GRACE)
        self._ask(client, "/renew", session.data if session else {})

    @rule(client=CLIENTS)
    def log_out(self, client: int) -> None:
        if self._live(client):
            number = self.held[client]
            assert number is not None
            del self.sessions[number]
        self._ask(client, "/log-out", {})

    @rule(client=CLIENTS, number=st.integers(1, 5))
    def take_a_cookie(self, client: int, number: int) -> None:
        """Anybody's, of any time: of late, as a slow tab has it, or of long ago."""
        if number := max(self.numbers - number + 1, 0):
            self.held[client] = number
            for site in self.sites.values():
                site.browsers[client].cookies["session"] = site.cookies[number]

    @rule()
    def purge(self) -> None:
        self.each(lambda subject: subject.collect(10))

    def _live(self, client: int) -> Live | None:
        """The session that the client's cookie opens, which is used now. Then the cookie is its own."""
        number = self.held[client]
        found = self.sessions.get(number) if number else None
        if isinstance(found, Old):
            number = found.leads_to
            found = self.sessions.get(number) if number and self.clock() < found.until else None
        if not isinstance(found, Live) or self.clock() >= found.expires_at:
            return None
        self.held[client] = number
        found.expires_at = min(self.clock() + IDLE, found.begun + ABSOLUTE)
        return found

    def _is_late(self, client: int) -> bool:
        """Return whether the client's number was replaced a moment ago, or leads to one that was."""
        number = self.held[client]
        found = self.sessions.get(number) if number else None
        if not isinstance(found, Old):
            return False
        if self.clock() < found.until:
            return found.leads_to is not None and isinstance(self.sessions.get(found.leads_to), Old)
        return self.clock() < found.until + LATE_FOR

    def _begin(self, client: int, session: Live) -> None:
        self.numbers += 1
        self.held[client] = self.numbers
        session.expires_at = min(self.clock() + IDLE, session.begun + ABSOLUTE)
        self.sessions[self.numbers] = session

    def _ask(self, client: int, path: str, expected: dict[str, str]) -> None:
        answers = self.each(lambda subject: self.sites[subject].browsers[client].get(path))
        for site, answer in zip(self.sites.values(), answers, strict=True):
            assert (answer.status, answer.json()) == (200, expected), site.subject.name
            self._recognize(site, client, answer)

    def _recognize(self, site: Site, client: int, answer: Answer) -> None:
        """Whose cookie was sent: the same as ever for a number, and another for every other."""
        number = self.held[client]
        if answer.set_cookies and number in self.sessions and "session" in site.browsers[client].cookies:
            cookie = site.browsers[client].cookies["session"]
            assert site.cookies.setdefault(number, cookie) == cookie, site.subject.name
            others = [site.cookies[other] for other in site.cookies if other != number]
            assert cookie not in others, site.subject.name
