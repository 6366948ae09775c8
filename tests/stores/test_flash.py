"""Flash messages: shown once, whatever runs in parallel, on every kind of store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import Depends, FastAPI
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    RedisStore,
    SessionMiddleware,
    SessionStore,
    SQLiteStore,
    StoreUnavailable,
    get_session,
)
from starlette_sessions_ext.flash import claim_flashed_messages, flash, get_flashed_messages

from ..support.client import SECRET, Browser, make_app
from ..support.store_wrappers import CountingStore, WrappedStore

pytestmark = pytest.mark.anyio

PAGE = """
{%- for category, text in get_flashed_messages(request, with_categories=true) %}[{{ category }}: {{ text }}]{% endfor %}
"""
templates = Jinja2Templates(env=Environment(loader=DictLoader({"page.html": PAGE}), autoescape=True))
templates.env.globals["get_flashed_messages"] = get_flashed_messages


async def say(request: Request) -> Any:
    """/say?category=text, in this order"""
    for category, text in request.query_params.multi_items():
        flash(request, text, category)
    return RedirectResponse("/page", status_code=303)


async def page(request: Request) -> Response:
    await claim_flashed_messages(request)
    return templates.TemplateResponse(request, "page.html")


async def unclaimed(request: Request) -> Response:
    return templates.TemplateResponse(request, "page.html")


async def other(request: Request) -> Any:
    """/other?category: claims, and shows this category only"""
    await claim_flashed_messages(request)
    return get_flashed_messages(request, category_filter=list(request.query_params))


async def count(request: Request) -> Any:
    return len(request.session)


HANDLERS = {"/say": say, "/page": page, "/unclaimed": unclaimed, "/other": other, "/count": count}


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


@pytest.fixture
def browser(store: CountingStore) -> Browser:
    return Browser(make_app(store, HANDLERS))


async def text(browser: Browser, path: str = "/page") -> str:
    answer = await browser.get(path)
    assert answer.status == 200
    return answer.body.decode()


# One request after another


async def test_they_are_shown_once_over_a_redirect_in_the_order_of_flash(browser: Browser) -> None:
    assert (await browser.get("/say?success=Saved&info=2&success=3")).status == 303
    assert await text(browser) == "[success: Saved][info: 2][success: 3]"
    assert await text(browser) == ""


async def test_they_keep_their_order_where_the_clock_stands(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    await browser.get("/say?" + "&".join(f"info={number}" for number in range(10)))
    monkeypatch.setattr(time, "time_ns", lambda: 4)
    await browser.get("/say?info=10")
    assert await text(browser) == "".join(f"[info: {number}]" for number in range(11))


async def test_what_isnt_shown_waits(browser: Browser) -> None:
    await browser.get("/say?success=1&error=2&info=3")
    assert (await browser.get("/other?error")).json() == ["2"]
    assert (await browser.get("/other?nothing")).json() == []
    assert await text(browser) == "[success: 1][info: 3]"
    assert await text(browser) == ""


async def test_no_message_stays_behind(browser: Browser, store: CountingStore) -> None:
    await browser.get("/say?info=secret")
    await text(browser)
    assert isinstance(store.store, MemoryStore)
    [row] = store.store._rows.values()
    assert row.data.endswith(b'\n{"_flash.kept":true}')


async def test_a_page_without_messages_asks_nothing_more(browser: Browser, store: CountingStore) -> None:
    assert await text(browser) == ""
    assert store.calls == []
    await browser.get("/say?info=1")
    await text(browser, "/other?no")
    store.calls.clear()
    await text(browser)
    assert store.calls == ["load", "replace"]


async def test_the_page_varies_by_the_cookie_where_it_asks_for_messages(browser: Browser) -> None:
    assert (await browser.get("/page")).all("vary") == ["Cookie"]


async def test_text_is_escaped_and_values_are_kept(browser: Browser) -> None:
    await browser.get("/say?info=<b>")
    assert await text(browser) == "[info: &lt;b&gt;]"


async def test_they_can_be_shown_in_the_same_request(store: CountingStore) -> None:
    async def form(request: Request) -> Any:
        flash(request, "Too short", "error")
        await claim_flashed_messages(request)
        flash(request, "Too late", "error")
        first = get_flashed_messages(request, with_categories=True)
        return [first, get_flashed_messages(request), get_flashed_messages(request, category_filter=["info"])]

    browser = Browser(make_app(store, {"/": form}))
    pairs = [["error", "Too short"], ["error", "Too late"]]
    assert (await browser.get("/")).json() == [pairs, ["Too short", "Too late"], []]
    assert store.calls == []
    assert not browser.cookies


async def test_after_a_save_in_between_they_wait_for_another_page(store: CountingStore) -> None:
    async def save(request: Request) -> Any:
        await claim_flashed_messages(request)
        request.session["more"] = 1
        await get_session(request).save()
        return get_flashed_messages(request)

    browser = Browser(make_app(store, {**HANDLERS, "/save": save}))
    await browser.get("/say?info=1")
    assert (await browser.get("/save")).json() == []
    assert await text(browser) == "[info: 1]"


@pytest.mark.parametrize("asks", [True, False])
async def test_what_was_flashed_and_saved_is_claimed(store: CountingStore, asks: bool) -> None:
    async def act(request: Request) -> Any:
        flash(request, "saved")
        await get_session(request).save()
        if asks:
            assert await text(visitor.tab()) == "[message: saved]"
        await claim_flashed_messages(request)
        return get_flashed_messages(request)

    visitor = Browser(make_app(store, {**HANDLERS, "/act": act}))
    await visitor.get("/say?info=1")
    assert await text(visitor) == "[info: 1]"
    assert (await visitor.get("/act")).json() == ([] if asks else ["saved"])
    assert await text(visitor) == ""


async def test_a_sign_out_can_say_goodbye(browser: Browser) -> None:
    async def leave(request: Request) -> Any:
        get_session(request).destroy()
        flash(request, "Goodbye")
        return {}

    await browser.get("/say?info=secret")
    browser.app = make_app(MemoryStore(), {**HANDLERS, "/leave": leave})
    await browser.get("/say?info=secret")
    await browser.get("/leave")
    assert await text(browser) == "[message: Goodbye]"


async def test_no_message_goes_from_one_user_to_another() -> None:
    async def switch(request: Request) -> Any:
        flash(request, "Hello")
        await claim_flashed_messages(request)
        request.session["user_id"] = request.query_params["to"]
        flash(request, "Welcome")
        return {}

    browser = Browser(make_app(MemoryStore(), {**HANDLERS, "/switch": switch}, user="user_id"))
    await browser.get("/say?info=anonymous")
    await browser.get("/switch?to=ann")
    await browser.get("/say?info=secret")
    assert (await browser.get("/other?nothing")).json() == []
    await browser.get("/switch?to=bob")
    assert await text(browser) == "[message: Hello][message: Welcome]"


async def test_messages_end_with_their_session(store: CountingStore) -> None:
    async def slow(request: Request) -> Any:
        await tab.get("/leave")
        await claim_flashed_messages(request)
        return get_flashed_messages(request)

    async def leave(request: Request) -> Any:
        get_session(request).destroy()
        return {}

    browser = Browser(make_app(store, {**HANDLERS, "/leave": leave, "/slow": slow}))
    await browser.get("/say?info=secret")
    tab = browser.tab()
    assert (await browser.get("/slow")).json() == []


async def test_keys_of_the_application_are_left(browser: Browser) -> None:
    async def fill(request: Request) -> Any:
        request.session.update({"_flash.": 1, "_flash.mine": 2, "_flashes": 3})
        return {}

    browser = Browser(make_app(MemoryStore(), {**HANDLERS, "/fill": fill}))
    await browser.get("/fill")
    await browser.get("/say?info=1")
    assert await text(browser) == "[info: 1]"
    assert (await browser.get("/count")).json() == 3


async def test_a_store_that_fails_is_no_lost_message(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/say?info=1")

    async def fail(*arguments: Any) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store.store, "replace", fail)
        assert (await browser.get("/page")).status == 503
    assert await text(browser) == "[info: 1]"


# Templates


async def test_on_the_event_loop_a_claim_comes_first(browser: Browser) -> None:
    with pytest.raises(ConfigurationError, match=r"await claim_flashed_messages\(request\) in the handler, or add"):
        await browser.get("/unclaimed")  # also if there are none


def test_a_def_endpoint_claims_for_itself() -> None:
    def say(request: Request) -> Response:
        flash(request, "Saved", "success")
        return RedirectResponse("/", status_code=303)

    def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    app = Starlette(routes=[Route("/say", say), Route("/", page)])
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore())
    with TestClient(app) as client:
        assert client.get("/say").text == "[success: Saved]"
        assert client.get("/").text == ""


def test_a_dependency_claims_for_all_routes() -> None:
    app = FastAPI(dependencies=[Depends(claim_flashed_messages)])
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore())

    @app.get("/say")
    async def say(request: Request) -> None:
        flash(request, "Saved", "success")

    @app.get("/")
    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    @app.get("/api")
    async def api() -> None: ...

    with TestClient(app) as client:
        answer = client.get("/api")
        assert "vary" not in answer.headers, "it shows none, and depends on none"
        client.get("/say")
        assert client.get("/api").status_code == 200
        assert client.get("/").text == "[success: Saved]"
        assert client.get("/").text == ""


async def test_a_stream_shows_nothing_that_was_saved_as_it_started(store: CountingStore) -> None:
    async def stream(request: Request) -> Response:
        await claim_flashed_messages(request)

        async def body() -> AsyncIterator[str]:
            yield "".join(get_flashed_messages(request))

        return StreamingResponse(body())

    browser = Browser(make_app(store, {**HANDLERS, "/stream": stream}))
    await browser.get("/say?info=1")
    assert await text(browser, "/stream") == ""
    assert await text(browser) == "[info: 1]"


# In parallel, on real stores

PARALLEL = 16
Open = Callable[[], SessionStore]


class TurningStore(WrappedStore):
    """Lets other tasks run before each call, as a server does."""

    async def before(self, call: str) -> None:
        await anyio.lowlevel.checkpoint()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return a function that opens the same store again, as another process would; memory is one store."""
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "sessions.db")
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return lambda: RedisStore(url)
    memory = TurningStore(MemoryStore())
    return lambda: memory


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # of Redis


async def test_parallel_requests_show_each_message_once(open_store: Open) -> None:
    async with open_store() as one, open_store() as two:
        apps = [make_app(one, HANDLERS), make_app(two, HANDLERS)]
        browser = Browser(apps[0])
        for round_number in range(5):
            await browser.get(f"/say?info={round_number}&error={round_number}")
            shown: list[str] = []

            async def look(number: int, shown: list[str] = shown) -> None:
                tab = browser.tab()
                tab.app = apps[number % 2]
                shown.append(await text(tab))

            async with anyio.create_task_group() as group:
                for number in range(PARALLEL):
                    group.start_soon(look, number)
            assert sorted(filter(None, shown)) == [f"[info: {round_number}][error: {round_number}]"]
            browser.cookies.clear()


async def test_parallel_requests_that_flash_lose_none(open_store: Open) -> None:
    async with open_store() as one, open_store() as two:
        apps = [make_app(one, HANDLERS), make_app(two, HANDLERS)]
        browser = Browser(apps[0])
        await browser.get("/say?info=first")
        seen: list[str] = []

        async def act(number: int) -> None:
            tab = browser.tab()
            tab.app = apps[number % 2]
            if number % 3:
                await tab.get(f"/say?info={number}")
            else:
                seen.extend((await tab.get("/other?info")).json())

        async with anyio.create_task_group() as group:
            for number in range(PARALLEL):
                group.start_soon(act, number)
        seen.extend((await browser.get("/other?info")).json())
        expected = ["first", *(str(number) for number in range(PARALLEL) if number % 3)]
        assert sorted(seen) == sorted(expected)
