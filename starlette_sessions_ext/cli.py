"""The command line: `sessions-ext`, and `python -m starlette_sessions_ext`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import anyio

from ._core.ids import digest_of
from ._core.record import Alias, decode
from .errors import ConfigurationError, CorruptRecord, SessionError
from .stores.base import SessionStore, SupportsDiagnosis, SupportsListing
from .stores.url import EXAMPLES, store_from_url

_WITHOUT_MIGRATIONS = {
    "sqlite": "SQLiteStore makes its table when it opens",
    "redis": "Redis has no tables",
    "rediss": "Redis has no tables",
    "unix": "Redis has no tables",
    "mongodb": "MongoStore makes its index when it opens",
    "mongodb+srv": "MongoStore makes its index when it opens",
    "memory": "MemoryStore has no tables",
}
URL_HELP = f"the store, such as {' or '.join(EXAMPLES[:5])}; or the environment variable SESSIONS_URL"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 something is wrong, 2 the words were."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.url:
        parser.error("name the store by its URL, or set SESSIONS_URL")
    try:
        status: int = anyio.run(options.command, options)
        return status
    except (SessionError, ImportError) as error:
        print(f"sessions-ext: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def migrate(options: argparse.Namespace) -> int:
    """Apply, print or check the migrations of a MySQL, MariaDB or PostgreSQL database."""
    scheme = options.url.partition("://")[0].lower()
    if scheme in _WITHOUT_MIGRATIONS:
        print(f"nothing to migrate: {_WITHOUT_MIGRATIONS[scheme]}")
        return 0
    if scheme == "handlersocket":
        raise ConfigurationError(
            "migrations go over SQL: give the mysql:// URL of the server behind this HandlerSocket"
        )
    migrations = _migrations_of(scheme)
    if options.print:
        for migration in migrations.find():
            print(f"-- {migration.name}\n{migration.sql}")
        return 0
    async with migrations.connect(options.url) as connection:
        if options.check:
            missing = await migrations.pending(connection)
            for migration in missing:
                print(f"missing: {migration.name}")
            if not missing:
                print("the tables are up to date")
            return 1 if missing else 0
        applied = await migrations.apply(connection)
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the tables are up to date already")
    return 0


def _migrations_of(scheme: str) -> Any:
    """Import the migrations of a server, and its driver."""
    if scheme.startswith("postgres"):
        from .stores.postgresql import migrations as postgresql

        return postgresql
    from .stores.mysql import migrations as mysql

    return mysql


async def gc(options: argparse.Namespace) -> int:
    """Remove expired sessions, a batch at a time, so that nobody else waits for long."""
    async with _store(options.url) as store:
        while True:
            await _collect(store, options.batch)
            if options.every is None:
                return 0
            await anyio.sleep(options.every)


async def doctor(options: argparse.Namespace) -> int:
    """Check the server and its settings; say what is wrong, and the remedy."""
    async with _store(options.url) as store:
        findings = await store.diagnose() if isinstance(store, SupportsDiagnosis) else []
    for finding in findings:
        print(f"{finding.problem}\n    {finding.remedy}")
    if not findings:
        print("all is well")
    return 1 if findings else 0


async def show(options: argparse.Namespace) -> int:
    """Say when a session began and ends, and how large it is. Its data isn't shown."""
    return await _with_session(options, _show)


async def revoke(options: argparse.Namespace) -> int:
    """End a session at once."""
    return await _with_session(options, _revoke)


def _store(url: str) -> SessionStore:
    """Make the store. An SQLite file must be there: to make the file of a mistyped path would hide the mistake."""
    return store_from_url(url, **({"must_exist": True} if url.lower().startswith("sqlite:") else {}))


async def _collect(store: SessionStore, batch: int) -> None:
    """One round of collection. How many are left would be a count as slow as the work, so there is no bar for it."""
    total, started = 0, anyio.current_time()
    while removed := await store.delete_expired(batch):
        total += removed
        _tell_progress(total, anyio.current_time() - started)
        if removed < batch:
            break
    if sys.stderr.isatty():
        print(end="\r\x1b[K", file=sys.stderr, flush=True)  # back to the start of the line, and erase it
    print(f"{total} expired sessions removed", flush=True)


def _tell_progress(total: int, seconds: float) -> None:
    """One line that is written over and over on a terminal, a line per batch elsewhere."""
    done = f"{total} expired sessions removed"
    if sys.stderr.isatty():
        print(f"\r{done}, {total / max(seconds, 0.01):.0f} a second\x1b[K", end="", file=sys.stderr, flush=True)
    else:
        print(f"{done} ...", file=sys.stderr, flush=True)


async def _with_session(options: argparse.Namespace, act: Callable[[SessionStore, str], Awaitable[None]]) -> int:
    async with _store(options.url) as store:
        if not isinstance(store, SupportsListing):
            raise ConfigurationError("this store can't go through its sessions")
        async for key in store.all_keys():
            if digest_of(key) == options.key_digest:
                await act(store, key)
                return 0
    print("there is no session with that key digest", file=sys.stderr)
    return 1


async def _show(store: SessionStore, key: str) -> None:
    stored = await store.load(key)
    if stored is None:
        print("it has expired")
        return
    print(f"expires  {_moment(stored.expires_at)}\nsize     {len(stored.data)} bytes")
    with suppress(CorruptRecord):
        found = decode(stored.data, key)
        if isinstance(found, Alias):
            print(f"renewed  the session has the key digest {digest_of(found.target)} now")
            return
        header, _ = found
        print(f"created  {_moment(header.created_at)}")
        if header.lifetime is not None:
            print(f"lifetime {header.lifetime} seconds without use")


async def _revoke(store: SessionStore, key: str) -> None:
    removed = await store.delete(key)
    print("the session has ended" if removed else "it had expired")


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sessions-ext", description="Look after the stores of starlette_sessions_ext.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], Awaitable[int]], example: str) -> argparse.ArgumentParser:
        about = (function.__doc__ or "").strip()
        sub = commands.add_parser(
            function.__name__,
            help=about.splitlines()[0],
            description=about,
            epilog=f"example: sessions-ext {function.__name__} {example}",
        )
        sub.set_defaults(command=function)
        return sub

    sub = command(migrate, "mysql://user:password@localhost/app")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a migration is missing")
    how.add_argument("--print", action="store_true", help="print the SQL of all migrations, for others to apply")
    _add_url(sub)

    sub = command(gc, "--every 600 sqlite:///sessions.db")
    sub.add_argument("--batch", type=_positive, default=1000, help="sessions removed at a time (default: %(default)s)")
    sub.add_argument("--every", type=_positive, metavar="SECONDS", help="go on, with so long a pause between rounds")
    _add_url(sub)

    _add_url(command(doctor, "redis://localhost:6379/0"))
    for function in (show, revoke):
        sub = command(function, "0123456789abcdef redis://localhost:6379/0")
        sub.add_argument("key_digest", help="the digest by which events and logs name the session; never its id")
        _add_url(sub)
    return parser


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default=os.environ.get("SESSIONS_URL"), help=URL_HELP)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return value
