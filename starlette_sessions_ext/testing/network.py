"""Test a store with a server while the network fails, beyond `StoreContract`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from .._core.ids import key_of, new_id
from ..errors import StoreTimeout, StoreUnavailable
from ..stores.base import SessionStore, SupportsOwners
from ._ticks import counting_ticks
from .contract import StoreContract
from .contract.owners import ANN, BOB
from .proxy import FaultProxy

HANG = 60.0
"""Seconds after which a test gives up on what should end long before, on the busiest machine too."""


class NetworkStoreContract(StoreContract):
    """The tests of `StoreContract`, and of lost answers. They need two more fixtures.

    `proxy` is a running `FaultProxy` before the real server, `proxied` a store that goes through
    it, with a timeout of `self.timeout` seconds, which is shorter where a test waits for its end.
    """

    timeout = 5.0  # enough is left behind a lost answer, on the busiest machine too

    @pytest.fixture
    def haste(self) -> None:
        """Let a test that waits for the deadline come to its end sooner."""
        self.timeout = 1.0

    @pytest.fixture
    async def proxy(self) -> Any:
        raise NotImplementedError("give the subclass of NetworkStoreContract a `proxy` fixture")

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy) -> Any:
        raise NotImplementedError("give the subclass of NetworkStoreContract a `proxied` fixture")

    async def test_a_create_whose_answer_is_lost_is_looked_up(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.load(key)
        await proxied.create(key_of(new_id()), b"first", soon)  # a driver may have to prepare the statement first
        proxy.drop_reply()
        assert await proxied.create(key, b"mine", soon)
        row = await proxied.load(key)
        assert row is not None
        assert row.data == b"mine"

    async def test_a_replace_whose_answer_is_lost_is_looked_up(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.create(key, b"none", soon)
        row = await proxied.load(key)
        assert row is not None
        assert await proxied.replace(key, b"one", soon, row.version)  # a server may have to learn the script first
        row = await proxied.load(key)
        assert row is not None
        proxy.drop_reply()
        assert await proxied.replace(key, b"two", soon, row.version)
        after = await proxied.load(key)
        assert after is not None
        assert after.data == b"two"

    @pytest.mark.usefixtures("haste")
    async def test_a_delete_whose_answer_is_lost_isnt_undone(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.create(key, b"data", soon)
        await proxied.delete(key_of(new_id()))
        proxy.drop_reply()
        with pytest.raises(StoreUnavailable):
            await proxied.delete(key)
        assert await proxied.load(key) is None

    @pytest.mark.usefixtures("haste")
    async def test_a_late_answer_reaches_nobody_else(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        others = [key_of(new_id()) for _ in range(5)]
        for other in [key, *others]:
            await proxied.create(other, other.encode(), soon)
        proxy.hold_replies()
        with pytest.raises(StoreTimeout):
            await proxied.load(key)
        proxy.release()
        for other in others:
            row = await proxied.load(other)
            assert row is not None
            assert row.data == other.encode()

    async def _ticks_until_timeout(self, call: Callable[[], Awaitable[object]]) -> int:
        async with counting_ticks(self.timeout / 20) as ticks:
            with anyio.fail_after(HANG), pytest.raises(StoreTimeout):
                await call()
            return ticks.count

    @pytest.mark.usefixtures("haste")
    async def test_silence_ends_at_the_deadline(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.create(key, b"data", soon)
        row = await proxied.load(key)
        assert row is not None
        proxy.silent = True
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: proxied.load(key),
            lambda: proxied.create(key_of(new_id()), b"data", soon),
            lambda: proxied.replace(key, b"new", soon, row.version),
            lambda: proxied.touch(key, soon),
            lambda: proxied.delete(key),
        ]
        # One deadline covers all that an operation waits for.
        assert max([await self._ticks_until_timeout(call) for call in calls]) < 35

    @pytest.mark.usefixtures("haste")
    async def test_silence_ends_calls_of_owners_at_the_deadline(
        self, proxied: SessionStore, owners: SupportsOwners, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        assert isinstance(proxied, SupportsOwners)
        await proxied.create(key, b"data", soon, ANN)
        proxy.silent = True
        calls = (
            partial(proxied.owner_of, key),
            partial(proxied.keys_of, ANN),
            partial(proxied.delete_all_of, ANN),
        )
        assert max([await self._ticks_until_timeout(call) for call in calls]) < 35

    async def test_it_recovers_when_the_server_is_back(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.create(key, b"data", soon)
        proxy.refusing = True
        proxy.reset()
        with pytest.raises(StoreUnavailable):
            await proxied.load(key)
        proxy.refusing = False
        row = await proxied.load(key)
        assert row is not None
        assert row.data == b"data"

    async def test_a_connection_that_was_closed_while_idle_is_replaced(
        self, proxied: SessionStore, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        await proxied.create(key, b"data", soon)
        proxy.reset()
        with anyio.fail_after(HANG):
            while proxy.current:
                await anyio.lowlevel.checkpoint()
        row = await proxied.load(key)
        assert row is not None
        assert row.data == b"data"

    @pytest.mark.parametrize("write", ["create", "replace"])
    async def test_an_owner_is_written_with_its_row_though_the_answer_is_lost(
        self, proxied: SessionStore, owners: SupportsOwners, proxy: FaultProxy, key: str, soon: int, write: str
    ) -> None:
        assert isinstance(proxied, SupportsOwners)
        other = key_of(new_id())
        await proxied.create(other, b"one", soon, ANN)
        row = await proxied.load(other)
        assert row is not None
        assert await proxied.replace(other, b"two", soon, row.version, BOB)  # whatever has to be learned first
        row = await proxied.load(other)
        assert row is not None
        assert not await proxied.replace(key_of(new_id()), b"gone", soon, row.version, BOB)  # prepares the statement
        proxy.drop_reply()
        if write == "create":
            assert await proxied.create(key, b"three", soon, ANN)
            assert await owners.keys_of(ANN) == [key]
        else:
            assert await proxied.replace(other, b"three", soon, row.version, ANN)
            assert await owners.keys_of(ANN) == [other]

    @pytest.mark.usefixtures("haste")
    async def test_a_removal_of_all_whose_answer_is_lost_isnt_undone(
        self, proxied: SessionStore, owners: SupportsOwners, proxy: FaultProxy, key: str, soon: int
    ) -> None:
        assert isinstance(proxied, SupportsOwners)
        await proxied.create(key, b"data", soon, ANN)
        proxy.drop_reply()
        with suppress(StoreUnavailable):
            await proxied.delete_all_of(ANN)
        assert await proxied.delete_all_of(ANN) in (0, 1)
        assert await owners.load(key) is None
        assert await owners.keys_of(ANN) == []
