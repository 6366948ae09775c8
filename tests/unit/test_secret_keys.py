"""The option `secret_key`: secrets that anybody knows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, MemoryStore, SessionMiddleware
from starlette_sessions_ext._core.secret_keys import is_published, is_short, read_secrets

from ..support.client import SECRET, make_app
from ..support.pages import DOCS, ROOT

PAGES = [ROOT / "README.md", *DOCS.glob("*.md")]
SHOWN = {
    secret
    for page in PAGES
    for values in re.findall(r"secret_key=(\[[^]]*\]|\"[^\"]*\")", page.read_text())
    for secret in re.findall(r'"([^"]*)"', values)
}


def test_the_pages_show_some() -> None:
    assert len(SHOWN) >= 3


@pytest.mark.parametrize("secret", sorted(SHOWN))
def test_every_secret_of_the_documentation_is_known(secret: str) -> None:
    assert is_published(secret) or is_short(secret)


@pytest.mark.parametrize(
    "secret", ["Change-Me please, it's long", "CHANGEME_CHANGEME_CHANGEME", "your-secret-key-goes-here"]
)
def test_other_placeholders_are_known_too(secret: str) -> None:
    assert is_published(secret)


@pytest.mark.parametrize("secret", [SECRET, "x" * 32, "7d2f90c4b81a63e57d2f90c4b81a63e5"])
def test_others_are_taken(secret: str) -> None:
    assert not is_published(secret)


@pytest.mark.parametrize("secret_key", [5, object(), {SECRET}, {SECRET: 1}, iter([SECRET])])
def test_what_has_no_first_secret_is_refused(secret_key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^secret_key must be a non-empty str"):
        read_secrets(secret_key)


@pytest.mark.parametrize("position", [0, 1])
def test_a_secret_of_the_documentation_is_warned_of(position: int, caplog: pytest.LogCaptureFixture) -> None:
    secrets = [SECRET]
    secrets.insert(position, "change me: 32 random bytes")
    SessionMiddleware(make_app(MemoryStore(), {}), secrets, store=MemoryStore())
    [message] = caplog.messages
    assert "secret_key is a placeholder of the documentation" in message
    assert "32 random bytes" not in message
