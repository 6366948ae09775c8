"""The command line: `sessions-ext`, and `python -m starlette_sessions_ext`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import SessionError
from . import applications, maintenance, schema, secret, sessions, users
from .commands import Commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    It is 0 for success, 1 if something is wrong, and 2 if the arguments were.
    """
    parser = make_parser()
    options, others = parser.parse_known_args(arguments)
    if others:
        parser.error(_too_many(others))
    try:
        status: int = options.run(options)
        return status
    except (SessionError, ImportError) as error:
        print(f"sessions-ext: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="sessions-ext", description="Look after the stores of starlette_sessions_ext.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    for group in (schema, maintenance, sessions, users, applications, secret):
        group.add_to(commands)
    return parser


def _too_many(others: list[str]) -> str:
    """Name unknown options.

    Other arguments aren't repeated, since one may be a URL with a password.
    """
    unknown = [one.partition("=")[0] for one in others if one.startswith("-")]
    if unknown:
        return f"unrecognized arguments: {' '.join(unknown)}"
    return f"{len(others)} {'argument' if len(others) == 1 else 'arguments'} too many"
