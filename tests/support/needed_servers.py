"""Whether tests need servers, so that a run of others installs none."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "install-servers"
_FIXTURES = {"cluster", "handlersocket_url", "mariadb", "mongo_server", "mongo_url", "mysql_url", "redis_server"}
_FIXTURES |= {"php", "postgresql", "postgresql_url", "redis_url", "replica_set", "sentinel", "url"}


def install_if_needed(items: Iterable[pytest.Item]) -> None:
    """Run scripts/install-servers if scripts/test asks for it and one of the tests starts a server.

    The workers of one run wait for each other: apt has one lock.
    """
    if "SESSIONS_TEST_INSTALL" in os.environ and any(map(needs_server, items)):
        with _SCRIPT.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run([_SCRIPT, *(["browser"] if any(map(needs_browser, items)) else [])], check=True)


def needs_server(item: pytest.Item) -> bool:
    """Return whether a test asks for a server, by a fixture, by its setting, or by what its module imports."""
    if not isinstance(item, pytest.Function):
        return False
    if "chaos" in item.path.parts and item.get_closest_marker("slow"):
        return True
    setting = item.callspec.params.get("setting") if hasattr(item, "callspec") else None
    if getattr(setting, "store", "memory") not in ("memory", "sqlite"):
        return True
    return bool(_FIXTURES.intersection(item.fixturenames)) or _imports_of(item, "_server")


def needs_browser(item: pytest.Item) -> bool:
    """Return whether a test starts a browser."""
    return isinstance(item, pytest.Function) and _imports_of(item, ".browser_server")


def _imports_of(item: pytest.Function, suffix: str) -> bool:
    """Return whether a test's module imports from one whose name ends with `suffix`."""
    imported = (getattr(value, "__module__", None) or "" for value in vars(item.module).values())
    return any(str(name).endswith(suffix) for name in imported)
