"""Objects and enums of PHP survive a change elsewhere in the session, or saving is an error that names them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from starlette_sessions_ext.php import PHPDecodeError, PHPEncodeError, PHPObject, dumps, loads

from ..support.php_process import PHPProcess

POINT = b'O:5:"Point":4:{s:1:"x";i:1;s:4:"\0*\0y";i:2;s:8:"\0Point\0z";i:3;s:5:"other";N;}'
PAIR = b'O:5:"Point":4:{s:1:"x";r:1;s:4:"\0*\0y";R:1;s:8:"\0Point\0z";O:8:"stdClass":0:{}s:5:"other";r:4;}'


def as_php_keeps_it(php: PHPProcess, stored: bytes) -> bytes:
    """Return what PHP stores after it has read the session."""
    verdict = php.read(stored, "php")
    assert not verdict.destroyed
    return verdict.reencoded


def test_an_object_is_opaque() -> None:
    point = loads(b"p|" + POINT, "php")["p"]
    assert isinstance(point, PHPObject)
    assert repr(point) == "PHPObject('Point')"
    assert copy.copy(point) is point
    assert copy.deepcopy([point])[0] is point
    writable: Any = point
    with pytest.raises(AttributeError, match="can't be changed"):
        writable.class_name = "Other"
    with pytest.raises(AttributeError, match="can't be changed"):
        del writable.class_name


def test_objects_are_equal_if_they_are_stored_alike() -> None:
    one, same = (loads(b"p|" + POINT, "php")["p"] for _ in range(2))
    other = loads(b"p|" + POINT.replace(b"i:3", b"i:4"), "php")["p"]
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "Point"
    first, second = (loads(b'a|O:1:"A":0:{}p|' + PAIR, "php")["p"] for _ in range(2))
    assert first == second
    third = loads(b'a|O:1:"B":0:{}p|' + PAIR, "php")["p"]
    assert first != third


@pytest.mark.parametrize("value", [POINT, b'E:11:"Suit:Hearts";', b'O:10:"Unknown\\Cl":1:{i:5;s:1:"\xff";}'])
def test_an_object_survives_a_change_before_it(value: bytes, php: PHPProcess) -> None:
    data = loads(b"count|i:1;p|" + value, "php")
    data["count"] = {"now": ["a", "list"]}
    stored = dumps(data, "php")
    assert stored == b'count|a:1:{s:3:"now";a:2:{i:0;s:1:"a";i:1;s:4:"list";}}p|' + value
    if b"i:5" not in value:  # PHP writes that property's name as text
        assert as_php_keeps_it(php, stored) == stored


def test_references_inside_an_object_are_numbered_anew(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'n|i:1;p|O:8:"stdClass":2:{s:1:"a";O:8:"stdClass":0:{}s:1:"b";r:3;}')
    data = loads(stored, "php")
    data["n"] = [1, 2, {"x": 3}]
    changed = dumps(data, "php")
    assert changed.endswith(b's:1:"b";r:7;}')
    assert as_php_keeps_it(php, changed) == changed
    del data["n"]
    assert dumps(data, "php").endswith(b's:1:"b";r:2;}')


def test_an_object_that_holds_itself(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'p|O:8:"stdClass":2:{s:4:"self";r:1;s:3:"arr";a:1:{i:0;r:1;}}')
    data = loads(stored, "php")
    assert dumps(data, "php") == stored
    changed = dumps({"new": "x", **data}, "php")
    assert as_php_keeps_it(php, changed) == changed


def test_one_object_under_two_keys_stays_one(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'a|O:8:"stdClass":1:{s:1:"x";i:1;}b|r:1;')
    data = loads(stored, "php")
    assert data["a"] is data["b"]
    assert dumps(data, "php") == stored
    changed = dumps({"list": [1, 2], "a": data["a"], "deep": [data["b"]], "b": data["b"]}, "php")
    assert changed == b'list|a:2:{i:0;i:1;i:1;i:2;}a|O:8:"stdClass":1:{s:1:"x";i:1;}deep|a:1:{i:0;r:4;}b|r:4;'
    assert as_php_keeps_it(php, changed) == changed


def test_an_object_that_refers_to_another_follows_it(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'user|O:8:"stdClass":0:{}cart|O:8:"stdClass":1:{s:1:"u";r:1;}')
    data = loads(stored, "php")
    changed = dumps({"n": [1], **data}, "php")
    assert changed == b'n|a:1:{i:0;i:1;}user|O:8:"stdClass":0:{}cart|O:8:"stdClass":1:{s:1:"u";r:3;}'
    assert as_php_keeps_it(php, changed) == changed
    del data["user"]
    with pytest.raises(PHPEncodeError, match=r"session\['cart'\].*an object of the class stdClass"):
        dumps(data, "php")


def test_an_object_inside_another_is_found_again(php: PHPProcess) -> None:
    inner = b'O:8:"stdClass":1:{s:1:"v";i:7;}'
    stored = as_php_keeps_it(php, b'a|O:8:"stdClass":1:{s:1:"x";' + inner + b'}b|r:2;c|O:8:"stdClass":1:{s:1:"y";r:2;}')
    data = loads(stored, "php")
    assert dumps(data, "php") == stored
    changed = dumps({"n": 1, **data}, "php")
    assert as_php_keeps_it(php, changed) == changed
    with pytest.raises(PHPEncodeError, match=r"session\['b'\]"):
        dumps({"b": data["b"]}, "php")


def test_a_php_reference_to_an_object_is_the_object(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'a|O:8:"stdClass":0:{}b|R:1;')
    data = loads(stored, "php")
    assert data["a"] is data["b"]
    assert as_php_keeps_it(php, dumps(data, "php")) == b'a|O:8:"stdClass":0:{}b|r:1;'


def test_a_reference_out_of_an_object_cant_be_saved(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'n|i:1;o|O:8:"stdClass":1:{s:1:"x";R:1;}')
    data = loads(stored, "php")
    assert data["n"] == 1
    with pytest.raises(PHPEncodeError, match=r"session\['o'\].*of the class stdClass"):
        dumps(data, "php")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b'o|O:8:"stdClass":1:{s:1:"x";i:5;}n|R:2;', "into an object"),
        (b'o|O:8:"stdClass":1:{s:1:"x";a:0:{}}n|R:2;', "into an object"),
        (b'o|O:8:"stdClass":1:{s:1:"x";i:5;}n|r:2;', "where there is none"),
        (b'o|O:8:"stdClass":1:{s:1:"x";r:3;}', "isn't there"),
        (b'o|O:8:"stdClass":2:{s:1:"x";i:1;s:1:"y";r:2;}', "where there is none"),
        (b'o|O:8:"stdClass":2:{s:1:"x";i:1;s:1:"x";i:2;}', "a property twice"),
        (b'o|C:1:"A":1:{x}n|i:1;m|R:1;', "of the form C:"),
        (b'o|C:1:"A":2:{x}', "no '}'|ends too early"),
        (b'o|O:1:"A":0:}', "ends too early"),
        (b'o|O:1:"A",0:{}', "no ':'"),
        (b'o|O:3:"a b":0:{}', "a name that PHP doesn't take"),
        (b'o|E:3:"A:B",', "no ';'"),
        (b'o|E:2:"A:";', "a name that PHP doesn't take"),
        (b'o|O:1:"A:0:{}', "isn't as long as it says"),
        (b"o|O:1:'A':0:{}", "isn't as long as it says"),
        (b'o|o:1:"A":0:{}', "no value begins like this"),
        (b'o|O:1:"A":00{}', "no count"),
    ],
)
def test_what_isnt_understood_is_refused(stored: bytes, reason: str) -> None:
    with pytest.raises(PHPDecodeError, match=reason):
        loads(stored, "php")


def test_what_only_its_class_can_read_is_kept() -> None:
    stored = b'n|i:1;o|C:6:"Custom":9:{any bytes}p|C:6:"Custom":4:{r:1;}q|O:1:"A":1:{s:1:"x";r:1;}'
    with pytest.raises(PHPDecodeError, match="of the form C:"):
        loads(stored, "php")
    data = loads(b'n|i:1;o|C:6:"Custom":9:{any bytes}q|O:1:"A":0:{}', "php")
    data["n"] = "changed"
    assert dumps(data, "php") == b"s"[:0] + b'n|s:7:"changed";o|C:6:"Custom":9:{any bytes}q|O:1:"A":0:{}'
    with pytest.raises(PHPEncodeError, match="of the class A"):
        dumps({**data, "again": data["q"]}, "php")
    with pytest.raises(PHPEncodeError, match="of the class Custom"):
        dumps(loads(b'p|C:6:"Custom":4:{r:1;}', "php"), "php")


def test_a_copy_of_an_array_with_an_object_holds_the_object(php: PHPProcess) -> None:
    stored = as_php_keeps_it(php, b'a|a:1:{i:0;O:8:"stdClass":0:{}}b|R:1;')
    data = loads(stored, "php")
    assert data["a"] == data["b"]
    assert data["a"] is not data["b"]
    assert as_php_keeps_it(php, dumps(data, "php")) == b'a|a:1:{i:0;O:8:"stdClass":0:{}}b|a:1:{i:0;r:2;}'
