"""Sessions in the tables of two adapters of Phalcon, shared with PHP.

The adapters are Database and HandlerSocket. PHP may run at the same time.

Neither adapter takes a lock. A page of PHP that has read a session writes it whole, and overwrites what was written
in between. Here each write compares the data that were loaded.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import timedelta

from ..._time import parse_duration
from ...errors import ConfigurationError
from ...stores._support.cleanup import delete_in_batches
from ...stores._support.options import check_options
from ...stores.base import DEFAULT_MAX_DATA_BYTES, DEFAULT_TIMEOUT, Finding, SessionStore, Stored, check_expires_at
from ...stores.mysql.errors import DRIVER_ERRORS, is_duplicate
from ...stores.mysql.names import parse_names
from ..leftovers import left_behind
from ..local_times import LocalTimes
from ..session_ids import check_session_id, is_session_id
from ..session_rows import check_data_fit, check_id_fits, check_session_row, check_size_read
from ..settings import PHP_LIFETIME
from . import statements
from .columns import Columns
from .diagnosis import findings_of
from .layouts import Layout, PHPSession, SessionData
from .table import PHPTable

_BATCH_SIZE = 100
"""Expired rows deleted at once."""


class _TableStore(SessionStore):
    """A store over the rows of a layout. Keys are the ids of PHP sessions."""

    def __init__(
        self,
        url: str,
        layout: Layout,
        *,
        lifetime: int | timedelta,
        charset: str,
        timeout: float,
        max_data_bytes: int | None,
        pool_size: int,
        clock: Callable[[], float],
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        if not isinstance(url, str):
            raise ConfigurationError("a table of PHP is named by a URL: mysql://user:password@host:3306/database")
        self.max_data_bytes = max_data_bytes
        self.lifetime = parse_duration(lifetime, "lifetime")
        self._clock = clock
        self._layout = layout
        self._table = PHPTable(url, layout, charset=charset, timeout=timeout, pool_size=pool_size)

    async def load(self, key: str) -> Stored | None:
        check_session_id(key)
        async with self._table.operation():
            found = (await self._table.find(statements.LOAD, *self._living(key))).rows
        if not found:
            return None
        [(data, used_at)] = found
        check_size_read(data, self.max_data_bytes)
        return Stored(data, data, self._layout.from_column(used_at) + self.lifetime)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        times = self._layout.times_of_new(int(self._clock()), expires_at - self.lifetime)
        async with self._table.operation():
            columns = await self._look()
            _check_data(data, columns)
            check_id_fits(key, columns.id_length)
            return await self._insert(key, data, *times)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        if type(version) is not bytes:
            return False
        used_at = self._layout.to_column(expires_at - self.lifetime)
        async with self._table.operation():
            _check_data(data, await self._look())
            return await self._table.change(statements.REPLACE, data, used_at, *self._living(key), version)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_session_id(key)
        check_expires_at(expires_at)
        used_at = self._layout.to_column(expires_at - self.lifetime)
        async with self._table.operation():
            return await self._table.change(statements.TOUCH, used_at, *self._living(key))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_session_id(key)
        async with self._table.operation():
            if version is None:
                return await self._table.change(statements.DELETE, *self._living(key))
            if type(version) is not bytes:
                return False
            return await self._table.change(statements.DELETE_VERSION, *self._living(key), version)

    async def delete_expired(self, limit: int = 1000) -> int:
        """Collect expired rows.

        PHP doesn't do so where `session.gc_probability` is 0, as in Debian.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    async def all_keys(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions; see `SupportsListing`."""
        page = [""]
        while page:
            async with self._table.operation():
                page = [key for (key,) in (await self._table.find(statements.IDS, page[-1])).rows]
            for key in page:
                if is_session_id(key):
                    yield key

    async def diagnose(self) -> list[Finding]:
        """Look whether the table changes what is stored; see `SupportsDiagnosis`.

        It also looks whether old sessions go.
        """
        long_ago = self._layout.to_column(int(self._clock()) - 2 * self.lifetime)
        async with self._table.operation():
            [(count,)] = (await self._table.find(statements.COUNT_EXPIRED, long_ago)).rows
            return [*findings_of(await self._look()), *left_behind(count)]

    async def open(self) -> None:
        """Reach the server, and look at the table.

        Raises `ConfigurationError` if PHP's columns aren't there.
        """
        async with self._table.operation():
            await self._look()

    async def aclose(self) -> None:
        await self._table.aclose()

    async def _delete_batch(self, count: int) -> int:
        expired = self._newest_expired()
        async with self._table.operation():
            keys = [key for (key,) in (await self._table.find(statements.FIND_EXPIRED, expired, count)).rows]
            if not keys:
                return 0
            return (await self._table.run(statements.DELETE_EXPIRED, *keys, expired, repeat=len(keys))).rowcount

    async def _insert(self, key: str, data: bytes, *times: int | str | None) -> bool:
        """Insert the row.

        A row that has expired counts as absent, but is still in the way of the first try.
        """
        try:
            return await self._table.change(statements.CREATE, key, data, *times)
        except DRIVER_ERRORS as error:
            if not is_duplicate(error):
                raise
        dropped = await self._table.change(statements.DROP_IF_EXPIRED, key, self._newest_expired())
        return dropped and await self._insert(key, data, *times)

    async def _look(self) -> Columns:
        """Return what the columns hold, and lower `max_data_bytes` to that."""
        columns = await self._table.columns()
        self.max_data_bytes = min(columns.max_bytes, self.max_data_bytes or columns.max_bytes)
        return columns

    def _living(self, key: str) -> tuple[str | bytes | int, ...]:
        """Return the values of the conditions of a statement for one row."""
        return key, key.encode(), self._newest_expired()

    def _newest_expired(self) -> int | str:
        """Return the newest time of use that has expired, as its column holds it.

        A row that was used at this time, or before, has expired.
        """
        return self._layout.to_column(int(self._clock()) - self.lifetime)


def _check_data(data: bytes, columns: Columns) -> None:
    """Refuse data that wouldn't come back as they are."""
    columns.check(data)
    check_data_fit(data, columns.max_bytes)


class PHPDatabaseStore(_TableStore):
    """A store over the table of Phalcon's adapter Database.

    `url` is `mysql://user:password@host:3306/database`, as `DatabaseStore` takes it. `table` and the columns are the
    options of the adapter. `lifetime` is PHP's `session.gc_maxlifetime`, in seconds or as a timedelta. `charset` is
    that of PHP's connection. `timeout` is the budget of an operation in seconds. Up to `pool_size` connections are
    made. `clock` gives unix seconds.

    Raises `ConfigurationError` for settings that can't work. Data that PHP couldn't read are refused when they are
    written: `NotSerializable` for characters that the column or the connection hasn't.
    """

    def __init__(
        self,
        url: str,
        *,
        table: str = "session_data",
        lifetime: int | timedelta = PHP_LIFETIME,
        charset: str = "utf8mb4",
        column_session_id: str = "session_id",
        column_data: str = "data",
        column_created_at: str = "created_at",
        column_modified_at: str = "modified_at",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        names = parse_names(
            table,
            session_id=column_session_id,
            data=column_data,
            created_at=column_created_at,
            modified_at=column_modified_at,
            version="version",
            owner="owner",
        )
        layout = SessionData(
            database=names.database,
            table=names.table,
            session_id=names.session_id,
            data=names.data,
            created_at=names.created_at,
            modified_at=names.modified_at,
        )
        super().__init__(
            url,
            layout,
            lifetime=lifetime,
            charset=charset,
            timeout=timeout,
            max_data_bytes=max_data_bytes,
            pool_size=pool_size,
            clock=clock,
        )


class PHPSessionTableStore(_TableStore):
    """A store over the table of Phalcon's adapter HandlerSocket, by SQL.

    `timezone` is PHP's `date.timezone`: the table keeps times without a zone. The other parameters are those of
    `PHPDatabaseStore`. SQL and HandlerSocket see each other's writes at once, and only SQL compares and writes in one
    step.
    """

    def __init__(
        self,
        url: str,
        *,
        table: str = "php_session",
        lifetime: int | timedelta = PHP_LIFETIME,
        timezone: str = "UTC",
        charset: str = "utf8mb4",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        names = parse_names(
            table, session_id="id", data="data", created_at="c", modified_at="modified", version="v", owner="o"
        )
        super().__init__(
            url,
            PHPSession(database=names.database, table=names.table, local_times=LocalTimes(timezone)),
            lifetime=lifetime,
            charset=charset,
            timeout=timeout,
            max_data_bytes=max_data_bytes,
            pool_size=pool_size,
            clock=clock,
        )
