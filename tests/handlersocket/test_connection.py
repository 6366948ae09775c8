"""Answers and who gets them: in order, in the asked shape, or nobody gets anything any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from starlette_sessions_ext.handlersocket import (
    Client,
    Connection,
    ConnectionLost,
    Index,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    Where,
    frames,
)
from starlette_sessions_ext.handlersocket.connection import (
    Reader,
    RowsReader,
    read_count,
    read_inserted,
    read_nothing,
)

from .conftest import AMOUNTS, NAMES
from .scripted import FENCED, ScriptedServer, error_of, opens_then, until

KEYED = RowsReader(NAMES, b"k")
NUMBERED = RowsReader(NAMES, 5)


def asked(*readers: Reader, **options: Any) -> Connection[int]:
    """A connection with one batch under way; its slots are numbers from 0."""
    connection: Connection[int] = Connection(**options)
    for slot, read in enumerate(readers):
        connection.ask(b"%d\n" % slot, read, slot)
    connection.next_batch()
    return connection


WRONG: dict[str, tuple[Reader, bytes]] = {
    "no number": (read_nothing, b"hello\n"),
    "an empty line": (read_nothing, b"\n"),
    "a code alone": (read_nothing, b"0\n"),
    "no columns": (read_nothing, b"0\t0\n"),
    "a value too many": (read_nothing, b"0\t1\t1\n"),
    "an id that is none": (read_inserted, b"0\t1\tx\n"),
    "two ids": (read_inserted, b"0\t1\t1\t2\n"),
    "rows for an insert": (read_inserted, b"0\t2\ta\tb\n"),
    "no count": (read_count, b"0\t1\n"),
    "a NULL for a count": (read_count, b"0\t1\t\0\n"),
    "an empty count": (read_count, b"0\t1\t\n"),
    "a negative count": (read_count, b"0\t1\t-1\n"),
    "a count of other digits": (read_count, b"0\t1\t\xd9\xa3\n"),
    "a count of thousands of digits": (read_count, b"0\t1\t" + b"1" * 5000 + b"\n"),
    "a count for rows": (KEYED, b"0\t1\t1\n"),
    "a column too few": (KEYED, b"0\t1\tk\n"),
    "a column too many": (KEYED, b"0\t3\tk\ta\tb\n"),
    "half a row": (KEYED, b"0\t2\tk\n"),
    "a row and a half": (KEYED, b"0\t2\tk\ta\tk\n"),
    "another key": (KEYED, b"0\t2\tother\tsecret\n"),
    "another key in the second row": (KEYED, b"0\t2\tk\ta\tother\tsecret\n"),
    "a key that begins alike": (KEYED, b"0\t2\tk2\ta\n"),
    "no key": (KEYED, b"0\t2\t\0\ta\n"),
    "another number": (NUMBERED, b"0\t2\t50\ta\n"),
    "a broken escape": (KEYED, b"0\t2\tk\t\x01\n"),
    "an error with columns": (KEYED, b"1\t2\tstmtnum\n"),
    "an error with rows": (KEYED, b"1\t1\t121\t122\n"),
}


@pytest.mark.parametrize(("read", "line"), WRONG.values(), ids=list(WRONG))
def test_P4_an_answer_of_another_shape_ends_the_connection(read: Reader, line: bytes) -> None:
    connection = asked(read_nothing, read, read)
    with pytest.raises(RemoteProtocolError) as failure:
        list(connection.receive(b"0\t1\n" + line + b"0\t1\n"))
    assert "secret" not in str(failure.value)
    assert connection.error is failure.value
    assert connection.fail(ConnectionLost("closed")) == [0, 1, 2]
    assert connection.error is failure.value
    assert list(connection.receive(b"0\t1\n")) == []
    with pytest.raises(LocalProtocolError):
        connection.ask(b"3\n", read_nothing, 3)


def test_the_keys_own_row_is_taken() -> None:
    connection = asked(KEYED, NUMBERED, RowsReader(NAMES), RowsReader(AMOUNTS, b"k"))
    answers = connection.receive(b"0\t2\tk\ta\n0\t2\t5\tb\n0\t2\tany\tc\n0\t1\t7\n" + FENCED)
    assert [answer for _, answer in answers] == [[(b"k", b"a")], [(b"5", b"b")], [(b"any", b"c")], [(b"7",)]]


def test_a_line_that_doesnt_end_is_read_up_to_a_limit() -> None:
    connection = asked(RowsReader(AMOUNTS), RowsReader(AMOUNTS), max_line_bytes=10)
    assert list(connection.receive(b"0\t1\t123456")) == []
    assert list(connection.receive(b"7\n0\t1\t12345")) == []
    assert list(connection.receive(b"6")) == []
    with pytest.raises(RemoteProtocolError, match="more than 10 bytes"):
        list(connection.receive(b"7"))
    assert connection.fail(ConnectionLost("closed")) == [0, 1]


def test_an_error_of_the_server_is_an_answer_as_any() -> None:
    connection = asked(read_count, read_count)
    (_, error), (_, count) = connection.receive(b"1\t1\t121\n0\t1\t3\n" + FENCED)
    assert isinstance(error, ServerError)
    assert (error.is_duplicate, count, connection.error, connection.in_flight) == (True, 3, None, 0)


# A fence behind each batch: these answers name nothing, and each would do for its neighbour's request as well

INSERTED, MISSED = b"0\t1\n", b"0\t2\n"
READERS = (read_inserted, read_inserted, KEYED, RowsReader(NAMES, b"other"))
ANSWERS = [INSERTED, INSERTED, MISSED, MISSED]
EACH = range(len(ANSWERS))


@pytest.mark.parametrize("piece", [1, 65536])
def test_P2_answers_count_when_the_fence_is_answered(piece: int) -> None:
    connection = asked(*READERS)
    lines = b"".join(ANSWERS)
    for at in range(0, len(lines), piece):
        assert list(connection.receive(lines[at : at + piece])) == []
    assert connection.in_flight == len(ANSWERS)
    assert list(connection.receive(FENCED[:-1])) == []
    assert list(connection.receive(FENCED[-1:])) == [(0, None), (1, None), (2, []), (3, [])]
    assert connection.in_flight == 0


def wrong(lines: list[bytes]) -> list[int]:
    """Who gets an answer all the same, in a stream that has to be found wrong."""
    connection = asked(*READERS)
    got: list[int] = []
    with pytest.raises(RemoteProtocolError):
        got.extend(slot for slot, _ in connection.receive(b"".join(lines)))
    assert got + connection.fail(ConnectionLost("closed")) == list(EACH)
    return got


@pytest.mark.parametrize("at", EACH)
def test_P2_a_line_too_few(at: int) -> None:
    assert wrong([*ANSWERS[:at], *ANSWERS[at + 1 :], FENCED]) == []


@pytest.mark.parametrize("at", EACH)
def test_P2_a_line_too_many(at: int) -> None:
    assert wrong([*ANSWERS[: at + 1], *ANSWERS[at:], FENCED]) == []


@pytest.mark.parametrize("at", EACH)
def test_P2_a_line_in_the_fences_place(at: int) -> None:
    assert wrong([*ANSWERS[:at], FENCED, *ANSWERS[at + 1 :], ANSWERS[at]]) == []


@pytest.mark.parametrize("line", [FENCED, INSERTED])
def test_P2_a_line_that_nobody_asked_for(line: bytes) -> None:
    assert wrong([*ANSWERS, FENCED, line]) == list(EACH)


def test_P2_a_line_that_comes_before_a_request_has_left() -> None:
    connection: Connection[int] = Connection()
    connection.ask(b"0\n", read_inserted, 0)
    with pytest.raises(RemoteProtocolError, match="without a request"):
        list(connection.receive(INSERTED))


def test_P2_without_the_fences_answer_there_is_none() -> None:
    connection = asked(*READERS)
    assert list(connection.receive(b"".join(ANSWERS))) == []
    with pytest.raises(RemoteProtocolError):
        list(connection.receive(INSERTED))


def test_one_batch_at_a_time() -> None:
    connection: Connection[str] = Connection()
    assert connection.next_batch() == b""
    connection.ask(b"a\n", read_inserted, "a")
    connection.ask(b"b\n", read_inserted, "b")
    assert (connection.unsent_bytes, connection.next_batch()) == (4, b"a\nb\n" + frames.FENCE)
    connection.ask(b"c\n", read_inserted, "c")
    assert list(connection.receive(INSERTED)) == []
    assert (connection.unsent_bytes, connection.next_batch()) == (2, b"")
    assert list(connection.slots) == ["a", "b", "c"]
    assert list(connection.receive(INSERTED + FENCED)) == [("a", None), ("b", None)]
    assert (connection.next_batch(), connection.next_batch()) == (b"c\n" + frames.FENCE, b"")
    assert list(connection.receive(INSERTED + FENCED)) == [("c", None)]


# The same through a client: every waiting call gets an error, none gets another's answer

pytestmark = pytest.mark.anyio


async def finds(client: Client, *keys: bytes) -> list[Any]:
    """What each gets who asks for one of the keys, all at once."""
    return await asyncio.gather(*(client.find(NAMES, Where("=", (key,))) for key in keys), return_exceptions=True)


def server_of(said: bytes | None, piece: int = 65536) -> ScriptedServer:
    """Says one thing for the first search that it gets, and nothing for the others."""
    left = [said]
    return ScriptedServer(lambda line: b"0\t1\n" if line[:1] in b"AP" else left.pop() if left else b"", piece=piece)


async def connect(server: ScriptedServer, **options: Any) -> Client:
    return await Client.connect("127.0.0.1", server.port, indexes=[NAMES], **{"timeout": 20.0, **options})


FAULTS: dict[str, bytes | None] = {
    "one too few": b"0\t2\ta\t1\n0\t2\tc\t3\n",
    "one too few that name nothing": b"0\t2\n0\t2\n" + FENCED,
    "one too many": b"0\t2\ta\t1\n0\t2\tb\t2\n0\t2\tc\t3\n0\t2\td\t4\n",
    "one too many that name nothing": b"0\t2\n" * 4 + FENCED,
    "two glued": b"0\t2\ta\t10\t2\tb\t2\n",
    "half a line": b"0\t2\ta\n",
    "swapped": b"0\t2\tb\t2\n0\t2\ta\t1\n0\t2\tc\t3\n",
    "swapped with the fence": b"0\t2\n0\t2\n" + FENCED + b"0\t2\n",
    "shifted": b"0\t2\t1\ta\n0\t2\t2\tb\n",
    "of an insert": b"0\t2\ta\t1\n0\t1\n",
    "cut off": None,
}


@pytest.mark.parametrize("said", FAULTS.values(), ids=list(FAULTS))
@pytest.mark.parametrize("piece", [1, 65536])
async def test_P2_faulty_answers_reach_nobody(said: bytes | None, piece: int) -> None:
    async with server_of(said, piece) as server:
        client = await connect(server)
        outcomes = await finds(client, b"a", b"b", b"c")
        for outcome in outcomes:
            assert isinstance(outcome, ConnectionLost if said is None else RemoteProtocolError)
        assert len({id(outcome) for outcome in outcomes}) == 3  # with a traceback for each
        await until(lambda: not client.pipeline.is_usable)
        assert isinstance(await error_of(client.find(NAMES, Where("=", (b"a",)))), ConnectionLost)
        await until(lambda: server.current == 0)


async def test_P2_half_a_line_and_the_end() -> None:
    """The second search makes the server hang up."""
    said = [None, b"0\t2\ta"]
    async with ScriptedServer(lambda line: b"0\t1\n" if line[:1] in b"AP" else said.pop()) as server:
        client = await connect(server)
        assert [type(outcome) for outcome in await finds(client, b"a", b"b")] == [ConnectionLost, ConnectionLost]


async def test_one_byte_at_a_time_is_as_good() -> None:
    async with server_of(b"0\t2\ta\t1\n0\t2\tb\t2\n1\t1\t121\n" + FENCED, piece=1) as server:
        client = await connect(server)
        *rows, error = await finds(client, b"a", b"b", b"c")
        assert rows == [[(b"a", b"1")], [(b"b", b"2")]]
        assert isinstance(error, ServerError)
        await client.aclose()


async def test_a_cancelled_slots_answer_is_passed_over() -> None:
    """So is one that is an error."""
    for first in (b"0\t2\ta\t1\n", b"1\t1\t121\n"):
        said = [b"0\t2\tb\t2\n", first]
        async with ScriptedServer(lambda line, said=said: b"0\t1\n" if line[:1] in b"AP" else said.pop()) as server:  # type: ignore[misc]
            client = await connect(server)
            gone = asyncio.ensure_future(client.find(NAMES, Where("=", (b"a",))))
            await asyncio.sleep(0)
            gone.cancel()
            assert await finds(client, b"b") == [[(b"b", b"2")]]
            assert gone.cancelled()
            assert client.pipeline.in_flight == 0
            await client.aclose()


async def test_a_faulty_answer_for_somebody_who_has_gone_ends_the_connection_too() -> None:
    async with server_of(b"0\t2\tother\t1\n0\t2\tb\t2\n") as server:
        client = await connect(server)
        gone = asyncio.ensure_future(client.find(NAMES, Where("=", (b"a",))))
        await asyncio.sleep(0)
        gone.cancel()
        [outcome] = await finds(client, b"b")
        assert isinstance(outcome, RemoteProtocolError)


async def test_an_echo_that_is_no_column_is_refused() -> None:
    async with ScriptedServer(opens_then(b"")) as server:
        client = await connect(server)
        for echo in (-1, 1):
            with pytest.raises(LocalProtocolError, match="echo"):
                await client.open_index(Index(5, "d", "t", "PRIMARY", ("id",), echo=echo))
        await client.aclose()
