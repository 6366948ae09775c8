"""A table of PHP's sessions on the connections of the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncmy.errors import MySQLError

from ...errors import ConfigurationError, NotSerializable
from ...stores._support.loop_local import LoopLocal
from ...stores.mysql.connections import Reply
from ...stores.mysql.errors import DRIVER_ERRORS, is_connection_lost
from ...stores.mysql.execution import deadline, execute_until
from ...stores.mysql.pool import OwnedPool
from ...stores.mysql.url import address_of, settings_of
from .columns import CHARSETS, Columns, look_at
from .layouts import Layout
from .statements import LIVING

_WRONG_TEXT = 1366
"""The server's number for text that a column's character set hasn't."""

Value = str | bytes | int | None


class PHPTable:
    """The table of a layout at a URL.

    `charset` is that of PHP's connection; `timeout` is in seconds.
    """

    def __init__(self, url: str, layout: Layout, *, charset: str, timeout: float, pool_size: int) -> None:
        if charset not in CHARSETS:
            raise ConfigurationError(f"charset must be that of PHP's connection: {', '.join(CHARSETS)}")
        settings = settings_of(url)
        self._layout = layout
        self._charset = charset
        self._timeout = timeout
        self._address = address_of(settings)
        self._columns: Columns | None = None
        self._pools = LoopLocal(
            lambda: OwnedPool(settings, size=pool_size, timeout=timeout),
            close=OwnedPool.aclose,
            abandon=OwnedPool.abandon,
        )

    async def columns(self) -> Columns:
        """Return what the columns hold; looked at once."""
        if self._columns is None:
            self._columns = await look_at(self._pools.get(), self._layout, self._charset)
        return self._columns

    async def run(self, statement: str, *values: Value, repeat: int = 1) -> Reply:
        """Run a statement, again if it is the victim of a deadlock.

        It runs again for up to half the budget.
        """
        columns, names = await self.columns(), self._layout.names
        expressions = {"read": columns.read.format(**names), "write": columns.write, "living": LIVING.format(**names)}
        text = statement.format(**names, **expressions, more=", %s" * (repeat - 1))
        return await execute_until(self._pools.get(), text, values, self._timeout / 2)

    async def change(self, statement: str, *values: Value) -> bool:
        """Run a statement that changes one row, and return whether it found it."""
        return (await self.run(statement, *values)).rowcount == 1

    async def find(self, statement: str, *values: Value) -> Reply:
        """Run a statement that reads.

        It runs again if the connection was lost, or silent for half the budget.
        """
        try:
            async with asyncio.timeout(self._timeout / 2):
                return await self.run(statement, *values)
        except DRIVER_ERRORS as error:
            if not is_connection_lost(error) and not isinstance(error, TimeoutError):
                raise
            self._pools.get().forget_idle()
            return await self.run(statement, *values)

    @asynccontextmanager
    async def operation(self) -> AsyncIterator[None]:
        """Bound one operation, and translate the errors of asyncmy."""
        async with deadline(self._address, self._timeout):
            try:
                yield
            except MySQLError as error:
                if error.args and error.args[0] == _WRONG_TEXT:
                    raise NotSerializable(
                        "the session holds characters that the character set of its column hasn't: nothing was saved"
                    ) from None
                raise

    async def aclose(self) -> None:
        await self._pools.aclose()
