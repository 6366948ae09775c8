"""Add commands to the parser, and open the store that they work on."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ..errors import ConfigurationError
from ..stores.base import SessionStore
from ..stores.url import EXAMPLES, store_from_url

URL_HELP = f"the store, such as {' or '.join(EXAMPLES[:5])}; or the environment variable SESSIONS_URL"
KEYS_VARIABLE = "SESSIONS_ENCRYPTION_KEY"


class _CommandParser(argparse.ArgumentParser):
    """Take options between positional arguments as well."""

    _is_within = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._is_within:
            return super().parse_known_args(args, namespace)
        self._is_within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)  # calls this method
        finally:
            self._is_within = False


class Commands:
    """Add commands to a parser. The docstring of a command's function is its help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(
            title="commands", required=True, metavar="COMMAND", parser_class=_CommandParser
        )

    def add(self, name: str, function: Callable[[argparse.Namespace], int], example: str) -> argparse.ArgumentParser:
        """Add a command, and return the parser of its arguments."""
        about = (function.__doc__ or "").strip()
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=about.splitlines()[0],
            description=about,
            epilog=f"example: sessions-ext {name} {example}".rstrip(),
            allow_abbrev=False,
        )
        parser.set_defaults(run=function, name=name)
        return parser

    def add_for_store(
        self,
        name: str,
        function: Callable[[argparse.Namespace], Awaitable[int]],
        example: str,
        arrange: Callable[[argparse.Namespace], None] = lambda options: None,
    ) -> argparse.ArgumentParser:
        """Add a command that works on a store, and return its parser.

        Call `add_url` after its own positional arguments.

        `arrange` may correct the options, or refuse them by calling `options.error`.
        """

        def run(options: argparse.Namespace) -> int:
            arrange(options)
            if not options.url:
                parser.error("name the store by its URL, or set SESSIONS_URL")
            return anyio.run(function, options)

        run.__doc__ = function.__doc__
        parser = self.add(name, run, example)
        parser.set_defaults(error=parser.error)
        return parser


def add_url(parser: argparse.ArgumentParser) -> None:
    """Let the last positional argument name the store."""
    parser.add_argument("url", nargs="?", default=os.environ.get("SESSIONS_URL"), help=URL_HELP)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let the output be JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON; times are unix seconds")


def positive(text: str) -> int:
    """Read a number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return value


def not_empty(text: str) -> str:
    """Read a text that isn't empty, such as that of a variable that isn't set."""
    if not text:
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def open_store(url: str) -> SessionStore:
    """Make the store, which decrypts if the environment has a key.

    An SQLite file must be there: to make the file of a mistyped path would hide the mistake.
    """
    store = store_from_url(url, **({"must_exist": True} if url.lower().startswith("sqlite:") else {}))
    keys = re.findall(r"[^\s,]+", os.environ.get(KEYS_VARIABLE, ""))
    if not keys:
        return store
    from ..stores.encrypted import EncryptedStore

    try:
        return EncryptedStore(store, keys, accept_plain=True)
    except ConfigurationError as error:
        raise ConfigurationError(f"{KEYS_VARIABLE}: {error}") from None
