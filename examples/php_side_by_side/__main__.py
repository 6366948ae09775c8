"""Start both: `python -m examples.php_side_by_side`, then open http://127.0.0.1:8000 and click to and fro.

It needs php with phpredis, uvicorn, redis-py, and a Redis, whose address `--save-path` gives as PHP does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

import uvicorn

LOCKING = {
    "redis.session.locking_enabled": "1",
    "redis.session.lock_retries": "-1",
    "redis.session.lock_wait_time": "2000",
    "redis.session.lock_expire": "30",
}
"""Without locks a page of PHP overwrites what Python has counted since the page began."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m examples.php_side_by_side")
    parser.add_argument("--port", type=int, default=8000, help="of the Python side")
    parser.add_argument("--php-port", type=int, default=8001)
    parser.add_argument("--save-path", default="tcp://127.0.0.1:6379", help="session.save_path of phpredis")
    options = parser.parse_args()
    os.environ["SAVE_PATH"] = options.save_path
    os.environ["PHP_URL"] = f"http://127.0.0.1:{options.php_port}/"
    os.environ["PYTHON_URL"] = f"http://127.0.0.1:{options.port}/"
    settings = {
        "session.save_handler": "redis",
        "session.save_path": options.save_path,
        "session.use_strict_mode": "1",
        "session.cookie_httponly": "1",
        "session.cookie_samesite": "Lax",
        **LOCKING,
    }
    flags = [part for name, value in settings.items() for part in ("-d", f'{name}="{value}"')]
    page = Path(__file__).with_name("index.php")
    php = subprocess.Popen(["php", *flags, "-S", f"127.0.0.1:{options.php_port}", str(page)])  # noqa: S603, S607
    try:
        uvicorn.run("examples.php_side_by_side.app:app", port=options.port)
    finally:
        php.terminate()
        php.wait()


if __name__ == "__main__":
    main()
