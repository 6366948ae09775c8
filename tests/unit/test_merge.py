"""The three-way merge of what parallel requests changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starlette_sessions_ext import JSONSerializer, NotSerializable
from starlette_sessions_ext._core.merge import adopt, is_same, merge

dumps = JSONSerializer().dumps

# Few keys and few values, so that sides often meet; 1, 1.0 and True are equal to Python alone.
VALUES: list[Any] = [0, 1, 1.0, True, "1", None, [1], [1.0], {}]
SIDES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(VALUES))

Side = Mapping[str, Any]


def stored(side: Side, key: str) -> str | None:
    """A key's value as it is stored; None where the key is absent."""
    return json.dumps(side[key]) if key in side else None


@given(base=SIDES, mine=SIDES, theirs=SIDES)
def test_every_key_ends_as_whoever_changed_it_left_it(base: Side, mine: Side, theirs: Side) -> None:
    merged = merge(base, mine, theirs, dumps)
    for key in "abcd":
        before, here, there = (stored(side, key) for side in (base, mine, theirs))
        deleted = there is None and all(isinstance(side.get(key), list | dict) for side in (base, mine))
        assert stored(merged.data, key) == (there if here == before or deleted else here)
        assert (key in merged.contested) == (here != before != there != here)


@pytest.mark.parametrize(("before", "after"), [({"seen": 0}, {"seen": 1}), ([1], [1, 2]), ({"a": 1}, [])])
def test_a_deletion_wins_over_a_nested_change(before: Any, after: Any) -> None:
    merged = merge({"user": before}, {"user": after}, {}, dumps)
    assert (merged.data, merged.contested) == ({}, ("user",))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (None, {}), ({}, "bob")])
def test_a_new_value_wins_over_a_deletion(before: Any, after: Any) -> None:
    merged = merge({"user": before}, {"user": after}, {}, dumps)
    assert (merged.data, merged.contested) == ({"user": after}, ("user",))


@given(base=SIDES, mine=SIDES, theirs=SIDES)
def test_merging_leaves_what_it_is_given(base: Side, mine: Side, theirs: Side) -> None:
    copies = [dict(side) for side in (base, mine, theirs)]
    merge(base, mine, theirs, dumps)
    assert [base, mine, theirs] == copies


@given(base=SIDES, mine=SIDES)
def test_alone_nothing_is_merged(base: Side, mine: Side) -> None:
    merged = merge(base, mine, base, dumps)
    assert {key: stored(merged.data, key) for key in merged.data} == {key: stored(mine, key) for key in mine}
    assert merged.contested == ()


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "data", "contested"),
    [
        ({}, {"a": 1}, {"b": 2}, {"b": 2, "a": 1}, ()),
        ({"a": 1}, {"a": 1}, {}, {}, ()),  # they removed what I left alone
        ({"a": 1}, {}, {"a": 1}, {}, ()),  # I removed what they left alone
        ({"a": 1}, {}, {}, {}, ()),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, ()),  # both wanted the same
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, ("a",)),
        ({"a": 1}, {}, {"a": 3}, {}, ("a",)),
        ({"a": 1}, {"a": 2}, {}, {"a": 2}, ("a",)),
        ({}, {"a": 1}, {"a": 2}, {"a": 1}, ("a",)),
        ({}, {"a": 1, "b": 1}, {"b": 2, "a": 2}, {"a": 1, "b": 1}, ("a", "b")),
        ({"cart": [1]}, {"cart": [1, 2]}, {"cart": [1], "seen": 1}, {"cart": [1, 2], "seen": 1}, ()),
        ({"a": 1}, {"a": True}, {"a": 1.0}, {"a": True}, ("a",)),
        ({"a": None}, {"a": None}, {}, {}, ()),  # None is a value, not an absence
    ],
)
def test_cases_of_merging(
    base: Side, mine: Side, theirs: Side, data: dict[str, Any], contested: tuple[str, ...]
) -> None:
    merged = merge(base, mine, theirs, dumps)
    assert json.dumps(merged.data, sort_keys=True) == json.dumps(data, sort_keys=True)
    assert merged.contested == contested


@pytest.mark.parametrize(
    ("theirs", "data"),
    [
        ({"a": 2}, {"a": 1}),  # the attempt took place, and is taken back
        ({"a": 1}, {"a": 1}),  # it didn't
        ({"a": 3}, {"a": 3}),  # another request has written since
        ({}, {}),  # or has deleted it
        ({"a": 2, "b": 1}, {"a": 1, "b": 1}),
    ],
)
def test_what_an_attempt_stored_is_taken_back_and_nothing_else(theirs: Side, data: Side) -> None:
    assert merge({"a": 1}, {"a": 1}, theirs, dumps, [{"a": 2}]) == (data, ())


def test_a_key_that_an_attempt_added_or_removed_is_taken_back() -> None:
    assert merge({}, {}, {"a": 1}, dumps, [{"a": 1}]) == ({}, ())
    assert merge({"a": 1}, {"a": 1}, {}, dumps, [{}]) == ({"a": 1}, ())


class Unlike:
    """Compares as arrays do: the result is no bool."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_values_that_cant_be_compared_are_serialized() -> None:
    assert is_same("a", Unlike(), Unlike(), lambda data: b"the same")
    answers = iter([b"one", b"other"])
    assert not is_same("a", Unlike(), Unlike(), lambda data: next(answers))


@pytest.mark.parametrize(("mine", "theirs"), [([1], [1, 2]), ({"a": 1}, {"b": 2}), ([], [{}])])
def test_what_a_handler_holds_takes_their_value(mine: Any, theirs: Any) -> None:
    held = copy.copy(mine)  # changed below, and parameters are made once
    session: dict[str, Any] = {"held": held}
    adopt(session, {"held": mine}, {"held": theirs}, dumps)
    assert session["held"] is held
    assert held == theirs


def test_an_object_that_is_stored_as_theirs_stays() -> None:
    held = (1, 2)
    session: dict[str, Any] = {"held": held, "one": True}
    adopt(session, {"held": [1, 2], "one": 1}, {"held": [1, 2], "one": 2}, dumps)
    assert session["held"] is held
    assert session["one"] is True  # changed here, from what equals it in Python alone


def test_keys_after_a_deleted_one_are_merged() -> None:
    merged = merge({"user": {"seen": 0}, "n": 1}, {"user": {"seen": 1}, "n": 2}, {"n": 1}, dumps)
    assert merged == ({"n": 2}, ("user",))


def test_values_are_compared_as_the_serializer_writes_them() -> None:
    def dumps_dates(data: Side) -> bytes:
        return json.dumps(data, default=str).encode()

    day = date(2026, 1, 2)
    for one, other in ((day, "2026-01-02"), ("2026-01-02", day)):
        assert is_same("a", one, other, dumps_dates)
    assert not is_same("a", day, "2026-01-03", dumps_dates)


@pytest.mark.parametrize(("mine", "theirs"), [([1], {"a": 1}), (1, [1]), ("a", "b"), (None, 0)])
def test_another_kind_of_value_takes_its_place(mine: Any, theirs: Any) -> None:
    session = {"held": mine}
    adopt(session, {"held": mine}, {"held": theirs}, dumps)
    assert session["held"] is theirs


def test_a_nested_key_is_merged_by_its_own_keys() -> None:
    base = {"bag": {"a": 1, "b": 1, "c": [1], "d": 1}, "x": 1}
    mine = {"bag": {"a": 2, "b": 1, "c": [1, 2], "d": 2}, "x": 1}
    theirs = {"bag": {"a": 1, "b": 2, "d": 3, "e": 5}, "x": 2}
    merged = merge(base, mine, theirs, dumps, nested=("bag", "absent"))
    assert merged.data == {"bag": {"a": 2, "b": 2, "d": 2, "e": 5}, "x": 2}
    assert merged.contested == ("c", "d")


def test_an_empty_list_is_a_nested_key_without_keys() -> None:
    """PHP has one empty array."""
    assert merge({"bag": []}, {"bag": {"a": 1}}, {"bag": {"b": 1}}, dumps, nested=["bag"]).data == {
        "bag": {"b": 1, "a": 1}
    }
    assert merge({}, {"bag": {"a": 1}}, {"bag": {"b": 1}}, dumps, nested=["bag"]).data == {"bag": {"b": 1, "a": 1}}


@pytest.mark.parametrize(("mine", "expected"), [({}, {}), ({"bag": 5}, {"bag": 5}), ({"bag": [1]}, {"bag": [1]})])
def test_a_nested_key_that_holds_something_else_is_a_key_like_others(mine: Side, expected: Side) -> None:
    assert merge({"bag": {"a": 1}}, mine, {"bag": {"a": 1, "b": 2}}, dumps, nested=["bag"]).data == expected


def test_an_attempt_that_took_place_is_known_in_a_nested_key() -> None:
    base, mine, theirs = {"bag": {"a": 1}}, {"bag": {"a": 1}}, {"bag": {"a": 2, "b": 3}}
    attempts = [{"bag": {"a": 2}}, {}]
    assert merge(base, mine, theirs, dumps, attempts, nested=["bag"]).data == {"bag": {"a": 1, "b": 3}}


def test_a_nested_key_is_adopted_by_its_own_keys() -> None:
    bag = {"a": 1, "late": 1}
    session: dict[str, Any] = {"bag": bag}
    adopt(session, {"bag": {"a": 1}}, {"bag": {"a": 1, "b": 2}}, dumps, nested=["bag"])
    assert session == {"bag": {"a": 1, "b": 2, "late": 1}}
    assert session["bag"] is bag


def test_values_that_cant_be_written_alone_are_different() -> None:
    """Such as an object of PHP that refers to another key."""

    def refuse(data: Side) -> bytes:
        raise NotSerializable("not alone")

    merged = merge({"o": [1]}, {"o": [1], "n": 1}, {"o": [2]}, refuse)
    assert merged.data == {"o": [2], "n": 1}


def test_a_value_that_cant_be_serialized_alone_counts_as_changed() -> None:
    def together(data: Any) -> bytes:
        """Serialize what refers to another key, which has to be there."""
        if "part" in data and "whole" not in data:
            raise NotSerializable("it refers to another key")
        return dumps(data)

    base: dict[str, Any] = {"whole": 1, "part": [1]}
    mine, theirs = {**base, "part": [2]}, {**base, "whole": 2}
    assert merge(base, mine, theirs, together).data == {"whole": 2, "part": [2]}
