"""Keep sessions out of what pymongo logs about its commands."""

from __future__ import annotations

import logging
import re
from functools import cache

_REQUEST_ID = re.compile(r'"requestId": (\d+)')


def leave_out_of_logs(collection: str) -> None:
    """Let pymongo's command log pass over a collection from now on, in this process."""
    logging.getLogger("pymongo.command").addFilter(_silence(collection))


@cache
def _silence(collection: str) -> _Silence:
    return _Silence(collection)


class _Silence(logging.Filter):
    """Drop commands and replies of this collection from pymongo's log.

    At level DEBUG pymongo logs them with all they hold. A reply may be cut off before the collection's name,
    and is known by the number of its request.
    """

    def __init__(self, collection: str) -> None:
        super().__init__(collection)
        self._requests: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        number = "".join(_REQUEST_ID.findall(message)[:1])
        if number in self._requests:  # the answer to what was left out
            self._requests.remove(number)
            return False
        if self.name not in message:
            return True
        self._requests.add(number)
        return False
