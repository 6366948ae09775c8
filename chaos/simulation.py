"""A right store and clients that use it at once, all made up: histories to try the proof on, with defects. Pure."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .calls import Call, Harm, Kind, Outcome, Seen

_KINDS = (Kind.READ, Kind.PUT, Kind.SAVE, Kind.LINK)
_MOVES = (Kind.ROTATE, Kind.RENEW, Kind.RENEW, Kind.END, Kind.REVOKE)
_GRACE = 20.0


@dataclass
class _Session:
    owner: str
    live: str | None  # the one id under which it is kept
    known: list[str]  # the ids that clients know
    version: int = 0
    nonce: str = ""
    previous: str = ""
    values: dict[str, str] = field(default_factory=dict)
    life: int = 0  # how often it was moved for good, or ended: requests that loaded it before have lost it
    aliases: dict[str, tuple[str | None, float]] = field(default_factory=dict)  # where renewed ids lead, and until when

    def opens(self, sent: str, now: float) -> bool:
        leads_to, until = self.aliases.get(sent, (sent, math.inf))
        return leads_to == self.live and now < until

    def seen(self) -> Seen:
        return Seen(self.version, self.nonce, self.previous, dict(self.values), True)


@dataclass
class _Pending:
    """A call under way: it loads the session, then takes effect, and is answered; or the client gives up before."""

    session: _Session
    call: Call
    loaded: bool = False
    found: str = ""  # the id under which it found the session, in which of its lives
    life: int = 0
    done: bool = False


class Simulation:
    def __init__(self, random: Random) -> None:
        self.calls: list[Call] = []
        self._random = random
        self._time = 0.0
        self._names = 0
        self._pending: list[_Pending] = []
        self._sessions: list[_Session] = []

    def run(self) -> None:
        """A few sessions, and calls of all kinds that overlap."""
        for _ in range(3):
            session = self._start()
            self._use(session, 40, (*_KINDS, *_KINDS, *_KINDS, *_MOVES))

    def suffer(self, defect: str) -> Harm:
        """Go on with a session that goes well, and then not. Returns what has to be found."""
        session = self._start()
        self._use(session, 20, _KINDS)
        self._pending.clear()  # what of it isn't done never will be
        DEFECTS[defect][1](self, session)
        return DEFECTS[defect][0]

    def _start(self) -> _Session:
        name, given = self._name(), self._name()
        session = _Session(name, given, [given])
        self._sessions.append(session)
        call = Call(name, Kind.START, Outcome.DONE, self._tick(), self._tick(), given=given)
        self.calls.append(call)
        return session

    def _use(self, session: _Session, steps: int, kinds: tuple[Kind, ...]) -> None:
        for _ in range(steps):
            if len(self._pending) < 4 and self._random.random() < 0.4:
                sent = session.known[-1] if self._random.random() < 0.8 else self._random.choice(session.known)
                self._pending.append(self._begin(session, self._random.choice(kinds), sent))
            elif self._pending:
                self._go_on(self._random.choice(self._pending))
        for pending in list(self._pending):
            while pending in self._pending and pending.call.outcome is not Outcome.UNKNOWN:
                self._go_on(pending)

    def _begin(self, session: _Session, kind: Kind, sent: str, key: str = "") -> _Pending:
        nonce = self._name() if kind in (Kind.PUT, Kind.SAVE, Kind.LINK) else ""
        if kind in (Kind.PUT, Kind.SAVE):
            key = key or self._random.choice(["key a", "key b"])
        grace = _GRACE if kind is Kind.RENEW else 0
        sent = "" if kind is Kind.REVOKE else sent
        call = Call(session.owner, kind, Outcome.DONE, self._tick(), 0, sent, key=key, nonce=nonce, grace=grace)
        return _Pending(session, call)

    def _go_on(self, pending: _Pending) -> None:
        """The next step of one call."""
        call = pending.call
        if call.outcome is not Outcome.UNKNOWN and self._random.random() < 0.1:
            pending.call = call._replace(
                outcome=Outcome.UNKNOWN, ended=self._tick(), given="", cleared=False, owner="", seen=None
            )
            self.calls.append(pending.call)
        elif pending.done:
            self._pending.remove(pending)
            if call.outcome is not Outcome.UNKNOWN:
                self._answer(pending)
        elif not pending.loaded:
            self._load(pending)
        else:
            self._take_effect(pending)
            pending.done = True

    def _load(self, pending: _Pending) -> None:
        session = pending.session
        pending.loaded, pending.found, pending.life = True, session.live or "", session.life
        if pending.call.kind is Kind.REVOKE:  # it needs no id
            return
        if not session.opens(pending.call.sent, self._time):
            pending.done = True
            self._tell(pending, outcome=Outcome.ABSENT)

    def _take_effect(self, pending: _Pending) -> None:
        session, call = pending.session, pending.call
        gone = pending.life != session.life
        if call.kind is Kind.REVOKE:
            session.life, session.live = session.life + 1, None
            self._tell(pending, cleared=True)
        elif gone and call.kind in (Kind.LINK, Kind.SAVE):
            self._tell(pending, outcome=Outcome.REFUSED)
        elif gone:
            self._tell(pending, owner=session.owner)  # a put was dropped, an ending came too late
        else:
            self._tell(pending, owner=session.owner, **self._change(pending))

    def _change(self, pending: _Pending) -> dict[str, Any]:
        """Do what the call asks for. Returns what there is to tell."""
        session, call = pending.session, pending.call
        if call.kind is Kind.ROTATE:
            session.life, session.live = session.life + 1, self._name()
            return {"given": session.live}
        if call.kind is Kind.RENEW:
            if session.live == pending.found:  # otherwise another has done it, and this hands out the same
                session.live = self._name()
                session.aliases[pending.found] = session.live, self._time + call.grace
            return {"given": session.live}
        if call.kind is Kind.END:
            session.life, session.live = session.life + 1, None
            return {"cleared": True}
        if call.key:
            session.values[call.key] = call.nonce
        elif call.kind is Kind.LINK:
            session.version, session.nonce, session.previous = session.version + 1, call.nonce, session.nonce
        return {} if call.kind is Kind.PUT else {"seen": session.seen()}

    def _tell(self, pending: _Pending, **answer: Any) -> None:
        if pending.call.outcome is not Outcome.UNKNOWN:
            pending.call = pending.call._replace(**answer)

    def _answer(self, pending: _Pending) -> None:
        call = pending.call._replace(ended=self._tick())
        if call.given:
            pending.session.known.append(call.given)
        self.calls.append(call)

    def _do(self, session: _Session, kind: Kind, key: str = "", sent: str = "", **changes: Any) -> None:
        """A call without concurrent ones; `changes` are what its answer gets wrong."""
        pending = self._begin(session, kind, sent or session.known[-1], key)
        self._load(pending)
        if not pending.done:
            self._take_effect(pending)
        pending.call = pending.call._replace(**changes)
        self._answer(pending)

    def _tick(self) -> float:
        self._time += 1 + self._random.random()
        return self._time

    def _name(self) -> str:
        self._names += 1
        return f"{self._names:x}"

    # Defects

    def _forget(self, kind: Kind, session: _Session) -> None:
        self._do(session, kind)
        before = copy.deepcopy(session)
        self._do(session, kind, self.calls[-1].key)
        session.__dict__.update(before.__dict__)
        self._do(session, Kind.READ)

    def _write_blindly(self, session: _Session) -> None:
        before = copy.deepcopy(session)
        self._do(session, Kind.LINK)
        session.__dict__.update(before.__dict__)
        self._do(session, Kind.LINK)

    def _bring_back(self, session: _Session) -> None:
        self._do(session, Kind.END)
        session.live = session.known[-1]
        self._do(session, Kind.READ)

    def _revoke_in_vain(self, session: _Session) -> None:
        self._do(session, Kind.REVOKE)
        session.live = session.known[-1]
        self._do(session, Kind.READ)

    def _keep_the_old_id(self, session: _Session) -> None:
        self._do(session, Kind.ROTATE)
        old = session.known[0]
        session.known.append(old)
        session.live = old
        self._do(session, Kind.READ)

    def _renew(self, session: _Session, times: int, *, lead: bool) -> None:
        """And then ask with the id before. It leads to the session, or doesn't, whatever it should do."""
        for _ in range(times):
            self._do(session, Kind.RENEW)
        if lead:
            session.aliases[session.known[0]] = session.live, math.inf
        else:
            session.aliases.clear()
        self._do(session, Kind.READ, sent=session.known[0])

    def _outlive_the_grace(self, session: _Session) -> None:
        self._renew(session, 1, lead=True)
        self._time += 2 * _GRACE
        self._do(session, Kind.READ, sent=session.known[0])

    def _lose(self, session: _Session) -> None:
        session.live = None
        self._do(session, Kind.READ)

    def _adopt(self, session: _Session) -> None:
        call = Call(self._name(), Kind.START, Outcome.DONE, self._tick(), self._tick(), given=session.known[0])
        self.calls.append(call)


DEFECTS: dict[str, tuple[Harm, Callable[[Simulation, _Session], None]]] = {
    "a link is forgotten": (Harm.LOST, lambda it, session: it._forget(Kind.LINK, session)),
    "a put is forgotten": (Harm.LOST, lambda it, session: it._forget(Kind.PUT, session)),
    "a link is written blindly": (Harm.LOST, Simulation._write_blindly),
    "a session is lost": (Harm.LOST, Simulation._lose),
    "a session comes back": (Harm.RESURRECTED, Simulation._bring_back),
    "a revoked session goes on": (Harm.RESURRECTED, Simulation._revoke_in_vain),
    "an old id goes on": (Harm.RESURRECTED, Simulation._keep_the_old_id),
    "a renewed id opens nothing": (Harm.LOST, lambda it, session: it._renew(session, 1, lead=False)),
    "a renewed id goes on": (Harm.RESURRECTED, Simulation._outlive_the_grace),
    "aliases are chained": (Harm.RESURRECTED, lambda it, session: it._renew(session, 2, lead=True)),
    "an id is adopted": (Harm.RESURRECTED, Simulation._adopt),
    "an answer is another client's": (Harm.FOREIGN, lambda it, session: it._do(session, Kind.READ, owner="other")),
    "half is written": (
        Harm.HALF_WRITTEN,
        lambda it, session: it._do(session, Kind.READ, seen=session.seen()._replace(whole=False)),
    ),
}
