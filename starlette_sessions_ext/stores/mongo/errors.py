"""Translate the errors of MongoDB and its driver: what happened, and the remedy.

This module does no I/O. The server's own words are left out: they may quote a session. So is whatever could
hold a password.
"""

from __future__ import annotations

from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    DocumentTooLarge,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.topology_description import TopologyDescription

from ...errors import SessionTooLarge, SessionUnavailable, StoreError, StoreFull, StoreUnavailable

DRIVER_ERRORS = (PyMongoError, BSONError, OSError)

UNAUTHORIZED = 13
_ATLAS = 8000  # all that Atlas refuses with its own words
_SHUTTING_DOWN = (91, 11600)
_TIMED_OUT = (50, 89, 202, 262)

_LOGIN = (
    "the server refuses the user or the password: check both, and name the database that the user was made in, such as"
    " ?authSource=admin"
)
_FULL = "there is no room for what was to be written: free disk space, raise the quota, or end sessions"
_LOCKED = "another operation holds the session's document; other sessions are served"
_TOO_LARGE = "the document would be larger than MongoDB's 16 MiB: keep less in the session"
_NOT_PRIMARY = (
    "the server isn't the replica set's primary, which alone takes writes: name the members of the set without"
    " directConnection, and wait for an election to end"
)

_NO_PRIMARIES = ("RSSecondary", "RSArbiter", "RSOther")  # as a direct connection finds them

_CAUSES: dict[int, tuple[type[StoreError], str]] = {
    11: (StoreUnavailable, _LOGIN),  # UserNotFound
    18: (StoreUnavailable, _LOGIN),  # AuthenticationFailed
    24: (SessionUnavailable, _LOCKED),  # LockTimeout
    46: (SessionUnavailable, _LOCKED),  # LockBusy
    100: (StoreUnavailable, "the replica set has too few members for a majority to acknowledge"),
    112: (SessionUnavailable, _LOCKED),  # WriteConflict
    121: (StoreUnavailable, "the collection has a validator that refuses sessions: remove it, or name another one"),
    166: (StoreUnavailable, "it is a view: name a collection"),
    334: (StoreUnavailable, "the server doesn't offer this way to log in: check authMechanism"),
    10334: (SessionTooLarge, _TOO_LARGE),  # BSONObjectTooLarge
    14031: (StoreFull, _FULL),  # OutOfDiskSpace
    17419: (SessionTooLarge, _TOO_LARGE),  # as $set makes it
    17420: (SessionTooLarge, _TOO_LARGE),  # as a replacement makes it
}

# What the driver says of a server that it can't reach, or can't talk to. The first that is in its text holds.
_OBSTACLES = (
    (("not valid for",), "the certificate of the server is for another name: connect to a name that is in it"),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "the server's certificate isn't trusted: name the file of its authority as tlsCAFile in the URL",
    ),
    (
        ("SSL", "TLS"),
        "TLS failed: the server may not offer it (leave tls out of the URL), or may want a certificate"
        " (tlsCertificateKeyFile)",
    ),
    (
        ("connection closed", "already closed", "is closed", "reset"),
        "the server closes the connection: it stopped, has too many connections, or requires TLS (add tls=true to the"
        " URL) or a certificate of its clients (tlsCertificateKeyFile)",
    ),
    (
        ("refused", "Connect call failed", "Errno 111", "Multiple exceptions"),
        "nothing listens there: check host and port, that mongod runs, and that its bindIp includes this address",
    ),
    (("No such file",), "there is no such socket: check its path, and that mongod runs"),
    (("unreachable", "No route"), "there is no way to the host: check the network and firewalls"),
    (
        ("not known", "name resolution", "getaddrinfo", "nodename", "DNS", "No address"),
        "there is no host of that name: check the name in the URL",
    ),
    (("Message length", "Got opcode"), "what answers there isn't MongoDB: check the port"),
    (("after close",), "the client of the given collection has been closed: close the store first"),
)


def to_store_error(error: Exception, place: str, namespace: str, topology: TopologyDescription) -> StoreError | None:
    """Translate an error of the driver; return None if it only says that time was up."""
    if isinstance(error, OperationFailure | NotPrimaryError):
        return _refusal(error, place, namespace)
    if isinstance(error, DocumentTooLarge):
        return SessionTooLarge(f"{place} can't hold the session: {_TOO_LARGE}")
    if is_timeout(error):
        return unreachable(place, namespace, topology)
    words = _obstacle(str(error))
    plain = StoreUnavailable(f"{place} can't serve sessions ({type(error).__name__})" + (f": {words}" if words else ""))
    return plain if words else unreachable(place, namespace, topology) or plain


def is_server_error(error: Exception) -> bool:
    """Return whether the server answered; its words may quote a session."""
    return isinstance(error, OperationFailure | NotPrimaryError)


def is_refusal(error: Exception) -> bool:
    """Return whether the server answered that nothing was written.

    Then there is nothing to look for.
    """
    if not isinstance(error, OperationFailure) or isinstance(error, WriteConcernError):
        return False
    return error.code in _CAUSES or error.code in (UNAUTHORIZED, _ATLAS)


def is_timeout(error: Exception) -> bool:
    """Return whether time was up, for the driver or the server."""
    return isinstance(error, TimeoutError) or (isinstance(error, PyMongoError) and error.timeout)


def standing_refusal(topology: TopologyDescription) -> OperationFailure | None:
    """Return the server's answer by which the driver has given it up for now.

    An example is the answer to a wrong password. The driver looks again after up to ten seconds, and an
    operation would wait for that until its deadline.
    """
    for server in topology.server_descriptions().values():
        if isinstance(server.error, OperationFailure) and not topology.has_writable_server():
            return server.error
    return None


def unreachable(place: str, namespace: str, topology: TopologyDescription) -> StoreError | None:
    """Explain why no server could be asked, by what the driver knows of them.

    Return None if it knows nothing.
    """
    servers = topology.server_descriptions().values()
    if topology.topology_type_name == "Single" and any(server.server_type_name in _NO_PRIMARIES for server in servers):
        return StoreUnavailable(f"{place} can't serve sessions: {_NOT_PRIMARY}")
    if topology.has_writable_server():
        return None
    for server in servers:
        if isinstance(server.error, OperationFailure | NotPrimaryError):
            return _refusal(server.error, place, namespace)
    words = _why(topology)
    return None if words is None else StoreUnavailable(f"{place} can't be reached: {words}")


def _why(topology: TopologyDescription) -> str | None:
    servers = topology.server_descriptions().values()
    if not servers:
        name = topology.replica_set_name
        return f"no server there is a member of a replica set called {name}: check replicaSet in the URL"
    if any(server.server_type_name == "RSGhost" for server in servers):
        return "mongod was started with --replSet, and has no configuration: run rs.initiate() in it, once"
    if topology.has_known_servers:
        return "the replica set has no primary: a majority of its members must be up and reach each other"
    return next((words for server in servers if (words := _obstacle(str(server.error)))), None)


def _refusal(error: OperationFailure | NotPrimaryError, place: str, namespace: str) -> StoreError | None:
    details: Any = error.details if isinstance(error.details, dict) else {}
    code = details.get("code")
    name = details.get("codeName") or type(error).__name__
    kind, words = _cause(code, str(details.get("errmsg", "")), namespace)
    if isinstance(error, NotPrimaryError):
        kind, words = StoreUnavailable, "it is shutting down" if code in _SHUTTING_DOWN else _NOT_PRIMARY
    elif code in _TIMED_OUT or error.timeout:
        return None
    subject = "sessions" if kind is StoreUnavailable else "this session"
    return kind(f"{place} can't serve {subject} ({name})" + (f": {words}" if words else ""))


def _cause(code: int | None, said: str, namespace: str) -> tuple[type[StoreError], str]:
    """Return the error's class and cause.

    `said` is only looked at to distinguish causes with the same code.
    """
    if code == UNAUTHORIZED:
        if "requires authentication" in said:
            return StoreUnavailable, "the server asks for a login: put user:password@ before the host in the URL"
        return StoreUnavailable, lacks_rights(namespace)
    if code == _ATLAS:
        return (StoreFull, _FULL) if "quota" in said else (StoreUnavailable, _LOGIN if "auth" in said else "")
    return _CAUSES.get(code or 0, (StoreUnavailable, ""))


def lacks_rights(namespace: str) -> str:
    return (
        f"the user has no right to do that to {namespace}: grant find, insert, update and remove on it, or check the"
        " database in the URL"
    )


def _obstacle(text: str) -> str | None:
    said = text.casefold()
    return next((words for signs, words in _OBSTACLES if any(sign.casefold() in said for sign in signs)), None)
