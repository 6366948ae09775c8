"""What has to be done about a session when its request ends: the decision, and the merge. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

Data = Mapping[str, Any]
Dumps = Callable[[Data], bytes]


class Action(Enum):
    """What the store is asked to do with a session's row."""

    NOTHING = "nothing"
    REPLACE = "replace"
    TOUCH = "touch"
    ROTATE = "rotate"
    RENEW = "renew"
    DELETE = "delete"


def decide(*, empty: bool, rotate: bool, renew: bool, changed: bool, due: bool) -> Action:
    """Choose the one action for a session, which has a row, at the end of its request.

    `empty`: nothing is left in it; `rotate`: a new id was asked for, `renew`: or is due, with the
    old one leading to it; `changed`: other bytes than loaded; `due`: its expiry has to be moved.
    """
    if empty:
        return Action.DELETE
    if rotate:
        return Action.ROTATE
    if renew:
        return Action.RENEW
    if changed:
        return Action.REPLACE
    return Action.TOUCH if due else Action.NOTHING


class Merged(NamedTuple):
    """The merged data, and the keys that both sides had changed, each to something else."""

    data: dict[str, Any]
    contested: tuple[str, ...]


def merge(base: Data, mine: Data, theirs: Data, dumps: Dumps) -> Merged:
    """Put what I changed since `base` onto `theirs`, one top-level key at a time.

    Values are compared as serialized, so that 1, 1.0 and True are three different values. Where
    both sides changed a key, mine wins: it is the later write.
    """

    def same(key: str, one: Data, other: Data) -> bool:
        if key not in one or key not in other:
            return (key in one) == (key in other)
        return dumps({key: one[key]}) == dumps({key: other[key]})

    data = dict(theirs)
    contested = []
    for key in {**base, **mine}:
        if same(key, base, mine):
            continue
        if not same(key, base, theirs) and not same(key, mine, theirs):
            contested.append(key)
        if key in mine:
            data[key] = mine[key]
        else:
            data.pop(key, None)
    return Merged(data, tuple(contested))
