"""The commands `show` and `revoke` of a session, as events and logs name it."""

from __future__ import annotations

import argparse
import sys
from contextlib import aclosing, suppress
from typing import Any

from .._core.ids import digest_of
from .._core.record import Alias, Header, decode
from ..errors import CorruptRecord
from ..stores.base import SessionStore, Stored
from .commands import Commands, add_json, add_url, not_empty, open_store
from .output import moment, print_json
from .scanning import all_keys, at_once, batches
from .users import revoke_of_user

NAME_HELP = "the public id or the key digest by which events and logs name the session; never its id"


def add_to(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = commands.add_for_store("show", show, "0123456789abcdef redis://localhost:6379/0")
    parser.add_argument("session", help=NAME_HELP)
    add_json(parser)
    add_url(parser)

    parser = commands.add_for_store("revoke", revoke, "0123456789abcdef redis://localhost:6379/0", arrange=_arrange)
    parser.add_argument(
        "--user", type=not_empty, help="end sessions of this user alone: the one with that public id, or --all"
    )
    parser.add_argument("--all", action="store_true", help="end all sessions of the user; no session is named then")
    parser.add_argument("session", nargs="?", help=NAME_HELP)
    add_url(parser)


async def show(options: argparse.Namespace) -> int:
    """Say when a session began and ends, and how large it is. Its data isn't shown."""
    async with open_store(options.url) as store:
        key = await _find_by_digest(store, options.session)
        if key is not None:
            described = _describe(key, await store.load(key))
        elif found := await _find_by_public_id(store, options.session):
            described = _describe(*found)
        else:
            return _not_found()
    if options.json:
        print_json(described)
    else:
        _print(described)
    return 0


async def revoke(options: argparse.Namespace) -> int:
    """End a session at once, or those of a user."""
    if options.user is not None:
        return await revoke_of_user(options)
    async with open_store(options.url) as store:
        key = await _find_by_digest(store, options.session)
        if key is not None:
            print("the session has ended" if await store.delete(key) else "it had expired")
            return 0
        while found := await _find_by_public_id(store, options.session):
            key, stored = found
            if await store.delete(key, stored.version):  # False: it was written, or got another id
                print("the session has ended")
                return 0
    return _not_found()


def _arrange(options: argparse.Namespace) -> None:
    """Give each positional argument of `revoke` its place.

    With --all there is no session before the URL.
    """
    if options.all and "://" in (options.session or ""):
        options.url, options.session = options.session, None
    if options.all and (options.user is None or options.session is not None):
        options.error("--all goes with --user, and names no session")
    if not options.all and options.session is None:
        options.error("name the session, or give --user USER --all")


def _not_found() -> int:
    print("there is no session with that key digest or public id", file=sys.stderr)
    return 1


async def _find_by_digest(store: SessionStore, digest: str) -> str | None:
    """Return the key with this digest. Only keys are read."""
    async for key in all_keys(store):
        if digest_of(key) == digest:
            return key
    return None


async def _find_by_public_id(store: SessionStore, public_id: str) -> tuple[str, Stored] | None:
    """Return the row of the session with this public id.

    All rows are read until it is found.
    """
    found: list[tuple[str, Stored]] = []

    async def look_at(key: str) -> None:
        with suppress(CorruptRecord):
            stored = await store.load(key)
            if stored is not None:
                record = decode(stored.data, key)
                if not isinstance(record, Alias) and record[0].public_id == public_id:
                    found.append((key, stored))

    async with aclosing(batches(store)) as found_keys:
        async for keys in found_keys:
            await at_once(look_at, keys)
            if found:
                return found[0]
    return None


def _describe(key: str, stored: Stored | None) -> dict[str, Any]:
    """Return what is shown of a row. Times are unix seconds."""
    described: dict[str, Any] = {"key_digest": digest_of(key), "expired": stored is None}
    if stored is not None:
        described |= {"expires_at": stored.expires_at, "bytes": len(stored.data)}
        with suppress(CorruptRecord):
            found = decode(stored.data, key)
            if isinstance(found, Alias):
                described["renewed_to"] = digest_of(found.target)
            else:
                described |= _describe_header(found[0])
    return described


def _describe_header(header: Header) -> dict[str, Any]:
    signed_in_at = None if header.signed_in_ms is None else header.signed_in_ms // 1000
    return {
        "public_id": header.public_id,
        "created_at": header.created_at,
        "signed_in_at": signed_in_at,
        "lifetime": header.lifetime,
    }


def _print(described: dict[str, Any]) -> None:
    if described["expired"]:
        print("it has expired")
        return
    print(f"expires  {moment(described['expires_at'])}\nsize     {described['bytes']} bytes")
    if "renewed_to" in described:
        print(f"renewed  the session has the key digest {described['renewed_to']} now")
    elif "public_id" in described:
        print(f"created  {moment(described['created_at'])}")
        if described["signed_in_at"] is not None:
            print(f"sign-in  {moment(described['signed_in_at'])}")
        if described["lifetime"] is not None:
            print(f"lifetime {described['lifetime']} seconds without use")
        print(f"public   {described['public_id']}, its public id")
