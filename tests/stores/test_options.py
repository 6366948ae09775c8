"""The options that every store takes: what can't work is refused by name."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext.stores._support.options import check_options


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("timeout", value) for value in (0, -1, math.nan, math.inf, True, "2", None)),
        *(("clock", value) for value in (5, None, "time")),
        *(("max_data_bytes", value) for value in (0, -1, 1e6, True, "9")),
        *(("pool_size", value) for value in (0, -1, 1.5, True, "9", None)),
    ],
)
def test_what_cant_work_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option} must be "):
        check_options(**{"timeout": 2.0, "clock": time.time, option: value})


@pytest.mark.parametrize("options", [{"timeout": 1}, {"timeout": 0.001}, {"max_data_bytes": None, "pool_size": 1}])
def test_what_can_is_taken(options: dict[str, Any]) -> None:
    check_options(clock=time.time, **options)
