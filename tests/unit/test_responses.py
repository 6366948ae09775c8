"""The 503: text, or JSON where the client asks for it."""

from __future__ import annotations

import json

import pytest
from starlette.types import Message

from starlette_sessions_ext._http.responses import RETRY_AFTER, send_plain_unavailable

pytestmark = pytest.mark.anyio

Headers = list[tuple[bytes, bytes]]

DETAIL = "Sessions are unavailable for a moment. Please try again."


async def answer(headers: Headers, kind: str = "http", extensions: dict[str, object] | None = None) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_plain_unavailable({"type": kind, "headers": headers, "extensions": extensions or {}}, send)
    return sent


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ([], False),
        ([b""], False),
        ([b"*/*"], False),  # fetch, curl, requests: nothing is asked for
        ([b"application/json"], True),
        ([b"APPLICATION/JSON; charset=utf-8"], True),
        ([b"application/json, text/plain, */*"], True),  # axios
        ([b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], False),  # browsers
        ([b"text/html, application/json"], False),
        ([b"text/html;q=0.9, application/json"], True),
        ([b"text/plain; q=0.5", b"application/json;q=0.6"], True),
        ([b"application/json;q=0.5, text/*"], False),
        ([b"application/json;q=0"], False),
        ([b"application/json;q=0, text/html;q=0"], False),
        ([b"application/problem+json"], True),
        ([b"application/vnd.api+json;q=0.9;ext=bulk"], True),
        ([b"application/xml"], False),
        ([b"application/json;q=high, text/html;q=0.1"], False),
        ([b"application/json;q=nan"], False),
        ([b",, ;q=1, application/json ,"], True),
        ([b"\xff\xfe, json, /json"], False),
    ],
)
async def test_it_is_json_where_the_client_prefers_that(accept: list[bytes], is_json: bool) -> None:
    start, body = await answer([(b"host", b"x"), *((b"accept", value) for value in accept)])
    assert start["status"] == 503
    headers = dict(start["headers"])
    if is_json:
        assert headers[b"content-type"] == b"application/json"
        assert json.loads(body["body"]) == {"detail": DETAIL}
    else:
        assert headers[b"content-type"] == b"text/plain; charset=utf-8"
        assert body["body"].decode() == DETAIL
    assert headers[b"retry-after"] == str(RETRY_AFTER).encode()
    assert headers[b"cache-control"] == b"no-store"


async def test_a_socket_s_denial_is_json_too() -> None:
    accept = [(b"accept", b"application/json")]
    start, body = await answer(accept, "websocket", {"websocket.http.response": {}})
    assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
    assert json.loads(body["body"]) == {"detail": DETAIL}
    [close] = await answer(accept, "websocket")
    assert (close["type"], close["code"]) == ("websocket.close", 1013)
