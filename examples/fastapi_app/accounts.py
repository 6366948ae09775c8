"""Names and passwords, in an SQLite file. A real application has its own table of users.

Passwords are hashed by scrypt, which is slow on purpose: about a tenth of a second. So handlers call
`check` and `set_password` in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

SHORTEST_PASSWORD = 12

# The cost that OWASP's Password Storage Cheat Sheet gives for scrypt with 16 MiB of memory.
_N, _R, _P = 2**14, 8, 5


class Accounts:
    """The accounts in one file."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        with self._database() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
                "password TEXT NOT NULL)"
            )

    def add(self, name: str, password: str) -> None:
        """Add an account, unless there is one of this name."""
        with self._database() as database:
            database.execute(
                "INSERT INTO account (name, password) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, _hash(password)),
            )

    def check(self, name: str, password: str) -> int | None:
        """Return the account's id; None if the name or the password is wrong."""
        with self._database() as database:
            row = database.execute("SELECT id, password FROM account WHERE name = ?", (name,)).fetchone()
        if row is None:
            _hash(password)  # takes as long as for an account, so that time doesn't tell which names exist
            return None
        account, stored = row
        return int(account) if _matches(password, stored) else None

    def set_password(self, account: int, password: str) -> None:
        with self._database() as database:
            database.execute("UPDATE account SET password = ? WHERE id = ?", (_hash(password), account))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path)) as database, database:
            yield database


def _hash(password: str) -> str:
    """Return salt and digest. The parameters go along, so that they can be raised later."""
    salt = secrets.token_bytes(16)
    return f"{_N}${_R}${_P}${salt.hex()}${_digest(password, salt, _N, _R, _P).hex()}"


def _matches(password: str, stored: str) -> bool:
    n, r, p, salt, digest = stored.split("$")
    found = _digest(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 * 1024 * 1024)


async def _accounts(connection: HTTPConnection) -> Accounts:
    accounts: Accounts = connection.app.state.accounts
    return accounts


AccountsDep = Annotated[Accounts, Depends(_accounts)]
