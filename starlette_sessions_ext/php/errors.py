"""Errors of the PHP formats. Messages name places, keys and classes, never values."""

from __future__ import annotations

from ..errors import CorruptRecord, NotSerializable


class PHPDecodeError(CorruptRecord):
    """These bytes aren't a PHP session, or exceed a limit.

    No part of them is returned.
    """


class PHPEncodeError(NotSerializable):
    """PHP couldn't read this session, or would read it differently.

    Nothing is written.
    """


def malformed(reason: str, position: int) -> PHPDecodeError:
    """Return the error for bytes at `position` (from 0)."""
    return PHPDecodeError(f"a stored PHP session can't be read at byte {position}: {reason}. It was left as it is.")


class CantWrite(Exception):
    """A value has no counterpart in PHP.

    The message is a reason, to which the key is added.
    """
