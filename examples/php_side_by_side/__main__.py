"""Start both: `python -m examples.php_side_by_side`, then open http://127.0.0.1:8000 and click to and fro.

It needs php and uvicorn. Sessions are files in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser("python -m examples.php_side_by_side")
    parser.add_argument("--port", type=int, default=8000, help="of the Python side")
    parser.add_argument("--php-port", type=int, default=8001)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SESSION_FOLDER"] = folder
        os.environ["PHP_URL"] = f"http://127.0.0.1:{options.php_port}/"
        os.environ["PYTHON_URL"] = f"http://127.0.0.1:{options.port}/"
        settings = {
            "session.save_path": folder,
            "session.use_strict_mode": "1",
            "session.cookie_httponly": "1",
            "session.cookie_samesite": "Lax",
        }
        flags = [part for name, value in settings.items() for part in ("-d", f"{name}={value}")]
        page = Path(__file__).with_name("index.php")
        php = subprocess.Popen(["php", *flags, "-S", f"127.0.0.1:{options.php_port}", str(page)])  # noqa: S603, S607
        try:
            uvicorn.run("examples.php_side_by_side.app:app", port=options.port)
        finally:
            php.terminate()
            php.wait()


if __name__ == "__main__":
    main()
