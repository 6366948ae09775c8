"""Durations and times that options and stores share. Pure."""

from __future__ import annotations

from datetime import timedelta

from .errors import ConfigurationError

Duration = int | timedelta

MAX_TIMESTAMP = 253_402_300_799
"""9999-12-31 23:59:59 UTC in unix seconds, the last second that every database can write."""

MAX_DURATION = 100 * 366 * 24 * 60 * 60
"""A hundred years in seconds."""


def parse_duration(value: Duration, name: str, *, maximum: int = MAX_DURATION) -> int:
    """Return the whole seconds of a duration; a timedelta's fraction is cut off.

    Raise `ConfigurationError`, naming the option `name`, unless they are from 1 to `maximum`.
    """
    if isinstance(value, timedelta):
        value = int(value.total_seconds())
    if type(value) is not int or not 1 <= value <= maximum:
        raise ConfigurationError(f"{name} must be a positive int of seconds or a timedelta, at most {maximum} seconds")
    return value
