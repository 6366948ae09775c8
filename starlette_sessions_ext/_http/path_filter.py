"""Which requests have nothing to do with sessions: the option `skip`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starlette.types import Scope

from .._callables import is_async
from ..errors import ConfigurationError

SKIPPED = "starlette_sessions_ext.skipped"
"""The key in the scope of a request that was skipped, for messages that say why there is no session."""

Skip = Callable[[Scope], bool] | Sequence[str] | None


def read_skip(skip: Skip) -> Callable[[Scope], bool] | None:
    """Return the predicate that the option `skip` names, given or by path prefixes; None for none.

    A path prefix matches whole segments, below where the application is mounted: "/static" matches
    "/static" and "/static/logo.png", not "/statics". Raises `ConfigurationError` for anything else.
    """
    if skip is None:
        return None
    if callable(skip):
        if is_async(skip):
            raise ConfigurationError("skip must be a predicate that returns a bool, and no async function")
        return skip
    if (
        isinstance(skip, str)
        or not isinstance(skip, Iterable)
        or not all(isinstance(one, str) and one.startswith("/") for one in skip)
    ):
        raise ConfigurationError('skip must be a predicate on the scope, or paths such as ["/static", "/health"]')
    prefixes = tuple(one.rstrip("/") for one in skip)
    if "" in prefixes:
        raise ConfigurationError('skip=["/"] would leave no request with a session')
    below = tuple(f"{prefix}/" for prefix in prefixes)

    def matches(scope: Scope) -> bool:
        path = _path_in_application(scope)
        return path in prefixes or path.startswith(below)

    return matches


def _path_in_application(scope: Scope) -> str:
    """Return the path without the root path.

    Servers leave it in the path (ASGI 3.0, HTTP connection scope) or take it off.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path
