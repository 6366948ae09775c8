"""The demo's page in a real browser: each trial is run by its button, and the page says what happened."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ..support import pages
from ..support.browser_server import Browser, running_browser
from ..support.servers import Server, answers, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # more than all waits on a busy machine

SIGNED_OUT = "You were signed out from another tab or device."
UNAVAILABLE = "503: Sessions are unavailable for a moment."

TIMES = "\N{MULTIPLICATION SIGN}"

OPEN_SOCKET = """
    const done = arguments[0];
    const socket = new WebSocket(`ws://${location.host}/server/live`);
    socket.onmessage = done;
    socket.onclose = ({code}) => { window.closedWith = code; };
"""


class DemoServer(Server):
    """The demo as scripts/demo starts it."""

    def command(self) -> list[str]:
        self.environment = {"PYTHONPATH": str(pages.ROOT)}
        return [sys.executable, "-m", "examples.demo", "--port", str(self.port)]

    def answers(self) -> bool:
        return answers(self.port)

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait()


class Demo(NamedTuple):
    server: DemoServer
    browser: Browser
    url: str


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """The demo's page in one tab."""
    with running(DemoServer(tmp_path)) as (server,), running_browser(tmp_path) as browser:
        url = f"http://127.0.0.1:{server.port}/"
        browser.open(url)
        browser.wait_for("#status", "Store running")
        yield Demo(server, browser, url)


def sign_in(browser: Browser) -> None:
    browser.click("#devices .sign-in")
    browser.wait_for("#devices .rows", "this one")


def test_of_two_parallel_saves_the_cookie_loses_one(demo: Demo) -> None:
    browser = demo.browser
    browser.click("#notes-trial > button")
    browser.wait_for("#notes-trial [data-side=server]", "Both notes are kept")
    browser.wait_for("#notes-trial [data-side=cookie]", "One note is lost")
    notes = "return [...document.querySelectorAll(arguments[0])].map((one) => one.value)"
    assert browser.run(notes, "#server-shop .note input") == ["Ring twice", "Happy birthday"]
    assert sorted(browser.run(notes, "#cookie-shop .note input")) in (["", "Happy birthday"], ["", "Ring twice"])
    browser.wait_for("#feed", "conflict_merged", "created")
    assert browser.log() == []


def test_a_copied_cookie_signs_in_again_at_the_cookie_alone(demo: Demo) -> None:
    browser = demo.browser
    browser.click("#logout-trial > button")
    browser.wait_for("#logout-trial [data-side=server]", "Signed out for good")
    browser.wait_for("#logout-trial [data-side=cookie]", "Ann is signed in again")
    browser.wait_for("#cookie-shop", "Signed in as Ann")
    assert "Signed in" not in browser.text("#server-shop")
    browser.wait_for("#feed", "destroyed", "created")
    assert browser.text("#notice") == ""  # this page signed out, so there is nothing to report
    assert browser.log() == []


def test_a_stopped_store_is_reported_and_nothing_is_lost(demo: Demo) -> None:
    browser = demo.browser
    browser.click("#server-shop button[value=mug]")
    browser.wait_for("#server-shop .cart", f"1 {TIMES} Clay mug: €19.00")
    browser.click("#store > button")
    browser.wait_for("#status", "Store stopped")
    browser.wait_for("#store .log", "Add tea: 503", "Retry-After: 5 s")
    browser.wait_for("#server-shop .problem", UNAVAILABLE)
    browser.click("#cookie-shop button[value=tea]")
    browser.wait_for("#cookie-shop .cart", f"1 {TIMES} Green tea")

    browser.open(demo.url)  # the page itself needs no store
    browser.wait_for("#status", "Store stopped")
    browser.wait_for("#server-shop .problem", UNAVAILABLE)

    browser.click("#store > button")
    browser.wait_for("#status", "Store running")
    browser.wait_for("#store .log", "Add tea: 204")
    browser.wait_for("#server-shop .cart", f"1 {TIMES} Clay mug, 1 {TIMES} Green tea: €25.50")
    assert browser.text("#server-shop .problem") == ""


def test_a_remote_sign_out_closes_the_socket_of_the_other_tab(demo: Demo) -> None:
    browser, first = demo.browser, demo.browser.tab()
    sign_in(browser)
    second = browser.open_tab(browser.run("return document.querySelector('#devices .second a').href"))
    sign_in(browser)
    browser.wait_for("#devices .rows", "localhost", "127.0.0.1")
    browser.run_async(OPEN_SOCKET)

    browser.choose_tab(first)
    browser.wait_for("#devices .rows", "localhost")
    browser.click("#devices .rows button")
    browser.choose_tab(second)
    browser.wait_for("#notice", SIGNED_OUT)
    browser.wait_until("return window.closedWith === 1008")
    browser.wait_for("#devices", "Sign in as Ann")
    assert "Signed in" not in browser.text("#server-shop")

    browser.choose_tab(first)
    browser.wait_until("return document.querySelectorAll('#devices .rows li').length === 1")
    assert "Signed in as Ann" in browser.text("#server-shop")
    assert demo.server.interrupt() == 0  # with a tab open on each host


def test_another_tab_learns_of_a_sign_out_in_this_one(demo: Demo) -> None:
    browser, first = demo.browser, demo.browser.tab()
    sign_in(browser)
    other = browser.open_tab(demo.url)
    browser.wait_for("#devices .rows", "this one")
    browser.choose_tab(first)
    browser.click("#server-shop .signed-in button")
    browser.wait_for("#devices", "Sign in as Ann")
    assert browser.text("#notice") == ""
    browser.choose_tab(other)
    browser.wait_for("#notice", SIGNED_OUT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_width_in_both_color_schemes(demo: Demo, width: int, scheme: str) -> None:
    browser = demo.browser
    browser.send_command(
        "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
    )
    browser.send_command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for button in ("#notes-trial > button", "#logout-trial > button", "#devices .sign-in", "#store > button"):
        browser.click(button)
        browser.wait_until("return !document.querySelector('button:disabled')")
    assert browser.run("return innerWidth") == width  # the browser zooms out on a phone if the page is wider
    assert browser.run("return document.documentElement.scrollWidth === document.documentElement.clientWidth")
    [red, *_] = browser.run("return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)")
    assert (int(red) > 128) == (scheme == "light")
