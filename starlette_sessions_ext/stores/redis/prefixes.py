"""The prefix of every session's key in Redis."""

from __future__ import annotations

from ...errors import ConfigurationError

_MAX_LENGTH = 64


def check_prefix(prefix: str) -> None:
    """Raise `ConfigurationError` unless the prefix is short and printable."""
    if (
        not isinstance(prefix, str)
        or not prefix.isascii()
        or not prefix.isprintable()
        or len(prefix) > _MAX_LENGTH
        or " " in prefix
    ):
        raise ConfigurationError(f"prefix must be up to {_MAX_LENGTH} printable ASCII characters without spaces")
