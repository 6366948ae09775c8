"""One PHP process that answers questions about sessions, over a pipe: the judge of what PHP would do."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .servers import die_with_parent

_SCRIPT = Path(__file__).parent.parent / "php" / "answer.php"


class Verdict(NamedTuple):
    """What PHP does with a stored session."""

    destroyed: bool
    """It can't read it, and deletes it. Or an exception ends the request."""
    reencoded: bytes
    """What it stores at the end of the request."""
    value: Any
    """The session as JSON has it; None if it has no JSON, such as for invalid UTF-8."""


class PHPProcess:
    """Answers one question at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, data: bytes, format: str) -> Verdict:
        """Start a session that is stored as `data`."""
        answer = self._ask({"format": format, "data": base64.b64encode(data).decode()})
        value = None if answer["value"] is None else json.loads(answer["value"])
        if isinstance(value, list):  # a session with no keys, or with the keys 0, 1, 2 and so on
            value = {str(number): one for number, one in enumerate(value)}
        return Verdict(answer["destroyed"], base64.b64decode(answer["reencoded"]), value)

    def write(self, json_text: str, format: str) -> bytes:
        """Return what PHP stores for a session that is given as JSON."""
        return base64.b64decode(self._ask({"format": format, "session": json_text})["reencoded"])

    def floats(self, values: Sequence[float]) -> list[str]:
        """Return what PHP writes between `d:` and the semicolon."""
        texts: list[str] = self._ask({"floats": [value.hex() for value in values]})["floats"]
        return texts

    def run(self, code: str) -> Any:
        """Evaluate PHP and return its result, which has to be JSON."""
        return self._ask({"code": code})["result"]

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"PHP ended with {self._process.wait()}")
        return json.loads(line)


def php() -> str:
    """Return the path of PHP."""
    found = shutil.which("php")
    if found is None:
        raise RuntimeError("the tests need PHP: apt-get install php-cli (scripts/install-servers does it)")
    return found


@contextmanager
def running_php() -> Iterator[PHPProcess]:
    """Start a PHP process without php.ini, so that its defaults are those of PHP."""
    command = [*die_with_parent(), php(), "-n", "-d", "display_errors=stderr", "-d", "error_reporting=0", str(_SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield PHPProcess(process)
        finally:
            process.kill()
