from __future__ import annotations

import pytest

from ..support import browser_server
from ..support.needed_servers import needs_browser, needs_server


def test_a_test_without_servers_needs_none(request: pytest.FixtureRequest) -> None:
    assert not needs_server(request.node)


@pytest.mark.usefixtures("redis_url")
def test_a_test_on_a_server_needs_it(request: pytest.FixtureRequest) -> None:
    assert needs_server(request.node)


def test_unit_and_middleware_need_no_server(request: pytest.FixtureRequest) -> None:
    """Check the tests of this run: all of them, if the run is of everything."""
    inside = [item for item in request.session.items if {"unit", "middleware"} & {*item.path.parent.parts}]
    assert [item.nodeid for item in inside if needs_server(item)] == []


def test_a_test_whose_module_imports_the_browser_needs_it(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs_browser(request.node)
    monkeypatch.setitem(globals(), "Browser", browser_server.Browser)
    assert needs_browser(request.node)
