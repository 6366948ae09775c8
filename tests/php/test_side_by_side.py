"""The example with a page of PHP and an application of Python, clicked through."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy

import pytest

from ..support.php_process import php
from ..support.redis_server import RedisServer
from ..support.servers import answers, die_with_parent, free_port, wait_until

pytestmark = pytest.mark.slow

Ports = tuple[int, int]


@pytest.fixture(scope="module")
def ports(redis_server: RedisServer) -> Iterator[Ports]:
    """Those of the Python side and of the PHP side."""
    assert php()
    python_port, php_port = free_port(), free_port()
    options = ["--port", str(python_port), "--php-port", str(php_port)]
    options += ["--save-path", f"tcp://127.0.0.1:{redis_server.port}"]
    with subprocess.Popen([*die_with_parent(), sys.executable, "-m", "examples.php_side_by_side", *options]) as both:
        try:
            wait_until(lambda: answers(python_port) and answers(php_port))
            yield python_port, php_port
        finally:
            both.send_signal(signal.SIGINT)
            assert both.wait(30) in (0, 130, -signal.SIGINT)
    assert not answers(php_port)


class Browser:
    """Keeps cookies; to a browser the ports of one host are one site."""

    def __init__(self) -> None:
        jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainLiberal))
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def open(self, port: int, do: str | None = None) -> str:
        """Look at a side, or click a button there; the name and the count that it shows."""
        data = None if do is None else urllib.parse.urlencode({"do": do}).encode()
        page = self._opener.open(f"http://127.0.0.1:{port}/", data).read().decode()
        match = re.search(r'<p>(\w+), the count is <strong id="count">(\d+)<', page)
        assert match is not None
        return f"{match[1]} {match[2]}"


def test_both_raise_one_counter(ports: Ports) -> None:
    browser = Browser()
    for number in range(1, 11):
        assert browser.open(ports[number % 2], "count") == f"Nobody {number}"
    assert {browser.open(port) for port in ports} == {"Nobody 10"}


@pytest.mark.parametrize("one", [0, 1], ids=["python", "php"])
@pytest.mark.parametrize("other", [0, 1], ids=["python", "php"])
def test_who_signs_in_and_out_on_either_side_does_on_both(ports: Ports, one: int, other: int) -> None:
    browser = Browser()
    browser.open(ports[one], "count")
    browser.open(ports[one], "in")
    assert {browser.open(port) for port in ports} == {"Ada 1"}
    browser.open(ports[other], "out")
    assert {browser.open(port) for port in ports} == {"Nobody 0"}


def test_clicks_on_both_sides_at_once_are_all_counted(ports: Ports) -> None:
    browser = Browser()
    browser.open(ports[0], "count")
    with ThreadPoolExecutor(8) as clicks:
        list(clicks.map(lambda number: browser.open(ports[number % 2], "count"), range(60)))
    assert {browser.open(port) for port in ports} == {"Nobody 61"}
