"""Fuzz one target by coverage, with atheris: see scripts/fuzz."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["starlette_sessions_ext"]):
    from . import cookies, records, replies

TARGETS = {
    "replies": (replies.replies, replies.FRAGMENTS),
    "cookies": (cookies.cookies, cookies.FRAGMENTS),
    "records": (records.records, records.FRAGMENTS),
}


def main() -> None:
    name, *options = sys.argv[1:]
    target, fragments = TARGETS[name]
    with TemporaryDirectory() as folder:
        words = Path(folder) / "words"
        words.write_text("".join(f'"{_quoted(fragment)}"\n' for fragment in fragments))
        atheris.Setup([sys.argv[0], f"-dict={words}", *options], target)
        atheris.Fuzz()


def _quoted(fragment: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in fragment)


main()
