"""The errors of the HandlerSocket client."""

from __future__ import annotations


class HandlerSocketError(Exception):
    """The base class of all errors of this client.

    No message holds a secret, a key or a value.
    """


class LocalProtocolError(HandlerSocketError, ValueError):
    """The caller asked for something that the protocol can't say. Nothing was sent."""


class RemoteProtocolError(HandlerSocketError):
    """The server sent what the protocol doesn't allow.

    The connection is closed for good.
    """


class ServerError(HandlerSocketError):
    """The server's complete answer that a request failed.

    The connection is as good as before. `code` is the protocol's: 1 the storage engine refused, 2 the request
    was wrong, 3 not authenticated. `reason` is the server's word for it: an error number of the engine such
    as 121, a duplicate key, or a name such as `open_table`.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"HandlerSocket answered with error {code} {reason}")
        self.code = code
        self.reason = reason

    @property
    def is_duplicate(self) -> bool:
        """Whether the row is there already (HA_ERR_FOUND_DUPP_KEY)."""
        return (self.code, self.reason) == (1, "121")


class ConnectionLost(HandlerSocketError, ConnectionError):
    """The connection is gone.

    It is unknown whether the server has carried out a request that was under way.
    """


class DeadlineExceeded(ConnectionLost, TimeoutError):
    """No answer came in time, or nothing could be sent.

    The connection was closed, so that a late answer is discarded.
    """
