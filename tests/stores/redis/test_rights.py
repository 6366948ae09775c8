"""What a user, a replica or a full server may not do shows at startup and to a doctor, with the remedy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from starlette_sessions_ext import RedisStore, StoreFull, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.errors import DIAGNOSIS, RIGHTS

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_server import RedisServer
from ...support.servers import running

pytestmark = pytest.mark.anyio

LATER = 4_000_000_000


@pytest.fixture(scope="module")
def server(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("rights")
    with running(RedisServer(folder, "--save", "", "--appendonly", "yes", program=redis_program)) as [server]:
        yield server


@pytest.fixture
async def control(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as control:
        yield control


async def command(client: Any, line: str, **options: Any) -> None:
    await client.execute_command(*line.split(), **options)


async def user(control: Any, rights: str) -> None:
    await command(control, f"ACL SETUSER app reset on >canary {rights}")
    await command(control, "ACL LOG RESET")


def url(server: RedisServer) -> str:
    return f"redis://app:canary@127.0.0.1:{server.port}/0"


async def live(store: RedisStore) -> None:
    """A session's whole life, and what looks at it."""
    key = key_of(new_id())
    assert await store.create(key, b"data", LATER)
    row = await store.load(key)
    assert row is not None
    assert await store.touch(key, LATER)
    assert await store.replace(key, b"new", LATER, row.version)
    assert await store.delete(key, b"new")
    assert not await store.delete(key)


ALL = " ".join(f"+{name}" for name in RIGHTS)


@pytest.mark.parametrize(
    ("rights", "problem"),
    [
        *((f"~session:* {ALL} -{name}", name.upper()) for name in RIGHTS),
        (f"~session:* {ALL} -set -del", "SET, DEL"),
        ("~session:* +@all -@scripting", "EVAL"),
        (f"~other:* {ALL}", "or not on their keys"),
        ("~session:*", "EVAL"),
    ],
)
async def test_a_right_that_is_missing_is_named_and_the_remedy_is_enough(
    server: RedisServer, control: Redis, rights: str, problem: str
) -> None:
    await user(control, rights)
    store = RedisStore(url(server))
    with pytest.raises(StoreUnavailable, match=rf"doesn't let this user run .*{problem}.*: ACL SETUSER") as error:
        await store.open()
    assert "canary" not in str(error.value)
    finding, *_ = await store.diagnose()
    assert problem in finding.problem
    await command(control, "ACL LOG RESET")
    await command(control, finding.remedy.replace("USER ~", "app ~"))
    await store.open()
    await live(store)
    refused = [entry for entry in await control.acl_log() if "setinfo" not in str(entry)]
    assert refused == [], "redis-py introduces itself, which may be refused"
    await store.aclose()


@pytest.mark.parametrize("operation", ["load", "touch", "replace", "delete", "create"])
async def test_a_right_that_is_taken_away_is_named_in_a_request(
    server: RedisServer, control: Redis, operation: str
) -> None:
    await user(control, f"~session:* {ALL}")
    store = RedisStore(url(server))
    await store.open()
    await user(control, "~session:* +ping")
    key = key_of(new_id())
    arguments: dict[str, tuple[Any, ...]] = {
        "load": (key,),
        "touch": (key, LATER),
        "replace": (key, b"new", LATER, b"data"),
        "delete": (key,),
        "create": (key, b"data", LATER),
    }
    with pytest.raises(StoreUnavailable, match=r"doesn't let this user run .*: ACL SETUSER USER ~session:\* \+eval"):
        await getattr(store, operation)(*arguments[operation])
    await store.aclose()


async def test_a_script_that_lacks_a_right_is_explained(server: RedisServer, control: Redis) -> None:
    await user(control, f"~session:* {ALL} -pttl")
    store = RedisStore(url(server))
    key = key_of(new_id())
    await store.create(key, b"data", LATER)
    with pytest.raises(StoreUnavailable, match=r"doesn't let this user run (what sessions need|PTTL).*\+pttl"):
        await store.load(key)
    await store.aclose()


async def test_what_only_a_doctor_needs_isnt_needed_to_serve(server: RedisServer, control: Redis) -> None:
    await user(control, f"~[a]\\*:* {ALL}".replace("[a]", "\\[a\\]"))
    store = RedisStore(url(server), prefix="[a]*:")
    await store.open()
    [finding] = await store.diagnose()
    assert "doesn't let this user run INFO" in finding.problem
    await command(control, finding.remedy.replace("USER ~", "app ~"))
    assert await store.diagnose() == []
    with pytest.raises(StoreUnavailable, match=r"run SCAN: .*\+scan"):
        await anext(store.all_keys())
    await command(control, f"ACL SETUSER app +{' +'.join(DIAGNOSIS)}")
    assert [key async for key in store.all_keys()] == []
    await store.aclose()


async def test_a_read_only_replica_is_no_place_for_sessions(
    server: RedisServer, redis_program: str, tmp_path: Any
) -> None:
    following = ("--replicaof", f"127.0.0.1 {server.port}")
    with running(RedisServer(tmp_path, "--save", "", *following, program=redis_program)) as [replica]:
        store = RedisStore(replica.url)
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await store.open()
        findings = await store.diagnose()
        assert "read-only replica" in findings[0].problem
        assert "master_for" in findings[0].remedy
        assert "appendonly is off" in findings[1].problem
        await store.aclose()
        weighted = RedisStore.from_save_path(f"tcp://127.0.0.1:{server.port}, tcp://127.0.0.1:{replica.port}")
        with pytest.raises(StoreUnavailable, match=f"{replica.port} is a read-only replica"):
            await weighted.open()
        assert any("read-only replica" in finding.problem for finding in await weighted.diagnose())
        await weighted.aclose()


async def test_a_full_server_opens_and_a_doctor_sees_it(server: RedisServer, control: Redis) -> None:
    store = RedisStore(server.url)
    await control.config_set("maxmemory", 1)
    try:
        await store.open()
        [finding] = await store.diagnose()
        with pytest.raises(StoreFull):
            await store.create(key_of(new_id()), b"data", LATER)
    finally:
        await control.config_set("maxmemory", 0)
    assert "is full" in finding.problem
    assert "maxmemory" in finding.remedy
    await store.aclose()


async def test_opening_leaves_nothing_behind(server: RedisServer, control: Redis) -> None:
    await control.flushall()
    store = RedisStore(server.url)
    await store.open()
    assert await store.diagnose() == []
    assert await control.dbsize() == 0
    await store.aclose()


CLUSTER = "+cluster|slots +command +info"  # what redis-py's client of a Cluster asks; info before version 5.1


async def test_each_primary_of_a_cluster_is_tried(cluster: tuple[RedisServer, ...]) -> None:
    """As a user that one of the nodes gives fewer rights: ACLs are each node's own."""
    admins = [Redis.from_url(node.url) for node in cluster]
    for admin in admins:
        await user(admin, f"~session:* {ALL} {CLUSTER}")
    async with RedisCluster("127.0.0.1", cluster[0].port, username="app", password="canary") as client:
        store = RedisStore(client)
        await store.open()
        await live(store)
        for admin in admins:
            await command(admin, "ACL SETUSER app -set")
            with pytest.raises(StoreUnavailable, match="doesn't let this user run SET: ACL SETUSER"):
                await store.open()
            assert "SET" in (await store.diagnose())[0].problem
            await command(admin, "ACL SETUSER app +set")
        await store.open()
        refused = [str(entry) for admin in admins for entry in await admin.acl_log()]
        assert all("set" in entry or "info" in entry for entry in refused), refused
    for admin in admins:
        await command(admin, "ACL DELUSER app")
        await admin.aclose()
