"""The `request.state` of one request: the server's state and our session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from ..session import Session


class RequestState(MutableMapping[str, Any]):
    """A view of the server's state with the session under `name`, for one scope alone.

    Some servers give all requests of a connection one dict, so the session is never put there. What
    the application sets goes to the server's dict, where middleware outside of ours finds it.
    Looking the session up marks it as accessed: C code that reads it later can't be noticed.
    """

    __slots__ = ("_name", "_own", "server_state")

    def __init__(self, server_state: MutableMapping[str, Any], name: str, session: Session) -> None:
        self.server_state = server_state
        self._name = name
        self._own: Any = session

    def __getitem__(self, key: str) -> Any:
        if key != self._name:
            return self.server_state[key]
        if type(self._own) is Session:
            self._own.accessed = True
        return self._own

    def __setitem__(self, key: str, value: Any) -> None:
        if key == self._name:
            self._own = value
        else:
            self.server_state[key] = value

    def __delitem__(self, key: str) -> None:
        if key == self._name:
            raise KeyError(key)  # the session stays as long as the request
        del self.server_state[key]

    def __iter__(self) -> Iterator[str]:
        yield self._name
        yield from (key for key in self.server_state if key != self._name)

    def __len__(self) -> int:
        return len(self.server_state) + (self._name not in self.server_state)

    def __contains__(self, key: object) -> bool:
        return key == self._name or key in self.server_state

    def copy(self) -> dict[str, Any]:
        """Return a plain dict, as the state of a server without this middleware would."""
        return dict(self)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __repr__(self) -> str:
        return f"RequestState({list(self)})"  # no values: a repr ends up in logs
