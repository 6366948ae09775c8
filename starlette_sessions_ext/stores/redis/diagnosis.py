"""Check at startup, and for `sessions-ext doctor`, that Redis keeps sessions.

The checks show also for how long.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from ..base import Finding
from .clients import Client, is_cluster
from .errors import code_of

# One key goes through the life of a session. Every command is tried, also after one that was refused.
_PROBE = """
local key, refused = KEYS[1], {}
for _, call in ipairs({{'SET', key, '', 'NX', 'PX', '10000'}, {'GET', key}, {'PTTL', key},
                       {'PEXPIRE', key, '10000'}, {'DEL', key}}) do
    local answer = redis.pcall(unpack(call))
    if type(answer) == 'table' and answer.err then
        table.insert(refused, call[1])
        table.insert(refused, answer.err)
    end
end
return refused
"""
_DIGEST = hashlib.sha1(_PROBE.encode(), usedforsecurity=False).hexdigest()
_ONE_PER_PRIMARY_IN = 20  # times as many names as there are primaries: one without slots has none


async def probe(client: Client, prefix: str) -> None:
    """Do what sessions need with a key that isn't a session's.

    Raises redis-py's error for what is refused.
    """
    for name in _names(client, f"{prefix}probe-{secrets.token_hex(8)}"):
        answers = await client.execute_command("EVAL", _PROBE, 1, name)
        refused = [bytes(answer).decode(errors="replace") for answer in answers]  # pyright: ignore[reportOptionalIterable]
        errors = {command: ResponseError(text) for command, text in zip(refused[::2], refused[1::2], strict=True)}
        missing = [command.lower() for command, error in errors.items() if code_of(error) == "NOPERM"]
        if missing:
            raise NoPermissionError(" ".join(f"the '{command}' command" for command in missing))
        for error in errors.values():
            raise error
        await client.execute_command("EVALSHA", _DIGEST, 1, name)


def findings(info: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings of one server's INFO (redis.io/docs/latest/commands/info)."""
    version, policy = info["redis_version"], info.get("maxmemory_policy", "noeviction")
    if int(version.split(".")[0]) < 6:
        yield Finding(f"Redis {version} is too old", "upgrade it to 6.0 or later")
    if policy != "noeviction":
        problem = f"maxmemory-policy {policy} evicts sessions that are still alive"
        yield Finding(problem, "CONFIG SET maxmemory-policy noeviction, and in redis.conf")
    if not info.get("aof_enabled"):
        problem = "appendonly is off: what was written since the last snapshot is lost if Redis is killed"
        yield Finding(problem, "CONFIG SET appendonly yes, and in redis.conf")


def _names(client: Client, name: str) -> list[str]:
    """Return the key, or in a Cluster one for each primary that holds any."""
    if is_cluster(client):
        candidates = [f"{name}-{number}" for number in range(_ONE_PER_PRIMARY_IN * len(client.get_primaries()))]
        return list({_node_of(client, candidate): candidate for candidate in candidates}.values())
    return [name]


def _node_of(client: RedisCluster, name: str) -> str:
    node = client.get_node_from_key(name)
    return "" if node is None else str(node.name)
