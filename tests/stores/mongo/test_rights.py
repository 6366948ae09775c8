"""What a user of a guarded server may do: the least that sessions need, and what is said of less."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from starlette_sessions_ext import ConfigurationError, MongoStore, StoreUnavailable
from starlette_sessions_ext.testing import FakeClock

from ...support.mongo_server import MongoServer, running_mongo
from .clients import one_of_each

pytestmark = pytest.mark.anyio

LEAST = ["find", "insert", "update", "remove"]
INDEX = "createIndex({expires_at: 1}, {expireAfterSeconds: 0})"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    options = ["--auth", "--setParameter", "enableTestCommands=1"]
    with running_mongo(tmp_path_factory.mktemp("mongo"), *options) as server:
        with MongoClient[Any](server.url) as client:
            client.admin.command("createUser", "root", pwd="right", roles=["root"])
        yield server


@pytest.fixture
def root(server: MongoServer) -> Iterator[MongoClient[Any]]:
    """The administrator, in a server without sessions, users or roles."""
    with MongoClient[Any](server.url.replace("://", "://root:right@")) as client:
        client.drop_database("shop")
        client.shop.command("dropAllUsersFromDatabase")
        client.shop.command("dropAllRolesFromDatabase")
        yield client


def store_of(
    server: MongoServer,
    root: MongoClient[Any],
    actions: list[str],
    clock: FakeClock,
    *,
    resource: dict[str, Any] | None = None,
    roles: Any = (),
) -> MongoStore:
    """The store of a user who may do no more than these."""
    where = resource or {"db": "shop", "collection": "sessions"}
    privileges = [{"resource": where, "actions": actions}] if actions else []
    name = "own" if resource is None else "any"
    database = root.shop if resource is None else root.admin
    if resource is not None:
        root.admin.command("dropAllRolesFromDatabase")
    database.command("createRole", name, privileges=privileges, roles=[])
    root.shop.command("createUser", "user", pwd="right", roles=[{"role": name, "db": database.name}, *roles])
    return MongoStore(server.url.replace("://", "://user:right@") + "/shop", collection="sessions", clock=clock)


@pytest.mark.parametrize(
    ("more", "made"),
    [([], True), (["listIndexes"], True), (["createIndex"], False)],
    ids=["with an index", "with an index that it sees", "that may make the index"],
)
async def test_the_least_that_sessions_need(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock, key: str, soon: int, more: list[str], made: bool
) -> None:
    if made:
        root.shop.sessions.create_index("expires_at", expireAfterSeconds=0)
        root.shop.sessions.create_index("owner", sparse=True)
    async with store_of(server, root, LEAST + more, clock) as store:
        await one_of_each(store, key, soon)
        assert await store.create(key, b"data", soon)
        assert [one async for one in store.all_keys()] == [key]
        clock.advance(7200)
        assert await store.delete_expired() == 1
        assert [finding.problem for finding in await store.diagnose() if "no replica set" not in finding.problem] == []
    assert root.shop.sessions.index_information()["expires_at_1"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize("there", ["nothing", "the collection"])
@pytest.mark.parametrize("more", [[], ["listIndexes"]], ids=["unseen", "seen"])
async def test_an_index_that_is_missing_is_told_with_its_statement(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock, more: list[str], there: str
) -> None:
    if there == "the collection":
        root.shop.sessions.insert_one({"_id": 1})
    store = store_of(server, root, LEAST + more, clock)
    with pytest.raises(ConfigurationError, match=r"shop\.sessions has no TTL index on expires_at") as refusal:
        await store.open()
    assert str(refusal.value).endswith(f'db.getSiblingDB("shop").getCollection("sessions").{INDEX}')
    [finding, _] = await store.diagnose()
    assert str(refusal.value) == f"{finding.problem}: {finding.remedy}"
    await store.aclose()


async def test_another_index_is_told_if_it_may_be_seen(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock
) -> None:
    root.shop.sessions.create_index("expires_at")
    store = store_of(server, root, [*LEAST, "listIndexes"], clock)
    with pytest.raises(ConfigurationError, match=r"dropIndex\(\{expires_at: 1\}\)"):
        await store.open()
    await store.aclose()


@pytest.mark.parametrize(
    ("actions", "roles", "words"),
    [
        ([], ["read"], "no right to insert, update and remove in shop.sessions"),
        (["find", "insert", "update"], [], "no right to remove in shop.sessions"),
        (["insert", "update", "remove"], ["read"], None),
        ([], ["readWrite"], None),
        ([], [{"role": "readWrite", "db": "other"}], "no right to find, insert, update and remove in shop.sessions"),
    ],
)
async def test_rights_that_are_missing_are_told_with_a_statement(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock, actions: list[str], roles: Any, words: str | None
) -> None:
    root.shop.sessions.create_index("expires_at", expireAfterSeconds=0)
    root.shop.sessions.create_index("owner", sparse=True)
    store = store_of(server, root, actions, clock, roles=roles)
    problems = []
    if words is None:
        await store.open()
        problems = [finding.problem for finding in await store.diagnose()]
        assert len(problems) == 1
    else:
        with pytest.raises((ConfigurationError, StoreUnavailable)) as refusal:
            await store.open()
        assert words in str(refusal.value)
        assert 'createRole({role: "sessions", privileges: [{resource: {db: "shop", collection: "sessions"}' in str(
            refusal.value
        )
    await store.aclose()


async def test_the_statement_makes_a_role_that_works(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock, key: str, soon: int
) -> None:
    """As the message gives it, with the names of its command's fields in quotes."""
    root.shop.sessions.create_index("expires_at", expireAfterSeconds=0)
    store = store_of(server, root, ["find"], clock)
    with pytest.raises(ConfigurationError) as refusal:
        await store.open()
    await store.aclose()
    statement = str(refusal.value).partition(".createRole(")[2].partition(");")[0]
    for name in ("role", "privileges", "resource", "db", "collection", "actions", "roles"):
        statement = re.sub(rf"\b{name}: ", f'"{name}": ', statement)
    role = json.loads(statement)
    root.shop.command("createRole", role.pop("role"), **role)
    root.shop.command("grantRolesToUser", "user", roles=["sessions"])
    async with MongoStore(
        server.url.replace("://", "://user:right@") + "/shop", collection="sessions", clock=clock
    ) as again:
        await one_of_each(again, key, soon)


async def test_a_privilege_on_any_resource(
    server: MongoServer, root: MongoClient[Any], clock: FakeClock, key: str, soon: int
) -> None:
    root.shop.sessions.create_index("expires_at", expireAfterSeconds=0)
    async with store_of(server, root, ["anyAction"], clock, resource={"anyResource": True}) as store:
        await one_of_each(store, key, soon)


@pytest.mark.parametrize("more", [[], ["listIndexes"]], ids=["unseen", "seen"])
async def test_sessions_are_served_without_an_index_of_owners(
    server: MongoServer,
    root: MongoClient[Any],
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    key: str,
    soon: int,
    more: list[str],
) -> None:
    """As after an upgrade, if the user may not make it."""
    root.shop.sessions.create_index("expires_at", expireAfterSeconds=0)
    async with store_of(server, root, LEAST + more, clock) as store:
        statement = 'db.getSiblingDB("shop").getCollection("sessions").createIndex({owner: 1}, {sparse: true})'
        assert "shop.sessions has no index on owner" in caplog.text
        assert statement in caplog.text
        [finding, _] = await store.diagnose()
        assert finding.remedy.endswith(statement)
        assert await store.create(key, b"data", soon, "a" * 32)
        assert await store.keys_of("a" * 32) == [key]
        root.shop.sessions.create_index("owner", sparse=True)
        assert len(await store.diagnose()) == 1


async def test_another_index_of_owners_will_do(server: MongoServer, root: MongoClient[Any], clock: FakeClock) -> None:
    root.shop.sessions.create_index("owner")
    async with store_of(server, root, [], clock, roles=["readWrite"]) as store:
        assert len(await store.diagnose()) == 1


@pytest.mark.parametrize(("code", "is_served"), [(50, True), (8, False)], ids=["too slow", "another error"])
async def test_an_index_of_owners_that_takes_long_keeps_nobody_waiting(
    server: MongoServer,
    root: MongoClient[Any],
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    key: str,
    code: int,
    is_served: bool,
) -> None:
    store = store_of(server, root, [], clock, roles=["readWrite"])
    second = {"failCommands": ["createIndexes"], "errorCode": code}
    root.admin.command({"configureFailPoint": "failCommand", "mode": {"skip": 1}, "data": second})
    try:
        if is_served:
            await store.open()
            assert await store.load(key) is None
            assert "the index on owner in shop.sessions couldn't be made" in caplog.text
        else:
            with pytest.raises(StoreUnavailable, match="UnknownError"):
                await store.open()
    finally:
        root.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    await store.aclose()


async def test_a_look_for_the_index_that_fails(server: MongoServer, root: MongoClient[Any], clock: FakeClock) -> None:
    store = store_of(server, root, LEAST, clock)
    point = {"configureFailPoint": "failCommand"}
    root.admin.command({**point, "mode": "alwaysOn", "data": {"failCommands": ["explain"], "errorCode": 8}})
    try:
        with pytest.raises(StoreUnavailable, match="UnknownError"):
            await store.open()
    finally:
        root.admin.command({**point, "mode": "off"})
    await store.aclose()
