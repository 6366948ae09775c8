"""How sessions are rows of a MySQL table: the statements, and the text of the data column. Pure.

Statements are templates for quoted names. ASCII data is stored as it is, so that it stays readable
and no character set can damage it. Other bytes go in as base64 behind a mark: a text column would
change them, or refuse them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from ...errors import SessionTooLarge

LOAD = """SELECT {session_id}, CAST({data} AS BINARY), {version}, COALESCE({modified_at}, {created_at}) FROM {table}
    WHERE {session_id} IN (%s{more}) AND COALESCE({modified_at}, {created_at}) > %s"""
SELECT_DATA = "SELECT CAST({data} AS BINARY) FROM {table} WHERE {session_id} = %s"
CREATE = """INSERT INTO {table} ({session_id}, {data}, {created_at}, {modified_at}, {version})
    VALUES (%s, %s, %s, %s, %s)"""
DROP_IF_EXPIRED = "DELETE FROM {table} WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) <= %s"
REPLACE = """UPDATE {table} SET {data} = %s, {modified_at} = %s, {version} = {version} + 1
    WHERE {session_id} = %s AND {version} = %s AND COALESCE({modified_at}, {created_at}) > %s"""
TOUCH = """UPDATE {table} SET {modified_at} = %s
    WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) > %s"""
DELETE = "DELETE FROM {table} WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) > %s"
DELETE_VERSION = DELETE + " AND {version} = %s"
# The OR is what lets the index on both columns be used; COALESCE would read the whole table.
FIND_EXPIRED = """SELECT {session_id} FROM {table}
    WHERE {modified_at} <= %s OR ({modified_at} IS NULL AND {created_at} <= %s) LIMIT %s"""
DELETE_EXPIRED = """DELETE FROM {table} WHERE {session_id} IN (%s{more})
    AND COALESCE({modified_at}, {created_at}) <= %s"""
KEYS = "SELECT {session_id} FROM {table} WHERE {session_id} > %s ORDER BY {session_id} LIMIT 1000"

BASE64_PREFIX = b"base64:"
MAX_LIFETIME = 1_000_000_000
"""Seconds. A row at the beginning of unix time has then been absent since 2001."""


def to_text(data: bytes, room: int) -> str:
    """What a column of `room` bytes is given. Raise `SessionTooLarge` if that doesn't fit."""
    plain = data.isascii() and not data.startswith(BASE64_PREFIX)
    text = (data if plain else BASE64_PREFIX + b64encode(data)).decode("ascii")
    if len(text) > room:
        raise SessionTooLarge(
            f"the session takes {len(text)} bytes as text, the column {room}:"
            " keep less in it, or make the column larger"
        )
    return text


def from_text(text: bytes) -> bytes:
    if not text.startswith(BASE64_PREFIX):
        return text
    try:
        return b64decode(text[len(BASE64_PREFIX) :], validate=True)
    except ValueError:  # somebody else's text, which only begins as ours does
        return text
