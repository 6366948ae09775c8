"""The commands `gc`, `doctor` and `stats`."""

from __future__ import annotations

import argparse

import anyio

from ..stores.base import Finding, SessionStore, SupportsDiagnosis
from .commands import Commands, add_json, add_url, open_store, positive
from .output import Progress, print_findings, print_json
from .statistics import Statistics, gather

DEFAULT_LIMIT = 100_000


def add_to(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = commands.add_for_store("gc", gc, "--every 600 sqlite:///sessions.db")
    parser.add_argument(
        "--batch", type=positive, default=1000, help="sessions removed at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=positive, metavar="SECONDS", help="repeat, with a pause of SECONDS between rounds"
    )
    add_url(parser)

    parser = commands.add_for_store("doctor", doctor, "redis://localhost:6379/0")
    parser.add_argument("--php", action="store_true", help="look at PHP's sessions, at a save path or URL")
    parser.add_argument("--lifetime", type=positive, default=1440, help="with --php: session.gc_maxlifetime")
    parser.add_argument("--format", default="php", help="with --php: session.serialize_handler")
    parser.add_argument("--timezone", default="UTC", help="with --php: date.timezone, for the table php_session")
    add_json(parser)
    add_url(parser)

    parser = commands.add_for_store("stats", stats, "sqlite:///sessions.db")
    parser.add_argument(
        "--limit", type=positive, default=DEFAULT_LIMIT, help="rows to look at, at most (default: %(default)s)"
    )
    add_json(parser)
    add_url(parser)


async def gc(options: argparse.Namespace) -> int:
    """Remove expired sessions, a batch at a time, so that other clients wait briefly."""
    async with open_store(options.url) as store:
        while True:
            await _collect(store, options.batch)
            if options.every is None:
                return 0
            await anyio.sleep(options.every)


async def doctor(options: argparse.Namespace) -> int:
    """Check the server and its settings; say what is wrong, and the remedy."""
    findings = await (_diagnose_php if options.php else _diagnose)(options)
    if options.json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_findings(findings)
    return 1 if findings else 0


async def stats(options: argparse.Namespace) -> int:
    """Count sessions and users, and say how large sessions are.

    Rows are loaded, at most as many as --limit says. Their keys are random, so those of a large store
    are a fair sample of it.
    """
    async with open_store(options.url) as store:
        statistics = await gather(store, options.limit)
    if options.json:
        print_json(statistics.as_dict())
    else:
        _print_statistics(statistics)
    return 0


async def diagnose(store: SessionStore) -> list[Finding]:
    """Return the problems of a store's server; nothing if the store can't look."""
    return await store.diagnose() if isinstance(store, SupportsDiagnosis) else []


async def _diagnose(options: argparse.Namespace) -> list[Finding]:
    async with open_store(options.url) as store:
        return await diagnose(store)


async def _diagnose_php(options: argparse.Namespace) -> list[Finding]:
    from ..php import diagnosis

    settings = {"lifetime": options.lifetime, "format": options.format, "timezone": options.timezone}
    return await diagnosis.diagnose(options.url, **settings)


async def _collect(store: SessionStore, batch: int) -> None:
    """Remove expired sessions, and print the progress.

    To count the rest would be as slow as the work, so there is no bar.
    """
    total, started = 0, anyio.current_time()
    progress = Progress(lines=True)
    while removed := await store.delete_expired(batch):
        total += removed
        seconds = max(anyio.current_time() - started, 0.01)
        progress.say(f"{total} expired sessions removed", f", {total / seconds:.0f} a second")
        if removed < batch:
            break
    progress.end()
    print(f"{total} expired sessions removed", flush=True)


def _print_statistics(statistics: Statistics) -> None:
    for name, value in statistics.as_dict().items():
        if name == "bytes":
            for percentile, size in (value or {}).items():
                print(f"{f'bytes {percentile}':11} {size}")
        elif name != "complete" and value is not None:
            print(f"{name:11} {value}")
    if not statistics.complete:
        print(f"there are more rows than these {statistics.rows}: --limit says how many to look at")
