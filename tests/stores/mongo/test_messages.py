"""The usual causes of failure, each on a real server: in plain words and with the remedy, wherever they are met."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import AutoReconnect, DocumentTooLarge, NetworkTimeout, OperationFailure

from starlette_sessions_ext import (
    MongoStore,
    SessionTooLarge,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable, StoreFull
from starlette_sessions_ext.stores.mongo.errors import is_refusal, to_store_error

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.mongo_server import MongoServer, running_members, running_mongo, state
from ...support.servers import answers, free_port, running
from .clients import DRIVERS, client_of, load, one_of_each
from .tls import TLSServer, running_tls

# A server that is given up while pymongo connects leaves a socket to the garbage collector. `collected` has it found
# while this filter holds, not in another module's test.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

Call = Callable[[], Awaitable[Any]]


def calls_of(store: MongoStore, key: str, soon: int) -> dict[str, Call]:
    """What the application's start, `sessions-ext doctor` and requests do."""
    return {
        "open": store.open,
        "diagnose": store.diagnose,
        "load": lambda: store.load(key),
        "create": lambda: store.create(key, b"canary", soon),
        "replace": lambda: store.replace(key, b"canary", soon, 1),
        "touch": lambda: store.touch(key, soon),
        "delete": lambda: store.delete(key),
    }


async def failures(store: MongoStore, key: str, soon: int, *names: str) -> list[StoreError]:
    """How each call fails, if they are made at the same time and then again. No secret is in any log of it."""
    calls = [call for name, call in calls_of(store, key, soon).items() if not names or name in names]
    found = [error for _ in range(2) for error in await asyncio.gather(*map(failure, calls))]
    for error in found:
        text = "".join(traceback.format_exception(error)) + repr(error)
        assert "canary" not in text
        assert key not in text
    await store.aclose()
    return found


async def failure(call: Call) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await call()
    return caught.value


# The way to the server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSServer]:
    with running_tls(tmp_path_factory.mktemp("tls"), "--tlsAllowConnectionsWithoutCertificates") as server:
        yield server


@pytest.fixture(scope="module")
def mutual_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSServer]:
    with running_tls(tmp_path_factory.mktemp("tls")) as server:
        yield server


class Uninitiated(MongoServer):
    def answers(self) -> bool:
        return answers(self.port)


@pytest.fixture(scope="module")
def uninitiated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running(Uninitiated(tmp_path_factory.mktemp("mongo"), "--replSet", "rs")) as [server]:
        yield server


@pytest.fixture(scope="module")
def secondary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A member of a replica set whose other member, the primary, is down."""
    with running_members(tmp_path_factory.mktemp("mongo"), 2, **ELECTIONS) as members:
        primary, secondary = sorted(members, key=state)
        primary.stop()
        yield secondary


ELECTIONS = {"electionTimeoutMillis": 500, "heartbeatIntervalMillis": 100}
CAUSES = {
    "port closed": ("mongodb://127.0.0.1:{free}", "nothing listens there: check host and port"),
    "wrong host": ("mongodb://nowhere.invalid", "no host of that name"),
    "no such socket": ("mongodb://%2Fnowhere%2Fmongodb.sock", "no such socket"),
    "TLS required": ("mongodb://localhost:{tls.port}", "add tls=true to the URL"),
    "TLS not offered": ("mongodb://localhost:{mongo_server.port}/?tls=true", "leave tls out of the URL"),
    "unknown authority": ("mongodb://localhost:{tls.port}/?tls=true", "name the file of its authority as tlsCAFile"),
    "another name": ("mongodb://127.0.0.1:{tls.port}/?tls=true&tlsCAFile={tls.authority}", "for another name"),
    "certificate required": ("{mutual_tls.url}", "tlsCertificateKeyFile"),
    "not initiated": ("mongodb://127.0.0.1:{uninitiated.port}", "run rs.initiate()"),
    "no primary": ("mongodb://127.0.0.1:{secondary.port}", "has no primary: a majority of its members must be up"),
    "another replica set": ("mongodb://127.0.0.1:{secondary.port}/?replicaSet=other", "check replicaSet in the URL"),
}


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """With what is named in it: the servers of these fixtures."""
    template: str = request.param
    names = ("mongo_server", "tls", "mutual_tls", "uninitiated", "secondary")
    found = {name: request.getfixturevalue(name) for name in names if "{" + name in template}
    return template.format(free=free_port(), **found)


@pytest.fixture
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(("url", "words"), CAUSES.values(), ids=CAUSES, indirect=["url"])
async def test_the_way_to_the_server(url: str, words: str, key: str, soon: int) -> None:
    for error in await failures(MongoStore(url, timeout=1.0), key, soon):
        assert isinstance(error, StoreUnavailable)
        assert not isinstance(error, StoreTimeout)
        assert "MongoDB at " in str(error)
        assert words in str(error)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Message length (1347703880) is larger than server max message size (48000000)", "isn't MongoDB"),
        ("The DNS query name does not exist: _mongodb._tcp.nowhere.invalid.", "no host of that name"),
        ("10.255.255.1:27017: [Errno 113] No route to host", "no way to the host"),
        ("something else", "(AutoReconnect)"),
    ],
)
def test_what_a_driver_says(said: str, words: str) -> None:
    """It comes from networks that there are none of here."""
    topology = AsyncMongoClient[Any]().topology_description
    assert words in str(to_store_error(AutoReconnect(said), "MongoDB at host:27017", "shop.sessions", topology))


def test_a_document_that_the_driver_finds_too_large() -> None:
    """No store's max_data_bytes lets it come to that with a server of today."""
    topology = AsyncMongoClient[Any]().topology_description
    found = to_store_error(DocumentTooLarge("canary"), "MongoDB at host:27017", "shop.sessions", topology)
    assert type(found) is SessionTooLarge
    assert "keep less in the session" in str(found)
    assert "canary" not in str(found)


async def test_a_given_client_that_was_closed(mongo_server: MongoServer, key: str, soon: int) -> None:
    client: AsyncMongoClient[Any] = AsyncMongoClient(mongo_server.url)
    store = MongoStore(client.session.session_data)
    assert await store.load(key) is None
    await client.close()
    for error in await failures(store, key, soon):
        assert "the client of the given collection has been closed" in str(error)


async def test_a_server_that_isnt_the_primary(secondary: MongoServer, key: str, soon: int) -> None:
    url = f"mongodb://127.0.0.1:{secondary.port}/?directConnection=true"
    for error in await failures(MongoStore(url, timeout=1.0), key, soon, "open", *WRITES):
        assert isinstance(error, StoreUnavailable)
        assert "isn't the replica set's primary" in str(error)
        assert "without directConnection" in str(error)
    async with client_of(AsyncMongoClient, url) as client:
        finding = (await MongoStore(client.session.session_data).diagnose())[-1]
    assert "isn't the replica set's primary" in finding.problem
    assert "without directConnection" in finding.remedy


async def test_an_answer_that_is_late_from_a_secondary(secondary: MongoServer) -> None:
    async with client_of(AsyncMongoClient, f"mongodb://127.0.0.1:{secondary.port}/?directConnection=true") as client:
        await client.admin.command("hello")
        error = to_store_error(NetworkTimeout("timed out"), "MongoDB", "a.b", client.topology_description)
    assert "isn't the replica set's primary" in str(error)


async def test_a_server_that_says_nothing(mongo_server: MongoServer, key: str, soon: int) -> None:
    with mongo_server.frozen():
        for error in await failures(MongoStore(mongo_server.url, timeout=0.3), key, soon):
            assert isinstance(error, StoreTimeout)
            assert f"{mongo_server.port} didn't answer within 0.3 s" in str(error)


async def test_tls(tls: TLSServer, key: str, soon: int) -> None:
    async with MongoStore(tls.url) as store:
        await one_of_each(store, key, soon)


# The login


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that asks for a password."""
    with running_mongo(tmp_path_factory.mktemp("mongo"), "--auth") as server:
        with MongoClient[Any](server.url) as client:
            client.admin.command("createUser", "root", pwd="right", roles=["root"])
        yield server


LOGINS = {
    "wrong password": ("root:canary@", "", "AuthenticationFailed", "refuses the user or the password"),
    "wrong user": ("canary:right@", "", "AuthenticationFailed", "refuses the user or the password"),
    "made in another database": ("root:right@", "/shop", "AuthenticationFailed", "such as ?authSource=admin"),
    "no login": ("", "", "Unauthorized", "put user:password@ before the host"),
}


@pytest.mark.parametrize(("login", "path", "name", "words"), LOGINS.values(), ids=LOGINS)
async def test_a_login_that_fails_is_told_at_once(
    guarded: MongoServer, login: str, path: str, name: str, words: str, key: str, soon: int
) -> None:
    """The driver would wait for its next look at the server: so long is this timeout that the test's comes first."""
    store = MongoStore(guarded.url.replace("://", f"://{login}") + path, timeout=600)
    with anyio.fail_after(30):
        found = await failures(store, key, soon)
    for error in found:
        assert isinstance(error, StoreUnavailable)
        assert f"MongoDB at 127.0.0.1:{guarded.port} can't serve sessions ({name})" in str(error)
        assert words in str(error)


@DRIVERS
async def test_a_login_of_a_given_client(guarded: MongoServer, driver: Any, key: str, soon: int) -> None:
    async with client_of(driver, guarded.url.replace("://", "://root:canary@")) as client:
        store = MongoStore(client.session.session_data, timeout=600)
        with anyio.fail_after(30):
            for call in calls_of(store, key, soon).values():
                assert "(AuthenticationFailed)" in str(await failure(call))
        store = MongoStore(client.session.session_data)
        for error in await failures(store, key, soon):
            assert "(AuthenticationFailed)" in str(error)


async def test_a_password_that_is_put_right_is_noticed(guarded: MongoServer, key: str, soon: int) -> None:
    with MongoClient[Any](guarded.url.replace("://", "://root:right@")) as client:
        client.admin.command("createUser", "late", pwd="other", roles=["root"])
        store = MongoStore(guarded.url.replace("://", "://late:password@") + "/?heartbeatFrequencyMS=500")
        with pytest.raises(StoreUnavailable, match="AuthenticationFailed"):
            await store.load(key)
        client.admin.command("updateUser", "late", pwd="password")
        with anyio.fail_after(20):
            while True:
                try:
                    await one_of_each(store, key, soon)
                    break
                except StoreUnavailable:
                    await anyio.sleep(0.05)
        await store.aclose()


# What the server refuses


@pytest.fixture(scope="module")
def testing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that can be made to fail."""
    with running_mongo(tmp_path_factory.mktemp("mongo"), "--setParameter", "enableTestCommands=1") as server:
        yield server


@contextmanager
def failing(server: MongoServer, commands: list[str], **failure: Any) -> Iterator[None]:
    """Let the server answer these commands with an error: `errorCode` or `writeConcernError`."""
    with MongoClient[Any](server.url) as client:
        point = {"configureFailPoint": "failCommand"}
        client.admin.command({**point, "mode": "alwaysOn", "data": {"failCommands": commands, **failure}})
        try:
            yield
        finally:
            client.admin.command({**point, "mode": "off"})


WRITES = ["create", "replace", "touch", "delete"]
REFUSALS: dict[int, tuple[type[StoreError], str]] = {
    14031: (StoreFull, "free disk space, raise the quota"),
    112: (SessionUnavailable, "another operation holds the session's document"),
    24: (SessionUnavailable, "another operation holds the session's document"),
    46: (SessionUnavailable, "another operation holds the session's document"),
    10334: (SessionTooLarge, "keep less in the session"),
    17419: (SessionTooLarge, "keep less in the session"),
    13: (StoreUnavailable, "grant find, insert, update and remove on it"),
    166: (StoreUnavailable, "name a collection"),
    10107: (StoreUnavailable, "isn't the replica set's primary"),
    11600: (StoreUnavailable, "is shutting down"),
    8: (StoreUnavailable, "UnknownError"),
    50: (StoreTimeout, "didn't answer within"),
    262: (StoreTimeout, "didn't answer within"),
}


@pytest.mark.parametrize(("code", "kind", "words"), [(code, *found) for code, found in REFUSALS.items()])
async def test_what_the_server_refuses(
    testing: MongoServer, code: int, kind: type[StoreError], words: str, key: str, soon: int
) -> None:
    store = MongoStore(testing.url + "/?retryWrites=false", timeout=1.0)
    with failing(testing, ["insert", "update", "delete"], errorCode=code):
        found = await failures(store, key, soon, *WRITES)
    for error in found:
        assert type(error) is kind
        assert words in str(error)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("you are over your space quota, using 513 MB of 512 MB", StoreFull, "raise the quota"),
        ("bad auth : authentication failed", StoreUnavailable, "refuses the user or the password"),
        ("something else", StoreUnavailable, "(AtlasError)"),
    ],
)
def test_what_atlas_refuses(said: str, kind: type[StoreError], words: str) -> None:
    """No Atlas runs here: it has one code for all of these."""
    error = OperationFailure(said, 8000, {"errmsg": said, "code": 8000, "codeName": "AtlasError"})
    found = to_store_error(
        error, "MongoDB at host:27017", "shop.sessions", AsyncMongoClient[Any]().topology_description
    )
    assert type(found) is kind
    assert words in str(found)
    assert is_refusal(error)


@pytest.mark.parametrize("command", ["connectionStatus", "listIndexes"])
async def test_a_check_that_fails(testing: MongoServer, command: str) -> None:
    async with MongoStore(testing.url) as store:
        with failing(testing, [command], errorCode=8):
            with pytest.raises(StoreUnavailable, match="UnknownError"):
                await store.diagnose()


async def test_an_index_that_cant_be_made(testing: MongoServer) -> None:
    store = MongoStore(testing.url)
    with failing(testing, ["createIndexes"], errorCode=14031):
        with pytest.raises(StoreFull, match="free disk space"):
            await store.open()
    await store.aclose()


async def test_a_write_that_no_majority_acknowledges(testing: MongoServer, key: str, soon: int) -> None:
    error = {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": "Not enough data-bearing nodes"}
    async with MongoStore(testing.url) as store:
        assert await store.create(key, b"data", soon)
        with failing(testing, ["update", "delete"], writeConcernError=error):
            with pytest.raises(StoreUnavailable, match="too few members for a majority"):
                await store.touch(key, soon)
            with pytest.raises(StoreUnavailable, match="too few members for a majority"):
                await store.delete(key)


async def test_a_document_that_would_be_larger_than_the_server_takes(
    mongo_server: MongoServer, rows: Any, store: MongoStore, key: str, soon: int
) -> None:
    """Something else has been put into it."""
    assert await store.create(key, b"small", soon)
    rows.update_one({"_id": key}, {"$set": {"others": b"x" * 16_000_000}})
    row = await load(store, key)
    with pytest.raises(SessionTooLarge, match="keep less in the session"):
        await store.replace(key, b"x" * 1_000_000, soon, row.version)
    assert await load(store, key) == row


async def test_a_document_that_another_transaction_holds(replica_set: MongoServer, key: str, soon: int) -> None:
    """The server waits with the write, and so does its caller. Other sessions are served."""
    other = key_of(new_id())
    async with MongoStore(replica_set.url, timeout=0.5) as store:
        for name in (key, other):
            assert await store.create(name, b"data", soon)
        version = (await load(store, key)).version
        with (
            MongoClient[Any](replica_set.url) as client,
            client.start_session() as session,
            session.start_transaction(),
        ):
            client.session.session_data.update_one({"_id": key}, {"$set": {"held": True}}, session=session)
            with pytest.raises(StoreTimeout):
                await store.replace(key, b"more", soon, version)
            assert await store.touch(other, soon)
            session.abort_transaction()
        assert await store.replace(key, b"more", soon, version)
