"""Leave requests without a session: the option `exclude`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starlette.types import Scope

from .._core.callables import is_async
from ..errors import ConfigurationError

EXCLUDED = "starlette_sessions_ext.excluded"
"""The key in the scope of a request that was excluded, for messages that say why there is no session."""

Exclude = Callable[[Scope], bool] | Sequence[str] | None


def read_exclude(exclude: Exclude) -> Callable[[Scope], bool] | None:
    """Return the predicate that the option `exclude` names; None for none.

    The option is a predicate, or path prefixes. A path prefix matches whole segments, below where the
    application is mounted: "/static" matches "/static" and "/static/logo.png", not "/statics". Raises
    `ConfigurationError` for anything else.
    """
    if exclude is None:
        return None
    if callable(exclude):
        if is_async(exclude):
            raise ConfigurationError("exclude must be a predicate that returns a bool, and no async function")
        return exclude
    if (
        isinstance(exclude, str)
        or not isinstance(exclude, Iterable)
        or not all(isinstance(one, str) and one.startswith("/") for one in exclude)
    ):
        raise ConfigurationError('exclude must be a predicate on the scope, or paths such as ["/static", "/health"]')
    prefixes = tuple(one.rstrip("/") for one in exclude)
    if "" in prefixes:
        raise ConfigurationError('exclude=["/"] would leave no request with a session')
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
