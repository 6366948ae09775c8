"""Read the option `secret_key`, and derive a key for each purpose. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from starlette.datastructures import Secret

from ..errors import ConfigurationError

SecretKey = str | Secret | Sequence[str | Secret]

_PLACEHOLDER = re.compile(r"(?i)random bytes|change[ _-]?me|your[ _-]secret")


def read_secrets(secret_key: SecretKey) -> list[str]:
    """Return the secrets of the option `secret_key`: the first signs, all verify.

    Raises `ConfigurationError` for none, an empty one, and what isn't text.
    """
    given = [secret_key] if isinstance(secret_key, str | Secret) else secret_key
    if not isinstance(given, Sequence):  # such as None, from an environment variable that isn't set
        given = []
    if not given or not all(isinstance(one, str | Secret) and str(one) for one in given):
        raise ConfigurationError(
            "secret_key must be a non-empty str or Secret, or a sequence of them (the first signs, all verify)"
        )
    return [str(one) for one in given]


def is_short(secret: str) -> bool:
    """Return whether a secret may be guessed: it is under 16 bytes."""
    return len(secret.encode()) < 16


def is_published(secret: str) -> bool:
    """Return whether a secret is a placeholder such as the documentation's."""
    return _PLACEHOLDER.search(secret) is not None


def derived_key(secret: str, purpose: bytes) -> bytes:
    """Derive the key for one purpose (HMAC-SHA-256), of no use for another."""
    return hmac.digest(secret.encode(), purpose, "sha256")
