"""The three-way merge of what parallel requests changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import NotSerializable

Data = Mapping[str, Any]
Dumps = Callable[[Data], bytes]

_JSON_SCALARS = frozenset({str, int, float, bool, type(None)})


class Merged(NamedTuple):
    """The merged data, and the keys that both sides changed differently."""

    data: dict[str, Any]
    contested: tuple[str, ...]


def merge(
    base: Data,
    mine: Data,
    theirs: Data,
    dumps: Dumps,
    attempts: Sequence[Data] = (),
    nested: Iterable[str] = (),
) -> Merged:
    """Put what I changed since `base` onto `theirs`, one top-level key at a time.

    Values are compared as serialized, so that 1, 1.0 and True are three different values. Where
    both sides changed a key, mine wins: it is the later write. Only a key that they deleted, and in
    whose container I changed something, stays deleted: a logout by `del session["user"]` is final.

    `attempts` are writes of mine with an unknown outcome. Where `theirs` shows that one of them took
    place, its value was mine, and is replaced by what I have now.

    The dicts under the keys `nested` are merged by their own keys. So is the empty list there: PHP has one empty array.
    """
    contested: list[str] = []
    for inner in _merge_nested(base, mine, theirs, dumps, attempts, nested):
        mine, theirs = {**mine, **inner.data}, {**theirs, **inner.data}
        contested += inner.contested

    def same(key: str, one: Data, other: Data) -> bool:
        if key not in one or key not in other:
            return (key in one) == (key in other)
        try:
            return is_same(key, one[key], other[key], dumps)
        except NotSerializable:  # alone, such as an object of PHP that refers to another key
            return False

    def was_mine(key: str) -> bool:
        return any(same(key, attempt, theirs) and not same(key, attempt, base) for attempt in attempts)

    data = dict(theirs)
    for key in {**base, **mine, **(theirs if attempts else {})}:
        if not was_mine(key):
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


def _merge_nested(
    base: Data, mine: Data, theirs: Data, dumps: Dumps, attempts: Sequence[Data], nested: Iterable[str]
) -> Iterator[Merged]:
    """Merge the dicts under the keys `nested`, where all sides have one."""
    for key in nested:
        sides = (base.get(key, {}), mine.get(key), theirs.get(key))
        if all(map(_has_keys, sides)):
            inner = _merge_inside(key, sides, dumps, [attempt[key] for attempt in attempts if key in attempt])
            yield Merged({key: inner.data}, inner.contested)


def _merge_inside(key: str, sides: Sequence[Any], dumps: Dumps, attempts: Sequence[Any]) -> Merged:
    def dumps_inside(data: Data) -> bytes:
        return dumps({key: data})

    base, mine, theirs = map(dict, sides)
    return merge(base, mine, theirs, dumps_inside, [dict(one) for one in attempts if _has_keys(one)])


def _has_keys(value: object) -> bool:
    return isinstance(value, dict) or value == []


def is_same(key: str, one: object, other: object, dumps: Dumps) -> bool:
    """Return whether two values of a key are the same as serialized.

    What C compares settles most cases: equal values that print alike are the same, and JSON's own
    types that aren't equal are different. For the rest, such as 1 and True, both are serialized.
    """
    try:
        if one == other:
            if repr(one) == repr(other):
                return True
        elif type(one) in _JSON_SCALARS and type(other) in _JSON_SCALARS:
            return False
    except Exception:  # noqa: S110 - of a value whose comparison isn't a bool, such as an array
        pass
    return dumps({key: one}) == dumps({key: other})


def _may_be_nested_change(before: object, after: object) -> bool:
    return isinstance(before, dict | list) and isinstance(after, dict | list)


def adopt(session: dict[str, Any], base: Data, theirs: Data, dumps: Dumps, nested: Iterable[str] = ()) -> None:
    """Let `session` become `theirs`, except where it has changed since it was `base`.

    A dict or list that handlers may hold stays the session's: it is changed in place.
    """

    def encoded(data: Data) -> bytes:
        try:
            return dumps(data)
        except NotSerializable:  # changed since, and the next save refuses it
            return b""

    mine = dict(dict.items(session))
    merged = merge(base, mine, theirs, encoded, nested=nested).data
    dict.clear(session)
    for key, value in merged.items():
        dict.__setitem__(session, key, _kept(key, mine.get(key), value, encoded))


def _kept(key: str, mine: Any, theirs: Any, dumps: Dumps) -> Any:
    """Return my object where it can hold their value, and theirs elsewhere."""
    if mine is theirs or (mine is not None and is_same(key, mine, theirs, dumps)):
        return mine
    if type(mine) is dict and type(theirs) is dict:
        mine.clear()
        mine.update(theirs)
        return mine
    if type(mine) is list and type(theirs) is list:
        mine[:] = theirs
        return mine
    return theirs
