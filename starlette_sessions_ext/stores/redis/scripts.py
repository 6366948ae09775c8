"""The Lua scripts of `RedisStore`, and their batched calls.

What has to be compared and written at once is a Lua script over one session's key. A command runs
it over all the keys that many requests ask for in the same turn of the event loop; see `batching`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from .._support.batching import Batcher
from .errors import DRIVER_ERRORS, is_error_reply, is_split
from .rows import LUA_TAIL, TAIL_BYTES

Argument = bytes | str | int

MAX_BATCHED_CALLS = 64
"""Calls that share a command: its fixed cost is shared well by then, and no reply is too long."""


class Script:
    """A Lua script, known to Redis by its digest.

    `body` is that of a function of a key and up to three arguments.

    Each key has its own result; that of a foreign value is an error.
    """

    def __init__(self, body: str) -> None:
        self.source = f"""
local function one(key, a, b, c)
{body}
end
local each, answers = #ARGV / #KEYS, {{}}
for i, key in ipairs(KEYS) do
    local done, answer = pcall(one, key, unpack(ARGV, each * (i - 1) + 1, each * i))
    if not done and type(answer) ~= 'table' then answer = {{err = answer}} end -- as Redis 6 gives it
    answers[i] = answer
end
return answers
"""
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


_OWNER = f"string.match(string.sub(data, -{TAIL_BYTES}), '{LUA_TAIL}')"
"""In Lua, of `data`: nil, or the owner and the time until which its index lists the row."""

LOAD = Script("""
    local data = redis.call('GET', key)
    return data and {data, redis.call('PTTL', key)}
""")
CREATE = Script("""
    local new, milliseconds = a, b
    if redis.call('SET', key, new, 'NX', 'PX', milliseconds) then return 1 end
    if redis.call('GET', key) == new then return 1 end -- sent again by the client after a lost answer
    return 0
""")
REPLACE = Script("""
    local digest, new, milliseconds = a, b, c
    local data = redis.call('GET', key)
    if data == new then return 1 end -- written before, and sent again by the client after a lost answer
    if not data or redis.sha1hex(data) ~= digest then return 0 end
    redis.call('SET', key, new, 'PX', milliseconds)
    return 1
""")
DELETE = Script(f"""
    local digest, owner = a, b -- of any version, and of any owner: ''
    local data = redis.pcall('GET', key)
    if type(data) == 'table' then
        if digest == '' and owner == '' and string.find(data.err, 'WRONGTYPE') then return redis.call('DEL', key) end
        return data
    end
    if not data or (digest ~= '' and redis.sha1hex(data) ~= digest) then return 0 end
    local its = {_OWNER}
    if owner ~= '' and (its ~= owner or redis.call('PTTL', key) <= 0) then return 0 end
    redis.call('DEL', key)
    return its or 1
""")
TOUCH = Script(f"""
    local milliseconds, expires_at = a, b
    local data = redis.call('GET', key) -- fails for what isn't ours
    if not data or redis.call('PTTL', key) <= 0 then return 0 end
    local done = redis.call('PEXPIRE', key, milliseconds)
    local its, listed_until = {_OWNER}
    if done == 1 and its and tonumber(listed_until) < tonumber(expires_at) then return its end
    return done
""")
OWNER = Script(f"""
    local data = redis.call('GET', key)
    if not data or redis.call('PTTL', key) <= 0 then return false end
    local its = {_OWNER}
    return its or false
""")

# The index of an owner: a sorted set of keys of rows by the time until which they are listed. It lives as long as the
# last of them. A row that is gone may still be listed, so what is found there is verified.
LIST = Script("""
    local now, row, listed_until = a, b, c
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    local before = redis.call('ZSCORE', key, row)
    if not before or tonumber(before) < tonumber(listed_until) then redis.call('ZADD', key, listed_until, row) end
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
    return redis.call('PEXPIRE', key, (last - now) * 1000)
""")
UNLIST = Script("""
    local row = a
    return redis.call('ZREM', key, row)
""")
LISTED = Script("""
    local now = a
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    return redis.call('ZRANGE', key, 0, -1)
""")

Execute = Callable[..., Awaitable[Any]]
"""A client's `execute_command`, or a pool's `execute`."""


class Call(NamedTuple):
    """A key that a script is to run over, with its arguments."""

    key: str
    arguments: tuple[Argument, ...]


class Calls:
    """The batched calls of one script in one event loop.

    A command is given up after `timeout` seconds. A Cluster takes one call at a time, for its keys are apart.
    With `lost` the script may run twice: calls that weren't answered within half of that time, or because a
    connection was lost, are sent once more, after a call of `lost`.
    """

    def __init__(
        self,
        script: Script,
        execute: Execute,
        timeout: float,
        *,
        clustered: bool,
        lost: Callable[[], object] | None = None,
    ) -> None:
        self._script = script
        self._send_command = execute
        self._timeout = timeout
        self._lost = lost
        execute_batch = self._send_once if lost is None else self._send_twice
        self._batcher = Batcher(execute_batch, max_size=1 if clustered else MAX_BATCHED_CALLS, timeout=None)

    def submit(self, key: str, *arguments: Argument) -> Awaitable[Any]:
        """Run the script on a key, in the batch of this event-loop iteration."""
        return self._batcher.submit(Call(key, arguments))

    async def wait_all(self) -> None:
        await self._batcher.wait_all()

    async def _send_once(self, calls: list[Call]) -> list[Any]:
        async with asyncio.timeout(self._timeout):
            return await self._send(calls)

    async def _send_twice(self, calls: list[Call]) -> list[Any]:
        assert self._lost is not None
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline - self._timeout / 2):
                return await self._send(calls)
        except DRIVER_ERRORS as error:
            if is_error_reply(error):
                raise
            self._lost()
        async with asyncio.timeout_at(deadline):
            return await self._send(calls)

    async def _send(self, calls: list[Call]) -> list[Any]:
        try:
            return await self._execute(calls)
        except ResponseError as error:
            if not is_split(error):
                raise
            self._batcher.max_size = 1  # behind this address is a Cluster, whatever the client is
        return [await self._alone(call) for call in calls]

    async def _alone(self, call: Call) -> Any:
        try:
            return (await self._execute([call]))[0]
        except ResponseError as error:
            return error

    async def _execute(self, calls: list[Call]) -> list[Any]:
        execute = self._send_command
        arguments = [argument for call in calls for argument in call.arguments]
        rest = (len(calls), *(call.key for call in calls), *arguments)
        try:
            answers = await execute("EVALSHA", self._script.digest, *rest)
        except NoScriptError:  # a fresh server, or SCRIPT FLUSH: nothing was run
            answers = await execute("EVAL", self._script.source, *rest)
        return list(answers)
