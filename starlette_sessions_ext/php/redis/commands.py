"""The Lua scripts for the rows of phpredis, and their batched calls.

A row is a string: the bytes of PHP's serialize handler. What has to be compared and written at once is a script over
that key. With phpredis' locks the script looks at the lock as well, and writes nothing while a page of PHP has it. So
Python never holds a lock: it can't leave one behind, and phpredis 5.3.7 drops a write for which it got no lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ...stores.redis.clients import Client, Commands, is_cluster
from ...stores.redis.scripts import Calls, Execute, Script

LOCKED = -1
"""The answer of a script where a page of PHP holds the lock."""

_WAIT_FOR_LOCK = f"if {{locks}} == '1' and redis.call('EXISTS', key .. '_LOCK') == 1 then return {LOCKED} end"

# Unlike `RedisStore`'s, this script doesn't take equal bytes for its earlier write: two requests that count from the
# same value write the same bytes, and one of them has to count again.
REPLACE = Script(f"""
    local digest, new, milliseconds = a, string.sub(b, 2), c
    local locks = string.sub(b, 1, 1)
    {_WAIT_FOR_LOCK.format(locks="locks")}
    local data = redis.call('GET', key)
    if not data or redis.sha1hex(data) ~= digest then return 0 end
    redis.call('SET', key, new, 'PX', milliseconds)
    return 1
""")
TOUCH = Script("""
    local milliseconds = a
    redis.call('GET', key) -- fails for what isn't a session
    return redis.call('PEXPIRE', key, milliseconds)
""")
DELETE = Script(f"""
    local digest, locks = a, b -- '' for any version
    {_WAIT_FOR_LOCK.format(locks="locks")}
    if digest ~= '' then
        local data = redis.call('GET', key)
        if not data or redis.sha1hex(data) ~= digest then return 0 end
    end
    return redis.call('DEL', key)
""")


class PHPCommands(Commands):
    """A client in one event loop, and its batched calls for the rows of phpredis."""

    __slots__ = ()

    def __init__(self, client: Client, execute: Execute, timeout: float, lost: Callable[[], object]) -> None:
        super().__init__(client, execute, timeout, lost)
        clustered = is_cluster(client)
        self.replaces = Calls(REPLACE, execute, timeout, clustered=clustered)
        self.touches = Calls(TOUCH, execute, timeout, clustered=clustered)
        self.deletes = Calls(DELETE, execute, timeout, clustered=clustered)
