"""All requests of the protocol, against the real server, on asyncio and uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from starlette_sessions_ext.handlersocket import (
    Client,
    Filter,
    Index,
    LocalProtocolError,
    Row,
    ServerError,
    Where,
    Within,
    frames,
)
from starlette_sessions_ext.handlersocket.connection import read_nothing
from starlette_sessions_ext.testing import FaultProxy

from ..support.mariadb_server import MariaDBServer
from .conftest import AMOUNTS, BY_AMOUNT, NAMES, PEOPLE, THINGS

pytestmark = pytest.mark.anyio

ALL_BYTES = bytes(range(256))


def key(name: str) -> Where:
    return Where("=", (name,))


def person(name: str, amount: int, note: bytes | None = b"note") -> Row:
    return name.encode(), name.upper().encode(), b"%d" % amount, note


@pytest.fixture
async def people(client: Client) -> list[Row]:
    """Five rows, a to e, of the amounts 1 to 5."""
    rows = [person(name, number) for number, name in enumerate("abcde", 1)]
    for row in rows:
        await client.insert(PEOPLE, row)
    return rows


# The way in


async def test_auth(server: MariaDBServer) -> None:
    for port, secret in ((server.hs_port, server.hs_secret), (server.hs_port_wr, server.hs_secret_wr)):
        client = await Client.connect("127.0.0.1", port, secret=secret, indexes=[NAMES])
        assert await client.find(NAMES, key("a")) == []
        await client.aclose()


@pytest.mark.parametrize("secret", ["wrong", "", None, "\t", "\n", "\0"])
async def test_P6_a_wrong_secret_or_none(server: MariaDBServer, secret: str | None) -> None:
    with pytest.raises(ServerError) as failure:
        await Client.connect("127.0.0.1", server.hs_port, secret=secret, indexes=[NAMES])
    assert (failure.value.code, failure.value.reason) == (3, "unauth")


@pytest.mark.parametrize(
    ("index", "code", "reason"),
    [
        (Index(9, "nowhere", "people", "PRIMARY", ("id",)), 1, "open_table"),
        (Index(9, "other", "nothing", "PRIMARY", ("id",)), 1, "open_table"),
        (Index(9, "other", "people", "nothing", ("id",)), 2, "idxnum"),
        (Index(9, "other", "people", "PRIMARY", ("id", "nothing")), 2, "fld"),
        (Index(9, "other", "people", "PRIMARY", ("id",), ("nothing",)), 2, "fld"),
    ],
)
async def test_what_cant_be_opened(client: Client, index: Index, code: int, reason: str) -> None:
    with pytest.raises(ServerError) as failure:
        await client.open_index(index)
    assert (failure.value.code, failure.value.reason) == (code, reason)
    with pytest.raises(LocalProtocolError, match="isn't open"):
        await client.find(index, key("a"))
    with pytest.raises(ServerError) as failure:
        await client.ask_opened(index, lambda: client.find(index, key("a")))
    assert (failure.value.code, failure.value.reason) == (code, reason)
    assert await client.find(NAMES, key("a")) == []


async def test_an_index_is_opened_ahead_of_what_is_asked(client: Client) -> None:
    index = Index(9, "other", "people", "PRIMARY", ("id",))
    find, insert = (lambda: client.find(index, key("a"))), (lambda: client.insert(index, ("a",)))
    assert await asyncio.gather(*(client.ask_opened(index, find) for _ in range(3))) == [[], [], []]
    await client.ask_opened(index, insert)
    with pytest.raises(ServerError) as failure:
        await client.ask_opened(index, insert)
    assert failure.value.is_duplicate


async def test_an_index_is_opened_before_what_is_asked_where_there_is_no_room(client: Client) -> None:
    index = Index(9, "other", "people", "PRIMARY", ("id",))
    client.pipeline.pause_writing()
    asked = asyncio.create_task(client.ask_opened(index, lambda: client.find(index, key("a"))))
    await asyncio.sleep(0)
    assert not client.pipeline.in_flight
    client.pipeline.resume_writing()
    assert await asked == []


async def test_a_request_fails_by_itself_on_an_index_that_was_opened_ahead(client: Client) -> None:
    index = Index(9, "other", "people", "PRIMARY", ("id",))
    await client.insert(NAMES, ("a", "Ann"))
    with pytest.raises(ServerError) as failure:
        await client.ask_opened(index, lambda: client.insert(index, ("a",)))
    assert failure.value.is_duplicate


async def test_an_index_is_opened_before_it_is_used(client: Client) -> None:
    index = Index(9, "other", "people", "PRIMARY", ("id",))
    for ask in (client.find(index, key("a")), client.insert(index, ("a",)), client.delete(index, key("a"))):
        with pytest.raises(LocalProtocolError, match="isn't open"):
            await ask
    await client.open_index(index)
    await client.open_index(Index(9, "other", "people", "PRIMARY", ("id",)))  # the same once more
    assert await client.find(index, key("a")) == []


async def test_an_id_stays_with_its_index(client: Client, people: list[Row]) -> None:
    """Else a search that is on its way would be answered from another table."""
    other = Index(NAMES.id, "other", "things", "PRIMARY", ("name", "amount"))
    searches = [asyncio.ensure_future(client.find(NAMES, key("a"))) for _ in range(3)]
    with pytest.raises(LocalProtocolError, match="taken"):
        await client.open_index(other)
    searches.append(asyncio.ensure_future(client.find(NAMES, key("a"))))
    assert await asyncio.gather(*searches) == [[(b"a", b"A")]] * 4
    with pytest.raises(LocalProtocolError):
        await client.find(other, key("a"))


# Finding


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (Where("=", ("c",)), "c"),
        (Where("=", ("x",)), ""),
        (Where(">", ("c",), limit=9), "de"),
        (Where(">=", ("c",), limit=9), "cde"),
        (Where("<", ("c",), limit=9), "ba"),
        (Where("<=", ("c",), limit=9), "cba"),
        (Where(">=", ("",), limit=2), "ab"),
        (Where(">=", ("",), limit=2, offset=2), "cd"),
        (Where(">=", ("",), limit=9, offset=9), ""),
        (Where(">=", ("",)), "a"),
        (Where("=", ("",), limit=9, within=Within(0, ["e", "x", "a"])), "ea"),
        (Where("=", ("",), limit=9, offset=1, within=Within(0, ["e", "x", "a"])), "a"),
        (Where("=", ("",), limit=1, within=Within(0, ["e", "x", "a"])), "e"),
        (Where(">=", ("",), limit=9, filters=[Filter(">", 0, 2)]), "cde"),
        (Where(">=", ("",), limit=9, filters=[Filter("<=", 0, 2)]), "ab"),
        (Where(">=", ("",), limit=9, filters=[Filter("!=", 0, 2)]), "acde"),
        (Where(">=", ("",), limit=9, filters=[Filter("=", 1, "D")]), "d"),
        (Where(">=", ("",), limit=9, filters=[Filter(">", 0, 1), Filter("<", 1, "D")]), "bc"),
        (Where(">=", ("",), limit=9, filters=[Filter("!=", 0, 3, stops=True)]), "ab"),
        (Where(">=", ("",), limit=9, filters=[Filter("<", 0, 1, stops=True)]), ""),
        (Where("=", ("c",), filters=[Filter("=", 0, 4)]), ""),
        (Where("=", ("",), limit=9, within=Within(0, ["a", "b"]), filters=[Filter("=", 0, 2)]), "b"),
    ],
)
async def test_find(client: Client, people: list[Row], where: Where, names: str) -> None:
    assert await client.find(PEOPLE, where) == [person(name, ord(name) - 96) for name in names]


async def test_find_by_another_key(client: Client, people: list[Row]) -> None:
    assert await client.find(BY_AMOUNT, Where("<=", (3,), limit=2)) == [(b"c", b"3"), (b"b", b"2")]


async def test_all_bytes_and_null_make_the_round_trip(client: Client) -> None:
    for at in range(0, 256, 16):
        piece = ALL_BYTES[at : at + 16]
        await client.insert(PEOPLE, (piece, piece, at, piece))
        assert await client.find(PEOPLE, Where("=", (piece,))) == [(piece, piece, b"%d" % at, piece)]
        assert await client.find(PEOPLE, Where("=", (piece,), filters=[Filter("=", 1, piece)]))
    await client.insert(PEOPLE, ("null", "é", -5, None))
    await client.insert(PEOPLE, ("empty", "", 0, ""))
    assert await client.find(PEOPLE, key("null")) == [(b"null", "é".encode(), b"-5", None)]
    assert await client.find(PEOPLE, key("empty")) == [(b"empty", b"", b"0", b"")]


async def test_positions_that_the_index_doesnt_have_are_refused(client: Client) -> None:
    for where in (
        Where("=", ("a",), filters=[Filter("=", 2, 1)]),
        Where("=", ("a",), within=Within(1, ["a"])),
    ):
        with pytest.raises(LocalProtocolError, match="position"):
            await client.find(PEOPLE, where)


# Changing


async def test_insert(client: Client, server: MariaDBServer) -> None:
    assert await client.insert(PEOPLE, person("a", 1)) is None
    with pytest.raises(ServerError) as failure:
        await client.insert(PEOPLE, person("a", 2))
    assert failure.value.is_duplicate
    assert server.run("SELECT id, name, amount FROM people", "other") == "a\tA\t1\n"


async def test_insert_with_auto_increment(client: Client, server: MariaDBServer) -> None:
    assert [await client.insert(THINGS, ("x", number)) for number in range(3)] == [1, 2, 3]
    assert server.run("SELECT id, name, amount FROM things", "other") == "1\tx\t0\n2\tx\t1\n3\tx\t2\n"


async def test_update(client: Client, people: list[Row]) -> None:
    assert await client.update(PEOPLE, key("a"), person("a", 10)) == 1
    assert await client.update(PEOPLE, key("a"), person("a", 10)) == 1  # found, though it changes nothing
    assert await client.update(PEOPLE, key("x"), person("x", 10)) == 0
    assert await client.update(PEOPLE, key("a")._replace(filters=[Filter("=", 0, 1)]), person("a", 11)) == 0
    assert await client.update(NAMES, Where(">=", ("b",), limit=2), (None, "same")) == 2
    assert await client.find(NAMES, Where(">=", ("",), limit=9)) == [
        *[(b"a", b"A"), (b"b", b"same"), (b"c", b"same")],
        *[(b"d", b"D"), (b"e", b"E")],
    ]
    assert await client.find(PEOPLE, key("a")) == [person("a", 10)]


async def test_an_update_moves_a_row_only_where_there_is_none(client: Client, people: list[Row]) -> None:
    with pytest.raises(ServerError) as failure:
        await client.update(PEOPLE, key("a"), person("b", 1))
    assert failure.value.is_duplicate
    assert await client.update(PEOPLE, key("a"), person("f", 1)) == 1
    assert await client.find(NAMES, Where(">=", ("e",), limit=9)) == [(b"e", b"E"), (b"f", b"F")]


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", 1), ("a", "b", 1, "c", "d")])
async def test_every_column_is_given_its_value(client: Client, people: list[Row], values: tuple[Any, ...]) -> None:
    """The server takes what is missing for zero, or nothing."""
    for ask in (
        client.insert(PEOPLE, values),
        client.update(PEOPLE, key("a"), values),
        client.increment(PEOPLE, key("a"), values),
        client.decrement(PEOPLE, key("a"), values),
        client.fetch_and_update(PEOPLE, key("a"), values),
        client.fetch_and_increment(PEOPLE, key("a"), values),
        client.fetch_and_decrement(PEOPLE, key("a"), values),
    ):
        with pytest.raises(LocalProtocolError, match="each of them"):
            await ask
    assert await client.find(PEOPLE, Where(">=", ("",), limit=9)) == people


async def test_delete(client: Client, people: list[Row]) -> None:
    assert await client.delete(PEOPLE, key("x")) == 0
    assert await client.delete(PEOPLE, key("a")._replace(filters=[Filter("=", 0, 2)])) == 0
    assert await client.delete(PEOPLE, key("a")) == 1
    assert await client.delete(PEOPLE, Where(">", ("c",), limit=9)) == 2
    assert await client.find(PEOPLE, Where(">=", ("",), limit=9)) == people[1:3]


async def amount(client: Client, name: str) -> int:
    [(_, _, amount, _)] = await client.find(PEOPLE, key(name))
    return int(amount or b"")


async def test_increment_and_decrement(client: Client, people: list[Row]) -> None:
    assert await client.increment(AMOUNTS, key("c"), (5,)) == 1
    assert await amount(client, "c") == 8
    assert await client.increment(AMOUNTS, key("c"), (-2,)) == 1
    assert await amount(client, "c") == 6
    assert await client.decrement(AMOUNTS, key("c"), (6,)) == 1
    assert await amount(client, "c") == 0
    assert await client.decrement(AMOUNTS, key("c"), (None,)) == 1
    assert await client.increment(AMOUNTS, key("x"), (1,)) == 0
    assert await client.increment(AMOUNTS, Where(">=", ("a",), limit=2), (10,)) == 2
    assert [await amount(client, name) for name in "abcde"] == [11, 12, 0, 4, 5]


async def test_a_decrement_stops_at_a_change_of_sign(client: Client, people: list[Row]) -> None:
    assert await client.decrement(AMOUNTS, key("c"), (4,)) == 0
    assert await client.fetch_and_decrement(AMOUNTS, key("c"), (4,)) == [(b"3",)]
    assert await amount(client, "c") == 3


async def test_rows_as_they_were_before(client: Client, people: list[Row]) -> None:
    a, b, *_ = people
    assert await client.fetch_and_update(PEOPLE, key("a"), person("a", 7)) == [a]
    assert await client.fetch_and_increment(AMOUNTS, key("a"), (3,)) == [(b"7",)]
    assert await client.fetch_and_decrement(AMOUNTS, key("a"), (1,)) == [(b"10",)]
    assert await client.fetch_and_delete(PEOPLE, Where(">=", ("a",), limit=2)) == [person("a", 9), b]
    for nothing in (
        client.fetch_and_update(PEOPLE, key("a"), person("a", 7)),
        client.fetch_and_increment(AMOUNTS, key("a"), (1,)),
        client.fetch_and_decrement(AMOUNTS, key("a"), (1,)),
        client.fetch_and_delete(PEOPLE, key("a")),
    ):
        assert await nothing == []


async def test_the_port_for_reading_only_reads(server: MariaDBServer, client: Client, people: list[Row]) -> None:
    reader = await Client.connect("127.0.0.1", server.hs_port, secret=server.hs_secret, indexes=[PEOPLE, AMOUNTS])
    for ask in (
        reader.insert(PEOPLE, person("f", 6)),
        reader.update(PEOPLE, key("a"), person("a", 6)),
        reader.delete(PEOPLE, key("a")),
        reader.increment(AMOUNTS, key("a"), (1,)),
        reader.fetch_and_delete(PEOPLE, key("a")),
    ):
        with pytest.raises(ServerError, match="2 readonly"):
            await ask
    assert await reader.find(PEOPLE, Where(">=", ("",), limit=9)) == people
    await reader.aclose()


# Pipelining


class CountingTransport:
    """The connection's transport, which notes how often it is written to."""

    def __init__(self, client: Client) -> None:
        self._transport: Any = client.pipeline._transport
        self.writes = 0
        client.pipeline._transport = self  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def test_requests_of_one_turn_leave_in_one_write(client: Client, people: list[Row]) -> None:
    transport = CountingTransport(client)
    found = await asyncio.gather(*(client.find(NAMES, key("abcde"[number % 5])) for number in range(500)))
    assert [rows[0][0] for rows in found] == [b"%c" % b"abcde"[number % 5] for number in range(500)]
    assert transport.writes == 1
    await client.find(NAMES, key("a"))
    assert transport.writes == 2


async def test_requests_wait_for_the_answers_to_those_before(server: MariaDBServer) -> None:
    """All requests that came up in between leave together."""
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        client = await Client.connect("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[NAMES], timeout=20)
        transport = CountingTransport(client)
        proxy.hold_replies()
        finds = []
        for name in "abcde":
            finds.append(asyncio.ensure_future(client.find(NAMES, key(name))))
            await asyncio.sleep(0.001)
        assert (transport.writes, client.pipeline.in_flight) == (1, 5)
        proxy.release()
        assert await asyncio.gather(*finds) == [[]] * 5
        assert transport.writes == 2
        await client.aclose()


async def test_hundreds_in_flight_each_get_their_own(client: Client) -> None:
    names = [f"{number}" for number in range(1000)]
    await asyncio.gather(*(client.insert(PEOPLE, (name, name, name, None)) for name in names))
    outcomes = await asyncio.gather(
        *(client.find(NAMES, key(name)) for name in names),
        *(client.insert(PEOPLE, (name, name, 1, None)) for name in names[:10]),
        *(client.find(NAMES, key(f"{name}x")) for name in names[:10]),
        return_exceptions=True,
    )
    assert outcomes[:1000] == [[(name.encode(), name.encode())] for name in names]
    assert all(isinstance(outcome, ServerError) and outcome.is_duplicate for outcome in outcomes[1000:1010])
    assert outcomes[1010:] == [[]] * 10


@pytest.mark.parametrize("ticks", range(6))
async def test_a_request_may_be_cancelled_at_any_moment(client: Client, people: list[Row], ticks: int) -> None:
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lambda: client.find(NAMES, key("a")),
        lambda: client.update(NAMES, key("b"), ("b", "new")),
        lambda: client.open_index(BY_AMOUNT),
    ]
    for call in calls:
        task = asyncio.ensure_future(call())
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        assert await client.find(NAMES, key("c")) == [(b"c", b"C")]
        assert task.done()
        assert client.pipeline.in_flight == 0


async def test_a_request_that_was_cancelled_before_its_turn_ended_is_sent_all_the_same(client: Client) -> None:
    """Once asked, it may be carried out; only the slot knows that its answer is for nobody."""
    task = asyncio.ensure_future(client.insert(PEOPLE, person("a", 1)))
    await asyncio.sleep(0)
    task.cancel()
    assert await client.find(PEOPLE, key("a")) == [person("a", 1)]


async def test_aclose_lets_what_is_under_way_be_answered(server: MariaDBServer, client: Client) -> None:
    tasks = [asyncio.ensure_future(client.insert(PEOPLE, person(name, 1))) for name in "abc"]
    await asyncio.sleep(0)
    await client.aclose()
    assert await asyncio.gather(*tasks) == [None] * 3
    assert server.run("SELECT count(*) FROM people", "other") == "3\n"


async def test_a_raw_request(client: Client) -> None:
    with pytest.raises(ServerError, match="2 stmtnum"):
        await client.pipeline.ask(b"50\t=\t1\ta\n", read_nothing)
    await client.pipeline.ask(frames.open_index(50, "other", "people", "PRIMARY", ["id"]), read_nothing)
