"""What is stored, and for how long: rows S1 to S9 of the requirements."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Awaitable, Callable, Hashable, Iterator
from datetime import timedelta
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import starlette_sessions_ext
from starlette_sessions_ext import (
    ConfigurationError,
    EventKind,
    MemoryStore,
    NotSerializable,
    RedisStore,
    Session,
    SessionEvent,
    SessionMiddleware,
    SessionStore,
    SessionTooLarge,
    SQLiteStore,
    Stored,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import digest_of, key_of, new_id, new_nonce
from starlette_sessions_ext._core.record import Alias, Header, decode
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext.testing import FakeClock
from starlette_sessions_ext.testing._named import named

from ..support.client import SECRET, Answer, Browser, make_app
from ..support.handlers import logout, put, rotate, view
from ..support.servers import free_port
from ..support.store_wrappers import CountingStore
from .conftest import SETTINGS, memory_only

pytestmark = pytest.mark.anyio

Advance = Callable[[float], Awaitable[None]]
Dump = Callable[[], Awaitable[bytes]]

YEAR = 366 * 24 * 60 * 60


async def remember(request: Request) -> Any:
    request.state.session.set_lifetime(YEAR)
    return {}


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> None:
        data["count"] = data.get("count", 0) + 1

    await request.state.session.atomic(increment)
    return {}


HANDLERS = {"/": view, "/put": put, "/logout": logout, "/rotate": rotate, "/remember": remember, "/count": count}


def app_that(store: SessionStore, change: Callable[[Session], None], **options: Any) -> Starlette:
    """HANDLERS, and /change."""

    async def apply(request: Request) -> Any:
        change(request.state.session)
        return {}

    return make_app(store, {**HANDLERS, "/change": apply}, **options)


class Watched:
    """An application, and the statuses of the responses that it has started."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.statuses: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        await self.app(scope, receive, watch)


def id_of(browser: Browser) -> str:
    return browser.cookies["session"][:32]


async def row_of(store: CountingStore, browser: Browser) -> Stored:
    row = await store.store.load(key_of(id_of(browser)))
    assert row is not None
    return row


async def content_of(store: CountingStore, browser: Browser) -> tuple[bytes, Hashable]:
    """Data and version of the browser's row. Redis computes the expiry from a clock that runs on during a test."""
    row = await row_of(store, browser)
    return row.data, row.version


async def overwrite(store: CountingStore, browser: Browser, data: bytes) -> tuple[bytes, Hashable]:
    """Put other bytes into the browser's row, past the middleware. Returns its content."""
    row = await row_of(store, browser)
    assert await store.store.replace(key_of(id_of(browser)), data, row.expires_at, row.version)
    return await content_of(store, browser)


def limit(store: CountingStore, size: int) -> None:
    store.max_data_bytes = store.store.max_data_bytes = size


# S1


FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "import_module"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            yield function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_S1_nothing_that_runs_stored_bytes_is_imported() -> None:
    files = sorted(Path(starlette_sessions_ext.__file__).parent.rglob("*.py"))
    assert len(files) > 10
    by_name = {
        Path("cli", "applications.py"),  # imports what the command line names, and no stored bytes
        Path("starlette_sessions_ext", "_lazy.py"),  # imports what our own packages list: see the next test
    }
    for file in files:
        if Path(*file.parts[-2:]) in by_name:
            continue
        tree = ast.parse(file.read_text())
        assert not FORBIDDEN_MODULES & set(imported(tree)), file
        assert not FORBIDDEN_CALLS & set(called(tree)), file


def test_S1_what_is_imported_by_name_is_written_in_the_code() -> None:
    calls = 0
    for file in Path(starlette_sessions_ext.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").lstrip("_") == "lazy_names":
                calls += 1
                modules = ast.literal_eval(node.args[1])
                assert all(module.startswith(".") for module in modules.values()), file
    assert calls == 3


exploded: list[str] = []


class Bomb:
    """Calls `exploded.append` when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return explode, (self.mark,)


def explode(mark: str) -> dict[str, Any]:
    exploded.append(mark)
    return {"user": mark}


@memory_only
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a record"])
async def test_S1_stored_pickle_bomb_is_corrupt_and_doesnt_go_off(store: CountingStore, wrapped: bool) -> None:
    bomb = pickle.dumps(Bomb(mark := new_id()))
    events: list[SessionEvent] = []
    browser = Browser(make_app(store, HANDLERS, on_event=events.append))
    await browser.get("/put?a=1")
    key = key_of(id_of(browser))
    await overwrite(store, browser, Header(key, 0, 0, None, "0" * 16).encode(new_nonce(), bomb) if wrapped else bomb)
    assert (await browser.get("/")).json() == {}
    assert events[-1] == SessionEvent(EventKind.RECORD_CORRUPT, key_digest=digest_of(key))
    assert mark not in exploded
    pickle.loads(bomb)
    assert mark in exploded, "the bomb was a dud"


# S2


async def assert_corrupt(store: CountingStore, victim: Browser, data: bytes) -> None:
    """With `data` as its row the session is empty and an event tells; no request changes the row."""
    events: list[SessionEvent] = []
    content = await overwrite(store, victim, data)
    for path in ("/", "/put?x=1", "/logout", "/rotate", "/remember", "/count"):
        browser = Browser(make_app(store, HANDLERS, on_event=events.append), cookies=dict(victim.cookies))
        events.clear()
        answer = await browser.get(path)
        assert events[0] == SessionEvent(EventKind.RECORD_CORRUPT, key_digest=digest_of(key_of(id_of(victim)))), path
        assert await content_of(store, victim) == content, path
        if path in ("/put?x=1", "/count"):
            assert id_of(browser) != id_of(victim)
            assert (await browser.get("/")).json() in ({"x": "1"}, {"count": 1})
        else:
            assert answer.set_cookies == [], path
            assert answer.json() == {}, path


@memory_only
async def test_S2_record_cut_anywhere_is_corrupt(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    whole = (await row_of(store, browser)).data
    for length in range(len(whole)):
        content = await overwrite(store, browser, whole[:length])
        events: list[SessionEvent] = []
        tab = Browser(make_app(store, HANDLERS, on_event=events.append), cookies=dict(browser.cookies))
        assert (await tab.get("/")).json() == {}
        await tab.get("/put?x=1")
        assert [event.kind for event in events] == [
            EventKind.RECORD_CORRUPT,
            EventKind.RECORD_CORRUPT,
            EventKind.CREATED,
        ], length
        assert id_of(tab) != id_of(browser)
        assert (await tab.get("/")).json() == {"x": "1"}
        assert await content_of(store, browser) == content
    await overwrite(store, browser, whole)
    assert (await browser.get("/")).json() == {"user": "ann"}, "the whole record is read"


@memory_only
async def test_S2_record_of_another_user_is_corrupt(store: CountingStore) -> None:
    app = make_app(store, HANDLERS)
    ann, bob = Browser(app), Browser(app)
    await ann.get("/put?user=ann")
    await bob.get("/put?user=bob")
    await assert_corrupt(store, ann, (await row_of(store, bob)).data)
    assert (await bob.get("/")).json() == {"user": "bob"}


OTHER_FORMATS: list[tuple[bytes, bytes]] = [
    # What stands in place of the header, and of the body; b"" keeps the record's own header.
    (b"", b""),
    (b"", b"null"),
    (b"", b'["user","bob"]'),
    (b"", b'"bob"'),
    (b"", b'{"user":"bob"'),
    (b"", b'{"user":"bob"}{}'),
    (b"", b'{"user":NaN}'),
    (b"", b"{'user':'bob'}"),
    (b"", '{"user":"böb"}'.encode()),
    (b"", b"\x81\xa4user\xa3bob"),  # msgpack
    (b"", b'user|s:3:"bob";'),  # PHP
    (b'{"user":"bob"}', b""),
    (b"\x81\xa4user\xa3bob", b""),
    (b'a:1:{s:4:"user";s:3:"bob";}', b""),
    (b"eyJ1c2VyIjoiYm9iIn0=.aaaaaa.signature", b""),  # Starlette's own cookie
    (b"\0", b'{"user":"bob"}'),
    (b"\xff\xfe", b'{"user":"bob"}'),
    (b"\n", b'{"user":"bob"}'),
    (b"s1 \n", b'{"user":"bob"}'),
]


@memory_only
async def test_S2_bytes_of_another_format_are_corrupt(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    own_header, end, _ = (await row_of(store, browser)).data.partition(b"\n")
    for header, body in OTHER_FORMATS:
        with named((header, body)):
            await assert_corrupt(store, browser, (header or own_header + end) + body)


# S3


def fillers(text: Callable[[], str]) -> dict[str, Callable[[Request], Awaitable[Any]]]:
    """Handlers that put a text into the session, one for each way of saving."""

    async def assign(request: Request) -> Any:
        request.state.session["text"] = text()
        return {}

    async def assign_and_rotate(request: Request) -> Any:
        request.state.session["text"] = text()
        request.state.session.rotate()
        return {}

    async def save(request: Request) -> Any:
        request.state.session["text"] = text()
        await request.state.session.save()
        return {}

    async def atomic(request: Request) -> Any:
        await request.state.session.atomic(lambda data: data.update(text=text()))
        return {}

    return {"/assign": assign, "/rotate": assign_and_rotate, "/save": save, "/atomic": atomic}


@pytest.mark.parametrize("path", ["/assign", "/rotate", "/save", "/atomic"])
async def test_S3_payload_at_the_limit_is_kept_and_one_byte_more_is_refused(store: CountingStore, path: str) -> None:
    size = 1
    app = Watched(make_app(store, {"/": view, **fillers(lambda: "x" * size)}))
    browser = Browser(app)
    await browser.get("/assign")
    limit(store, len((await row_of(store, browser)).data) + 99)

    size = 100
    await browser.get(path)
    full = await content_of(store, browser)
    assert len(full[0]) == store.store.max_data_bytes
    assert (await browser.get("/")).json() == {"text": "x" * 100}

    size = 101
    cookies, app.statuses = dict(browser.cookies), []
    with pytest.raises(SessionTooLarge):
        await browser.get(path)
    assert app.statuses == [500]
    assert browser.cookies == cookies
    assert await content_of(store, browser) == full
    assert (await browser.get("/")).json() == {"text": "x" * 100}


async def test_S3_new_session_over_the_limit_isnt_made(store: CountingStore, dump: Dump) -> None:
    limit(store, 200)
    app = Watched(make_app(store, fillers(lambda: "x" * 200)))
    browser = Browser(app)
    for path in ("/assign", "/rotate", "/save", "/atomic"):
        with pytest.raises(SessionTooLarge):
            await browser.get(path)
    assert app.statuses == [500] * 4
    assert browser.cookies == {}
    assert b"xxx" not in await dump()


# S4


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


async def stored_and_read(store: CountingStore, data: dict[Any, Any]) -> str:
    """What a second request reads of `data`, as JSON: Python calls 1, 1.0 and True equal, and 0.0 and -0.0."""
    read: list[str] = []

    async def remember(request: Request) -> Any:
        read.append(json.dumps(dict(request.state.session)))

    def fill(session: Session) -> None:
        session.update(data)

    browser = Browser(app_that(store, fill))
    await browser.get("/change")
    await Browser(make_app(store, {"/": remember}), cookies=browser.cookies).get("/")
    return read[0]


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(st.text(), VALUES, min_size=1))
@example(data={"": ""})
@example(data={"$where": {"$ne": None}, "a.b": {"c.d": [{}]}, "__proto__": {}})
@example(data={"control": "".join(map(chr, range(0x20))) + "\x7f\x85\u2028", "\0": "\0", "\t\n": "\t\n"})
@example(data={"big": 2**70, "small": -(2**70), "zero": -0.0, "tiny": 5e-324, "one": [1, 1.0, True]})
@example(data={"🐘": "🐘\U0010ffff", "é": "é", "e\u0301": "e\u0301", "bom": "\ufeff", "quotes": "\\'\"`%_;--"})
@example(data={"literally": "\\ud800"})
async def test_S4_any_json_comes_back_equal(store: CountingStore, data: dict[str, Any]) -> None:
    assert await stored_and_read(store, data) == json.dumps(data)


async def test_S4_tuples_come_back_as_lists_and_int_keys_as_text(store: CountingStore) -> None:
    assert await stored_and_read(store, {"pair": (1, (2,)), 3: {4: ()}}) == '{"pair": [1, [2]], "3": {"4": []}}'


def nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def itself() -> Any:
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


UNSAYABLE: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": {"prefs": ["canary", float("-inf")]},
    "bytes": b"canary",
    "set": {"canary"},
    "object": [object(), "canary"],
    "surrogate": "canary\ud800",
    "surrogate as a key": {"canary\udfff": 1},
    "tuple as a key": {("canary",): 1},
    "bottomless": nested(10**5),
    "itself": itself(),
    "huge": 10**5000,
}


@memory_only
@pytest.mark.parametrize("new", [True, False], ids=["new session", "old session"])
@pytest.mark.parametrize("name", UNSAYABLE)
async def test_S4_what_json_cant_say_is_refused_before_the_response(store: CountingStore, name: str, new: bool) -> None:
    def fill(session: Session) -> None:
        session["fine"] = 1
        session["culprit"] = UNSAYABLE[name]

    app = Watched(app_that(store, fill))
    browser = Browser(app)
    if not new:
        await browser.get("/put?old=1")
    cookies = dict(browser.cookies)
    store.calls.clear()
    app.statuses.clear()
    with pytest.raises(NotSerializable) as caught:
        await browser.get("/change")
    assert isinstance(caught.value, TypeError)
    assert "session['culprit']" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert app.statuses == [500]
    assert browser.cookies == cookies
    assert store.calls == ([] if new else ["load"])


# S5


def variants(text: str) -> Iterator[str]:
    """Spellings that a sloppy comparison, a collation or a cut would take for `text`."""
    letter = next(index for index, character in enumerate(text) if character.isalpha())
    yield text.swapcase()
    yield text[:letter] + text[letter].swapcase() + text[letter + 1 :]
    yield from (text + end for end in (" ", "\t", "\0", "=", "a", "%20"))
    yield from (" " + text, text[:-1], text[1:])
    yield text[:letter] + chr(ord(text[letter]) + 0xFEE0) + text[letter + 1 :]  # its fullwidth form: NFKD folds it
    yield text[:letter] + text[letter] + "\u0301" + text[letter + 1 :]


@memory_only
async def test_S5_other_spellings_of_a_cookie_open_nothing(store: CountingStore) -> None:
    app = make_app(store, HANDLERS)
    browser = Browser(app)
    await browser.get("/put?user=ann")
    session_id, cookie = id_of(browser), SessionCookie("session", SECRET)
    signature = browser.cookies["session"][33:]
    forged = [f"{other}.{signature}" for other in variants(session_id)]
    forged += [f"{session_id}.{other}" for other in variants(signature)]
    forged += [cookie.sign(other) for other in variants(session_id)]  # even signed with the secret
    store.calls.clear()
    for value in forged:
        answer = await browser.get("/", cookie_headers=[b"session=" + value.encode()])
        assert answer.json() == {}, value
        assert answer.set_cookies == [], value
    assert store.calls == []
    assert (await browser.get("/")).json() == {"user": "ann"}


def test_S5_other_spellings_of_an_id_are_other_records() -> None:
    session_id = new_id()
    keys = {key_of(other) for other in (session_id, *variants(session_id))}
    assert len(keys) == 1 + len(list(variants(session_id)))


distinct = pytest.mark.parametrize(
    "setting", [SETTINGS[name] for name in ("memory-asyncio", "sqlite-asyncio", "redis-asyncio")], indirect=True
)
"""For the kinds of store that `unreachable` makes."""


@pytest.fixture
def unreachable(store: CountingStore, tmp_path: Path, clock: FakeClock) -> SessionStore:
    """A store of the same kind with nothing behind it: whatever it sends, or reads, fails."""
    if isinstance(store.store, RedisStore):
        return RedisStore(f"redis://127.0.0.1:{free_port()}", clock=clock)
    if isinstance(store.store, SQLiteStore):
        return SQLiteStore(tmp_path / "no such folder" / "sessions.db", clock=clock)
    return MemoryStore(max_bytes=1, clock=clock)


KEY = "a" * 32
NOT_KEYS: list[Any] = [
    *(None, 7, b"a" * 32, {"$ne": None}, {"$gt": ""}, ["a" * 32], type("Text", (str,), {})(KEY)),
    *(
        "",
        "a" * 31,
        "a" * 33,
        "a" * 64,
        "a" * 65,
        "A" * 32,
        "a" * 31 + " ",
        "a" * 31 + "\n",
        "a" * 32 + "\n",
        "a" * 31 + "\0",
    ),
    *("a" * 31 + "é", "a" * 31 + "e\u0301", "a" * 31 + "\uff41", "*" * 32, "a" * 31 + "%", "../" + "a" * 29),
]


Call = Callable[..., Awaitable[Any]]


async def assert_refused(bad: Any, *calls: tuple[Call, *tuple[Any, ...]]) -> None:
    for method, *arguments in calls:
        with named(bad), pytest.raises((TypeError, ValueError)):
            await method(*arguments)


@distinct
async def test_S5_what_isnt_a_key_is_refused_before_any_io(unreachable: SessionStore) -> None:
    for bad in NOT_KEYS:
        await assert_refused(
            bad,
            (unreachable.load, bad),
            (unreachable.create, bad, b"data", 10**10),
            (unreachable.replace, bad, b"data", 10**10, 1),
            (unreachable.touch, bad, 10**10),
            (unreachable.delete, bad),
            (unreachable.delete, bad, 1),
        )
    with pytest.raises(StoreUnavailable):
        await unreachable.create(KEY, b"data", 10**10)


# S6


@pytest.mark.parametrize(
    "prefix",
    [
        *("a b", " ", "a\t", "a\n", "a\r", "a\0", "a\x7f", "a\x1b", "é", "\u00a0", "\ud800", "a" * 65),
        *(None, 7, b"session:", ["session:"]),
    ],
)
def test_S6_prefix_that_isnt_plain_text_is_refused(prefix: Any) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        RedisStore("redis://127.0.0.1", prefix=prefix)


@pytest.mark.parametrize("setting", [SETTINGS["redis-asyncio"], SETTINGS["redis-uvloop"]], indirect=True)
async def test_S6_prefix_is_data_and_never_a_command(store: CountingStore, redis: str, clock: FakeClock) -> None:
    """Redis takes arguments by their length, so that quotes and separators mean nothing to it."""
    prefix = "a'b\"c`d;e,f*{g}\\" + "x" * 48
    assert len(prefix) == 64
    async with RedisStore(redis, prefix=prefix, clock=clock) as prefixed, Redis.from_url(redis) as client:
        await prefixed.create(KEY, b"data", int(clock()) + 60)
        assert await prefixed.load(KEY) is not None
        assert await client.keys() == [(prefix + KEY).encode()]


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_S6_sqlite_without_a_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        SQLiteStore(path)


# S7


OLD_SECRET = "a secret that once was the first"
EVERY_OPTION: dict[str, Any] = {
    "secret_key": [SECRET, OLD_SECRET],
    "max_age": YEAR,
    "same_site": "none",
    "partitioned": True,
    "idle_timeout": 600,
    "absolute_timeout": 3600,
    "touch_interval": 1,
    "on_conflict": "raise",
}


async def read_in_every_way(request: Request) -> Any:
    """All that a handler can do to a session without putting something in."""
    session = request.state.session
    session.pop("x", None)
    session.update({})
    session.rotate()
    session.set_lifetime(60)
    await session.save()
    await session.atomic(len)
    return [session.get("x"), "x" in session, len(session), list(session), bool(session), session == {}, session | {}]


@pytest.mark.slow
@memory_only
async def test_S7_who_has_no_session_costs_nothing(store: CountingStore, dump: Dump) -> None:
    handlers = {"/": view, "/logout": logout, "/every": read_in_every_way}
    app = make_app(store, handlers, **EVERY_OPTION)
    for path, times in (("/", 10_000), ("/logout", 1000), ("/every", 1000)):
        browser = Browser(app, scheme="https")
        for _ in range(times):
            await browser.get(path)
        assert browser.cookies == {}
    assert store.calls == []
    assert b"s2 " not in await dump()


async def test_S7_unknown_ids_are_looked_up_and_leave_no_trace(store: CountingStore, dump: Dump) -> None:
    handlers = {"/": view, "/logout": logout, "/every": read_in_every_way}
    browser = Browser(make_app(store, handlers, **EVERY_OPTION), scheme="https")
    for number in range(100):
        cookie = SessionCookie("session", OLD_SECRET if number % 2 else SECRET)
        for path in handlers:
            answer = await browser.get(path, cookie_headers=[f"session={cookie.sign(new_id())}".encode()])
            assert answer.set_cookies == [], path
    assert store.calls == ["load"] * 300
    assert b"s2 " not in await dump()


# S8


def ahead_of(clock: FakeClock) -> FakeClock:
    """A clock for the middleware alone: the store's stands still, so it calls nothing expired and collects nothing."""
    ahead = FakeClock()
    ahead.now = clock.now
    return ahead


async def assert_ended(store: CountingStore, app: ASGIApp, browser: Browser) -> None:
    """The row is there, and no request gets at it, changes it or removes it."""
    content = await content_of(store, browser)
    for path in ("/", "/logout", "/rotate", "/remember"):
        answer = await Browser(app, cookies=dict(browser.cookies)).get(path)
        assert answer.json() == {}, path
        assert answer.set_cookies == [], path
    for path in ("/put?x=1", "/count"):
        tab = Browser(app, cookies=dict(browser.cookies))
        await tab.get(path)
        assert id_of(tab) != id_of(browser), path
        assert (await tab.get("/")).json() in ({"x": "1"}, {"count": 1})
    assert await content_of(store, browser) == content


@pytest.mark.parametrize("late", [0, 1, YEAR])
async def test_S8_idle_deadline_ends_a_session_whose_row_is_still_there(
    store: CountingStore, clock: FakeClock, late: int
) -> None:
    ahead = ahead_of(clock)
    app = make_app(store, HANDLERS, idle_timeout=600, touch_interval=599, clock=ahead)
    browser = Browser(app)
    await browser.get("/put?user=ann")
    deadline = (await row_of(store, browser)).expires_at
    ahead.now = deadline - 60
    assert (await browser.get("/")).json() == {"user": "ann"}
    ahead.now = deadline + late
    await assert_ended(store, app, browser)


@pytest.mark.parametrize("late", [0, 1, 1000])
async def test_S8_absolute_deadline_ends_a_session_whose_row_is_still_there(
    store: CountingStore, clock: FakeClock, late: int
) -> None:
    ahead = ahead_of(clock)
    # Signed in before the site had an absolute timeout: the row lives for much longer.
    browser = Browser(make_app(store, HANDLERS, clock=ahead))
    await browser.get("/put?user=ann")
    app = make_app(store, HANDLERS, absolute_timeout=1000, clock=ahead)
    ahead.advance(999)
    assert (await Browser(app, cookies=dict(browser.cookies)).get("/")).json() == {"user": "ann"}
    ahead.advance(1 + late)
    await assert_ended(store, app, browser)


async def test_S8_idle_deadline_ends_a_session_when_the_store_knows_it(store: CountingStore, advance: Advance) -> None:
    clock: FakeClock = store.store._clock  # type: ignore[attr-defined]
    browser = Browser(make_app(store, HANDLERS, idle_timeout=600, clock=clock))
    await browser.get("/put?user=ann")
    for _ in range(3):
        await advance(590)
        assert (await browser.get("/")).json() == {"user": "ann"}
    await advance(600)
    assert (await browser.get("/")).json() == {}


def max_age_in(answer: Answer) -> list[int]:
    attributes = [part.strip() for line in answer.set_cookies for part in line.split(";")]
    return [int(part.partition("=")[2]) for part in attributes if part.lower().startswith("max-age=")]


async def test_S8_nothing_moves_the_absolute_deadline(store: CountingStore, clock: FakeClock, advance: Advance) -> None:
    options: dict[str, Any] = {"idle_timeout": 100, "absolute_timeout": 1000, "touch_interval": 1, "clock": clock}
    browser = Browser(make_app(store, HANDLERS, **options))
    await browser.get("/put?step=0")
    start, refreshed = int(clock()), 0
    for step, path in enumerate(
        ["/", "/put?step=%d", "/rotate", "/count", "/remember", "/", "/rotate", "/put?step=%d"]
    ):
        await advance(90)
        answer = await browser.get(path % step if "%" in path else path)
        row = await row_of(store, browser)
        found = decode(row.data, key_of(id_of(browser)))
        assert not isinstance(found, Alias)
        assert found[0].created_at == start, path
        assert row.expires_at <= start + 1000, path
        assert all(max_age <= start + 1000 - clock() for max_age in max_age_in(answer)), path
        refreshed += bool(answer.set_cookies)
    assert refreshed, "a cookie was seen"
    await advance(start + 999 - clock())
    assert (await browser.get("/")).json() == {"step": "7", "count": 1}
    await advance(1)
    assert (await browser.get("/")).json() == {}


# S9


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("never called")


NOT_DURATIONS: list[Any] = [
    *(0, -1, 10**16, True, False, 1.5, 60.0, float("nan"), float("inf"), "60", b"60", [60]),
    *(timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=999), timedelta.max),
]


@pytest.mark.parametrize("value", NOT_DURATIONS, ids=repr)
@pytest.mark.parametrize("option", ["idle_timeout", "absolute_timeout", "touch_interval"])
def test_S9_lifetime_that_isnt_one_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        SessionMiddleware(nothing, SECRET, max_age=None, store=MemoryStore(), **{option: value})


@pytest.mark.parametrize(
    "value", [10**16, -(10**16), True, 1.5, float("nan"), float("inf"), "60", timedelta.max], ids=repr
)
def test_S9_max_age_that_isnt_one_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_age"):
        SessionMiddleware(nothing, SECRET, max_age=value, store=MemoryStore())


@memory_only
async def test_S9_lifetime_of_a_session_that_isnt_one_is_refused(store: CountingStore) -> None:
    for value in NOT_DURATIONS:
        browser = Browser(app_that(store, methodcaller("set_lifetime", value)))
        await browser.get("/put?a=1")
        before = await content_of(store, browser)
        with named(value), pytest.raises(ConfigurationError, match="lifetime"):
            await browser.get("/change")
        assert await content_of(store, browser) == before


async def test_S9_timedelta_is_a_lifetime(store: CountingStore, clock: FakeClock) -> None:
    def remember(session: Session) -> None:
        session.set_lifetime(timedelta(days=30))

    app = app_that(store, remember, idle_timeout=timedelta(hours=1), absolute_timeout=timedelta(days=60), clock=clock)
    browser = Browser(app)
    await browser.get("/put?a=1")
    assert abs((await row_of(store, browser)).expires_at - clock() - 60 * 60) <= 1
    await browser.get("/change")
    assert abs((await row_of(store, browser)).expires_at - clock() - 30 * 24 * 60 * 60) <= 1


@pytest.mark.parametrize("max_age", [0, -1, -YEAR, timedelta(0), timedelta(days=-1)], ids=repr)
async def test_S9_max_age_of_nothing_ends_a_session_at_once(
    store: CountingStore, clock: FakeClock, max_age: int | timedelta
) -> None:
    browser = Browser(make_app(store, HANDLERS, max_age=max_age, clock=clock))
    for path in ("/put?a=1", "/count", "/put?b=1"):
        browser.cookies.clear()
        await browser.get(path)
        assert await store.store.load(key_of(id_of(browser))) is None, path
        assert (await browser.get("/")).json() == {}, path


NOT_TIMES: list[Any] = [None, True, 1.5, float("nan"), float("inf"), "60", -1, 10**16, timedelta(60)]


@distinct
async def test_S9_time_that_isnt_one_is_refused_before_any_io(unreachable: SessionStore) -> None:
    for bad in NOT_TIMES:
        await assert_refused(
            bad,
            (unreachable.create, KEY, b"data", bad),
            (unreachable.replace, KEY, b"data", bad, 1),
            (unreachable.touch, KEY, bad),
        )


@pytest.mark.parametrize(
    "options",
    [{}, {"max_age": None}, {"idle_timeout": 60}, {"max_age": None, "idle_timeout": 100 * YEAR}, {"max_age": 0}],
    ids=repr,
)
async def test_S9_every_row_has_an_end(
    store: CountingStore, clock: FakeClock, redis: str | None, options: dict[str, Any]
) -> None:
    app = make_app(store, HANDLERS, clock=clock, **options)
    for step, path in enumerate(("/put?a=1", "/put?b=1", "/rotate", "/remember", "/count", "/")):
        browser = Browser(app)
        await browser.get(f"/put?step={step}")
        await browser.get(path)
        row = await store.store.load(key_of(id_of(browser)))
        assert row is None or row.expires_at <= clock() + 100 * YEAR, path
    assert all(ttl > 0 for ttl in await ttls(redis))


async def ttls(redis: str | None) -> list[int]:
    """The milliseconds left to each key of the server; -1 is a key without an end."""
    if redis is None:
        return []
    async with Redis.from_url(redis) as client:
        return [await client.pttl(key) async for key in client.scan_iter()]
