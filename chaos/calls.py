"""The requests of a client and their answers: the lines of a history. Pure.

Times are seconds of the machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The kind of a request. Names of nonces, keys and sessions are never used twice."""

    START = "start"  # make a session; `session` is its owner's mark, which the session keeps
    READ = "read"
    PUT = (
        "put"  # write `nonce` under `key`; as it is saved at the end, a logout in between may drop it without an error
    )
    SAVE = "save"  # the same with `Session.save`, which tells
    LINK = "link"  # by `Session.atomic`: one version more, `nonce`, and the nonce of the version before
    ROTATE = "rotate"  # `given` tells whether it did
    RENEW = "renew"  # the same, but for `grace` seconds the id before opens the session as well
    END = "end"  # `cleared` tells whether it did
    REVOKE = "revoke"  # end all sessions of the user, from outside: no id goes with it


class Outcome(StrEnum):
    DONE = "done"
    ABSENT = "absent"  # the id that was sent opens nothing
    REFUSED = "refused"  # nothing was written, and the answer says so
    UNKNOWN = "unknown"  # a 503, no answer, or the client hung up: it may be done, also later


class Seen(NamedTuple):
    """A session as an answer showed it."""

    version: int
    nonce: str
    previous: str
    values: Mapping[str, str]
    whole: bool
    """Whether values that are always written together were read together."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Seen:
        values = {key: value for key, value in state.items() if key.startswith("key ")}
        whole = all(state.get(f"twin of {key}") == value for key, value in values.items())
        if state["nonce"]:
            whole = whole and state["filler"] == filler(state["nonce"])
        return cls(state["version"], state["nonce"], state["previous"], values, whole)


class Call(NamedTuple):
    session: str
    kind: Kind
    outcome: Outcome
    began: float
    ended: float
    """The time of the answer, or of giving up."""
    sent: str = ""
    """The id that went with it; any name that is as good as the id."""
    given: str = ""
    """The id that the answer handed out."""
    cleared: bool = False
    """Whether the answer removed the cookie."""
    key: str = ""
    nonce: str = ""
    lifetime: float | None = None
    """For `START`: the seconds without use after which the session ends."""
    grace: float = 0
    """For `RENEW`: the grace, in whole seconds."""
    socket: bool = False
    """Whether it came over a socket, which stays with its session through all renewals of the id."""
    owner: str = ""
    """Whose session the answer was about, as it says."""
    seen: Seen | None = None

    @property
    def until(self) -> float:
        """The time at which it had taken effect, if it did."""
        return math.inf if self.outcome is Outcome.UNKNOWN else self.ended

    def to_json(self) -> str:
        return json.dumps(self)

    @classmethod
    def from_json(cls, line: str) -> Call:
        values = dict(zip(cls._fields, json.loads(line), strict=True))
        seen = values.pop("seen")
        kind, outcome = Kind(values.pop("kind")), Outcome(values.pop("outcome"))
        return cls(**values, kind=kind, outcome=outcome, seen=None if seen is None else Seen(*seen))


class Harm(StrEnum):
    LOST = "lost"  # an acknowledged write, or a session, isn't there
    RESURRECTED = "resurrected"  # what had ended lives, or an id is used again
    FOREIGN = "foreign"  # a client was shown another's session
    HALF_WRITTEN = "half-written"  # what is there was never written so


class Finding(NamedTuple):
    harm: Harm
    call: Call
    """The one that shows it."""
    text: str


def filler(nonce: str) -> str:
    """The data that a link writes next to its nonce, so that sessions are of many sizes."""
    return nonce * (int(nonce, 16) % 97)


def by_end(calls: Iterable[Call]) -> list[Call]:
    return sorted(calls, key=lambda call: call.ended)


def by_begin(calls: Iterable[Call]) -> list[Call]:
    return sorted(calls, key=lambda call: call.began)
