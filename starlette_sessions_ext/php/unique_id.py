"""Phalcon's option `uniqueId`.

It stands before the name of every variable of an application.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Literal

from ..errors import ConfigurationError

Separator = Literal["#", ""]


class PhalconVariables(MutableMapping[str, Any]):
    """The variables of one Phalcon application in a session.

    They are under the names that the application has for them.

    Phalcon 2.0.7 and later put `#` between `unique_id` and a name, earlier versions nothing. Variables of other
    applications, and those that PHP sets itself, are left out. Changes go to the session.
    """

    def __init__(self, session: MutableMapping[str, Any], unique_id: str, separator: Separator = "#") -> None:
        if not isinstance(unique_id, str):
            raise ConfigurationError("uniqueId must be a str")
        if separator not in ("#", ""):
            raise ConfigurationError('separator must be "#", for Phalcon 2.0.7 and later, or ""')
        self._session = session
        self._prefix = unique_id + separator if unique_id else ""

    def __getitem__(self, name: str) -> Any:
        return self._session[self._prefix + name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._session[self._prefix + name] = value

    def __delitem__(self, name: str) -> None:
        del self._session[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (key[len(self._prefix) :] for key in self._session if key.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
