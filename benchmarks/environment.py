"""Describe the machine and the versions that figures belong to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.mongo_server import mongod
from tests.support.postgresql_server import program
from tests.support.redis_server import binary as redis_server
from tests.support.redis_server import valkey

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".cache" / "bench-peers" / "bin" / "python"
"""The interpreter of the environment that holds the peers, and the package too: scripts/bench makes it."""

_PACKAGES = (
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "redis",
    "asyncmy",
    "asyncpg",
    "pymongo",
    "starsessions",
    "litestar",
    "fastapi-redis-sdk",
)
_VERSIONS = "import sys; from importlib.metadata import version; print(*(n + ' ' + version(n) for n in sys.argv[1:]))"


def describe_environment(command: str) -> dict[str, str]:
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores; {platform.system()} {platform.release()}",
        "versions": f"Python {platform.python_version()}, {', '.join(_packages())}, {', '.join(_servers())}",
        "command": command,
    }


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return names[0] if names else platform.processor()


def _packages() -> list[str]:
    """The same in both environments, or both are named."""
    theirs = _run(str(PEERS), "-c", _VERSIONS, *_PACKAGES)
    pairs = re.findall(r"(\S+) (\S+)", theirs)
    return [f"{name} {version}" + _unless(version, name) for name, version in pairs]


def _unless(version: str, name: str) -> str:
    try:
        here = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    return "" if here == version else f" (stores: {here})"


def _servers() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        redis = _run(str(redis_server(Path(folder))), "--version")
    commands = {
        "Redis": redis,
        "Valkey": _run(str(valkey()), "--version"),
        "MariaDB": _run("mariadbd", "--no-defaults", "--version"),
        "PostgreSQL": _run(program("postgres"), "--version"),
        "MongoDB": _run(mongod(), "--version"),
    }
    return [
        f"{name} {match[1]}" for name, text in commands.items() if (match := re.search(r"(\d+\.\d+(\.\d+)?)", text))
    ]


def _run(*command: str) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin"
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}).stdout


if __name__ == "__main__":
    print(*describe_environment(" ".join(sys.argv)).items(), sep="\n")
