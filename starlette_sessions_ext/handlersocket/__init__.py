"""A client for HandlerSocket, the key-value port of MySQL and MariaDB.

It knows nothing of sessions.

`Client` is one pipelined connection, `Pool` a few of them; `Connection` is the protocol without
I/O, for use with another event loop.
"""

from .client import Client
from .connection import Connection, Index
from .errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandlerSocketError,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
)
from .frames import Filter, Reply, Row, Value, Where, Within
from .pool import Pool

__all__ = [
    "Client",
    "Connection",
    "ConnectionLost",
    "DeadlineExceeded",
    "Filter",
    "HandlerSocketError",
    "Index",
    "LocalProtocolError",
    "Pool",
    "RemoteProtocolError",
    "Reply",
    "Row",
    "ServerError",
    "Value",
    "Where",
    "Within",
]
