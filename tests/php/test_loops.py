"""The event loops that stores for PHP's sessions run on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from starlette_sessions_ext import ConfigurationError, SessionStore
from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.php.redis import PHPRedisStore

KEY = "a" * 32


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: PHPDatabaseStore("mysql://a:b@127.0.0.1/session"),
        lambda folder: PHPSessionTableStore("mysql://a:b@127.0.0.1/session"),
        lambda folder: PHPHandlerSocketStore("127.0.0.1"),
        lambda folder: PHPMongoStore("mongodb://127.0.0.1/session"),
        lambda folder: PHPRedisStore("tcp://127.0.0.1:6379"),
        lambda folder: PHPFileStore(str(folder)),
    ],
    ids=["session_data", "php_session", "handlersocket", "mongo", "redis", "files"],
)
def test_on_trio_each_is_refused(make: Callable[[Path], SessionStore], tmp_path: Path) -> None:
    store = make(tmp_path)

    async def use() -> None:
        for call in (store.touch(KEY, 2_000_000_000), store.delete(KEY)):
            with pytest.raises(ConfigurationError, match="runs on asyncio"):
                await call

    trio.run(use)
