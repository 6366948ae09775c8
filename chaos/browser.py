"""A browser with one session. It records each request with its answer."""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Awaitable
from typing import TextIO

from .calls import Call, Kind, Outcome, Seen
from .client import Answer, Tab, ask

GRACE = 2
"""Seconds for which the id before a renewal is asked to open the session; counted in whole ones, it is one at least."""

_OUTCOMES = {200: Outcome.DONE, 401: Outcome.ABSENT, 410: Outcome.REFUSED}


class Log:
    """Receives the calls, each with the status of its answer."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, call: Call, status: int) -> None:
        self._file.write(f"{status:3} {call.to_json()}\n")


class Browser:
    """One session, with the cookie that all its tabs share."""

    def __init__(self, log: Log, ports: list[int], name: str = "", cookie: str = "") -> None:
        self.name = name or secrets.token_hex(8)
        self.cookie = cookie
        self.known = {cookie} if cookie else set()  # all that it was ever given
        self.ended = False
        self._log = log
        self._ports = ports

    def tab(self) -> Tab:
        return Tab(self._ports)

    async def start(self, tab: Tab, old_cookie: str = "", lifetime: int | None = None) -> bool:
        query = {"owner": self.name} | ({} if lifetime is None else {"lifetime": str(lifetime)})
        return await self._call(Kind.START, old_cookie, tab.get("/start", old_cookie, query), lifetime=lifetime) == 200

    async def call(
        self, tab: Tab, kind: Kind, *, cookie: str | None = None, hang_up_after: float | None = None, key: str = ""
    ) -> int:
        """Ask for `kind`, with the present cookie or another. Returns the status."""
        sent = self.cookie if cookie is None else cookie
        nonce, grace = _nonce(kind), GRACE if kind is Kind.RENEW else 0
        query = {name: str(word) for name, word in {"key": key, "nonce": nonce, "grace": grace}.items() if word}
        answer = tab.get(f"/{kind}", sent, query, hang_up_after=hang_up_after)
        return await self._call(kind, sent, answer, key=key, nonce=nonce, grace=grace)

    async def revoke(self, tab: Tab) -> None:
        """End the session from outside, as its user does on another device."""
        await self._call(Kind.REVOKE, "", tab.get(f"/{Kind.REVOKE}", "", {"owner": self.name}))

    async def talk(self, tab: Tab, key: str) -> None:
        """A few messages over a WebSocket, which stays with the session that it was opened for."""
        sent = self.cookie
        socket = await tab.talk(sent)
        if socket is None:
            return
        try:
            for kind in random.choices([Kind.READ, Kind.SAVE, Kind.LINK], k=random.randint(1, 8)):
                named, nonce = key if kind is Kind.SAVE else "", _nonce(kind)
                text = " ".join(word for word in (kind, named, nonce) if word)
                if await self._call(kind, sent, ask(socket, text), key=named, nonce=nonce, socket=True) != 200:
                    break
        finally:
            socket.transport.abort() if random.random() < 0.2 else await socket.close()

    async def _call(
        self,
        kind: Kind,
        sent: str,
        asking: Awaitable[Answer],
        *,
        key: str = "",
        nonce: str = "",
        lifetime: float | None = None,
        grace: float = 0,
        socket: bool = False,
    ) -> int:
        """Wait for the answer, and write it down. Returns its status."""
        began = time.monotonic()
        answer = await asking
        ended = time.monotonic()
        if answer.cookie:
            self.cookie = answer.cookie
            self.known.add(answer.cookie)
        cleared = answer.cookie == "" or (kind is Kind.REVOKE and answer.status == 200)
        self.ended = self.ended or cleared
        state = answer.body.get("state")
        call = Call(
            self.name,
            kind,
            _OUTCOMES.get(answer.status, Outcome.UNKNOWN),
            began,
            ended,
            _label(sent),
            _label(answer.cookie or ""),
            cleared,
            key and f"key {key}",
            nonce,
            lifetime,
            grace,
            socket,
            answer.body.get("owner", ""),
            state and Seen.of(state),
        )
        self._log.write(call, answer.status)
        return answer.status


def _nonce(kind: Kind) -> str:
    return secrets.token_hex(8) if kind in (Kind.PUT, Kind.SAVE, Kind.LINK) else ""


def _label(cookie: str) -> str:
    """A name of an id that opens nothing."""
    return hashlib.blake2b(cookie.encode(), digest_size=8).hexdigest() if cookie else ""
