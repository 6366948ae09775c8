"""Sessions in MySQL or MariaDB through the HandlerSocket plugin.

The client is in `..handlersocket`.
"""

from .store import HandlerSocketStore

__all__ = ["HandlerSocketStore"]
