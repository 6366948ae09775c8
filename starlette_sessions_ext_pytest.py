"""Fixtures of starlette-sessions-ext for pytest.

pytest imports this module in every run, so it stands outside of the package, which is imported when a
test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette_sessions_ext.testing.client import SessionOf


@pytest.fixture
def session_of() -> Callable[..., SessionOf]:
    """`starlette_sessions_ext.testing.session_of`: `with session_of(client) as session: ...`."""
    from starlette_sessions_ext.testing import session_of

    return session_of


@pytest.fixture
def sign_in() -> Callable[..., None]:
    """`starlette_sessions_ext.testing.sign_in`: `sign_in(client, 42)`."""
    from starlette_sessions_ext.testing import sign_in

    return sign_in
