"""The secret key: reading the option, and deriving a key for each purpose. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.datastructures import Secret

from .errors import ConfigurationError

SecretKey = str | Secret | Sequence[str | Secret]


def read_secrets(secret_key: SecretKey) -> list[str]:
    """The secrets that the option `secret_key` names: the first signs, all verify.

    Raises `ConfigurationError` for none, an empty one, and what isn't text.
    """
    # `or ()`: None comes from an environment variable that isn't set, and should be told what is wanted.
    given = [secret_key] if isinstance(secret_key, str | Secret) else list(secret_key or ())
    if not given or not all(isinstance(one, str | Secret) and str(one) for one in given):
        raise ConfigurationError(
            "secret_key must be a non-empty str or Secret, or a sequence of them (the first signs, all verify)"
        )
    return [str(one) for one in given]


def is_short(secret: str) -> bool:
    """Whether a secret is so short that it may be guessed: under 16 bytes."""
    return len(secret.encode()) < 16


def derived_key(secret: str, purpose: bytes) -> bytes:
    """The key for one purpose (HMAC-SHA-256): what is made for one is never good for another."""
    return hmac.digest(secret.encode(), purpose, "sha256")
