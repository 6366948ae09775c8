"""What has to be done about a session when its request ends: the decision, and the merge. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

Data = Mapping[str, Any]
Dumps = Callable[[Data], bytes]


class Action(Enum):
    """What the store is asked to do."""

    NOTHING = "nothing"
    CREATE = "create"
    REPLACE = "replace"
    TOUCH = "touch"
    ROTATE = "rotate"
    DELETE = "delete"


def decide(*, stored: bool, empty: bool, rotate: bool, changed: bool, due: bool) -> Action:
    """Choose the one action for a session at the end of its request.

    `stored`: it has a row that this request loaded; `empty`: nothing is left in it; `rotate`: a
    new id was asked for; `changed`: other bytes than loaded; `due`: its expiry has to be moved.
    """
    if empty:
        return Action.DELETE if stored else Action.NOTHING
    if not stored:
        return Action.CREATE
    if rotate:
        return Action.ROTATE
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
