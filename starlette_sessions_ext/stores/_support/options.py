"""Checks of the options that every store takes. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...errors import ConfigurationError
from ..base import SessionStore


def check_options(
    *,
    timeout: float = 1.0,
    clock: Callable[[], float],
    max_data_bytes: int | None = None,
    pool_size: int = 1,
) -> None:
    """Raise `ConfigurationError`, naming the option, for a value that can't work.

    `timeout` is in seconds. `clock` returns unix seconds. None is no limit for `max_data_bytes`.
    What is left out is an option that the store doesn't have.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise ConfigurationError("timeout must be a positive number of seconds")
    if not callable(clock):
        raise ConfigurationError("clock must be a function that returns unix seconds, such as time.time")
    if max_data_bytes is not None and (type(max_data_bytes) is not int or max_data_bytes < 1):
        raise ConfigurationError("max_data_bytes must be a positive int of bytes")
    check_count("pool_size", pool_size)


def check_store(option: str, value: object) -> None:
    """Raise `ConfigurationError` unless the value is a store.

    A class isn't, though it may look like one.
    """
    if isinstance(value, type) or not isinstance(value, SessionStore):
        raise ConfigurationError(f"{option} must be a store, such as SQLiteStore(path) or store_from_url(url)")


def check_count(option: str, value: int) -> None:
    """Raise `ConfigurationError` unless the value is an int of at least 1."""
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{option} must be an int of at least 1")
