"""Try what sessions of several packages do, and print a table: scripts/compare."""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.redis_server import VALKEY, running_redis

from . import asgi, peers, wsgi
from .serving import serving
from .trials import TRIALS


class Subject(NamedTuple):
    """A package, and the application that uses it."""

    name: str
    package: str
    app: Callable[[str], Any]
    is_asgi: bool = True


SUBJECTS = [
    Subject("this package", "starlette-sessions-ext", asgi.ours),
    Subject("Starlette", "starlette", asgi.starlette),
    Subject("starsessions", "starsessions", peers.starsessions),
    Subject("fastapi-redis-sdk", "fastapi-redis-sdk", peers.fastapi_redis_sdk),
    Subject("Litestar", "litestar", peers.litestar_sessions),
    Subject("Flask-Session", "flask-session", wsgi.flask_sessions, is_asgi=False),
    Subject("Django", "django", wsgi.django_sessions, is_asgi=False),
]


def try_all(url: str) -> dict[str, dict[str, str]]:
    """Return what was seen, by trial and package."""
    seen: dict[str, dict[str, str]] = {trial: {} for trial in TRIALS}
    for subject in SUBJECTS:
        with serving(subject.app(url), is_asgi=subject.is_asgi) as port:
            for name, trial in TRIALS.items():
                seen[name][subject.name] = trial(port)
    return seen


def as_markdown(seen: dict[str, dict[str, str]]) -> str:
    """Return the table as it stands in docs/comparison.md."""
    heads = [f"{subject.name} {version(subject.package)}" for subject in SUBJECTS]
    rows = [["", *heads], ["---"] * (len(heads) + 1)]
    rows += [[trial, *(results[subject.name] for subject in SUBJECTS)] for trial, results in seen.items()]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser("scripts/compare", description="Try what sessions of several packages do.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # errors of the others are among the results
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder), VALKEY) as server:
        seen = try_all(server.url)
    print(json.dumps(seen, indent=2) if options.json else as_markdown(seen))


if __name__ == "__main__":
    main()
