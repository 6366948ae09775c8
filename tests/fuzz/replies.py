"""Any bytes from a HandlerSocket server: the right pairing, or a `RemoteProtocolError`; judged by a plain reader."""

from __future__ import annotations

from typing import Any

from starlette_sessions_ext.handlersocket import Connection, Index, RemoteProtocolError, ServerError
from starlette_sessions_ext.handlersocket.connection import (
    Reader,
    RowsReader,
    read_count,
    read_inserted,
    read_nothing,
)

INDEX = Index(0, "d", "t", "PRIMARY", ("key", "value"), echo=0)

READERS: list[tuple[str, Reader]] = [
    ("nothing", read_nothing),
    ("inserted", read_inserted),
    ("count", read_count),
    ("rows", RowsReader(INDEX)),
    ("rows of k", RowsReader(INDEX, b"k")),
]

FRAGMENTS = [b"0\t1\n", b"0\t1\t7\n", b"0\t2\n", b"0\t2\tk\tv\n", b"0\t2\tx\t\0\n", b"1\t1\t121\n", b"2\t1\tcmd\n"]
FRAGMENTS += [b"\t", b"\n", b"\x01", b"\x01A", b"0", b"2", b"k", b"\0", b"\r", b"9" * 20, b"9" * 10]


class Broken(Exception):
    pass


def replies(data: bytes) -> None:
    """The first byte says how many were asked, the next what, then one the size of the pieces."""
    count = data[0] % 16 if data else 0
    asked = [READERS[byte % len(READERS)] for byte in data[1 : 1 + count]]
    size, stream = (data[1 + count : 2 + count] or b"\0")[0] or len(data), data[2 + count :]
    assert _connection(asked, stream, size or 1) == _reference([kind for kind, _ in asked], stream)


def _connection(asked: list[tuple[str, Reader]], stream: bytes, size: int) -> tuple[list[Any], bool]:
    """What the connection makes of it: the answers, in order, and whether it is in error."""
    connection: Connection[int] = Connection()
    for slot, (_, read) in enumerate(asked):
        connection.ask(b"\n", read, slot)
    connection.next_batch()
    answers: list[Any] = []
    try:
        for at in range(0, len(stream), size):
            for slot, answer in connection.receive(stream[at : at + size]):
                assert slot == len(answers)
                is_error = isinstance(answer, ServerError)
                answers.append((answer.code, answer.reason) if is_error else answer)
    except RemoteProtocolError:
        assert connection.error is not None
        assert list(connection.receive(b"0\t1\n")) == []
        return answers, True
    assert connection.in_flight == len(asked) - len(answers)
    return answers, False


def _reference(asked: list[str], stream: bytes) -> tuple[list[Any], bool]:
    """All answers or none: behind the last of them comes that to the fence, and nothing more."""
    answers: list[Any] = []
    is_over = not asked  # without requests there is no fence
    try:
        for line in stream.split(b"\n")[:-1]:
            tokens = [_unescaped(token) for token in line.split(b"\t")]
            is_fence = (
                len(tokens) == 3 and _digits(tokens[0], 9) == 2 and _digits(tokens[1], 9) == 1 and tokens[2] == b"cmd"
            )
            if is_over or is_fence != (len(answers) == len(asked)):
                raise Broken
            if is_fence:
                is_over = True
            else:
                answers.append(_answer(asked[len(answers)], tokens))
    except (Broken, IndexError):
        return answers if is_over else [], True
    return answers if is_over else [], False


def _answer(kind: str, tokens: list[bytes | None]) -> Any:
    code, columns, values = _digits(tokens[0], 9), _digits(tokens[1], 9), tokens[2:]
    if code:
        if columns == 1 and len(values) < 2:
            return code, ((values or [b""])[0] or b"").decode("ascii", "backslashreplace")
    elif kind.startswith("rows"):
        rows = list(zip(values[::2], values[1::2], strict=False))
        if columns == 2 and len(values) % 2 == 0 and (kind == "rows" or all(key == b"k" for key, _ in rows)):
            return rows
    elif columns == 1 and len(values) < 2:
        if values and kind != "nothing":
            return _digits(values[0], 20)
        if not values and kind != "count":
            return None
    raise Broken


def _digits(token: bytes | None, most: int) -> int:
    if not token or len(token) > most or any(byte not in b"0123456789" for byte in token):
        raise Broken
    return int(token)


def _unescaped(token: bytes) -> bytes | None:
    if token == b"\0":
        return None
    out, left = bytearray(), list(token)
    while left:
        byte = left.pop(0)
        if byte == 1:
            byte = (left.pop(0) if left else 0) - 0x40
            if not 0 <= byte < 16:
                raise Broken
        out.append(byte)
    return bytes(out)
