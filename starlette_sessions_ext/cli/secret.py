"""The command `secret`."""

from __future__ import annotations

import argparse
import secrets

from ..stores._support.encryption_keys import new_encryption_key
from .commands import Commands


def add_to(commands: Commands) -> None:
    """Add the command of this module."""
    parser = commands.add("secret", secret, "--encryption-key")
    parser.add_argument("--encryption-key", action="store_true", help="print a key for EncryptedStore")


def secret(options: argparse.Namespace) -> int:
    """Print a new secret for the option secret_key, from the system's random source."""
    print(new_encryption_key() if options.encryption_key else secrets.token_hex())
    return 0
