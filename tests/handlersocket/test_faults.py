"""A server that is silent, frozen, gone or wrong: an error in time, the socket closed, and service afterwards."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from starlette_sessions_ext.handlersocket import (
    Client,
    ConnectionLost,
    DeadlineExceeded,
    HandlerSocketError,
    Pool,
    ServerError,
    Where,
    frames,
)
from starlette_sessions_ext.handlersocket.connection import read_nothing
from starlette_sessions_ext.handlersocket.pipeline import Pipeline
from starlette_sessions_ext.testing import FaultProxy
from starlette_sessions_ext.testing._ticks import counting_ticks

from ..support.mariadb_server import MariaDBServer, running_mariadb
from ..support.servers import free_port, wait_until
from .clockwork import Clockwork, forget_timer, timeless
from .conftest import AMOUNTS, NAMES, TABLES
from .scripted import FENCED, Answer, ScriptedServer, error_of, opens_then, until

pytestmark = pytest.mark.anyio

TIMEOUT = 0.5
HANG = 60.0
"""Seconds after which nothing will come any more."""
A = Where("=", (b"a",))


async def in_time(call: Awaitable[object]) -> BaseException | None:
    """Its error, which has to come in less than twice the timeout, as its event loop counts."""
    async with counting_ticks(TIMEOUT / 20) as ticks:
        async with asyncio.timeout(HANG):
            error = await error_of(call)
    assert ticks.count < 35
    return error


async def connect(port: int, **options: Any) -> Client:
    return await Client.connect("127.0.0.1", port, **{"indexes": [NAMES], "timeout": 20, **options})


def impatient(client: Client) -> Client:
    """The client, which was connected with patience; from now on `TIMEOUT` is the deadline of its answers."""
    forget_timer(client)
    client.pipeline.timeout = TIMEOUT
    return client


async def connect_and_find(port: int, **options: Any) -> None:
    client = await connect(port, **options)
    await client.find(NAMES, A)


# Silence


def silent_at(stage: bytes) -> Answer:
    """Never answers lines that begin so."""
    return lambda line: b"" if line.startswith(stage) else b"0\t1\n"


@pytest.mark.parametrize("stage", [b"A", b"P", b"1"], ids=["auth", "open", "reply"])
async def test_P5_a_server_that_never_answers(stage: bytes) -> None:
    async with ScriptedServer(silent_at(stage)) as server:
        error = await in_time(connect_and_find(server.port, secret="secret", timeout=TIMEOUT))
        assert isinstance(error, DeadlineExceeded)
        assert isinstance(error, TimeoutError)
        await until(lambda: server.current == 0)
        assert server.connections == 1


async def test_P5_a_server_that_never_accepts() -> None:
    """Its queue of connections is full, so the kernel answers no more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        error = await in_time(connect_and_find(port, timeout=TIMEOUT))
        assert isinstance(error, DeadlineExceeded)
        for one in waiting:
            one.close()


async def test_P5_a_frozen_server(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        client = impatient(await connect(proxy.port, secret=server.hs_secret))
        with server.frozen():
            finds = [asyncio.ensure_future(client.find(NAMES, A)) for _ in range(20)]
            assert await in_time(asyncio.wait(finds)) is None
            errors = [find.exception() for find in finds]
            assert isinstance(errors[0], DeadlineExceeded)  # calls that asked a little later may get this one's error
            assert all(isinstance(error, ConnectionLost) for error in errors)
            assert client.pipeline.in_flight == 0
            error = await in_time(connect_and_find(proxy.port, secret=server.hs_secret, timeout=TIMEOUT))
            assert isinstance(error, DeadlineExceeded)
        await until(lambda: proxy.current == 0)
        await connect_and_find(proxy.port, secret=server.hs_secret)


async def test_P5_one_overdue_answer_ends_the_connection_for_all() -> None:
    """What is late would be taken for the answer to the next."""
    async with ScriptedServer(opens_then(b"")) as server:
        client = impatient(await connect(server.port))
        clockwork = Clockwork.of(client)
        first = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        clockwork.advance(TIMEOUT / 2)
        second = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        clockwork.advance(TIMEOUT / 2)
        assert type(await error_of(second)) is ConnectionLost
        assert isinstance(await error_of(first), DeadlineExceeded)
        assert isinstance(await error_of(client.find(NAMES, A)), ConnectionLost)
        await until(lambda: server.current == 0)


async def test_an_overdue_answer_for_somebody_who_has_gone_ends_it_too() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        client = impatient(await connect(server.port))
        gone = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        gone.cancel()
        await until(lambda: not client.pipeline.is_usable)
        await until(lambda: server.current == 0)


async def test_each_answer_has_a_deadline_of_its_own() -> None:
    """A connection that is in use for long isn't ended by an early one's."""
    said = [b"0\t2\ta\tb\n"]
    async with ScriptedServer(lambda line: b"0\t1\n" if line[:1] == b"P" else said[0]) as server:
        client = impatient(await connect(server.port))
        clockwork = Clockwork.of(client)
        for _ in range(10):
            find = asyncio.ensure_future(client.find(NAMES, A))
            await asyncio.sleep(0)
            clockwork.advance(0.4 * TIMEOUT)  # with the answer under way; every third time the timer rings
            assert await find == [(b"a", b"b")]
        said[0] = b""
        find = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        clockwork.advance(0.9 * TIMEOUT)
        assert client.pipeline.is_usable
        clockwork.advance(0.1 * TIMEOUT)
        assert isinstance(await error_of(find), DeadlineExceeded)


async def test_a_connection_with_nothing_to_wait_for_is_left_alone(server: MariaDBServer) -> None:
    client = await connect(server.hs_port, secret=server.hs_secret)
    clockwork = Clockwork.of(client)
    for _ in range(2):
        assert await client.find(NAMES, A) == []
        clockwork.advance(1.5 * client.pipeline.timeout)
    await client.aclose()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A server of which anybody has stopped HandlerSocket's port for reading, with one byte."""
    with running_mariadb(tmp_path_factory.mktemp("stopped")) as server:
        server.run("CREATE DATABASE other")
        server.run(TABLES, "other")
        with socket.create_connection(("127.0.0.1", server.hs_port)) as anybody:
            anybody.sendall(b"Q")
            wait_until(lambda: not server.answers())
        yield server


async def test_P5_a_port_that_was_stopped(stopped: MariaDBServer) -> None:
    error = await in_time(connect_and_find(stopped.hs_port, secret=stopped.hs_secret, timeout=TIMEOUT))
    assert isinstance(error, ConnectionLost)
    writer = await connect(stopped.hs_port_wr, secret=stopped.hs_secret_wr)
    assert await writer.find(NAMES, A) == []
    await writer.aclose()


# A server that waits for acknowledgements


class NotedSocket:
    """A socket whose options are noted as they are set."""

    def __init__(self, inner: Any) -> None:
        self.options: list[tuple[int, int, int]] = []
        self._inner = inner

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self.options.append((level, name, value))
        self._inner.setsockopt(level, name, value)


async def test_what_came_is_acknowledged_at_once_while_more_is_to_come() -> None:
    """Otherwise the client's system waits 40 ms, in which HandlerSocket sends nothing more (Nagle's algorithm)."""
    async with ScriptedServer(opens_then(b"")) as server:
        client = await connect(server.port)
        noted: Any = NotedSocket(client.pipeline._socket)
        client.pipeline._socket = noted
        find = asyncio.ensure_future(client.find(NAMES, A))
        await until(lambda: len(server.lines) == 2)
        at_once = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        client.pipeline.data_received(b"0\t2\t")
        assert noted.options == [at_once]
        client.pipeline.data_received(b"a\t1\n")
        assert noted.options == [at_once] * 2, "the answer to the fence is to come"
        client.pipeline.data_received(FENCED)
        assert noted.options == [at_once] * 2
        assert await find == [(b"a", b"1")]
        await client.aclose()


# A server that stops reading


async def test_back_pressure_bounds_what_waits() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        client = impatient(await connect(server.port))
        server.reading.clear()
        key = Where("=", (b"x" * 16_000,))
        calls = [asyncio.ensure_future(client.find(NAMES, key)) for _ in range(2000)]  # 32 MB
        await asyncio.sleep(0)
        pipeline = client.pipeline
        assert not pipeline.has_room
        assert pipeline._transport is not None
        assert pipeline._transport.get_write_buffer_size() + pipeline._connection.unsent_bytes < 2 * 1024 * 1024
        assert await in_time(asyncio.wait(calls)) is None
        assert all(isinstance(call.exception(), ConnectionLost) for call in calls)
        server.reading.set()
        await until(lambda: server.current == 0)


async def test_requests_that_wait_for_room_go_on_when_there_is_some() -> None:
    async with ScriptedServer(opens_then(b"0\t2\n")) as server:
        client = await connect(server.port)
        server.reading.clear()
        key = Where("=", (b"x" * 16_000,))
        calls = [asyncio.ensure_future(client.find(NAMES, key)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert not client.pipeline.has_room
        calls[-1].cancel()
        server.reading.set()
        assert await asyncio.gather(*calls[:-1]) == [[]] * 999
        assert client.pipeline.has_room
        await client.aclose()


async def test_a_request_that_nobody_takes_has_a_deadline_too(server: MariaDBServer) -> None:
    """Even where no answer is overdue. It wasn't sent, so the connection is as good as before."""
    client = impatient(await connect(server.hs_port, secret=server.hs_secret))
    client.pipeline.pause_writing()  # as the event loop does
    error = await in_time(client.find(NAMES, A))
    assert isinstance(error, DeadlineExceeded)
    assert "wasn't sent" in str(error)
    client.pipeline.resume_writing()
    client.pipeline.timeout = 20
    assert await client.find(NAMES, A) == []
    await client.aclose()


# The end of a connection


async def test_P7_an_idle_connection_that_was_closed_is_replaced(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES])
        client = await pool.client()
        assert await pool.client() is client
        proxy.reset()
        await until(lambda: not client.pipeline.is_usable)
        assert await (await pool.client()).find(NAMES, A) == []
        assert proxy.connections == 2
        await pool.aclose()


@pytest.mark.parametrize("fault", ["reset", "silence"])
async def test_P7_a_write_of_unknown_fate_isnt_sent_again(server: MariaDBServer, fault: str) -> None:
    server.run("INSERT INTO people (id, name, amount) VALUES ('a', 'A', 0)", "other")

    def amount() -> str:
        return server.run("SELECT amount FROM people", "other")

    async with FaultProxy("127.0.0.1", server.hs_port_wr) as proxy:
        client = impatient(await connect(proxy.port, secret=server.hs_secret_wr, indexes=[AMOUNTS]))
        proxy.hold_replies()
        write = asyncio.ensure_future(client.increment(AMOUNTS, A, (1,)))
        await until(lambda: amount() == "1\n")
        if fault == "reset":
            proxy.reset()
        assert isinstance(await in_time(write), ConnectionLost)
        proxy.release()
        await until(lambda: proxy.current == 0)
        assert proxy.connections == 1
        assert amount() == "1\n"


async def test_nobody_there() -> None:
    error = await in_time(connect(free_port()))
    assert type(error) is ConnectionLost
    assert "127.0.0.1" in str(error)
    assert "None" not in str(error)


async def test_several_addresses_and_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then asyncio's error has no reason of the system's, but all of them in one text."""

    async def refuse(*arguments: object) -> None:
        raise OSError("Multiple exceptions: one, another")

    monkeypatch.setattr(type(asyncio.get_running_loop()), "create_connection", refuse)
    with pytest.raises(ConnectionLost, match="one, another"):
        await connect(free_port())


# Secrets


async def test_P6_a_wrong_secret_is_one_clear_error(server: MariaDBServer, caplog: pytest.LogCaptureFixture) -> None:
    secret = "canary" + server.hs_secret[::-1]
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        pool = Pool("127.0.0.1", proxy.port, secret=secret, indexes=[NAMES], timeout=20)
        errors = await asyncio.gather(*(error_of(pool.client()) for _ in range(100)))
        assert {str(error) for error in errors} == {"HandlerSocket answered with error 3 unauth"}
        assert proxy.connections == 1
        await until(lambda: proxy.current == 0)
        await pool.aclose()
    texts = [repr(pool), repr(vars(errors[0])), caplog.text]
    texts += ["".join(traceback.format_exception(error)) for error in errors if error]
    assert secret not in "".join(texts)


async def test_no_secret_in_the_errors_of_a_connection(server: MariaDBServer) -> None:
    client = await connect(server.hs_port, secret=server.hs_secret)
    error = await error_of(client.pipeline.ask(frames.auth("canary"), read_nothing))
    assert "canary" not in f"{error!r} {client!r} {client.pipeline!r}"
    client.pipeline.abort()


# The pool


async def test_a_pool_makes_another_connection_where_all_are_busy() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES], size=2, timeout=20)
        first = await pool.client()
        busy = [asyncio.ensure_future(first.find(NAMES, A))]
        await asyncio.sleep(0)
        assert await pool.client() is first  # the other is on its way, but nobody waits for it
        await until(lambda: len(pool.clients) == 2)
        second = await pool.client()
        assert second is not first
        busy += [asyncio.ensure_future(second.find(NAMES, A)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await pool.client() is first
        assert server.connections == 2
        for client in pool.clients:
            client.pipeline.abort()
        for one in busy:
            assert isinstance(await error_of(one), ConnectionLost)
        await pool.aclose()


async def test_a_pool_dials_once_for_all_who_wait() -> None:
    async with ScriptedServer(opens_then(b"0\t2\n")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES])
        clients = await asyncio.gather(*(pool.client() for _ in range(100)))
        assert len(set(clients)) == server.connections == 1
        await pool.aclose()
        await until(lambda: server.current == 0)


async def test_a_dial_goes_on_for_the_others_when_its_first_asker_leaves(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        proxy.hold_replies()
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        first, second = (asyncio.ensure_future(pool.client()) for _ in range(2))
        await until(lambda: proxy.current == 1)
        first.cancel()
        await asyncio.wait([first])
        proxy.release()
        assert await (await second).find(NAMES, A) == []
        assert proxy.connections == 1
        await pool.aclose()


async def test_a_dial_that_nobody_waits_for_any_more_may_fail(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        proxy.hold_replies()
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        only = asyncio.ensure_future(pool.client())
        await until(lambda: proxy.current == 1)
        only.cancel()
        await asyncio.wait([only])
        proxy.reset()
        await until(lambda: pool._connecting is not None and pool._connecting.done())
        proxy.release()
        assert await (await pool.client()).find(NAMES, A) == []
        await pool.aclose()


async def test_a_pool_pauses_between_failed_dials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer each time; a success ends that."""
    async with ScriptedServer(opens_then(b"0\t2\n")) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.refusing = True
        pool = Pool("127.0.0.1", proxy.port, indexes=[NAMES], timeout=20)
        sleeps = timeless(pool, monkeypatch)
        for _ in range(8):
            assert isinstance(await error_of(pool.client()), ConnectionLost)
        first, *slept = sleeps.seconds
        assert first <= 0
        for pause, seconds in zip([0.01, 0.03, 0.07, 0.15, 0.31, 0.5, 0.5], slept, strict=True):
            assert 0.49 * pause <= seconds <= 1.01 * pause
        assert proxy.connections == 8
        proxy.refusing = False
        await pool.client()
        assert pool._pause == 0
        await pool.aclose()


async def test_a_pool_that_cant_connect_isnt_a_storm() -> None:
    """Each failed attempt is the failure of all who wait; those who ask again share the next, after its pause."""
    callers, times = 100, 8
    async with ScriptedServer(lambda line: None) as server:
        pool = Pool("127.0.0.1", server.port, secret="secret", timeout=20)

        async def insist() -> None:
            for _ in range(times):
                assert isinstance(await error_of(pool.client()), ConnectionLost)

        await asyncio.gather(*(insist() for _ in range(callers)))
        assert server.connections == times
        await pool.aclose()


async def test_what_was_idle_for_long_is_replaced() -> None:
    async with ScriptedServer(opens_then(b"0\t2\n")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES])
        client = await pool.client()
        client.pipeline.last_used -= 239
        assert await pool.client() is client
        client.pipeline.last_used -= 2
        assert await pool.client() is not client
        await until(lambda: server.current == 1)
        assert len(pool.clients) == 1
        await pool.aclose()


async def test_what_waits_for_an_answer_isnt_idle() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES], size=1, timeout=20)
        client = await pool.client()
        waiting = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        client.pipeline.last_used -= 1000
        assert await pool.client() is client
        client.pipeline.abort()
        assert isinstance(await error_of(waiting), ConnectionLost)
        await pool.aclose()


async def test_to_forget_what_is_idle_spares_what_waits_for_an_answer() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES], size=1, timeout=20)
        client = await pool.client()
        waiting = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        pool.forget_idle()
        assert await pool.client() is client
        client.pipeline.abort()
        assert isinstance(await error_of(waiting), ConnectionLost)
        another = await pool.client()
        pool.forget_idle()
        assert not another.pipeline.is_usable
        assert pool.clients == []
        await pool.aclose()


async def test_drain_lets_what_is_under_way_be_answered_and_service_goes_on(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        client = await pool.client()
        proxy.hold_replies()
        finds = [asyncio.ensure_future(client.find(NAMES, A)) for _ in range(10)]
        await asyncio.sleep(0)
        draining = asyncio.ensure_future(pool.drain())
        await asyncio.sleep(0)
        proxy.release()
        await draining
        assert await asyncio.gather(*finds) == [[]] * 10
        await until(lambda: proxy.current == 0)
        assert await (await pool.client()).find(NAMES, A) == []
        await pool.aclose()


async def test_drain_holds_the_next_connection_back(server: MariaDBServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        await pool.client()
        sleeps = timeless(pool, monkeypatch)
        sleeps.awake.clear()
        await pool.drain(hold=0.5)
        asking = asyncio.ensure_future(pool.client())
        await until(lambda: bool(sleeps.seconds))
        assert sleeps.seconds == [0.5]
        server.run("SET lock_wait_timeout = 20; ALTER TABLE people ENGINE = InnoDB", "other")
        assert not asking.done()
        assert proxy.connections == 1
        sleeps.awake.set()
        assert await (await asking).find(NAMES, A) == []
        await pool.aclose()


async def test_drain_stops_a_dial_and_who_waits_for_it_starts_another(server: MariaDBServer) -> None:
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        proxy.hold_replies()
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        waiting = asyncio.ensure_future(pool.client())
        await until(lambda: proxy.current == 1)
        await pool.drain(hold=0.1)
        proxy.release()
        assert await (await waiting).find(NAMES, A) == []
        await until(lambda: proxy.current == 1)
        assert proxy.connections == 2
        await pool.aclose()


async def test_a_dial_that_drain_stops_leaves_the_one_that_follows_alone(server: MariaDBServer) -> None:
    """Else that one would be nobody's, and stay open when the pool is closed."""
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        proxy.hold_replies()
        pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        waiting = [asyncio.ensure_future(pool.client())]
        await until(lambda: proxy.current == 1)
        draining = asyncio.ensure_future(pool.drain())
        waiting += [asyncio.ensure_future(pool.client()) for _ in range(3)]  # in the same turn
        await draining
        await until(lambda: proxy.connections == 2)
        await pool.aclose()
        assert [type(error) for error in [await error_of(one) for one in waiting]] == [ConnectionLost] * 4
        proxy.release()
        await until(lambda: proxy.current == 0)
        assert proxy.connections == 2


async def test_a_closed_pool_stays_closed() -> None:
    async with ScriptedServer(opens_then(b"0\t2\n")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES])
        client = await pool.client()
        await pool.aclose()
        await until(lambda: server.current == 0)
        for call in (pool.client(), client.find(NAMES, A)):
            assert type(await error_of(call)) is ConnectionLost
        assert server.connections == 1


async def test_a_pool_that_was_never_used_is_closed() -> None:
    pool = Pool("127.0.0.1", free_port())
    await pool.aclose()
    assert type(await error_of(pool.client())) is ConnectionLost


async def test_a_connection_that_is_lost_before_it_is_made() -> None:
    pipeline = Pipeline(TIMEOUT)
    pipeline.connection_lost(None)
    with pytest.raises(ConnectionLost):
        await pipeline.ask(frames.auth("secret"), read_nothing)


async def test_a_cancelled_drain_closes_all_the_same() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        pool = Pool("127.0.0.1", server.port, indexes=[NAMES], timeout=1000)
        client = await pool.client()
        waiting = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        await pool.client()  # which has another made
        draining = asyncio.ensure_future(pool.drain())
        await asyncio.sleep(0)
        draining.cancel()
        await until(lambda: server.current == 0)
        assert isinstance(await error_of(waiting), ConnectionLost)


async def test_aclose_waits_no_longer_than_for_an_answer() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        client = impatient(await connect(server.port))
        waiting = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        assert await in_time(client.aclose()) is None
        assert isinstance(await error_of(waiting), ConnectionLost)
        await until(lambda: server.current == 0)


async def test_a_cancelled_aclose_closes_all_the_same() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        client = await connect(server.port, timeout=1000)
        waiting = asyncio.ensure_future(client.find(NAMES, A))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(client.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await until(lambda: server.current == 0)
        assert isinstance(await error_of(waiting), ConnectionLost)


@pytest.mark.parametrize("stage", [b"A", b"P"])
async def test_a_cancelled_connect_leaves_nothing_open(stage: bytes) -> None:
    async with ScriptedServer(silent_at(stage)) as server:
        connecting = asyncio.ensure_future(connect(server.port, secret="secret", timeout=20))
        await until(lambda: any(line.startswith(stage) for line in server.lines))
        connecting.cancel()
        await asyncio.wait([connecting])
        assert connecting.cancelled()
        await until(lambda: server.current == 0)


async def test_errors_are_of_use_to_who_knows_only_pythons() -> None:
    assert issubclass(ConnectionLost, HandlerSocketError)
    assert issubclass(ConnectionLost, ConnectionError)
    assert issubclass(DeadlineExceeded, TimeoutError)
    assert not issubclass(ServerError, OSError)
