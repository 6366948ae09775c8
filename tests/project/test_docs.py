"""The pages under docs/ tell the truth: their code runs and does what they say, and their links lead somewhere."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from starlette_sessions_ext import EventKind, MemoryStore, MigratingStore, SessionMiddleware, SQLiteStore, presets
from starlette_sessions_ext._core.ids import key_of, new_id

from ..support import pages
from ..support.pages import DOCS, ROOT
from ..support.pages import run as run

ROOT_PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "tests/README.md"]
PAGES = sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_every_page_runs(run: Any, page: str) -> None:
    for app in run(page).values():
        if isinstance(app, Starlette):
            app.build_middleware_stack()  # makes the middleware with its options


@pytest.mark.parametrize("page", [*ROOT_PAGES, *(f"docs/{page}" for page in PAGES)])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for link in pages.links(path.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        linked = path.parent / target if target else path
        assert linked.is_file(), link
        assert not anchor or anchor in pages.anchors(linked.read_text()), link


def test_every_page_is_in_the_navigation_and_on_the_first_page() -> None:
    listed = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == PAGES
    assert set(PAGES) - {"index.md"} <= set(pages.links((DOCS / "index.md").read_text()))


def test_index_counts(run: Any) -> None:
    with TestClient(run("index.md")["app"]) as client:
        assert [client.get("/").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_how_it_works_saves_what_changes_after_the_start(run: Any) -> None:
    names = run("how-it-works.md")
    store = MemoryStore()
    app = Starlette(routes=[Route("/export", names["export"]), WebSocketRoute("/chat", names["chat"])])
    app.add_middleware(SessionMiddleware, secret_key="x" * 16, store=store)
    with TestClient(app) as client:
        client.get("/export")
        assert client.get("/export").text == "id,name\n"
        with client.websocket_connect("/chat") as socket:
            socket.send_text("one")
            socket.send_text("two")
    [row] = store._rows.values()
    assert row.data.endswith(b'{"exports":2,"seen":2}')


def test_lifetimes_remembers_who_asks_for_it(run: Any) -> None:
    with TestClient(run("lifetimes.md")["app"]) as client:
        assert "Max-Age=1209600" in client.get("/sign-in").headers["set-cookie"]
        client.cookies.clear()
        assert "Max-Age=5184000" in client.get("/sign-in?remember=").headers["set-cookie"]


def test_lifetimes_names_the_presets() -> None:
    def seconds(text: str) -> int:
        number, unit = text.split()
        return int(number) * {"d": presets.DAY, "h": presets.HOUR, "m": presets.MINUTE}[unit[0]]

    rows = re.findall(r"^\| `(AAL\d)` \| (.+?) \| (.*?) ?\|$", (DOCS / "lifetimes.md").read_text(), flags=re.MULTILINE)
    assert len(rows) == 3
    for name, absolute, idle in rows:
        preset = getattr(presets, name)
        assert preset["absolute_timeout"] == preset["max_age"] == seconds(absolute)
        assert preset["idle_timeout"] == seconds(idle or absolute)


def test_concurrency_redeems_once(run: Any) -> None:
    names = run("concurrency.md")

    async def give(request: Any) -> Any:
        request.session["voucher"] = "123"
        return await names["add_to_cart"](request)

    app = Starlette(routes=[Route("/give", give), *(Route(f"/{n}", names[n]) for n in ("add_to_cart", "redeem"))])
    app.add_middleware(SessionMiddleware, secret_key="x" * 16, store=MemoryStore())
    with TestClient(app) as client:
        assert client.get("/give?item=tea").json() == {"items": 1}
        assert client.get("/add_to_cart?item=tea").json() == {"items": 2}
        assert [client.get("/redeem").status_code for _ in range(2)] == [200, 409]


def test_moving_from_starlette_counts(run: Any) -> None:
    names = run("moving-from-starlette.md")
    assert names["SessionMiddleware"] is SessionMiddleware
    with TestClient(names["app"]) as client:
        assert [client.get("/").text for _ in range(2)] == ["1", "2"]


def test_moving_from_starsessions_signs_in(run: Any) -> None:
    with TestClient(run("moving-from-starsessions.md")["app"]) as client:
        old = client.get("/sign-in").cookies["session"]
        assert client.get("/sign-in").cookies["session"] != old


def test_opentelemetry_names_every_kind_of_event() -> None:
    [listed] = re.findall(r"event\.kind`: (.*?)\. To do", (DOCS / "opentelemetry.md").read_text(), flags=re.DOTALL)
    assert re.findall(r"`(\w+)`", listed) == [kind.value for kind in EventKind]


@pytest.fixture
def names(run: Any, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The names of a page, which is executed before the event loop runs: what it imports is read from disk."""
    page: dict[str, Any] = run(request.param)
    return page


@pytest.mark.anyio
@pytest.mark.parametrize("names", ["security.md"], indirect=True)
async def test_security_encrypts(names: dict[str, Any]) -> None:
    store, key, expires_at = names["store"], key_of(new_id()), int(time.time()) + 60
    async with store, SQLiteStore("sessions.db") as inner:
        assert await store.create(key, b"canary", expires_at)
        row = await inner.load(key)
    assert row is not None
    assert b"canary" not in row.data
    [bytes_added] = re.findall(r"grows by (\d+) bytes", (DOCS / "security.md").read_text())
    assert len(row.data) == len(b"canary") + int(bytes_added)


@pytest.mark.anyio
@pytest.mark.parametrize("names", ["changing-stores.md"], indirect=True)
async def test_changing_stores_moves_what_is_left(names: dict[str, Any], tmp_path: Path) -> None:
    new, old = SQLiteStore(tmp_path / "new.db"), SQLiteStore(tmp_path / "old.db")
    async with MigratingStore(new, old) as store:
        for _ in range(5):
            assert await old.create(key_of(new_id()), b"data", int(time.time()) + 60)
        await names["move_all"](store, new, old)
        assert [key async for key in old.all_keys()] == []
        assert len([key async for key in new.all_keys()]) == 5
