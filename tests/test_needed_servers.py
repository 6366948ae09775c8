from __future__ import annotations

import pytest

from .needed_servers import needs_server


def test_a_test_without_servers_needs_none(request: pytest.FixtureRequest) -> None:
    assert not needs_server(request.node)


@pytest.mark.usefixtures("redis_url")
def test_a_test_on_a_server_needs_it(request: pytest.FixtureRequest) -> None:
    assert needs_server(request.node)
