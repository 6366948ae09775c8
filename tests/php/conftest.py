from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.php_process import PHPProcess, running_php


@pytest.fixture(scope="session")
def php() -> Iterator[PHPProcess]:
    with running_php() as process:
        yield process
