"""PHP's built-in web server: one process, one page at a time."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from http.cookies import SimpleCookie
from pathlib import Path

from .php_process import php
from .servers import Server, answers

PAGES = Path(__file__).parent.parent / "php" / "pages"


class PHPServer(Server):
    """Serves tests/php/pages. `settings` are those of php.ini, such as `session.save_path`.

    `extensions` are loaded in this order; their packages are installed by scripts/install-servers.
    """

    def __init__(self, folder: Path, settings: dict[str, object], extensions: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._settings = [("extension", name) for name in extensions] + list(settings.items())

    def command(self) -> list[str]:
        settings = [part for name, value in self._settings for part in ("-d", f'{name}="{value}"')]
        return [php(), "-n", *settings, "-S", f"127.0.0.1:{self.port}", "-t", str(PAGES)]

    def answers(self) -> bool:
        return answers(self.port)

    def get(self, page: str, session_id: str) -> str:
        """Request a page with a session's cookie, and return its text."""
        return self.request(page, session_id)[0]

    def request(self, page: str, session_id: str | None) -> tuple[str, dict[str, str]]:
        """Request a page, and return its text and the values of the cookies that it sets."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Cookie": f"PHPSESSID={session_id}"} if session_id else {}
            connection.request("GET", f"/{page}", headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
            if response.status != 200:
                raise RuntimeError(f"PHP answered {response.status}: {text}")
            cookies = SimpleCookie()
            for header in response.headers.get_all("Set-Cookie", []):
                cookies.load(header)
            return text, {name: morsel.value for name, morsel in cookies.items()}
        finally:
            connection.close()
