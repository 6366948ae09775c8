"""Callables that applications give to this package. Pure."""

from __future__ import annotations

from inspect import iscoroutinefunction


def is_async(function: object) -> bool:
    """Return whether a call of `function` gives a coroutine.

    That is so for an async function, and for an object whose `__call__` is one.
    """
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
