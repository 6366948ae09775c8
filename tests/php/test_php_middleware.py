"""One session of a real PHP and of `PHPSessionMiddleware`, over HTTP on both sides."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from starlette_sessions_ext import ConfigurationError, NotSerializable
from starlette_sessions_ext.events import SessionEvent
from starlette_sessions_ext.php import PHPSettings, dumps, loads
from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.middleware import PHPSessionMiddleware

from ..support.asyncio_only import anyio_backend
from ..support.client import Browser
from ..support.php_server import PHPServer
from ..support.servers import running

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

Handler = Callable[[Request], Awaitable[Any]]


async def read(request: Request) -> Any:
    return dict(request.session)


async def count(request: Request) -> Any:
    request.session["count"] = request.session.get("count", 0) + 1
    return request.session["count"]


async def sign_in(request: Request) -> Any:
    request.state.session.rotate()
    request.session["user"] = "ann"


async def sign_out(request: Request) -> Any:
    request.state.session.destroy()


async def restart(request: Request) -> Any:
    request.state.session.destroy()
    request.session["user"] = "bob"


async def restart_slowly(request: Request) -> Any:
    request.state.session.destroy()
    await request.state.session.save()
    request.session["user"] = "bob"


async def empty(request: Request) -> Any:
    for key in list(request.session):
        del request.session[key]


async def exact(request: Request) -> Any:
    def change(data: dict[str, Any]) -> int:
        data["count"] = data.get("count", 0) + 1
        return int(data["count"])

    return await request.state.session.atomic(change)


async def renew(request: Request) -> Any:
    request.session["x"] = 1
    request.state.session.renew(10)


async def set_lifetime(request: Request) -> Any:
    request.session["x"] = 1
    request.state.session.set_lifetime(60)


async def look_inside(request: Request) -> Any:
    return [key for key, value in request.session.items() if value]


HANDLERS: dict[str, Handler] = {
    "/read": read,
    "/count": count,
    "/in": sign_in,
    "/out": sign_out,
    "/restart": restart,
    "/restart-slowly": restart_slowly,
    "/empty": empty,
    "/exact": exact,
    "/renew": renew,
    "/set-lifetime": set_lifetime,
    "/look": look_inside,
}


def make_app(
    store: PHPFileStore,
    settings: PHPSettings | None = None,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    **options: Any,
) -> Starlette:
    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def respond(request: Request) -> JSONResponse:
            return JSONResponse(await handler(request))

        return respond

    app = Starlette(routes=[Route(path, endpoint(handler)) for path, handler in handlers.items()])
    app.add_middleware(PHPSessionMiddleware, store=store, settings=settings, **options)
    return app


class Site:
    """A browser, with a page of PHP and an application of Python on one host."""

    def __init__(self, app: Starlette, server: PHPServer) -> None:
        self.browser = Browser(app)
        self._server = server

    async def python(self, path: str) -> Any:
        return (await self.browser.get(path)).json()

    async def php(self, query: str = "do=read") -> Any:
        text, cookies = await anyio.to_thread.run_sync(
            self._server.request, f"session.php?{query}", self.browser.cookies.get("PHPSESSID")
        )
        self.browser.cookies.update(cookies)
        session = json.loads(text)["session"]
        return {} if session == [] else session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PHPServer]:
    with running(PHPServer(tmp_path_factory.mktemp("php"), {"session.save_path": folder})) as [started]:
        yield started


@pytest.fixture
def events() -> list[SessionEvent]:
    return []


@pytest.fixture
def store(folder: Path) -> PHPFileStore:
    return PHPFileStore(str(folder))


@pytest.fixture
def site(store: PHPFileStore, server: PHPServer, events: list[SessionEvent]) -> Site:
    return Site(make_app(store, on_event=events.append), server)


def file_of(folder: Path, site: Site) -> Path:
    return folder / f"sess_{site.browser.cookies['PHPSESSID']}"


@pytest.mark.parametrize("begins", ["php", "python"])
async def test_both_raise_one_counter(site: Site, begins: str) -> None:
    for number in range(20):
        if (number % 2 == 0) == (begins == "php"):
            await site.php("do=count")
        else:
            assert await site.python("/count") == number + 1
    assert (await site.python("/read"))["count"] == 20
    assert (await site.php())["count"] == 20


async def test_who_signs_in_on_either_side_is_signed_in_on_both(site: Site) -> None:
    await site.php("do=set&key=cart&value=full")
    before = site.browser.cookies["PHPSESSID"]
    await site.python("/in")
    assert site.browser.cookies["PHPSESSID"] != before
    assert await site.php() == {"cart": "full", "user": "ann"}
    site.browser.cookies["PHPSESSID"] = before
    assert await site.python("/read") == {}, "the id of before the sign-in opens nothing"


async def test_a_late_request_with_a_replaced_id_doesnt_sign_out(site: Site, folder: Path) -> None:
    for path in ("/in", "/restart", "/restart-slowly"):
        await site.python("/count")
        late = site.browser.tab()
        await site.python(path)
        answer = await late.get("/count")
        assert answer.set_cookies == []
        assert await site.php()


async def test_what_php_writes_during_a_sign_in_is_taken_along(store: PHPFileStore, server: PHPServer) -> None:
    async def sign_in_slowly(request: Request) -> Any:
        request.state.session.rotate()
        request.session["user"] = "ann"
        await both.php("do=set&key=cart&value=full")

    both = Site(make_app(store, handlers={**HANDLERS, "/in-slowly": sign_in_slowly}), server)
    await both.python("/count")
    await both.python("/in-slowly")
    assert await both.python("/read") == await both.php() == {"count": 1, "cart": "full", "user": "ann"}


async def test_who_signs_out_on_either_side_is_signed_out_on_both(site: Site, folder: Path) -> None:
    await site.python("/in")
    await site.php("do=destroy")
    assert await site.python("/read") == {}
    await site.python("/in")
    path = file_of(folder, site)
    await site.python("/out")
    assert not path.exists()
    assert await site.php() == {}


async def test_an_id_that_php_has_replaced_opens_nothing(site: Site) -> None:
    await site.python("/in")
    before = site.browser.cookies["PHPSESSID"]
    await site.php("do=regenerate")
    assert site.browser.cookies["PHPSESSID"] != before
    assert await site.python("/read") == {"user": "ann"}
    site.browser.cookies["PHPSESSID"] = before
    assert await site.python("/read") == {}


async def test_an_unknown_id_is_never_adopted_and_its_cookie_is_left_alone(site: Site) -> None:
    site.browser.cookies["PHPSESSID"] = "attacker" * 4
    answer = await site.browser.get("/read")
    assert answer.set_cookies == []
    await site.python("/count")
    assert site.browser.cookies["PHPSESSID"] != "attacker" * 4


async def test_an_empty_session_of_php_is_none(site: Site, folder: Path) -> None:
    await site.php()
    path = file_of(folder, site)
    assert path.read_bytes() == b""
    os.utime(path, (time.time() - 1000,) * 2)
    answer = await site.browser.get("/read")
    assert answer.set_cookies == []
    assert path.exists(), "nor is it ended"
    await site.python("/count")
    assert file_of(folder, site) != path


async def test_a_session_that_python_empties_has_ended(site: Site, folder: Path) -> None:
    await site.python("/count")
    path = file_of(folder, site)
    await site.python("/empty")
    assert not path.exists()
    assert "PHPSESSID" not in site.browser.cookies or not site.browser.cookies["PHPSESSID"]


async def test_parallel_requests_of_both_lose_nothing(site: Site, store: PHPFileStore) -> None:
    await site.python("/count")
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(site.php, "do=count")
            group.start_soon(site.python, "/exact")
    assert (await site.php())["count"] == 41


async def test_use_moves_the_expiry(site: Site, folder: Path) -> None:
    await site.python("/count")
    path = file_of(folder, site)
    os.utime(path, (time.time() - 1000,) * 2)
    answer = await site.browser.get("/read")
    assert answer.set_cookies == []
    assert path.stat().st_mtime > time.time() - 100


async def test_reading_what_php_refers_to_changes_nothing(site: Site, folder: Path) -> None:
    """A session with PHP references, or with floats of PHP before 7.1, isn't written again without a change."""
    await site.python("/count")
    path = file_of(folder, site)
    for stored in (b"a|a:1:{i:0;i:1;}b|R:1;", b"a|a:1:{i:0;d:0.10000000000000001;}"):
        path.write_bytes(stored)
        assert await site.python("/look")
        assert path.read_bytes() == stored
        assert await site.python("/count") == 1
        assert loads(path.read_bytes(), "php")["count"] == 1


async def test_an_object_of_php_survives_a_change(site: Site, folder: Path) -> None:
    await site.python("/count")
    path = file_of(folder, site)
    path.write_bytes(b'o|O:8:"stdClass":1:{s:1:"x";i:1;}count|i:1;')
    assert await site.python("/count") == 2
    assert path.read_bytes() == b'o|O:8:"stdClass":1:{s:1:"x";i:1;}count|i:2;'


async def test_what_cant_be_saved_names_the_key_and_the_class(site: Site, folder: Path) -> None:
    await site.python("/count")
    path = file_of(folder, site)
    stored = b'n|i:1;o|O:8:"stdClass":1:{s:1:"x";R:1;}'
    path.write_bytes(stored)
    with pytest.raises(NotSerializable, match=r"session\['o'\].*stdClass"):
        await site.browser.get("/count")
    assert path.read_bytes() == stored


async def test_bytes_that_cant_be_read_are_left_as_they_are(
    site: Site, folder: Path, events: list[SessionEvent]
) -> None:
    await site.python("/count")
    path = file_of(folder, site)
    path.write_bytes(b"count|i:1")
    assert await site.python("/count") == 1
    assert path.read_bytes() == b"count|i:1"
    assert file_of(folder, site) != path
    assert "record_corrupt" in {event.kind.value for event in events}


@pytest.mark.parametrize(("path", "message"), [("/renew", "rotate the id"), ("/set-lifetime", "one lifetime")])
@pytest.mark.parametrize("exists", [True, False])
async def test_what_has_no_place_in_php_s_sessions_is_refused(
    site: Site, path: str, message: str, exists: bool
) -> None:
    if exists:
        await site.python("/count")
    elif path == "/renew":
        return  # a new session has no old id
    with pytest.raises(ConfigurationError, match=message):
        await site.browser.get(path)


@pytest.mark.parametrize(
    "option",
    ["secret_key", "max_age", "absolute_timeout", "renew_after", "user", "legacy_cookies", "serializer", "nonsense"],
)
def test_options_that_have_no_place_are_refused_with_the_reason(folder: Path, option: str) -> None:
    given: Any = {option: 60}
    with pytest.raises(ConfigurationError, match=f"{option}: "):
        PHPSessionMiddleware(Starlette(), PHPFileStore(str(folder)), **given)


def test_settings_are_checked(folder: Path) -> None:
    wrong: Any = {"name": "PHPSESSID"}
    with pytest.raises(ConfigurationError, match="PHPSettings"):
        PHPSessionMiddleware(Starlette(), PHPFileStore(str(folder)), wrong)


@pytest.mark.parametrize("format", ["php", "php_serialize", "php_binary"])
async def test_settings_have_their_effect(tmp_path: Path, format: Any) -> None:
    settings = PHPSettings(
        name="shop", serialize_handler=format, cookie_lifetime=600, sid_length=40, sid_bits_per_character=6
    )
    store = PHPFileStore(str(tmp_path), format=format)
    browser = Browser(make_app(store, settings))
    assert (await browser.get("/count")).json() == 1
    answer = await browser.get("/in")
    [sent] = answer.set_cookies
    assert sent.startswith("shop=")
    assert "; Max-Age=600; path=/" in sent
    [path] = tmp_path.iterdir()
    assert len(path.name) == len("sess_") + 40
    assert path.read_bytes() == dumps({"count": 1, "user": "ann"}, format)
    middleware = PHPSessionMiddleware(Starlette(), store, settings)
    assert (middleware.session_cookie, middleware.max_age, middleware.path) == ("shop", 600, "/")
    assert middleware.security_flags == ""


@pytest.mark.parametrize("format", ["php_serialize", "php_binary"])
async def test_both_share_a_session_under_other_settings(tmp_path: Path, format: Any) -> None:
    """In folders by the first character of the id, and with ids that the cookie has to encode."""
    folder = tmp_path / "sessions"
    for character in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-,":
        (folder / character).mkdir(parents=True)
    settings: dict[str, object] = {
        "session.save_path": f"1;0640;{folder}",
        "session.serialize_handler": format,
        "session.sid_bits_per_character": 6,
        "session.sid_length": 40,
        "session.use_strict_mode": 1,
        "session.lazy_write": 0,
        "session.gc_maxlifetime": 600,
    }
    ours = PHPSettings(serialize_handler=format, sid_bits_per_character=6, sid_length=40, gc_maxlifetime=600)
    async with PHPFileStore(f"1;0640;{folder}", format=format, lifetime=600) as store:
        with running(PHPServer(tmp_path, settings)) as [server]:
            for _ in range(10):
                site = Site(make_app(store, ours), server)
                await site.python("/in")
                assert await site.php("do=set&key=cart&value=full") == {"user": "ann", "cart": "full"}
                assert await site.python("/read") == {"user": "ann", "cart": "full"}
                other = Site(make_app(store, ours), server)
                await other.php("do=set&key=cart&value=full")
                await other.python("/count")
                assert await other.php("do=regenerate") == {"cart": "full", "count": 1}
                await other.python("/out")
                assert await other.php() == {}


async def test_a_store_that_makes_no_session_is_noticed(store: PHPFileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def create(*arguments: Any) -> bool:
        return False

    monkeypatch.setattr(store, "create", create)
    with pytest.raises(Exception, match="several fresh ids"):
        await Browser(make_app(store)).get("/count")


def test_a_store_with_another_lifetime_is_refused(tmp_path: Path) -> None:
    """The expiry of a session would change with the side that uses it."""
    store = PHPFileStore(str(tmp_path), lifetime=7200)
    with pytest.raises(ConfigurationError, match=r"7200 seconds, .* 1440"):
        PHPSessionMiddleware(Starlette(), store=store)
    PHPSessionMiddleware(Starlette(), store=store, settings=PHPSettings(gc_maxlifetime=7200))
