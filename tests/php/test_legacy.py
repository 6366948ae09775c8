"""When PHP is gone its sessions become this package's, and nobody is signed out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import ConfigurationError, MemoryStore
from starlette_sessions_ext.php import PHPSettings
from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.legacy import PHPSessionCookie

from ..support.asyncio_only import anyio_backend
from ..support.client import Browser, make_app

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

ID = "0cC,5LPJ-" + "x" * 17
UNTIL = date(2100, 1, 1)


async def read(request: Request) -> Any:
    return dict(request.session)


async def write(request: Request) -> Any:
    request.session["new"] = 1


async def sign_out(request: Request) -> Any:
    request.state.session.destroy()


@pytest.fixture
def row(tmp_path: Path) -> Path:
    path = tmp_path / f"sess_{ID}"
    path.write_bytes(b'user|s:3:"ann";n|i:1;')
    return path


@pytest.fixture
def store(tmp_path: Path) -> PHPFileStore:
    return PHPFileStore(str(tmp_path))


@pytest.fixture
def browser(store: PHPFileStore) -> Browser:
    handlers = {"/read": read, "/write": write, "/out": sign_out}
    app = make_app(MemoryStore(), handlers, legacy_cookies=[PHPSessionCookie(store, until=UNTIL)])
    return Browser(app, cookies={"PHPSESSID": ID.replace(",", "%2C")})


async def test_a_session_of_php_goes_on(browser: Browser, row: Path) -> None:
    assert (await browser.get("/read")).json() == {"user": "ann", "n": 1}
    await browser.get("/write")
    row.unlink()
    assert (await browser.get("/read")).json() == {"user": "ann", "n": 1, "new": 1}


async def test_it_ends_once_for_all(browser: Browser, row: Path) -> None:
    await browser.get("/read")
    await browser.get("/out")
    assert row.exists()
    assert (await browser.get("/read")).json() == {}


@pytest.mark.parametrize("stored", [b"", b'o|O:1:"A":0:{}'])
async def test_a_session_without_data_is_none(browser: Browser, row: Path, stored: bytes) -> None:
    row.write_bytes(stored)
    answer = await browser.get("/read")
    assert answer.json() == {}
    assert answer.set_cookies == []


async def test_what_python_has_no_value_for_is_left_out(
    browser: Browser, row: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row.write_bytes(b'user|s:3:"ann";o|a:1:{i:0;a:1:{s:1:"k";O:1:"A":0:{}}}b|s:1:"\xff";l|a:1:{i:0;i:1;}')
    assert (await browser.get("/read")).json() == {"user": "ann", "l": [1]}
    assert [record.args for record in caplog.records] == [("o",), ("b",)]


@pytest.mark.parametrize("value", ["short", "../../etc/passwd/aaaaaaaaaa", "y" * 26])
async def test_what_has_no_session_is_none(store: PHPFileStore, value: str) -> None:
    assert await PHPSessionCookie(store, until=UNTIL).read(value, 0) is None


async def test_nothing_is_read_from_the_last_day_on(store: PHPFileStore, row: Path) -> None:
    cookie = PHPSessionCookie(store, PHPSettings(name="shop"), until=date(2030, 1, 2))
    end = datetime(2030, 1, 2, tzinfo=UTC).timestamp()
    session = await cookie.read(ID, end - 1)
    assert session is not None
    assert (cookie.name, session.identity, session.valid_until) == ("shop", ID, end)
    assert await cookie.read(ID, end) is None


def test_what_cant_work_is_refused(store: PHPFileStore) -> None:
    nothing: Any = None
    for until in (nothing, datetime(2030, 1, 2, tzinfo=UTC)):
        with pytest.raises(ConfigurationError, match="until"):
            PHPSessionCookie(store, until=until)
    with pytest.raises(ConfigurationError, match="store"):
        PHPSessionCookie(nothing, until=UNTIL)
