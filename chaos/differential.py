"""All stores, asked the same things in the same order: whatever one answers, the others and the model must.

What is asked is hypothesis' choice. Versions are opaque, so it isn't compared what they are, but what
they do: one that the model takes for the same edition has to be the same, and any other edition of the
row another.

Time is a fake clock's, decades ahead of the servers', so that no server finds anything expired by its
own: MongoDB's TTL index leaves collecting to us. Redis alone lets rows die by its own time, for which
see `RedisSubject`. All times lie a minute apart, and no example takes that long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from redis.asyncio import Redis

from starlette_sessions_ext import RedisStore, SessionStore, Stored
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SupportsListing
from starlette_sessions_ext.testing import FakeClock
from tests.support.redis_server import let_pass

from .model import Edition, Model

T = TypeVar("T")

MINUTE = 60
START = 2_200_000_000  # in 2039
LONG_AFTER = 30 * 365 * 24 * 3600

KEYS = st.integers(0, 2)
"""Which of three keys: few, so that steps meet."""
TIMES = st.sampled_from([5, 1, 2, 3, 0, -1])
"""Minutes from now."""
_BYTES = [
    b"",
    b"\0",
    b"base64:",
    b"base64:AAAA",
    b"\t\n\r\\'\"`%_;--",
    b"\xff\xfe\xc3",
    b"  ",
    b"null",
    bytes(range(256)),
]
_LONG = st.sampled_from([b"x", b"\xf0"]).map(lambda byte: byte * 70_000)
AWKWARD = st.binary(max_size=40) | st.sampled_from(_BYTES) | _LONG
VERSIONS = st.sampled_from(["current", "earlier", "another row's", "never given"])
NEVER_GIVEN: list[Hashable] = [0, -1, 2**70, "1", b"", False]


class Subject:
    """A store, and which of its versions stands for which edition."""

    def __init__(self, name: str, store: SessionStore, *, collects_early: bool = False) -> None:
        self.name = name
        self.store = store
        self.collects_early = collects_early
        """Whether expired rows may be gone before `delete_expired` is called."""
        self.versions: dict[str, dict[Edition, Hashable]] = {}

    async def forget(self) -> None:
        """Be as empty as at first. The clock is long after whatever was stored."""
        self.versions.clear()
        await self.collect(1000)

    def latest(self, expires_at: int) -> int:
        """What it may say at most of a row that expires then."""
        return expires_at

    async def let_pass(self, seconds: int) -> None:
        """What the clock can't do for it."""

    async def collect(self, limit: int) -> list[int]:
        """Collect all that has expired, `limit` at a time. Says how many each time; the last is 0."""
        counts = [await self.store.delete_expired(limit)]
        while counts[-1]:
            counts.append(await self.store.delete_expired(limit))
        return counts

    async def load(self, keys: list[str]) -> list[Stored | None]:
        return [await self.store.load(key) for key in keys]

    async def listed(self) -> list[str] | None:
        return [key async for key in self.store.all_keys()] if isinstance(self.store, SupportsListing) else None

    async def aclose(self) -> None:
        await self.store.aclose()

    def recognize(self, key: str, edition: Edition, version: Hashable) -> None:
        """Note the version of a row, or find the same again."""
        editions = self.versions.setdefault(key, {})
        assert editions.setdefault(edition, version) == version, f"{self.name} changed a version without a write"
        others = [editions[other] for other in editions if other != edition]
        assert version not in others, f"{self.name} gave one version to two writes"


class RedisSubject(Subject):
    """Redis uses its own clock, which goes on while the fake clock stands.

    So the store's clock goes on too, from where the fake one stands; and where that jumps, what is
    left to live in Redis is made shorter by as much. Redis is given the remaining lifetime of a row, and
    counts from when it hears that: a call that was held up makes it later, by no more than it took.
    """

    def __init__(self, name: str, url: str, clock: FakeClock, *, timeout: float) -> None:
        self._started = time.monotonic()
        store = RedisStore(url, timeout=timeout, clock=lambda: clock() + self._elapsed())
        super().__init__(name, store, collects_early=True)
        self._client = Redis.from_url(url)

    async def forget(self) -> None:
        self._started = time.monotonic()
        await self._client.flushdb()
        await super().forget()

    def latest(self, expires_at: int) -> int:
        return expires_at + round(self._elapsed())

    async def let_pass(self, seconds: int) -> None:
        await let_pass(self._client, seconds)

    async def aclose(self) -> None:
        await self._client.aclose()
        await super().aclose()

    def _elapsed(self) -> float:
        """Seconds since the example began, which is longer than any of its calls took."""
        return time.monotonic() - self._started


class Machine(RuleBasedStateMachine):
    """Empty subjects, a clock, and an event loop to ask them in."""

    def __init__(self, subjects: Sequence[Subject], clock: FakeClock, runner: asyncio.Runner) -> None:
        super().__init__()
        self.subjects = subjects
        self.clock = clock
        self.runner = runner
        self.clock.now = START + LONG_AFTER
        self.each(lambda subject: subject.forget())
        self.clock.now = START

    def each(self, call: Callable[[Subject], Coroutine[Any, Any, T]]) -> list[T]:
        """Ask all of them at once: each has only one question before it."""

        async def together() -> list[T]:
            return await asyncio.gather(*map(call, self.subjects))

        return self.runner.run(together())

    @rule(minutes=st.integers(1, 4))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes * MINUTE)
        self.each(lambda subject: subject.let_pass(minutes * MINUTE))


class Differential(Machine):
    """Any difference between two of the subjects, or from the model, is a failure."""

    def __init__(self, subjects: Sequence[Subject], clock: FakeClock, runner: asyncio.Runner) -> None:
        super().__init__(subjects, clock, runner)
        self.model = Model(clock)
        self.keys = [key_of(new_id()) for _ in range(3)]
        self.writes = 0

    @rule(key=KEYS)
    def load(self, key: int) -> None:
        self._look(key)

    @rule(key=KEYS, head=AWKWARD, tail=AWKWARD, minutes=TIMES)
    def create(self, key: int, head: bytes, tail: bytes, minutes: int) -> None:
        row = self.keys[key], self._data(head, tail), self._in(minutes)
        self._ask(lambda subject: subject.store.create(*row), self.model.create(*row))
        self._look(key)

    @rule(key=KEYS, head=AWKWARD, tail=AWKWARD, minutes=TIMES, which=VERSIONS, number=st.integers(0, 5))
    def replace(self, key: int, head: bytes, tail: bytes, minutes: int, which: str, number: int) -> None:
        row = self.keys[key], self._data(head, tail), self._in(minutes)
        edition, version = self._version(key, which, number)
        self._ask(lambda subject: subject.store.replace(*row, version(subject)), self.model.replace(*row, edition))
        self._look(key)

    @rule(key=KEYS, minutes=TIMES)
    def touch(self, key: int, minutes: int) -> None:
        row = self.keys[key], self._in(minutes)
        self._ask(lambda subject: subject.store.touch(*row), self.model.touch(*row))
        self._look(key)

    @rule(key=KEYS)
    def delete(self, key: int) -> None:
        name = self.keys[key]
        self._ask(lambda subject: subject.store.delete(name), self.model.delete(name))
        self._look(key)

    @rule(key=KEYS, which=VERSIONS, number=st.integers(0, 5))
    def delete_version(self, key: int, which: str, number: int) -> None:
        name = self.keys[key]
        edition, version = self._version(key, which, number)
        self._ask(
            lambda subject: subject.store.delete(name, version(subject)), self.model.delete_version(name, edition)
        )
        self._look(key)

    @rule(limit=st.integers(1, 3))
    def delete_expired(self, limit: int) -> None:
        """All of it: which rows go first is each store's own choice."""
        expected = self.model.collect()
        for subject, counts in zip(self.subjects, self.each(lambda subject: subject.collect(limit)), strict=True):
            assert max(counts) <= limit, subject.name
            assert sum(counts) == expected or (subject.collects_early and sum(counts) < expected), subject.name
        self._look(0, 1, 2)

    @rule()
    def list_keys(self) -> None:
        living = {key for key in self.keys if self.model.load(key)}
        for subject, listed in zip(self.subjects, self.each(lambda subject: subject.listed()), strict=True):
            if listed is not None:
                assert len(listed) == len(set(listed)), subject.name
                assert living <= set(listed) <= set(self.keys), subject.name

    def _look(self, *numbers: int) -> None:
        """The rows, in every store: what they hold, and whose edition that is."""
        keys = [self.keys[number] for number in numbers]
        rows = [self.model.load(key) for key in keys]
        for subject, found in zip(self.subjects, self.each(lambda subject: subject.load(keys)), strict=True):
            for key, row, stored in zip(keys, rows, found, strict=True):
                assert (stored and stored.data) == (row and row.data), subject.name
                if row and stored:
                    assert row.expires_at <= stored.expires_at <= subject.latest(row.expires_at), subject.name
                    subject.recognize(key, row.edition, stored.version)

    def _version(self, key: int, which: str, number: int) -> tuple[Edition | None, Callable[[Subject], Hashable]]:
        """An edition of that kind, if there is one, and what each store calls it."""
        of = self.keys[(key + 1) % 3 if which == "another row's" else key]
        row = self.model.rows.get(of)
        known = self.subjects[0].versions.get(of, {})
        editions = [edition for edition in known if (row is None or edition != row.edition) == (which == "earlier")]
        if which == "never given" or not editions:
            return None, lambda subject: NEVER_GIVEN[number]
        edition = editions[-1 - number % len(editions)]
        return edition, lambda subject: subject.versions[of][edition]

    def _data(self, head: bytes, tail: bytes) -> bytes:
        """Never twice the same in one example, as the contract asks."""
        self.writes += 1
        return head + b"<%d>" % self.writes + tail

    def _in(self, minutes: int) -> int:
        return int(self.clock()) + minutes * MINUTE

    def _ask(self, call: Callable[[Subject], Coroutine[Any, Any, bool]], expected: bool) -> None:
        answers = dict(zip((subject.name for subject in self.subjects), self.each(call), strict=True))
        assert answers == dict.fromkeys(answers, expected), answers
