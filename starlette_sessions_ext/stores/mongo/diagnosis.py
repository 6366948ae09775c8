"""Check what a server must have and allow.

The store checks when it opens, and `sessions-ext doctor` when an operator asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pymongo.errors import OperationFailure, PyMongoError

from ..base import Finding
from .errors import UNAUTHORIZED

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

_ACTIONS = ("find", "insert", "update", "remove")
_INDEX_CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict
_BAD_HINT = 2  # BadValue


async def faults(rows: AsyncCollection[Any], *, repair: bool) -> list[Finding]:
    """Find faults that keep sessions from being stored or collected here.

    Make the TTL index where `repair` may.

    Raises the driver's errors if the server can't be asked.
    """
    found = await _missing_rights(rows) or await _index_fault(rows, repair=repair)
    return [] if found is None else [found]


async def owner_fault(rows: AsyncCollection[Any], *, repair: bool) -> Finding | None:
    """Find whether an index finds the sessions of an owner.

    Make it where `repair` may. Sessions are served without it, so an upgrade must not wait for it: with many
    sessions, or a member of the replica set away, it may take long.
    """
    statement = f"{_collection(rows)}.createIndex({{owner: 1}}, {{sparse: true}})"
    if repair:
        try:
            await rows.create_index("owner", sparse=True)
            return None
        except PyMongoError as error:
            if error.timeout:
                problem = f"the index on owner in {rows.full_name} couldn't be made in the time of one operation"
                return Finding(problem, f"have it made, such as in mongosh: {statement}")
            if not isinstance(error, OperationFailure) or error.code not in (UNAUTHORIZED, *_INDEX_CONFLICTS):
                raise
    if await _kept_indexes(rows, "owner"):
        return None
    return Finding(
        f"{rows.full_name} has no index on owner: finding the sessions of a user reads all of them",
        f"have it made, such as in mongosh: {statement}",
    )


async def findings(rows: AsyncCollection[Any], place: str) -> list[Finding]:
    """Find all that is wrong, or could be better, and change nothing."""
    found = await faults(rows, repair=False)
    if not found and (fault := await owner_fault(rows, repair=False)):
        found.append(fault)
    return found + await weaknesses(rows, place)


async def weaknesses(rows: AsyncCollection[Any], place: str) -> list[Finding]:
    """Find what serves sessions, but not as safely as it could or not always."""
    hello = await rows.database.client.admin.command("hello")
    is_member, is_router = "setName" in hello, hello.get("msg") == "isdbgrid"  # one to shards
    if is_router or (is_member and hello["isWritablePrimary"]):
        return []
    if is_member:
        problem = f"{place} isn't the replica set's primary, which alone takes writes"
        return [Finding(problem, "name the members of the set in the URL, without directConnection")]
    problem = f"{place} is no replica set: sessions are as safe as its one disk"
    return [Finding(problem, "start mongod with --replSet and run rs.initiate(), or accept it")]


async def _missing_rights(rows: AsyncCollection[Any]) -> Finding | None:
    status = await rows.database.client.admin.command("connectionStatus", showPrivileges=True)
    login = status["authInfo"]
    if not login["authenticatedUsers"]:
        return None  # the server asks for none, or refuses what comes next
    granted = {
        action
        for privilege in login["authenticatedUserPrivileges"]
        if _covers(privilege["resource"], rows)
        for action in privilege["actions"]
    }
    missing = [] if "anyAction" in granted else [action for action in _ACTIONS if action not in granted]
    if not missing:
        return None
    return Finding(
        f"the user has no right to {_listed(missing)} in {rows.full_name}",
        f"grant it, such as in mongosh: {_grant(rows)}; or check the database in the URL",
    )


async def _index_fault(rows: AsyncCollection[Any], *, repair: bool) -> Finding | None:
    if repair:
        try:
            await rows.create_index("expires_at", expireAfterSeconds=0)
            return None
        except OperationFailure as error:
            if error.code not in (UNAUTHORIZED, *_INDEX_CONFLICTS):
                raise
    kept = await _kept_indexes(rows, "expires_at")
    statement = f"{_collection(rows)}.createIndex({{expires_at: 1}}, {{expireAfterSeconds: 0}})"
    if not kept:
        return Finding(
            f"{rows.full_name} has no TTL index on expires_at, and the user may not make it",
            f"have it made, such as in mongosh: {statement}",
        )
    if not any(index.get("expireAfterSeconds") == 0 for index in kept):
        return Finding(
            f"{rows.full_name} has another index on expires_at in the place of the TTL index",
            f"drop it, and have the TTL index made: {_collection(rows)}.dropIndex({{expires_at: 1}}); {statement}",
        )
    return None


async def _kept_indexes(rows: AsyncCollection[Any], field: str) -> list[dict[str, Any]]:
    """Return the indexes on a field alone, as far as the user may see.

    A user without `listIndexes` sees from a query's plan that there is one, and not which: it counts as the right one.
    """
    try:
        indexes = await rows.index_information()
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return [{"expireAfterSeconds": 0}] if await _can_use_index(rows, field) else []
    return [dict(index) for index in indexes.values() if list(index["key"]) == [(field, 1)]]


async def _can_use_index(rows: AsyncCollection[Any], field: str) -> bool:
    query = {"find": rows.name, "filter": {"_id": ""}, "hint": {field: 1}}
    try:
        plan = await rows.database.command({"explain": query, "verbosity": "queryPlanner"})
    except OperationFailure as error:
        if error.code != _BAD_HINT:
            raise
        return False
    return "IXSCAN" in str(plan["queryPlanner"])  # none where there is no collection


def _covers(resource: dict[str, Any], rows: AsyncCollection[Any]) -> bool:
    """Return whether a privilege's resource includes the collection.

    "" stands for any.
    """
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", rows.database.name) and resource.get("collection") in ("", rows.name)


def _grant(rows: AsyncCollection[Any]) -> str:
    actions = ", ".join(f'"{action}"' for action in _ACTIONS)
    resource = f'{{db: "{rows.database.name}", collection: "{rows.name}"}}'
    return (
        f'db.getSiblingDB("{rows.database.name}").createRole({{role: "sessions", privileges:'
        f" [{{resource: {resource}, actions: [{actions}]}}], roles: []}})"
    )


def _collection(rows: AsyncCollection[Any]) -> str:
    return f'db.getSiblingDB("{rows.database.name}").getCollection("{rows.name}")'


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
