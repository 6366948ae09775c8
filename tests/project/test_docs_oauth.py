"""docs/oauth.md, against a provider: a small OpenID Connect server that runs in the test."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ..support.pages import Run
from ..support.pages import run as run

ISSUER = "https://accounts.google.com"
KEY = RSAKey.generate_key(2048, parameters={"kid": "1"})


class Provider:
    """Signs everyone in as ann, and remembers what each code was made for."""

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.configuration),
                Route("/keys", self.keys),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def configuration(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form["code"])
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert proof == asked["code_challenge"]
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "shop", "sub": "ann-1", "email": "ann@example.com", "iat": now, "exp": now + 60}
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, {**claims, "nonce": asked["nonce"]}, KEY)
        return JSONResponse({"access_token": "secret", "token_type": "Bearer", "expires_in": 60, "id_token": id_token})


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def client(run: Run, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("GOOGLE_CLIENT_ID", "shop")
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", "shop's secret")
    names = run("oauth.md")
    names["oauth"].google.client_kwargs["transport"] = httpx2.ASGITransport(app=provider.app)
    with TestClient(names["app"], follow_redirects=False) as client:
        yield client


def callback_of(client: TestClient, provider: Provider) -> str:
    """Begin a sign-in, and return where the provider sends the browser back to."""
    begun = client.get("/sign-in").headers["location"]
    assert begun.startswith(f"{ISSUER}/authorize?")
    with TestClient(provider.app, follow_redirects=False) as browser:
        back: Any = urlsplit(browser.get(f"/authorize?{urlsplit(begun).query}").headers["location"])
    return f"{back.path}?{back.query}"


def test_the_user_is_signed_in_under_a_new_id(client: TestClient, provider: Provider) -> None:
    callback = callback_of(client, provider)
    before = client.cookies["session"]
    assert client.get(callback).headers["location"] == "/"
    assert client.cookies["session"] != before
    assert client.get("/").json() == {"user": "ann-1"}


def test_of_two_tabs_the_later_signs_in(client: TestClient, provider: Provider) -> None:
    first, second = callback_of(client, provider), callback_of(client, provider)
    assert client.get(first).json() == {"detail": "mismatching_state"}
    assert client.get(second).headers["location"] == "/"


def test_a_callback_of_another_browser_signs_nobody_in(client: TestClient, provider: Provider) -> None:
    callback = callback_of(client, provider)
    client.cookies.clear()  # as with same_site="strict", where the cookie isn't sent with the provider's redirect
    answer = client.get(callback)
    assert (answer.status_code, answer.json()) == (400, {"detail": "mismatching_state"})
    assert client.get("/").json() == {"user": None}
