from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.monitoring import CommandStartedEvent

from starlette_sessions_ext import MongoStore, Stored, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock, FaultProxy

from ...support.mongo_server import MongoServer
from ...support.servers import free_port
from .clients import DRIVERS, Sent, client_of, load, one_of_each, through, until

pytestmark = pytest.mark.anyio


def told(error: BaseException) -> str:
    """All that a log would hold of an error."""
    return "".join(traceback.format_exception(error)) + repr(error)


# Crashes


# Failures


@pytest.mark.parametrize(("option", "dials"), [("", 20), ("&maxConnecting=3", 3)])
async def test_connections_are_made_side_by_side(mongo_server: MongoServer, option: str, dials: int) -> None:
    async with FaultProxy("127.0.0.1", mongo_server.port) as proxy:
        async with MongoStore(through(proxy) + option) as store, anyio.create_task_group() as group:
            proxy.hold_replies()
            known = proxy.connections
            for _ in range(21):  # one of them on the connection that there is
                group.start_soon(store.delete, key_of(new_id()))
            await until(lambda: proxy.connections - known == dials)
            proxy.release()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1:{}", "MongoDB at 127.0.0.1:{} "),
        ("127.0.0.2:{0},127.0.0.1:{0}", "MongoDB at 127.0.0.1:{0}, 127.0.0.2:{0} "),
        ("%2Fnowhere%2Fmongodb-{}.sock", "MongoDB at /nowhere/mongodb-{}.sock "),
    ],
)
async def test_nobody_there_is_told_without_the_password(address: str, place: str, key: str) -> None:
    port = free_port()
    store = MongoStore(f"mongodb://user:canary@{address.format(port)}", timeout=0.3)
    calls: list[Callable[[], Awaitable[Any]]] = [store.open, lambda: store.load(key)]
    for call in calls:
        with anyio.fail_after(60), pytest.raises((StoreUnavailable, StoreTimeout), match=place.format(port)) as failure:
            await call()
        assert "canary" not in told(failure.value)
    await store.aclose()


async def test_a_refused_document_is_told_without_what_it_holds(
    mongo_server: MongoServer, validated: str, key: str, soon: int
) -> None:
    data = b"canary"
    async with MongoStore(mongo_server.url, collection=validated) as store:
        with pytest.raises(StoreUnavailable, match="a validator that refuses sessions: remove it") as failure:
            await store.create(key, data, soon)
        assert data.decode() not in told(failure.value)
        assert key not in told(failure.value)
        assert failure.value.__cause__ is None
        assert await store.load(key) is None


# Races


class Meanwhile(Sent):
    """Does something right before a command is sent: with motor, whose threads may block."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        super().__init__()
        self._number = number
        self._action = action

    def started(self, event: CommandStartedEvent) -> None:
        super().started(event)
        if len(self.commands) == self._number:
            self._action()


async def test_what_is_touched_meanwhile_isnt_collected(
    mongo_server: MongoServer, rows: Collection[Any], store: MongoStore, clock: FakeClock, key: str, soon: int
) -> None:
    await store.create(key, b"touched", soon)
    await store.create(key_of(new_id()), b"expired", soon)
    clock.advance(3600)
    later = datetime.fromtimestamp(soon + 3600, UTC)
    touch = Meanwhile(2, lambda: rows.update_one({"_id": key}, {"$set": {"expires_at": later}}))
    async with client_of(AsyncIOMotorClient, mongo_server.url, event_listeners=[touch]) as client:
        assert await MongoStore(client.session.session_data, clock=clock).delete_expired() == 1
    assert touch.names() == ["find", "delete", "endSessions"]
    assert (await load(store, key)).data == b"touched"


@pytest.mark.parametrize("number", [2, 3], ids=["before the delete", "after the delete"])
async def test_a_row_that_is_made_meanwhile_is_never_taken_over(
    mongo_server: MongoServer,
    rows: Collection[Any],
    store: MongoStore,
    clock: FakeClock,
    key: str,
    soon: int,
    number: int,
) -> None:
    await store.create(key, b"expired", soon)
    clock.advance(3600)
    theirs = {"data": b"theirs", "version": 7, "expires_at": datetime.fromtimestamp(soon + 3600, UTC)}
    take = Meanwhile(number, lambda: rows.replace_one({"_id": key}, theirs, upsert=True))
    async with client_of(AsyncIOMotorClient, mongo_server.url, event_listeners=[take]) as client:
        assert not await MongoStore(client.session.session_data, clock=clock).create(key, b"mine", soon + 7200)
    assert take.names() == ["insert", "delete", "insert", "find", "endSessions"]
    assert await store.load(key) == Stored(b"theirs", 7, soon + 3600)


async def test_loads_of_one_moment_share_a_command(mongo_server: MongoServer, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(20)]
    sent = Sent()
    async with client_of(AsyncIOMotorClient, mongo_server.url, event_listeners=[sent]) as client:
        store = MongoStore(client.session.session_data)
        for key in keys[1:]:
            await store.create(key, key.encode(), soon)
        found = await asyncio.gather(*(store.load(key) for key in keys))
    assert [row and row.data for row in found] == [None, *(key.encode() for key in keys[1:])]
    assert sent.names().count("find") == 1


# Replica sets


@DRIVERS
async def test_no_setting_of_a_client_weakens_a_write_or_a_read(
    replica_set: MongoServer, driver: Any, key: str, soon: int
) -> None:
    settings = "w=0&journal=false&readPreference=secondaryPreferred&readConcernLevel=available"
    sent = Sent()
    async with client_of(driver, f"{replica_set.url}/?replicaSet=rs&{settings}", event_listeners=[sent]) as client:
        await one_of_each(MongoStore(client.session.session_data), key, soon)
    insert, find, replace, touch, delete = sent.commands[:5]
    for write in (insert, replace, touch, delete):
        assert write["writeConcern"] == {"w": "majority", "j": True}
    assert find["readConcern"]["level"] == "local"
    assert "$readPreference" not in find  # the primary


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["reset", "drop"])
async def test_a_write_whose_answer_is_cut_is_done_once(
    replica_set: MongoServer, clock: FakeClock, key: str, soon: int, cut: str
) -> None:
    """The client sends it again, and the server knows it by its number."""
    done: list[bool] = []

    async def collect(call: Awaitable[bool]) -> None:
        done.append(await call)

    with MongoClient[Any](replica_set.url, directConnection=True) as client:
        rows = client.session.session_data
        async with FaultProxy("127.0.0.1", replica_set.port) as proxy, MongoStore(through(proxy), clock=clock) as store:

            async def cut_off(call: Awaitable[bool], data: bytes) -> None:
                if cut == "drop":
                    proxy.drop_reply()
                else:
                    proxy.hold_replies()
                async with anyio.create_task_group() as group:
                    group.start_soon(collect, call)
                    if cut == "reset":
                        await until(lambda: rows.find_one({"_id": key, "data": data}) is not None)
                        proxy.reset()
                        proxy.release()

            await cut_off(store.create(key, b"one", soon), b"one")
            version = rows.find_one({"_id": key})["version"]  # type: ignore[index]
            await cut_off(store.replace(key, b"two", soon, version), b"two")
            assert done == [True, True]
            assert rows.find_one({"_id": key})["version"] == version + 1  # type: ignore[index]
            assert await load(store, key) == Stored(b"two", version + 1, soon)


async def test_the_doctor_asks_for_a_replica_set(mongo_server: MongoServer, replica_set: MongoServer) -> None:
    async with MongoStore(replica_set.url) as store:
        assert await store.diagnose() == []
    async with MongoStore(mongo_server.url) as store:
        [finding] = await store.diagnose()
    assert f"127.0.0.1:{mongo_server.port} is no replica set" in finding.problem
    assert "rs.initiate()" in finding.remedy
