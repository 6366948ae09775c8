"""The rows of an owner in `php_session`, through indexes opened when needed.

They are opened on the connections that need them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from ...errors import ConfigurationError
from ...handlersocket import Client, Index, Value
from .._support.owner_batches import OwnerBatches
from ..base import Finding, check_key, check_owner, is_key
from . import columns
from .columns import Indexes, OwnerIndexes
from .ports import Ports

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 10_000
"""How many keys are read at once: 660 kB."""


def _opening(
    request: Callable[Concatenate[Client, Index, P], Awaitable[T]],
) -> Callable[Concatenate[Client, Index, P], Awaitable[T]]:
    """Open the request's index ahead of it on a connection that doesn't have it yet."""

    def run(client: Client, index: Index, /, *arguments: P.args, **options: P.kwargs) -> Awaitable[T]:
        return client.ask_opened(index, partial(request, client, index, *arguments, **options))

    return run


find = _opening(Client.find)
insert = _opening(Client.insert)
fetch_and_update = _opening(Client.fetch_and_update)
fetch_and_delete = _opening(Client.fetch_and_delete)


class OwnedRows(OwnerBatches):
    """The operations of a HandlerSocketStore for owners.

    `_no_owners` says why the table holds none, as far as is known.
    """

    owner_batch = 25
    _errors: AbstractContextManager[None]
    _indexes: Indexes
    _owner_indexes: OwnerIndexes
    _no_owners: Finding | None = None

    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        where = columns.living(key, self._newest_expired())
        with self._errors:
            ports = await self._ready()
            if self._no_owners is not None:
                return None
            found = await ports.read(find, self._owner_indexes.owners, where)
        owner = (found[0][1] or b"").decode(errors="replace") if found else ""
        return owner if is_key(owner) else None  # it is '' in rows of writers that don't know the column

    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        keys: list[str] = []
        after = ""
        with self._errors:
            await self._require_owners()
            while True:
                where = columns.owned_after(owner, after, self._newest_expired(), _PAGE)
                ports = await self._ready()
                found = await ports.read(find, self._owner_indexes.by_owner, where)
                page = [(key or b"").decode(errors="replace") for _, key in found]
                keys += filter(is_key, page)
                if len(page) < _PAGE:
                    return keys
                after = page[-1]

    async def _delete_owned(self, owner: str, keys: Sequence[str]) -> int:
        """Remove each row by its own key, as all changes lock."""
        newest_expired = self._newest_expired()
        with self._errors:
            ports = await self._ready()
            wheres = [columns.owned(key, owner, newest_expired) for key in keys]
            deletes = (ports.write(fetch_and_delete, self._owner_indexes.owners, where) for where in wheres)
            return sum(map(len, await asyncio.gather(*deletes)))

    async def _writing(self, owner: str | None) -> tuple[Index, tuple[Value, ...]]:
        """Return the index to write a row through, and its value for the owner's column.

        There is no value if the index lacks that column.
        """
        if owner is not None:
            await self._require_owners()
        if self._no_owners is not None:
            return self._indexes.rows, ()
        return self._owner_indexes.rows, (owner,)

    async def _require_owners(self) -> None:
        """Raise `ConfigurationError` if the table has no column of the owner by now.

        The error says what adds it.
        """
        ports = await self._ready()
        if self._no_owners is not None:
            await self._check(ports)  # it may have been migrated since
        if self._no_owners is not None:
            raise ConfigurationError(". ".join(self._no_owners))

    async def _ready(self) -> Ports:
        raise NotImplementedError

    async def _check(self, ports: Ports) -> None:
        raise NotImplementedError

    def _newest_expired(self) -> str:
        raise NotImplementedError
