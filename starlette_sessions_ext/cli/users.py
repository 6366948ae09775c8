"""The command `list`, and `revoke --user`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from .._core.owner import owner_of, require_owners
from .._core.session_directory import SessionDirectory, SessionInfo
from .commands import KEYS_VARIABLE, Commands, add_json, add_url, not_empty, open_store
from .output import moment, print_json


def add_to(commands: Commands) -> None:
    """Add the command of this module."""
    parser = commands.add_for_store("list", list_sessions, "--user 42 redis://localhost:6379/0")
    parser.add_argument(
        "--user", type=not_empty, required=True, help="the user, as the option user of the middleware finds it"
    )
    add_json(parser)
    add_url(parser)


async def list_sessions(options: argparse.Namespace) -> int:
    """List the sessions of a user, the one that expires last first."""
    async with open_store(options.url) as store:
        directory = SessionDirectory(store)
        infos = sorted(await directory.list(options.user), key=lambda info: -info.expires_at)
        unread = 0 if infos else len(await require_owners(store).keys_of(owner_of(options.user)))
    if options.json:
        print_json([_described(info) for info in infos])
    else:
        for info in infos:
            print(_line(info))
    if unread:
        print(f"{unread} rows can't be read: are they encrypted? Set {KEYS_VARIABLE}", file=sys.stderr)
    elif not infos:
        print("the user has no sessions", file=sys.stderr)
    return 1 if unread else 0


async def revoke_of_user(options: argparse.Namespace) -> int:
    """End one session of a user, or all of them."""
    async with open_store(options.url) as store:
        directory = SessionDirectory(store)
        if options.all:
            ended = await directory.revoke_all(options.user)
            print(f"{ended} {'session has' if ended == 1 else 'sessions have'} ended")
            return 0
        if await directory.revoke(options.user, options.session):
            print("the session has ended")
            return 0
    print("the user has no session with that public id", file=sys.stderr)
    return 1


def _described(info: SessionInfo) -> dict[str, object]:
    """Return the printed values of a session.

    They lack the time of the last use, which depends on the middleware's options.
    """
    described = asdict(info)
    del described["is_current"], described["last_used_at"]
    return described


def _line(info: SessionInfo) -> str:
    times = f"signed in {moment(info.signed_in_at)}  expires {moment(info.expires_at)}"
    return f"{info.public_id}  {times}  {json.dumps(info.details)}"
