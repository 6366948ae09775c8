"""The table of a DatabaseStore: looked at before its first use, then asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...errors import ConfigurationError
from ..base import Finding
from .connections import Connections, Reply, fetch_all
from .execution import execute_until
from .names import Names
from .startup_check import UNKNOWN_LIMITS, Limits, check_table, findings, try_writing


class SessionTable:
    """A session table under its configured names.

    `migrate` is the command that makes the table of the migrations, `connections` gives those of the running event
    loop, and `timeout` is the budget of one operation in seconds.
    """

    def __init__(self, names: Names, migrate: str, connections: Callable[[], Connections], timeout: float) -> None:
        self.limits: Limits = UNKNOWN_LIMITS
        self.on_check: Callable[[Limits], object] = lambda limits: None
        self._names = names
        self._quoted = names.quoted()
        self._migrate = migrate
        self._connections = connections
        self._timeout = timeout
        self._is_checked = False

    async def run(self, statement: str, *values: str | int | None, repeat: int = 1) -> Reply:
        """Run a statement, again if it is the victim of a deadlock.

        It is repeated for up to half the budget.
        """
        if not self._is_checked:
            await self.check()
        text = statement.format(**self._quoted, more=", %s" * (repeat - 1))
        return await execute_until(self._connections(), text, values, self._timeout / 2)

    async def change(self, statement: str, *values: str | int | None) -> bool:
        """Run a statement that changes one row, and return whether it found it."""
        return (await self.run(statement, *values)).rowcount == 1

    async def owned(self, owner: str | None) -> tuple[str | None, ...]:
        """Return the value for the column of the owner, or nothing without that column.

        Raises `ConfigurationError`, with what adds the column, if there is an owner to be written.
        """
        if await self.has_owners():
            return (owner,)
        if owner is None:
            return ()
        await self.require_owners()
        return (owner,)

    async def require_owners(self) -> None:
        """Raise `ConfigurationError` if the table has no column of the owner by now.

        The error says what adds it.
        """
        if not await self.has_owners():
            await self.check()  # it may have been migrated since
        if self.limits.no_owners is not None:
            raise ConfigurationError(". ".join(self.limits.no_owners))

    async def has_owners(self) -> bool:
        """Return whether rows can have an owner, as far as is known."""
        if not self._is_checked:
            await self.check()
        return self.limits.no_owners is None

    async def check(self) -> None:
        """Find the limits.

        Raises `ConfigurationError` with the statement that repairs the table.
        """
        async with self._connections().acquire() as connection:
            self.limits = await check_table(partial(fetch_all, connection), self._names, self._migrate)
        self._is_checked = True
        self.on_check(self.limits)

    async def try_writing(self) -> None:
        """Fail as a change would that the account may not make."""
        async with self._connections().acquire() as connection:
            await try_writing(partial(fetch_all, connection), self._names)

    async def findings(self) -> list[Finding]:
        """Return what works, but not well."""
        async with self._connections().acquire() as connection:
            return await findings(partial(fetch_all, connection), self._names, self._migrate)
