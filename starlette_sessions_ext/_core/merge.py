"""The three-way merge of what parallel requests changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import NotSerializable

Data = Mapping[str, Any]
Dumps = Callable[[Data], bytes]


class Merged(NamedTuple):
    """The merged data, and the keys that both sides had changed, each to something else."""

    data: dict[str, Any]
    contested: tuple[str, ...]


def merge(base: Data, mine: Data, theirs: Data, dumps: Dumps) -> Merged:
    """Put what I changed since `base` onto `theirs`, one top-level key at a time.

    Values are compared as serialized, so that 1, 1.0 and True are three different values. Where
    both sides changed a key, mine wins: it is the later write. Only a key that they deleted, and in
    whose container I changed something, stays deleted: a logout by `del session["user"]` is final.
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
            if key not in theirs and _may_be_nested_change(base[key], mine[key]):
                continue
        if key in mine:
            data[key] = mine[key]
        else:
            data.pop(key, None)
    return Merged(data, tuple(contested))


def _may_be_nested_change(before: object, after: object) -> bool:
    return isinstance(before, dict | list) and isinstance(after, dict | list)


def adopt(session: dict[str, Any], base: Data, theirs: Data, dumps: Dumps) -> None:
    """Let `session` become `theirs`, except where it has changed since it was `base`.

    Objects that handlers may hold are kept where they are equal.
    """

    def encoded(data: Data) -> bytes:
        try:
            return dumps(data)
        except NotSerializable:  # changed since, and the next save refuses it
            return b""

    mine = dict(dict.items(session))
    merged = merge(base, mine, theirs, encoded).data
    dict.clear(session)
    for key, value in merged.items():
        is_equal = key in mine and encoded({key: mine[key]}) == encoded({key: value})
        dict.__setitem__(session, key, mine[key] if is_equal else value)
