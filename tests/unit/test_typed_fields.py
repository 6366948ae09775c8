"""Dataclasses and TypedDicts are read and written by their annotations."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext.typed.fields import read, write
from starlette_sessions_ext.typed.invalid import Invalid

from ..support.typed_classes import FULL, DictCart, Everything, Line, Prefs


@pytest.mark.parametrize("value", [FULL, Everything(), replace(FULL, either=5), replace(FULL, share=2)])
def test_a_value_of_each_annotation_comes_back(value: Everything) -> None:
    stored = write(Everything, value)
    again = read(Everything, json.loads(json.dumps(stored)))
    assert again == value
    assert type(again.share) is float
    assert "derived" not in stored


def test_what_is_stored_is_json_that_people_can_read() -> None:
    stored = write(Everything, FULL)
    assert stored["moment"] == "2030-01-02T00:00:00"
    assert stored["price"] == "1.50"
    assert stored["names"] == ["a", "b"]
    assert stored["by_number"] == {"-1": "2030-01-01"}
    assert stored["items"] == [{"name": "tea", "count": 2}]


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"text": 1}, "['text']", "expected str, got int"),
        ({"number": True}, "['number']", "expected int, got bool"),
        ({"share": "1"}, "['share']", "expected float, got str"),
        ({"moment": "yesterday"}, "['moment']", "expected datetime"),
        ({"moment": 5}, "['moment']", "expected datetime"),
        ({"lasts": ["a"]}, "['lasts']", "expected timedelta"),
        ({"price": "x"}, "['price']", "expected Decimal"),
        ({"colour": "g"}, "['colour']", "expected Colour"),
        ({"raw": "?"}, "['raw']", "expected bytes"),
        ({"either": [1]}, "['either']", "expected int or list, got list"),
        ({"size": 2}, "['size']", "expected one of 2 values"),
        ({"size": True}, "['size']", "expected one of 2 values"),
        ({"items": {}}, "['items']", "expected list, got dict"),
        ({"items": [{"name": "a"}, {"name": 1}]}, "['items'][1]['name']", "expected str, got int"),
        ({"items": [{}]}, "['items'][0]", "Line refuses it (TypeError)"),
        ({"pair": [1]}, "['pair']", "expected 2 items, got 1"),
        ({"pair": [1, 1]}, "['pair'][1]", "expected str, got int"),
        ({"by_name": []}, "['by_name']", "expected dict, got list"),
        ({"by_name": {"a": {"name": None}}}, "['by_name']['a']['name']", "expected str, got NoneType"),
        ({"by_number": {"x": "2030-01-01"}}, "['by_number']", "expected key to be an int"),
        ({"by_id": {"x": 1}}, "['by_id']", "expected UUID"),
        ({"prefs": {"colour": 1}}, "['prefs']['colour']", "expected Colour"),
    ],
)
def test_what_is_stored_in_another_form_is_refused_by_its_path(changes: Any, where: str, reason: str) -> None:
    stored = write(Everything, FULL) | changes
    with pytest.raises(Invalid) as caught:
        read(Everything, stored)
    assert str(caught.value) == f"at {where}: {reason}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"text": 1}, "['text']", "expected str, got int"),
        ({"day": datetime(2030, 1, 2)}, "['day']", "expected date, got datetime"),
        ({"price": 1.5}, "['price']", "expected Decimal, got float"),
        ({"items": [Line("a"), {"name": "b"}]}, "['items'][1]", "expected Line, got dict"),
        ({"items": (Line("a"),)}, "['items']", "expected list, got tuple"),
        ({"names": ["a"]}, "['names']", "expected set, got list"),
        ({"by_id": {"a": 1}}, "['by_id']", "expected UUID, got str"),
        ({"by_number": {1: 2}}, "['by_number'][...]", "expected date, got int"),
        ({"prefs": {"shape": 1}}, "['prefs']['shape']", "Prefs has no such key"),
        ({"prefs": None}, "['prefs']", "expected dict, got NoneType"),
    ],
)
def test_what_isnt_of_its_class_is_refused_by_its_path(changes: Any, where: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        write(Everything, replace(FULL, **changes))
    assert str(caught.value) == f"at {where}: {reason}"


def test_a_typeddict_has_its_required_keys() -> None:
    assert read(DictCart, {"note": "a", "more": 1}) == {"note": "a"}
    assert read(Prefs, {}) == {}
    with pytest.raises(Invalid, match=r"^at \['note'\]: it is missing$"):
        read(DictCart, {"lines": []})


@dataclass
class Odd:
    value: complex


@dataclass
class Lost:
    value: Nowhere  # type: ignore[name-defined]  # noqa: F821


def test_an_annotation_that_json_cant_say_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"can't read the annotation <class 'complex'>"):
        read(Odd, {"value": 1})
    with pytest.raises(ConfigurationError, match=r"an annotation of Lost names 'Nowhere', which its module"):
        read(Lost, {"value": 1})


def test_scalars_alone_have_no_path() -> None:
    with pytest.raises(Invalid, match=r"^expected UUID$"):
        read(UUID, 1)
    assert write(Path, Path("a")) == "a"
    assert read(Decimal, "2") == 2
