"""Sessions on the command line: by user, by public id, encrypted or not."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import EncryptedStore, SessionStore, SupportsOwners, store_from_url
from starlette_sessions_ext._core.ids import digest_of, key_of, new_id, new_nonce, new_public_id
from starlette_sessions_ext._core.owner import owner_of
from starlette_sessions_ext._core.record import Alias, Header
from starlette_sessions_ext.cli import main, sessions
from starlette_sessions_ext.stores._support.encryption_keys import new_encryption_key
from starlette_sessions_ext.testing import FakeClock

from ..support.terminal import terminal

BEGAN = 1_700_000_000
AGENT = "eyJ1c2VyX2FnZW50IjoiRmlyZWZveCBcdTAwMWJbMm1cdTAwOWIybSIsImNsaWVudCI6IjEwLjAuMC43In0"
"""What a sign-in keeps by default, with control characters in the user agent."""


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """A command may block its event loop, which nobody else uses: drivers are imported there."""


def on(url: str, work: Callable[[Any], Awaitable[Any]], key: str | None = None) -> Any:
    """Do something with a store, which encrypts if there is a key."""

    async def run() -> Any:
        store = store_from_url(url)
        async with store if key is None else EncryptedStore(store, keys=[key]) as opened:
            return await work(opened)

    return anyio.run(run)


@pytest.fixture
def url(url: str) -> str:
    """A store without the rows of other tests."""
    on(url, empty)
    return url


async def empty(store: Any) -> None:
    async for key in store.all_keys():
        await store.delete(key)


async def sign_in(store: SessionStore, user: str, until: int, count: int = 1) -> list[Header]:
    """Make sessions of a user. Their ends are a minute apart."""
    headers = []
    for number in range(count):
        header = Header(key_of(new_id()), BEGAN, BEGAN, None, new_public_id(), BEGAN * 1000 + number, AGENT)
        data = header.encode(new_nonce(), b'{"secret":"canary"}')
        assert isinstance(store, SupportsOwners)
        assert await store.create(header.key, data, until - 60 * number, owner_of(user))
        headers.append(header)
    return headers


def signed_in(url: str, user: str, until: int, count: int = 1, key: str | None = None) -> list[Header]:
    headers: list[Header] = on(url, partial(sign_in, user=user, until=until, count=count), key)
    return headers


def left(url: str, headers: list[Header]) -> list[bool]:
    async def load(store: SessionStore) -> list[bool]:
        return [await store.load(header.key) is not None for header in headers]

    there: list[bool] = on(url, load)
    return there


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of an SQLite file."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    signed_in(url, "nobody", 2_000_000_000, 0)
    return url


def test_the_sessions_of_a_user_are_listed(url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    until = int(clock()) + 3600
    first, second = signed_in(url, "42", until, 2)
    signed_in(url, "43", until)
    assert main(["list", "--user", "42", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [first.public_id, second.public_id]
    assert "signed in 2023-11-14 22:13:20 UTC" in lines[0]
    assert '"client": "10.0.0.7"' in lines[0]
    assert main(["list", "--json", "--user", "42", url]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "public_id": header.public_id,
            "signed_in_at": BEGAN,
            "created_at": BEGAN,
            "expires_at": until - 60 * number,
            "details": {"user_agent": "Firefox \x1b[2m\x9b2m", "client": "10.0.0.7"},
        }
        for number, header in enumerate((first, second))
    ]


def test_a_user_agent_cant_write_to_the_terminal(
    file: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    signed_in(file, "42", int(clock()) + 3600)
    assert main(["list", "--user", "42", file]) == 0
    assert main(["list", "--user", "42", "--json", file]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert "canary" not in out


def test_a_user_without_sessions(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--user", "42", file]) == 0
    assert main(["list", "--json", "--user", "42", file]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("[]\n", "the user has no sessions\n" * 2)


def test_one_session_of_a_user_is_revoked(url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    headers = signed_in(url, "42", int(clock()) + 3600, 3)
    [other] = signed_in(url, "43", int(clock()) + 3600)
    assert main(["revoke", "--user", "43", headers[1].public_id, url]) == 1
    assert main(["revoke", "--user", "42", headers[1].public_id, url]) == 0
    assert left(url, [*headers, other]) == [True, False, True, True]
    assert main(["revoke", "--user", "42", headers[1].public_id, url]) == 1
    out, err = capsys.readouterr()
    assert out == "the session has ended\n"
    assert err == "the user has no session with that public id\n" * 2


def test_all_sessions_of_a_user_are_revoked(url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    headers = signed_in(url, "42", int(clock()) + 3600, 3)
    [other] = signed_in(url, "43", int(clock()) + 3600)
    assert main(["revoke", "--user", "42", "--all", url]) == 0
    assert left(url, [*headers, other]) == [False, False, False, True]
    assert main(["revoke", "--all", "--user", "43", url]) == 0
    assert main(["revoke", "--all", "--user", "43", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 sessions have ended",
        "1 session has ended",
        "0 sessions have ended",
    ]


def test_all_sessions_at_the_url_of_the_environment(
    file: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    [header] = signed_in(file, "42", int(clock()) + 3600)
    monkeypatch.setenv("SESSIONS_URL", file)
    assert main(["revoke", "--user", "42", "--all"]) == 0
    assert left(file, [header]) == [False]


def test_options_may_stand_anywhere(file: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    headers = signed_in(file, "42", int(clock()) + 3600, 4)
    first, second, third = (header.public_id for header in headers[:3])
    for arguments in (
        ["revoke", first, file, "--user", "42"],
        ["revoke", second, "--user", "42", file],
        ["revoke", "--user", "42", third, file],
        ["revoke", file, "--user", "42", "--all"],
    ):
        assert main(arguments) == 0
    assert left(file, headers) == [False] * 4
    assert main(["list", file, "--user", "42", "--json"]) == 0
    assert capsys.readouterr().out.endswith("1 session has ended\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["revoke"], "name the session, or give --user USER --all"),
        (["revoke", "--user", "42"], "name the session, or give --user USER --all"),
        (["revoke", "--all"], "--all goes with --user"),
        (["revoke", "--all", "0123456789abcdef"], "--all goes with --user"),
        (["revoke", "--user", "42", "--all", "0123456789abcdef"], "names no session"),
        (["list"], "--user"),
        (["show"], "session"),
        (["show", "0123456789abcdef", "memory://", "memory://canary"], "1 argument too many"),
        (["show", "0123456789abcdef", "memory://", "--jsn=canary", "x://canary"], "unrecognized arguments: --jsn"),
    ],
)
def test_what_doesnt_fit_together_is_refused(
    file: str,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SESSIONS_URL", file)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert "canary" not in err


def test_an_empty_user_is_refused(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list", "--user", ""], ["revoke", "--user", "", "--all"]):
        with pytest.raises(SystemExit):
            main([*arguments, file])
        assert "argument --user: it must not be empty" in capsys.readouterr().err


def test_a_session_is_shown_and_revoked_by_its_public_id(
    url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    until = int(clock()) + 3600
    headers = signed_in(url, "42", until, 3)
    public_id = headers[1].public_id
    assert main(["show", public_id, url]) == 0
    shown = capsys.readouterr().out
    assert "sign-in  2023-11-14 22:13:20 UTC" in shown
    assert f"public   {public_id}" in shown
    assert "canary" not in shown
    assert main(["show", public_id, "--json", url]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described.pop("bytes") > 100
    assert described == {
        "key_digest": digest_of(headers[1].key),
        "expired": False,
        "expires_at": until - 60,
        "public_id": public_id,
        "created_at": BEGAN,
        "signed_in_at": BEGAN,
        "lifetime": None,
    }
    assert main(["revoke", public_id, url]) == 0
    assert left(url, headers) == [True, False, True]
    assert main(["revoke", public_id, url]) == 1
    assert main(["show", public_id, url]) == 1
    out, err = capsys.readouterr()
    assert out == "the session has ended\n"
    assert err == "there is no session with that key digest or public id\n" * 2


def test_json_of_what_has_expired_or_was_renewed(
    file: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = key_of(new_id()), key_of(new_id())

    async def renew(store: SessionStore) -> None:
        await store.create(old, Alias(old, 0, new_nonce(), new).encode(), int(clock()) + 3600)
        await store.create(new, b"canary", int(clock()) - 1)

    on(file, renew)
    assert main(["show", "--json", digest_of(old), file]) == 0
    assert json.loads(capsys.readouterr().out)["renewed_to"] == digest_of(new)
    assert main(["show", "--json", digest_of(new), file]) == 0
    assert json.loads(capsys.readouterr().out) == {"key_digest": digest_of(new), "expired": True}


def test_records_are_read_only_if_no_key_has_the_digest(
    file: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    [header] = signed_in(file, "42", int(clock()) + 3600)

    def batches(store: SessionStore) -> None:
        raise AssertionError("records were read")

    monkeypatch.setattr(sessions, "batches", batches)
    assert main(["show", digest_of(header.key), file]) == 0
    with pytest.raises(AssertionError, match="records were read"):
        main(["show", header.public_id, file])


def test_a_session_that_moves_while_it_is_revoked_is_found_again(
    file: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [header] = signed_in(file, "42", int(clock()) + 3600)
    moved = header._replace(key=key_of(new_id()))
    find = sessions._find_by_public_id

    async def find_and_move(store: Any, public_id: str) -> Any:
        found = await find(store, public_id)
        if found is not None and found[0] == header.key:
            await store.create(moved.key, moved.encode(new_nonce(), b"{}"), int(clock()) + 3600, owner_of("42"))
            await store.delete(header.key)
        return found

    monkeypatch.setattr(sessions, "_find_by_public_id", find_and_move)
    assert main(["revoke", header.public_id, file]) == 0
    assert left(file, [header, moved]) == [False, False]
    assert capsys.readouterr().out == "the session has ended\n"


def test_many_rows_are_searched_with_progress_on_a_terminal(
    file: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(file, "43", int(clock()) + 3600, 120)  # the last of them have expired
    with terminal(monkeypatch) as read:
        assert main(["show", "0" * 16, file]) == 1
        shown = read()
    assert shown.startswith("\r50 rows looked at\x1b[K\r100 rows looked at\x1b[K\r\x1b[K")


# Encrypted


def test_encrypted_sessions_need_the_key(
    file: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSIONS_ENCRYPTION_KEY", raising=False)
    old, key = new_encryption_key(), new_encryption_key()
    [header] = signed_in(file, "42", int(clock()) + 3600, key=key)
    [other] = signed_in(file, "42", int(clock()) + 3540, key=old)
    assert main(["list", "--user", "42", file]) == 1
    assert capsys.readouterr().err == "2 rows can't be read: are they encrypted? Set SESSIONS_ENCRYPTION_KEY\n"
    assert main(["show", digest_of(header.key), file]) == 0
    assert "public" not in capsys.readouterr().out
    monkeypatch.setenv("SESSIONS_ENCRYPTION_KEY", f"{key}, {old}")
    assert main(["list", "--user", "42", file]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [header.public_id, other.public_id]
    assert main(["revoke", other.public_id, file]) == 0
    monkeypatch.setenv("SESSIONS_ENCRYPTION_KEY", old)
    assert main(["show", digest_of(header.key), file]) == 1
    assert "isn't among the keys" in capsys.readouterr().err
    monkeypatch.delenv("SESSIONS_ENCRYPTION_KEY")
    assert main(["revoke", "--user", "42", "--all", file]) == 0
    assert left(file, [header, other]) == [False, False]


def test_a_key_that_is_none_is_not_shown(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSIONS_ENCRYPTION_KEY", "canary")
    assert main(["doctor", file]) == 1
    err = capsys.readouterr().err
    assert err.startswith("sessions-ext: SESSIONS_ENCRYPTION_KEY: keys[0] must be")
    assert "canary" not in err
