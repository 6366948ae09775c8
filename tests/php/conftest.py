from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.patient_stores import patient_stores as patient_stores
from ..support.php_process import PHPProcess, running_php


@pytest.fixture(scope="session")
def php() -> Iterator[PHPProcess]:
    with running_php() as process:
        yield process
