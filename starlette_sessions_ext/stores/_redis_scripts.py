"""The scripts of `RedisStore`, and the calls of one turn of the event loop sent as one command.

What has to be compared and written at once is a Lua script over one session's key. A client spends
far more time on a command than Redis does, so where many requests are under way at the same time
their calls share one: the script runs over all their keys. Each call is sent after it was made, and
none takes the answer of another, also not for the same key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Any, NamedTuple

from redis.exceptions import ClusterCrossSlotError, NoScriptError, ResponseError

Argument = bytes | str | int

MOST_CALLS = 64
"""How many calls share a command: what a command costs is shared well by then, and no answer becomes too long."""


class Script:
    """A Lua script, known to Redis by its digest: `body` is that of a function of a key and up to three arguments.

    Each key has an answer of its own, also where it holds what isn't ours: then an error.
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


LOAD = Script("""
    local data = redis.call('GET', key)
    return data and {data, redis.call('PTTL', key)}
""")
REPLACE = Script("""
    local digest, new, milliseconds = a, b, c
    local data = redis.call('GET', key)
    if data == new then return 1 end -- written before, and sent again by the client after a lost answer
    if not data or redis.sha1hex(data) ~= digest then return 0 end
    redis.call('SET', key, new, 'PX', milliseconds)
    return 1
""")
DELETE = Script("""
    local digest = a
    local data = redis.call('GET', key)
    if not data or redis.sha1hex(data) ~= digest then return 0 end
    return redis.call('DEL', key)
""")

Execute = Callable[..., Awaitable[Any]]
"""A client's `execute_command`."""


class Call(NamedTuple):
    """What one caller asks, and waits for."""

    key: str
    arguments: tuple[Argument, ...]
    answer: asyncio.Future[Any]


class Calls:
    """The calls of one script, gathered. `client` gives the `execute_command` of the present client.

    A command is given up after `seconds`. Its callers may stop waiting before: that takes nothing from the
    others. `most` calls share a command; a Cluster takes one at a time, for their keys are apart.
    """

    def __init__(self, script: Script, client: Callable[[], Execute], seconds: float, most: int) -> None:
        self._script = script
        self._client = client
        self._seconds = seconds
        self._most = most
        self._gathering: list[Call] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: str, *arguments: Argument) -> Awaitable[Any]:
        """Have the script run over a key, together with whatever else comes in this turn of the event loop."""
        loop = asyncio.get_running_loop()
        calls = self._gathering
        if calls is None or len(calls) >= self._most or self._loop is not loop:
            calls, self._loop = [], loop
            self._gathering = calls
            task = loop.create_task(self._run(calls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        answer = loop.create_future()
        calls.append(Call(key, arguments, answer))
        return answer

    async def ended(self) -> None:
        """Wait for what is under way in this event loop, also where nobody else does any longer."""
        loop = asyncio.get_running_loop()
        if mine := [task for task in self._tasks if task.get_loop() is loop]:
            await asyncio.wait(mine)

    async def _run(self, calls: list[Call]) -> None:
        if self._gathering is calls:
            self._gathering = None
        try:
            async with asyncio.timeout(self._seconds):
                answers = await self._send(calls)
        except Exception as error:
            answers = [copy(error) for _ in calls]  # each is raised in a task of its own
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        try:
            return await self._execute(calls)
        except ClusterCrossSlotError:
            self._most = 1  # behind this address is a Cluster, whatever the client is
        return [await self._alone(call) for call in calls]

    async def _alone(self, call: Call) -> Any:
        try:
            return (await self._execute([call]))[0]
        except ResponseError as error:
            return error

    async def _execute(self, calls: Sequence[Call]) -> list[Any]:
        execute = self._client()
        arguments = [argument for call in calls for argument in call.arguments]
        rest = (len(calls), *(call.key for call in calls), *arguments)
        try:
            answers = await execute("EVALSHA", self._script.digest, *rest)
        except NoScriptError:  # a fresh server, or SCRIPT FLUSH: nothing was run
            answers = await execute("EVAL", self._script.source, *rest)
        return list(answers)
