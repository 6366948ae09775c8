"""The table of a PostgreSQLStore: checked before its first use, then asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..base import Finding, Stored
from . import statements
from .connections import Connections, execute
from .errors import DRIVER_ERRORS, is_connection_lost
from .execution import run_until
from .inspection import check_server_and_table, look_for_weaknesses, try_writing
from .names import TableName

_LOCK_WAIT = 0.25
"""The share of the budget that a statement waits for a lock. It may do so twice: for its turn, then for the row."""

T = TypeVar("T")


class SessionTable:
    """A session table under its configured name.

    `migrate` is the command that makes the table of the migrations, `connections` gives those of the running event
    loop, and `timeout` is the budget of one operation in seconds.
    """

    def __init__(self, name: TableName, migrate: str, connections: Callable[[], Connections], timeout: float) -> None:
        self._name = name
        self._texts = statements.for_table(name.quoted, timeout * _LOCK_WAIT)
        self._migrate = migrate
        self._connections = connections
        self._timeout = timeout
        self._is_checked = False

    async def change(self, statement: str, *values: object) -> bool:
        """Run a statement that changes one row, and return whether it found it."""
        return await self.execute(statement, *values) == 1

    async def execute(self, statement: str, *values: object) -> int:
        """Run a statement, and return the number of rows that it changed."""
        text = await self._prepare(statement)
        return await self._run(lambda connection: execute(connection, text, *values))

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        """Run a statement, and return its rows."""
        text = await self._prepare(statement)
        return await self._run(lambda connection: connection.fetch(text, *values))

    async def fetch_keys(self, statement: str, *values: object) -> list[str]:
        """Run a statement whose rows are keys."""
        return [key for (key,) in await self.fetch(statement, *values)]

    async def load(self, keys: list[str], now: int) -> dict[str, Stored]:
        """Return the living rows of these keys.

        Ask once more if the answer is lost: to read twice does no harm.
        """
        try:
            async with asyncio.timeout(self._timeout / 2):
                return await self._load(keys, now)
        except DRIVER_ERRORS as error:
            if not is_connection_lost(error) and not isinstance(error, TimeoutError):
                raise
        # What a firewall did to one connection it did to all that were silent.
        await self._connections().forget_idle()
        return await self._load(keys, now)

    async def contains(self, key: str, data: bytes) -> bool:
        """Return whether the row of a key has this data."""
        found = await self.fetch(statements.SELECT_DATA, key)
        return bool(found) and bool(found[0][0] == data)

    async def check(self) -> None:
        """Check the server and the table.

        Raises `ConfigurationError` with the statement that repairs the table, and `StoreUnavailable` for a
        standby.
        """
        async with self._connections().acquire() as connection:
            await check_server_and_table(connection, self._name, self._migrate)
        self._is_checked = True

    async def try_writing(self) -> None:
        """Fail as a change would that the account may not make."""
        async with self._connections().acquire() as connection:
            await try_writing(connection, self._name)

    async def findings(self) -> list[Finding]:
        """Return what works, but not well."""
        async with self._connections().acquire() as connection:
            return await look_for_weaknesses(connection, self._name, self._migrate)

    async def _load(self, keys: list[str], now: int) -> dict[str, Stored]:
        rows = await self.fetch(statements.LOAD, keys, now)
        return {key: Stored(data, version, expires_at) for key, data, version, expires_at in rows}

    async def _prepare(self, statement: str) -> str:
        if not self._is_checked:
            await self.check()
        return self._texts[statement]

    async def _run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run on a connection, again if the server undoes it for another's sake.

        It is repeated for up to half the budget.
        """
        return await run_until(self._connections(), work, self._timeout / 2)
