"""Check the table and settings of a HandlerSocket server over SQL.

SQL knows more than HandlerSocket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

from ..base import Finding
from ..mysql.connections import fetch_all
from ..mysql.errors import DRIVER_ERRORS, to_store_error
from ..mysql.inspection import FetchAll, flush_findings, inspect_table, read_only_findings
from ..mysql.pool import OwnedPool
from ..mysql.schema import TableSpec
from ..mysql.url import settings_of

_OWNER_INDEX = """SELECT COLUMN_NAME FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s AND INDEX_NAME = %s ORDER BY SEQ_IN_INDEX"""
_SETTINGS = """SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'wsrep_on', 'handlersocket_address')"""


class SQL:
    """The server of a `mysql://` URL, on a separate connection.

    `timeout` is in seconds.
    """

    def __init__(self, url: str, table: TableSpec, timeout: float) -> None:
        self._settings = settings_of(url)
        self._table = table
        self._timeout = timeout

    async def check(self) -> tuple[int, Finding | None]:
        """Return the data column's bytes, and why the table holds no owners.

        The second is None if it does. Raise `ConfigurationError` for a table that can't hold sessions.
        """
        table = self._table
        async with self._connected() as fetch_all:
            columns = await inspect_table(fetch_all, table, table.create_statement)
            indexed = await fetch_all(_OWNER_INDEX, (table.database, table.name, table.owner_index_name))
        fault = table.owner_fault(columns)
        if fault is None and [column for (column,) in indexed] != list(table.owner_indexed):
            fault = table.no_owner_index
        return columns["data"].length or 0, fault and Finding(*fault)

    async def findings(self) -> list[Finding]:
        """Return what loses or exposes sessions, though it works."""
        async with self._connected() as fetch_all:
            server = await flush_findings(fetch_all) + await read_only_findings(fetch_all)
            return server + list(_settings_findings(dict(await fetch_all(_SETTINGS, ()))))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[FetchAll]:
        pool = OwnedPool(self._settings, size=1, timeout=self._timeout)
        try:
            async with pool.acquire() as connection:
                yield partial(fetch_all, connection)
        except DRIVER_ERRORS as error:
            raise to_store_error(error, pool.address) from error
        finally:
            await pool.aclose()


def _settings_findings(settings: dict[str, str]) -> Iterator[Finding]:
    if settings.get("log_bin") == "ON":
        problem = "log_bin is on, and HandlerSocket writes nothing into the binary log: no replica gets sessions"
        yield Finding(problem, "keep sessions on a server without replicas, or take DatabaseStore")
    if settings.get("wsrep_on") == "ON":
        problem = "wsrep_on is on, and what HandlerSocket writes stays on one node of the cluster without a word"
        yield Finding(problem, "keep sessions on a server of their own, or take DatabaseStore")
    if settings.get("handlersocket_address", "127.0.0.1") not in ("127.0.0.1", "::1", "localhost"):
        problem = "HandlerSocket listens to other machines, of which any can stop it with one byte"
        yield Finding(problem, "set handlersocket_address = 127.0.0.1 in the server's settings")
