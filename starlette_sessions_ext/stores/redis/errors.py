"""Explain redis-py's errors in plain words and with a remedy.

The server's own words are never repeated: they may quote what it was sent, keys and passwords
included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from socket import gaierror
from ssl import SSLCertVerificationError, SSLError
from typing import NamedTuple

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...errors import StoreFull, StoreTimeout, StoreUnavailable

# RuntimeError is what uvloop raises to redis-py where a connection was closed just before something is sent;
# AttributeError comes where a Cluster's client, which lost one node, has closed the connections to all, also under
# commands that are about to write, and those then find None in the place of the connection.
DRIVER_ERRORS = (RedisError, RedisClusterException, OSError, RuntimeError, AttributeError)

RIGHTS = ("eval", "evalsha", "get", "set", "pttl", "pexpire", "del")
"""The commands that sessions need; INDEXING those of sessions with an owner, DIAGNOSIS of `diagnose` and `all_keys`."""
INDEXING = ("zadd", "zrange", "zrem", "zremrangebyscore", "zscore")
DIAGNOSIS = ("info", "scan")

ANOTHER_LOOP = "belongs to another event loop, which made its connections"
ANOTHER_LOOP_REMEDY = (
    "give RedisStore a URL, for which it makes a client in each loop, or use one loop only,"
    " in tests by `with TestClient(app) as client`"
)


class ServerAddress(NamedTuple):
    """The address of a server for messages, without user or password."""

    address: str = "Redis"
    is_tls: bool = False
    is_socket: bool = False


class Refusal(NamedTuple):
    """A reason why sessions can't be served, and the remedy."""

    kind: type[StoreUnavailable]
    problem: str
    remedy: str


class _Explanation(NamedTuple):
    problem: str
    remedy: str


# redis.io/docs/latest/develop/reference/protocol-spec (error prefixes), and the sources of Redis 6 to 7.2 and
# Valkey 9.1.
_ANSWERS = {
    "NOAUTH": _Explanation(
        "asks for a password", "put it into the URL: redis://:PASSWORD@host, or redis://USER:PASSWORD@host"
    ),
    "WRONGPASS": _Explanation(
        "refuses the user name or the password",
        "correct them in the URL, with / @ : # ? and % in them percent-encoded; see ACL LIST on the server",
    ),
    "NOPASSWORD": _Explanation(
        "has no password for this user", "leave it out of the URL, or set requirepass on the server"
    ),
    "DATABASE": _Explanation("has no database of that number", "name one below the server's `databases`, such as /0"),
    "READONLY": _Explanation(
        "is a read-only replica and takes no writes",
        "give the primary's address; where the primary may change, Sentinel's master_for finds it",
    ),
    "OOM": _Explanation(
        "is full: it has reached its maxmemory", "raise maxmemory, or remove what isn't needed; reads are still served"
    ),
    "LOADING": _Explanation("is still loading its data from disk", "wait until it has; INFO persistence says how long"),
    "MASTERDOWN": _Explanation(
        "is a replica that has lost its primary",
        "give the primary's address, or connect the replica to its primary again",
    ),
    "CLUSTERDOWN": _Explanation("belongs to a Cluster that isn't complete", "see redis-cli --cluster check"),
    "MOVED": _Explanation(
        "is a node of a Cluster, which keeps some sessions elsewhere",
        "give RedisStore a redis.asyncio.RedisCluster in place of the URL",
    ),
    "DENIED": _Explanation(
        "is in protected mode, which admits local clients only",
        "set a password on the server (requirepass), or bind it to a private network with protected-mode no",
    ),
    "MISCONF": _Explanation(
        "takes no writes, because it can't save its snapshots",
        "free disk space or correct its folder's rights; the server's log says which",
    ),
    "NOREPLICAS": _Explanation(
        "takes no writes, because it has too few replicas", "connect its replicas, or lower min-replicas-to-write"
    ),
    "BUSY": _Explanation("is busy with a script that doesn't end", "SCRIPT KILL on the server"),
    "WRONGTYPE": _Explanation(
        "holds something other than a sorted set under the key of an owner",
        "see what else writes keys that begin with the store's prefix",
    ),
    "MAXCLIENTS": _Explanation("admits no more clients", "raise maxclients on the server, or lower pool_size"),
    "POOL": _Explanation("wasn't asked: the client's pool has no connection left", "raise the pool's max_connections"),
    "UNKNOWN": _Explanation(
        "doesn't know a command that sessions need",
        f"sessions need Redis 6.0 or later, with {', '.join(RIGHTS).upper()} neither renamed nor disabled",
    ),
}

_CLASSES: tuple[tuple[type[RedisError], str], ...] = (
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (NoPermissionError, "NOPERM"),
    (BusyLoadingError, "LOADING"),
    (MovedError, "MOVED"),
)
_TEXTS = (
    ("Authentication required", "NOAUTH"),
    ("invalid username-password pair", "WRONGPASS"),
    ("invalid password", "WRONGPASS"),
    ("without any password configured", "NOPASSWORD"),
    ("nknown command", "UNKNOWN"),
    ("nknown Redis command", "UNKNOWN"),
    ("user executing the script can't", "NOPERM"),
    ("ACL failure in script", "NOPERM"),  # Valkey
    ("DB index is out of range", "DATABASE"),
    ("Link with MASTER is down", "MASTERDOWN"),
    ("max number of clients", "MAXCLIENTS"),
    ("Too many connections", "POOL"),
)
# Redis 6 puts where in the script it was before the code.
_CODES = re.compile(
    r"(?:^|: -?)(WRONGTYPE|CROSSSLOT|OOM|READONLY|NOPERM|MASTERDOWN|CLUSTERDOWN|DENIED|MISCONF|NOREPLICAS|BUSY|MOVED)\b"
)


def code_of(error: BaseException) -> str:
    """Return the kind of a server's answer, or ""."""
    for kind, code in _CLASSES:
        if isinstance(error, kind):
            return code
    if not isinstance(error, RedisError):
        return ""
    text = str(error)
    for words, code in _TEXTS:
        if words in text:
            return code
    if found := _CODES.search(text):
        return found[1]
    return "CLUSTERDOWN" if isinstance(error, ClusterDownError) else ""


def is_foreign(error: BaseException) -> bool:
    """Return whether a key holds something other than a string, and so no session."""
    return code_of(error) == "WRONGTYPE"


def is_split(error: BaseException) -> bool:
    """Return whether a command named keys that a Cluster keeps apart."""
    return isinstance(error, ClusterCrossSlotError) or code_of(error) == "CROSSSLOT"


def is_error_reply(error: BaseException) -> bool:
    """Return whether the server answered.

    Otherwise a connection failed or the client gave up.
    """
    answers = (ResponseError, AuthenticationError, AuthorizationError, BusyLoadingError, InvalidResponse)
    return any(isinstance(one, answers) or code_of(one) for one in _chain(error))


def cause_of(error: Exception) -> Exception | None:
    """Return the error to chain: none that may quote what the server was sent."""
    return None if is_error_reply(error) or isinstance(error, RedisClusterException) else error


def explain(
    error: BaseException, server: ServerAddress, *, prefix: str, seconds: float, rights: Sequence[str] = ()
) -> Refusal:
    """Explain an error, and name its remedy.

    `seconds` is the budget that an operation had; it needs RIGHTS, and `rights`.
    """
    for one in _chain(error):
        code = code_of(one)
        if code == "NOPERM":
            return Refusal(StoreUnavailable, *_without_rights(str(one), prefix, rights))
        if code in _ANSWERS:
            return Refusal(StoreFull if code == "OOM" else StoreUnavailable, *_ANSWERS[code])
        if isinstance(one, TimeoutError | RedisTimeoutError):
            tls = ", and that its port speaks TLS" if server.is_tls else ""
            remedy = f"see that host and port are right{tls}, that no firewall drops the way, and what SLOWLOG GET says"
            return Refusal(StoreTimeout, f"didn't answer within {seconds} s", remedy)
        if (says := _network(one, server)) is not None:
            return Refusal(StoreUnavailable, *says)
    if is_error_reply(error):
        return Refusal(StoreUnavailable, f"refuses ({type(error).__name__})", "see the server's log")
    tls = "" if server.is_tls or server.is_socket else "; if its port speaks TLS, the URL begins with rediss://"
    problem = f"closed the connection, or it was lost ({type(error).__name__})"
    return Refusal(StoreUnavailable, problem, f"see whether the server was restarted{tls}")


def _network(error: BaseException, server: ServerAddress) -> _Explanation | None:
    """Explain an error of the operating system, TLS or the event loop."""
    if isinstance(error, gaierror):
        return _Explanation("can't be found: its name has no address", "correct the host in the URL")
    if isinstance(error, SSLCertVerificationError):
        return _Explanation(
            "shows a certificate that isn't trusted",
            "add ?ssl_ca_certs=FILE to the URL, or use the name in the certificate",
        )
    if isinstance(error, SSLError):
        return _Explanation(
            "can't agree on TLS with this client", "if its port doesn't speak TLS, the URL begins with redis://"
        )
    if isinstance(error, PermissionError):
        return _Explanation("may not be used by this process", "give the process's user the right to the socket's file")
    if isinstance(error, FileNotFoundError):
        if server.is_socket:
            return _Explanation("isn't there: no such socket", "start the server, or correct the path in the URL")
        return _Explanation(
            "wasn't asked: a file of the URL isn't there", "correct the paths of ssl_ca_certs and the like"
        )
    if isinstance(error, OSError) and ("Errno 111" in str(error) or isinstance(error, ConnectionRefusedError)):
        return _Explanation("refuses connections", "start the server, or correct host and port in the URL")
    if isinstance(error, InvalidResponse):
        return _Explanation(
            "doesn't answer as Redis does", "another server has this address: correct host and port in the URL"
        )
    if isinstance(error, RuntimeError) and "loop" in str(error):
        return _Explanation(f"can't be asked: the client {ANOTHER_LOOP}", ANOTHER_LOOP_REMEDY)
    return None


def _without_rights(text: str, prefix: str, rights: Sequence[str]) -> _Explanation:
    """Explain which rights are missing, as far as the server names them.

    The remedy is the command that gives all.
    """
    named = [name for name in (*RIGHTS, *INDEXING, *DIAGNOSIS) if f"'{name}' command" in text]
    remedy = acl_line(prefix, [*named, *rights])
    if named:
        return _Explanation(f"doesn't let this user run {', '.join(named).upper()}", remedy)
    return _Explanation("doesn't let this user run what sessions need, or not on their keys", remedy)


def acl_line(prefix: str, more: list[str]) -> str:
    """Return the rule that gives the rights that sessions need, and no others.

    An administrator enters it.
    """
    commands = dict.fromkeys((*RIGHTS, *more))
    return f"ACL SETUSER USER ~{glob(prefix)}* {' '.join(f'+{name}' for name in commands)}"


def glob(text: str) -> str:
    """Return the pattern that matches this text alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error of redis-py, and the errors that it was raised for.

    It ends at the first error of something else, since what came before that isn't of the driver.
    """
    while error is not None:
        yield error
        if not isinstance(error, RedisError | RedisClusterException):
            return
        error = error.__cause__ or error.__context__
