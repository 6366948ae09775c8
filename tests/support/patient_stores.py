"""A longer default deadline for stores: a busy machine can stand still for two seconds."""

from __future__ import annotations

import pytest

from starlette_sessions_ext import (
    DatabaseStore,
    HandlerSocketStore,
    MigratingStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SQLiteStore,
)
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.php.redis import PHPRedisStore

SECONDS = 20.0
"""Far above any healthy answer: only a test that names a deadline itself is about deadlines."""

MAKERS = (
    *(DatabaseStore, HandlerSocketStore, MigratingStore, MongoStore, PostgreSQLStore, RedisStore, SQLiteStore),
    *(PHPDatabaseStore, PHPHandlerSocketStore, PHPMongoStore, PHPRedisStore, PHPSessionTableStore),
)


@pytest.fixture(autouse=True)
def patient_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores wait longer in tests that name no deadline."""
    for maker in (*(store.__init__ for store in MAKERS), RedisStore.from_save_path):
        defaults = maker.__kwdefaults__ or {}
        assert defaults["timeout"] > 0
        monkeypatch.setitem(defaults, "timeout", SECONDS)
