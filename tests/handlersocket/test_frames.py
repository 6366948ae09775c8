"""Lines: values to bytes and bytes to values, however they are cut; and nothing gets out of its token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starlette_sessions_ext.handlersocket import (
    Client,
    Connection,
    Filter,
    Index,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    Value,
    Where,
    Within,
    frames,
)
from starlette_sessions_ext.handlersocket.connection import RowsReader, read_count, read_inserted, read_nothing

from .conftest import AMOUNTS, NAMES, PEOPLE
from .scripted import FENCED, error_of

ALL_BYTES = bytes(range(256))
PAIRS = Index(0, "d", "t", "PRIMARY", ("a", "b"))
KEY = Where("=", (b"k",))

REQUESTS: list[tuple[Callable[[], bytes], bytes]] = [
    (lambda: frames.auth("secret"), b"A\t1\tsecret\n"),
    (lambda: frames.auth("\t\n"), b"A\t1\t\x01I\x01J\n"),
    (lambda: frames.open_index(7, "d", "t", "PRIMARY", ["a"]), b"P\t7\td\tt\tPRIMARY\ta\n"),
    (lambda: frames.open_index(0, "d", "t", "i", ["a", "b"], ["c", "d"]), b"P\t0\td\tt\ti\ta,b\tc,d\n"),
    (lambda: frames.find(1, KEY), b"1\t=\t1\tk\t1\t0\n"),
    (lambda: frames.find(1, Where(">=", ("é", 5, None, ""), 10, 3)), b"1\t>=\t4\t\xc3\xa9\t5\t\0\t\t10\t3\n"),
    (lambda: frames.find(1, Where("=", ("",), within=Within(0, ["a", -1]))), b"1\t=\t1\t\t1\t0\t@\t0\t2\ta\t-1\n"),
    (
        lambda: frames.find(1, Where("<", ("z",), filters=[Filter("!=", 1, None), Filter("<=", 0, 9, stops=True)])),
        b"1\t<\t1\tz\t1\t0\tF\t!=\t1\t\0\tW\t<=\t0\t9\n",
    ),
    (
        lambda: frames.find(65_535, Where("=", ("k",), limit=2**32 - 1, offset=2**32 - 1)),
        b"65535\t=\t1\tk\t4294967295\t4294967295\n",
    ),
    (lambda: frames.modify(1, KEY, "U", ["k", None]), b"1\t=\t1\tk\t1\t0\tU\tk\t\0\n"),
    (lambda: frames.modify(1, KEY, "D?"), b"1\t=\t1\tk\t1\t0\tD?\n"),
    (lambda: frames.modify(1, KEY, "-", [5]), b"1\t=\t1\tk\t1\t0\t-\t5\n"),
    (lambda: frames.insert(1, ["a", b"\0", None]), b"1\t+\t3\ta\t\x01@\t\0\n"),
    (lambda: frames.insert(1, [b"\x01@\x0f\x10\xff"]), b"1\t+\t1\t\x01A@\x01O\x10\xff\n"),
]

ANSWERS: list[tuple[bytes, Callable[..., Any], Any]] = [
    (b"0\t1", read_nothing, None),
    (b"0\t1", read_inserted, None),
    (b"0\t1\t18446744073709551615", read_inserted, 2**64 - 1),
    (b"0\t1\t0", read_count, 0),
    (b"0\t1\t12", read_count, 12),
    (b"0\t2", RowsReader(PAIRS), []),
    (b"0\t2\t\t\0", RowsReader(PAIRS), [(b"", None)]),
    (b"0\t2\ta\tb\tc\td", RowsReader(PAIRS), [(b"a", b"b"), (b"c", b"d")]),
    (b"0\t2\t\x01@\x01I\x01J\x01O\t\x10\r\xff", RowsReader(PAIRS), [(b"\0\t\n\x0f", b"\x10\r\xff")]),
    (b"1\t1\t121", RowsReader(PAIRS), (1, "121", True)),
    (b"2\t1\tstmtnum", read_count, (2, "stmtnum", False)),
    (b"3\t1\tunauth", read_nothing, (3, "unauth", False)),
    (b"1\t1", read_count, (1, "", False)),
    (b"9\t1\tcaf\xe9", read_count, (9, "caf\\xe9", False)),
]

CONVERSATION = b"".join(line + b"\n" for line, _, _ in ANSWERS) + FENCED


@pytest.mark.parametrize(("make", "line"), REQUESTS, ids=range(len(REQUESTS)))
def test_requests(make: Callable[[], bytes], line: bytes) -> None:
    assert make() == line


def replay(pieces: Iterable[bytes]) -> list[Any]:
    """What a connection that was asked all of ANSWERS makes of the pieces, in order."""
    connection: Connection[int] = Connection()
    for number, (_, read, _) in enumerate(ANSWERS):
        connection.ask(b"\n", read, number)
    connection.next_batch()
    answers = [answer for piece in pieces for answer in connection.receive(piece)]
    assert [slot for slot, _ in answers] == list(range(len(answers)))
    return [plain(answer) for _, answer in answers]


def plain(answer: Any) -> Any:
    return (answer.code, answer.reason, answer.is_duplicate) if isinstance(answer, ServerError) else answer


def cut(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    ends = [*sorted(places), len(data)]
    return (data[start:end] for start, end in zip([0, *ends], ends, strict=False))


def test_answers_at_once() -> None:
    assert replay([CONVERSATION]) == [value for _, _, value in ANSWERS]


def test_answers_line_by_line() -> None:
    assert replay(CONVERSATION.splitlines(keepends=True)) == [value for _, _, value in ANSWERS]


def test_answers_byte_by_byte() -> None:
    assert replay(cut(CONVERSATION, range(len(CONVERSATION)))) == [value for _, _, value in ANSWERS]


@given(st.lists(st.integers(0, len(CONVERSATION))))
def test_answers_in_any_pieces(places: list[int]) -> None:
    assert replay(cut(CONVERSATION, places)) == [value for _, _, value in ANSWERS]


VALUES = st.none() | st.integers() | st.binary() | st.text() | st.sampled_from([ALL_BYTES, "", "\0", b"\x01", b"\x01@"])


def stored(value: Value) -> bytes | None:
    """What a column holds that was given this."""
    return value if value is None or isinstance(value, bytes) else str(value).encode()


def tokens_of(line: bytes) -> tuple[bytes | None, ...]:
    """How a server reads a request, which is escaped as an answer is."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return frames.parse_reply(b"0\t0\t" + line[:-1]).values


@given(st.lists(VALUES, min_size=1))
def test_any_values_make_the_round_trip(values: list[Value]) -> None:
    assert tokens_of(frames.insert(1, values)) == (b"1", b"+", b"%d" % len(values), *map(stored, values))


@given(VALUES, VALUES, VALUES, VALUES)
def test_no_value_leaves_its_place(key: Value, listed: Value, filtered: Value, new: Value) -> None:
    where = Where("=", (key,), within=Within(0, (listed,)), filters=(Filter("=", 0, filtered),))
    before = (b"1", b"=", b"1", stored(key), b"1", b"0", b"@", b"0", b"1", stored(listed))
    after = (b"F", b"=", b"0", stored(filtered), b"U", stored(new))
    assert tokens_of(frames.modify(1, where, "U", (new,))) == before + after


@given(st.lists(st.text(min_size=1).filter(lambda name: "," not in name), min_size=5, max_size=5), st.text())
def test_no_name_or_secret_leaves_its_place(names: list[str], secret: str) -> None:
    database, table, key, column, filtered = names
    read = tokens_of(frames.open_index(1, database, table, key, [column], [filtered]))
    assert read == (b"P", b"1", *(name.encode() for name in names))
    assert tokens_of(frames.auth(secret)) == (b"A", b"1", secret.encode())


LOCAL_ERRORS: dict[str, Callable[[], object]] = {
    "negative index id": lambda: frames.find(-1, KEY),
    "index id the server would die of": lambda: frames.find(frames.MAX_INDEX_ID + 1, KEY),
    "bool for an index id": lambda: frames.find(True, KEY),
    "no database": lambda: frames.open_index(0, "", "t", "i", ["a"]),
    "no columns": lambda: frames.open_index(0, "d", "t", "i", []),
    "an empty column": lambda: frames.open_index(0, "d", "t", "i", ["a", ""]),
    "a comma in a column": lambda: frames.open_index(0, "d", "t", "i", ["a,b"]),
    "a comma in a filter column": lambda: frames.open_index(0, "d", "t", "i", ["a"], ["b,c"]),
    "unknown comparison": lambda: frames.find(0, Where("!=", ("k",))),  # type: ignore[arg-type]
    "injected comparison": lambda: frames.find(0, Where("=\t1", ("k",))),  # type: ignore[arg-type]
    "no keys": lambda: frames.find(0, Where("=", ())),
    "a str of keys": lambda: frames.find(0, Where("=", "key")),
    "bytes of keys": lambda: frames.find(0, Where("=", b"key")),
    "a str of listed values": lambda: frames.find(0, Where("=", ("k",), within=Within(0, "ab"))),
    "a str of values": lambda: frames.insert(0, "ab"),
    "bytes of new values": lambda: frames.modify(0, KEY, "U", b"ab"),
    "limit 0, which is 1 to the server": lambda: frames.find(0, Where("=", ("k",), limit=0)),
    "negative offset": lambda: frames.find(0, Where("=", ("k",), offset=-1)),
    "a limit of over 32 bits": lambda: frames.find(0, Where("=", ("k",), limit=2**32)),
    "text for a limit": lambda: frames.find(0, Where("=", ("k",), limit="1\n")),  # type: ignore[arg-type]
    "negative position of a list": lambda: frames.find(0, Where("=", ("k",), within=Within(-1, ["a"]))),
    "negative position of a filter": lambda: frames.find(0, Where("=", ("k",), filters=[Filter("=", -1, 1)])),
    "unknown filter": lambda: frames.find(0, Where("=", ("k",), filters=[Filter("~", 0, 1)])),  # type: ignore[arg-type]
    "unknown change": lambda: frames.modify(0, KEY, "X"),  # type: ignore[arg-type]
    "injected change": lambda: frames.modify(0, KEY, "D\n"),  # type: ignore[arg-type]
    "no values": lambda: frames.insert(0, []),
    "a float": lambda: frames.insert(0, [1.5]),  # type: ignore[list-item]
    "a bool": lambda: frames.insert(0, [True]),
    "a bytearray": lambda: frames.insert(0, [bytearray(b"a")]),  # type: ignore[list-item]
    "a str of another class": lambda: frames.insert(0, [type("Text", (str,), {})("a")]),
    "a lone surrogate": lambda: frames.insert(0, ["\ud800"]),
}


@pytest.mark.parametrize("call", LOCAL_ERRORS.values(), ids=list(LOCAL_ERRORS))
def test_what_the_protocol_cant_say_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(LocalProtocolError) as failure:
        call()
    assert " " in str(failure.value), "it says what is wrong"
    assert failure.value.__context__ is None or failure.value.__suppress_context__


def test_what_isnt_a_value_is_named_by_its_type() -> None:
    with pytest.raises(LocalProtocolError, match="a float isn't bytes, str, int or None"):
        frames.insert(0, [1.5])  # type: ignore[list-item]


def test_all_that_is_typed_is_taken() -> None:
    for comparison in get_args(frames.Comparison):
        assert frames.find(0, Where(comparison, ("k",)))
    for change in get_args(frames.Change):
        assert frames.modify(0, KEY, change)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"0", b"\t", b"0\t", b"\t1", b"x\t1", b"0\tx", b"-1\t1", b"+0\t1", b" 0\t1", b"0\t1.0", b"\xd9\xa0\t1"),
        *(b"0" * 10 + b"\t1", b"0\t" + b"1" * 10, b"0\t" + b"1" * 5000),
        *(b"0\t1\t\x01", b"0\t1\ta\x01", b"0\t1\t\x01P", b"0\t1\t\x01\x01@"),
    ],
)
def test_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="a HandlerSocket reply"):
        frames.parse_reply(line)


def test_numbers_of_nine_digits_are_read() -> None:
    assert frames.parse_reply(b"0" * 9 + b"\t" + b"9" * 9) == frames.Reply(0, 999_999_999, ())


# Against the real server

INJECTIONS: list[str | bytes] = [
    "v\t5\t5\n0\t=\t1\tvictim\t1\t0\tD",
    "\n0\t=\t1\tvictim\t1\t0\tD\n",
    b"\n0\t=\t1\tvictim\t1\t0\tD\n",
    "\r\n0\t=\t1\tvictim\t1\t0\tU\tvictim\tstolen\t0\t0",
    "x\t1\t0\tD",
    "victim\t1\t0\tD\n",
    "\0\t1\t0\tD\n0\t=\t1\tvictim\t1\t0\tD",
    b"\x01\n0\t=\t1\tvictim\t1\t0\tD\n",
    b"\x01\x4a0\t=\t1\tvictim\t1\t0\tD\x01\x4a",
    b"\x01",
    b"\0",
    "\N{LINE SEPARATOR}0\t=\t1\tvictim\t1\t0\tD\x85",
]


@pytest.mark.anyio
async def test_nothing_is_smuggled_past_the_server(client: Client) -> None:
    victim = (b"victim", b"still here", b"7", None)
    await client.insert(PEOPLE, victim)
    other = Where("=", ("other",))
    for number, text in enumerate(INJECTIONS, 10):
        name = text if isinstance(text, str) else text.decode("latin-1")
        calls = [
            client.find(NAMES, Where("=", (text,))),
            client.find(PEOPLE, Where("=", ("other",), within=Within(0, [text]))),
            client.find(PEOPLE, Where("=", ("other",), filters=[Filter("=", 1, text)])),
            client.insert(PEOPLE, (b"other", text, 1, text)),
            client.update(PEOPLE, other, (b"other", text, text, text)),
            client.fetch_and_update(PEOPLE, other, (text, text, 1, text)),
            client.increment(AMOUNTS, other, (text,)),  # type: ignore[arg-type]
            client.delete(NAMES, Where("=", (text,))),
            client.open_index(Index(number, name, name, name, (name.replace(",", ""),), (name.replace(",", ""),))),
        ]
        for call in calls:
            assert not isinstance(await error_of(call), RemoteProtocolError)
        assert await client.find(PEOPLE, Where("=", (b"victim",))) == [victim]
        assert client.pipeline.in_flight == 0
