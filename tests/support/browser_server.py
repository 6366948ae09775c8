"""A headless Chromium, driven through ChromeDriver by the WebDriver protocol (https://www.w3.org/TR/webdriver2/).

The protocol is JSON over HTTP, and the tests need ten of its commands. So they need no package for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from .servers import ANSWER_WITHIN, Server, running, wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, 12.1: the key of a reference to an element
_ANSWER_WITHIN = 90.0
"""Seconds for one command: starting a browser on a busy machine is one."""

_TEXT = """
    const found = [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility());
    return found.map((one) => one.innerText).join("\\n");
"""

_OPTIONS = [
    "--headless",
    "--no-sandbox",  # root can't have one
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--remote-debugging-pipe",  # it ends when ChromeDriver does
    "--no-first-run",
    "--no-proxy-server",
    "--disable-quic",
    "--disable-background-networking",  # it asks nothing outside
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    # A tab in the background works as one in front does.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
]


class ChromeDriver(Server):
    """A ChromeDriver, which starts and ends browsers."""

    def command(self) -> list[str]:
        program = shutil.which("chromedriver")
        if program is None:
            raise RuntimeError("there is no chromedriver: run scripts/install-servers browser")
        self.environment = {"HOME": str(self.folder)}  # where Chromium keeps what isn't in its profile
        return [program, f"--port={self.port}"]

    def answers(self) -> bool:
        try:
            status = httpx.get(f"http://127.0.0.1:{self.port}/status", timeout=ANSWER_WITHIN, trust_env=False)
        except httpx.HTTPError:
            return False
        return bool(status.json()["value"]["ready"])


class Browser:
    """One browser with its own cookies. Methods act on the tab that was chosen last."""

    def __init__(self, commands: httpx.Client) -> None:
        self._commands = commands

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._commands.request(method, path, content=None if body is None else json.dumps(body))
        value = answer.json()["value"]
        if answer.is_error:
            raise RuntimeError(f"{value['error']}: {value['message']}")
        return value

    def open(self, url: str) -> None:
        """Load a page in this tab, and wait until it has loaded."""
        self._send("POST", "url", {"url": url})

    def open_tab(self, url: str) -> str:
        """Open a tab with a page, choose it, and return its handle."""
        tab: str = self._send("POST", "window/new", {"type": "tab"})["handle"]
        self.choose_tab(tab)
        self.open(url)
        return tab

    def tab(self) -> str:
        handle: str = self._send("GET", "window")
        return handle

    def choose_tab(self, tab: str) -> None:
        self._send("POST", "window", {"handle": tab})

    def click(self, selector: str) -> None:
        """Click on what a CSS selector finds, as a user does: it has to be visible, and nothing may cover it."""
        element = self._send("POST", "element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._send("POST", f"element/{element}/click", {})

    def text(self, selector: str) -> str:
        """Return the visible text of all elements that a CSS selector finds."""
        text: str = self.run(_TEXT, selector)
        return text

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page, and return what it returns."""
        return self._send("POST", "execute/sync", {"script": script, "args": arguments})

    def run_async(self, script: str) -> Any:
        """Run JavaScript, and wait until it calls its last argument."""
        return self._send("POST", "execute/async", {"script": script, "args": []})

    def wait_until(self, script: str) -> None:
        """Wait until JavaScript returns true."""
        wait_until(lambda: self.run(script) is True)

    def wait_for(self, selector: str, *texts: str) -> None:
        """Wait until all texts are visible in what a CSS selector finds."""
        try:
            wait_until(lambda: all(text in self.text(selector) for text in texts))
        except RuntimeError as error:
            raise AssertionError(f"{selector} doesn't say {texts}: {self.text('body')}") from error

    def send_command(self, name: str, **parameters: Any) -> Any:
        """Send a command of the Chrome DevTools protocol."""
        return self._send("POST", "goog/cdp/execute", {"cmd": name, "params": parameters})

    def log(self) -> list[str]:
        """Return what the console got since the last call: uncaught errors and failed requests among it."""
        entries: list[dict[str, Any]] = self._send("POST", "se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser, and end it with all of its tabs."""
    options = {"args": [*_OPTIONS, f"--user-data-dir={folder / 'profile'}"]}
    capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    with running(ChromeDriver(folder)) as (driver,):
        address = f"http://127.0.0.1:{driver.port}/session"
        with httpx.Client(timeout=_ANSWER_WITHIN, trust_env=False) as client:
            answer = client.post(address, json={"capabilities": {"alwaysMatch": capabilities}})
            assert answer.is_success, answer.text
            address += f"/{answer.json()['value']['sessionId']}"
            with httpx.Client(base_url=address, timeout=_ANSWER_WITHIN, trust_env=False) as commands:
                try:
                    yield Browser(commands)
                finally:
                    client.delete(address)
