"""The lines of the HandlerSocket protocol: encode requests, parse replies. Pure.

This is the only place where a line is made. Rule: whatever comes from a caller goes through
`_escape` or `_number`, because a tab or a newline that isn't escaped starts another token or
another request; with one of those a value could delete another user's row.

A line is tokens between tabs, ended by a newline. In a token the bytes 0x00 to 0x0f are sent as
0x01 and the byte + 0x40; a token that is one bare 0x00 is SQL's NULL; an empty one is the empty
string. Source: protocol.en.txt of the plugin (HandlerSocket-Plugin-for-MySQL, docs-en), and what
MariaDB 10.11 really does where that says more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from .errors import LocalProtocolError, RemoteProtocolError

Value = bytes | str | int | None
"""A value for a column: text is sent as UTF-8, a number in decimal digits, None as NULL."""

Row = tuple[bytes | None, ...]
"""The values of an index's columns, as bytes; None is NULL."""

Comparison = Literal["=", ">", ">=", "<", "<="]
Change = Literal["U", "U?", "D", "D?", "+", "+?", "-", "-?"]

MAX_INDEX_ID = 65_535
"""Ids are the client's choice. A server allocates memory for all up to the largest; a very large one crashes it."""

FENCE = b"fence\n"
"""No request at all: the server answers `2 1 cmd`, as to no other line that is made here, and goes on."""

_MAX_NUMBER = 2**32 - 1
_COMPARISONS: dict[str, bytes] = {sign: sign.encode() for sign in ("=", ">", ">=", "<", "<=")}
_FILTERS: dict[str, bytes] = {**_COMPARISONS, "!=": b"!="}
_CHANGES: dict[str, bytes] = {sign: sign.encode() for sign in ("U", "U?", "D", "D?", "+", "+?", "-", "-?")}
_NULL = b"\0"
_SPECIAL = bytes(range(0x10))
_ESCAPES = {bytes((byte,)): bytes((0x01, byte + 0x40)) for byte in (0x01, *_SPECIAL)}  # that of 0x01 has to come first
_UNESCAPES = {byte + 0x40: bytes((byte,)) for byte in _SPECIAL}


class Filter(NamedTuple):
    """A condition on a filter column of the index, by its position among them.

    Rows that don't meet it are passed over; with `stops` the first of them ends the search. The
    server can't filter BLOB or TEXT columns.
    """

    comparison: Comparison | Literal["!="]
    column: int
    value: Value
    stops: bool = False


class Within(NamedTuple):
    """A list of values for one key column, by its position in the index (SQL's IN).

    The value for that column among the request's keys is then of no importance, but has to be there.
    """

    column: int
    values: Sequence[Value]


class Where(NamedTuple):
    """The rows that a request is about.

    `keys` are values for the first columns of the index, one at least. `>` and `>=` go upwards
    from there, `<` and `<=` downwards. Without a larger `limit` it is one row.
    """

    comparison: Comparison
    keys: Sequence[Value]
    limit: int = 1
    offset: int = 0
    within: Within | None = None
    filters: Sequence[Filter] = ()


class Reply(NamedTuple):
    """A line from the server.

    `code` 0 is success; `columns` is the number of values in a row.
    """

    code: int
    columns: int
    values: Row


def auth(secret: str) -> bytes:
    """Authenticate: `A 1 <secret>`. The server answers `0 1`, or `3 1 unauth`."""
    return b"A\t1\t%b\n" % _escape(secret)


def open_index(
    index_id: int, database: str, table: str, index: str, columns: Sequence[str], filter_columns: Sequence[str] = ()
) -> bytes:
    """Open an index under an id of the caller's.

    The line is `P <id> <database> <table> <index> <columns> [<filter columns>]`. `index` is a key's name,
    `PRIMARY` for the primary one.
    """
    names = [database, table, index, *columns, *filter_columns]
    if not columns or not all(names) or any("," in name for name in [*columns, *filter_columns]):
        raise LocalProtocolError("an index is opened by names of a database, table, key and columns, without commas")
    lists = [",".join(one) for one in (columns, filter_columns) if one]
    return _line([b"P", _index_id(index_id), *map(_escape, [database, table, index, *lists])])


def find(index_id: int, where: Where) -> bytes:
    """Find rows.

    The line is `<id> <comparison> <number of keys> <keys> <limit> <offset> [@ ..] [F|W ..]`.
    """
    return _line(_search(index_id, where))


def modify(index_id: int, where: Where, change: Change, values: Sequence[Value] = ()) -> bytes:
    """Find rows and change them: as `find`, and `<change> <values>`.

    `U` sets the index's columns to the values, `D` deletes, `+` and `-` add to and subtract from
    them; with `?` the rows as they were come back instead of their number.
    """
    if change not in _CHANGES:
        raise LocalProtocolError("rows are changed by U, D, + or -, or one of them with ?")
    return _line([*_search(index_id, where), _CHANGES[change], *_values(values)])


def insert(index_id: int, values: Sequence[Value]) -> bytes:
    """Insert a row: `<id> + <number of values> <values>`."""
    if not values:
        raise LocalProtocolError("a row has at least one value")
    return _line([_index_id(index_id), b"+", b"%d" % len(values), *_values(values)])


def parse_reply(line: bytes) -> Reply:
    """Read a line without its newline: `<code> <number of columns> <values>`.

    Raises `RemoteProtocolError`.
    """
    tokens = line.split(b"\t")
    code, columns = tokens[0], tokens[1] if len(tokens) > 1 else b""
    if not code.isdigit() or not columns.isdigit() or len(code) > 9 or len(columns) > 9:
        raise RemoteProtocolError("a HandlerSocket reply begins with two numbers; this one doesn't")
    return Reply(int(code), int(columns), tuple([_unescape(token) for token in tokens[2:]]))


def _search(index_id: int, where: Where) -> list[bytes]:
    comparison, keys, limit, offset, within, filters = where
    if comparison not in _COMPARISONS:
        raise LocalProtocolError("rows are found by =, >, >=, < or <=")
    if not keys:
        raise LocalProtocolError("a search needs values for the first columns of the index")
    tokens = [_index_id(index_id), _COMPARISONS[comparison], b"%d" % len(keys), *_values(keys)]
    tokens += (_number(limit, 1), _number(offset, 0))
    if within is not None:
        tokens += (b"@", _number(within.column, 0), b"%d" % len(within.values), *_values(within.values))
    for meets, column, value, stops in filters:
        if meets not in _FILTERS:  # the server would only find nothing
            raise LocalProtocolError("a filter compares by =, !=, >, >=, < or <=")
        tokens += (b"W" if stops else b"F", _FILTERS[meets], _number(column, 0), _escape(value))
    return tokens


def _line(tokens: Sequence[bytes]) -> bytes:
    return b"\t".join(tokens) + b"\n"


def _index_id(value: int) -> bytes:
    if type(value) is not int or not 0 <= value <= MAX_INDEX_ID:
        raise LocalProtocolError(f"an index id is an int from 0 to {MAX_INDEX_ID}")
    return b"%d" % value


def _number(value: int, least: int) -> bytes:
    if type(value) is not int or not least <= value <= _MAX_NUMBER:
        raise LocalProtocolError(f"limits, offsets and positions are ints from {least} to {_MAX_NUMBER}")
    return b"%d" % value


def _values(values: Sequence[Value]) -> Iterator[bytes]:
    if isinstance(values, str | bytes):  # which would be taken apart
        raise LocalProtocolError("values come as a sequence, such as a list or tuple, of bytes, str, int or None")
    return map(_escape, values)


def _escape(value: Value) -> bytes:
    if type(value) is bytes:
        token = value
    elif type(value) is str:
        token = _utf8(value)
    elif type(value) is int:
        return b"%d" % value
    elif value is None:
        return _NULL
    else:
        raise LocalProtocolError(f"a {type(value).__name__} isn't bytes, str, int or None")
    if len(token.translate(None, _SPECIAL)) == len(token):
        return token
    for special, escape in _ESCAPES.items():
        token = token.replace(special, escape)
    return token


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("a str holds a lone surrogate, which isn't text") from None


def _unescape(token: bytes) -> bytes | None:
    if b"\x01" not in token:
        return None if token == _NULL else token
    first, *rest = token.split(b"\x01")
    try:
        return first + b"".join([_UNESCAPES[part[0]] + part[1:] for part in rest])
    except LookupError:
        raise RemoteProtocolError("a HandlerSocket reply holds a broken escape") from None
