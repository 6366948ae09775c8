"""The command `check`: import an application, and look at its sessions."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from .._http.lifespan import NOBODY
from ..discovery import find_session_middleware
from ..errors import ConfigurationError, SessionError
from ..events import logger
from ..middleware import SessionMiddleware
from ..stores.base import Finding
from .commands import Commands, add_json
from .maintenance import diagnose
from .output import print_findings, print_json
from .settings import doubts_about, settings_of


def add_to(commands: Commands) -> None:
    """Add the command of this module."""
    parser = commands.add("check", check, "shop.main:app")
    parser.add_argument("--factory", action="store_true", help="the name is that of a function without arguments")
    add_json(parser)
    parser.add_argument("app", metavar="module:app", help="the application, or what makes it, as for uvicorn")


def check(options: argparse.Namespace) -> int:
    """Import an application, print its session settings, and report problems.

    Every SessionMiddleware is found, below Mount and in a FastAPI application too. Its store is
    opened, and looks at its server as doctor does. The exit status is 1 if anything is doubtful.
    """
    with _warnings_of_the_package() as warnings:
        app = _import(options.app, factory=options.factory)
        found = find_session_middleware(app)
    if not found:
        raise ConfigurationError("there is no SessionMiddleware in this application")
    problems = _problems(warnings, found)
    settings = [settings_of(middleware) for middleware in found]
    if options.json:
        print_json({"middleware": settings, "problems": [problem._asdict() for problem in problems]})
    else:
        _print(settings)
        print_findings(problems)
    return 1 if problems else 0


def _import(name: str, *, factory: bool) -> Any:
    """Import `module:attribute`, from the present folder as well.

    Raises `ConfigurationError` if it isn't there.
    """
    module_name, _, attributes = name.partition(":")
    if not module_name or not attributes:
        raise ConfigurationError("name the application as module:attribute, such as shop.main:app")
    if "" not in sys.path:
        sys.path.insert(0, "")
    found: Any = importlib.import_module(module_name)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise ConfigurationError(f"there is no {attributes} in {module_name}: name the application as module:app")
        found = getattr(found, attribute)
    return found() if factory else found


def _problems(warnings: list[str], found: list[SessionMiddleware]) -> list[Finding]:
    """Return all problems of an application, each once.

    They are the package's warnings, doubtful settings, and problems of the stores.
    """
    problems: dict[str, Finding] = {}
    for warning in warnings:
        problem, _, remedy = warning.partition(": ")
        problems[problem] = Finding(problem, remedy)
    doubts = [doubt for middleware in found for doubt in doubts_about(middleware)]
    for finding in (*doubts, *anyio.run(_ask_stores, found)):
        problems.setdefault(finding.problem, finding)
    return list(problems.values())


async def _ask_stores(found: list[SessionMiddleware]) -> list[Finding]:
    """Do what the start of the application does, and look at the servers."""
    findings = []
    for middleware in found:
        try:
            async with middleware.store as store:
                if (owned := middleware._rows.owned) is not None:
                    await owned.keys_of(NOBODY)
                findings += await diagnose(store)
        except SessionError as error:
            findings.append(Finding(str(error), "until this is repaired the application doesn't start"))
    return findings


@contextmanager
def _warnings_of_the_package() -> Iterator[list[str]]:
    """Collect the package's warnings, and keep them from the log."""
    warnings: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    collector, propagated = Collector(logging.WARNING), logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield warnings
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagated


def _print(middleware: list[dict[str, Any]]) -> None:
    for settings in middleware:
        for name, value in settings.items():
            print(value if name == "class" else f"    {name:21} {'-' if value is None else value}")
