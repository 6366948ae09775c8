"""What PHP 8.2 stored is read, and written again byte for byte."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from starlette_sessions_ext.php import Format, PHPDecodeError, dumps, loads

from ..support.php_process import PHPProcess
from .recorded import ODD_INPUTS, VECTORS, Stored

CHANGED = {"float_precision17", "reference_sibling", "reference_in_array"}
"""PHP before 7.1 wrote more digits than needed. Python has copies where PHP has references."""
CYCLIC = "reference_recursive"

CLASSES = {"enum_unknown", "obj_datetime_bad"}
"""What PHP makes of them depends on its classes: it refuses an enum that it doesn't have."""

FORMATS = get_args(Format)


def ids(stored: Stored) -> str:
    return f"{stored.name}-{stored.format}"


@pytest.mark.parametrize("stored", VECTORS, ids=ids)
def test_a_session_of_php_is_read_and_written_again(stored: Stored) -> None:
    if stored.name == CYCLIC:
        with pytest.raises(PHPDecodeError, match="a reference to what holds it"):
            loads(stored.data, stored.format)
        return
    data = loads(stored.data, stored.format)
    if stored.value is not None:
        # Compared as text: 1, 1.0 and True are equal in Python.
        assert json.dumps(data) == json.dumps(stored.value)
    again = dumps(data, stored.format)
    assert (again == stored.data) == (stored.name not in CHANGED)
    assert dumps(loads(again, stored.format), stored.format) == again


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", ["x" * 70_000, list(range(1, 1001)), [[[["é" * 500]]]]], ids=["text", "list", "deep"])
def test_a_large_session_of_php_is_read_and_written_again(format: Format, value: object, php: PHPProcess) -> None:
    stored = php.write(json.dumps({"large": value}), format)
    assert loads(stored, format) == {"large": value}
    assert dumps({"large": value}, format) == stored


@pytest.mark.parametrize("stored", ODD_INPUTS, ids=ids)
def test_what_php_refuses_is_refused(stored: Stored, php: PHPProcess) -> None:
    verdict = php.read(stored.data, stored.format)
    try:
        data = loads(stored.data, stored.format)
    except PHPDecodeError:
        return
    assert not verdict.destroyed or stored.name in CLASSES
    again = php.read(dumps(data, stored.format), stored.format)
    assert again.value == verdict.value
    assert again.destroyed == verdict.destroyed


@pytest.mark.parametrize(
    ("name", "format", "value"),
    [
        ("int_leading_zero", "php", {"k": 7}),
        ("int_neg_zero", "php", {"k": 0}),
        ("float_dot5", "php", {"k": 0.5}),
        ("float_5dot", "php", {"k": 5.0}),
        ("str_zero_pad", "php", {"k": "abc"}),
        ("arr_numstr_key", "php", {"k": {"42": "x"}}),
        ("newline_between", "php", {"a": 1, "\nb": 2}),
        ("empty", "php", {}),
        ("empty", "php_serialize", {}),
        ("empty", "php_binary", {}),
        ("zero_len", "php_binary", {"": 1}),
        ("intkeys", "php_serialize", {"0": 1, "k": 2}),
    ],
)
def test_what_php_reads_though_it_is_odd(name: str, format: Format, value: object) -> None:
    [stored] = [one for one in ODD_INPUTS if (one.name, one.format) == (name, format)]
    assert loads(stored.data, format) == value


@pytest.mark.parametrize("format", ["php", "php_binary"])
@pytest.mark.parametrize("padded", ['s:0000005:"hello"', "a:0001:{i:0;N;}", "i:0005", "i:-0005", "i:000", "d:0000.5"])
def test_zeros_before_a_number_are_read(format: Format, padded: str, php: PHPProcess) -> None:
    stored = ("k|" if format == "php" else "\1k").encode() + padded.encode() + (b"" if padded[0] == "a" else b";")
    verdict = php.read(stored, format)
    assert not verdict.destroyed
    assert dumps(loads(stored, format), format) == verdict.reencoded
