from __future__ import annotations

from collections.abc import Iterator

import pytest

from starlette_sessions_ext.testing import FakeClock

from ..support.patient_stores import patient_stores as patient_stores
from ..support.php_process import PHPProcess, running_php
from .hits import LIFETIME


@pytest.fixture
def soon(clock: FakeClock) -> int:
    """When a session ends that is used now."""
    return int(clock()) + LIFETIME


@pytest.fixture(scope="session")
def php() -> Iterator[PHPProcess]:
    with running_php() as process:
        yield process
