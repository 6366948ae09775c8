"""A pytest plugin: Starlette's tests get our `SessionMiddleware` where they import Starlette's.

Loaded with `-p`, so before any test module imports the class. It writes to the file that
SWAP_REPORT names, test by test, how it went and how often our middleware was made and called.
With SWAP_SQLITE, the path of a file, sessions are kept there instead of in the default store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import starlette.middleware.sessions
from starlette.types import Receive, Scope, Send

from starlette_sessions_ext import SessionMiddleware, SQLiteStore

SQLITE = os.environ.get("SWAP_SQLITE")

results: dict[str, dict[str, Any]] = {}
made: list[Swapped] = []


class Swapped(SessionMiddleware):
    """Our middleware, counted. The tests give it Starlette's arguments and nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if SQLITE is not None:
            kwargs["store"] = SQLiteStore(SQLITE)
        super().__init__(*args, **kwargs)
        self.calls = 0
        made.append(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await super().__call__(scope, receive, send)


starlette.middleware.sessions.SessionMiddleware = Swapped  # type: ignore[assignment, misc]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Function) -> Iterator[None]:
    made.clear()
    backend = str(item.callspec.params.get("anyio_backend", "asyncio")) if hasattr(item, "callspec") else "asyncio"
    result = results[item.nodeid] = {
        "name": item.originalname,
        "uses_app": "test_client_factory" in item.fixturenames,
        "phases": {},
    }
    outcome = yield
    result["made"] = len(made)
    result["calls"] = sum(middleware.calls for middleware in made)
    for middleware in made:
        anyio.run(middleware.store.aclose, backend=backend)
    return outcome


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    results[report.nodeid]["phases"][report.when] = report.outcome


def pytest_sessionfinish() -> None:
    Path(os.environ["SWAP_REPORT"]).write_text(json.dumps(list(results.values())))
