"""PHP sessions as bytes, in three formats.

The setting `session.serialize_handler` names them `php`, `php_serialize` and `php_binary`.

- PHP destroys a session that it can't read. So `dumps` refuses what PHP would refuse or drop, and `loads` reads
  nothing that PHP wouldn't.
- What `dumps` writes is what PHP 7.1 or later writes for the same session, byte for byte.
- `loads` returns the whole session or raises. It makes no object of a class and calls nothing that the data name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from .errors import CantWrite, PHPDecodeError, PHPEncodeError, malformed
from .keys import is_integer, texts_of_keys
from .limits import MAX_BYTES, MAX_VALUES
from .reader import Reader, decoded
from .writer import Writer, byte_length

Format = Literal["php", "php_serialize", "php_binary"]

_LONGEST_BINARY_KEY = 127
"""Bytes of a key in the format php_binary, which has seven bits for its length."""

_OTHERS = {
    "igbinary": re.compile(rb"\0\0\0[\1\2]"),
    "JSON": re.compile(rb"[{\[]"),
    "php_serialize": re.compile(rb"a:[0-9]+:\{"),
    "php": re.compile(rb"[^|\0-\37]+\|[NbidsaOCE][:;]"),
}
"""How data in other formats begin."""


def loads(data: bytes, format: Format) -> dict[str, Any]:
    """Return the session that PHP stored as `data`.

    An array with the keys 0, 1, 2 and so on is a list, as is the empty one; any other is a dict whose keys are str.
    A string that isn't UTF-8 is bytes. An object or enum is a `PHPObject`. PHP references become copies.

    Raises `PHPDecodeError` for what isn't a session in this format, or exceeds a limit.
    """
    read = _choose(_READERS, format)
    if type(data) is not bytes:
        raise TypeError("a PHP session is bytes")
    if len(data) > MAX_BYTES:
        raise malformed(f"it has more than {MAX_BYTES} bytes", MAX_BYTES)
    if not data:
        return {}
    try:
        return _read(data, read)
    except PHPDecodeError as error:
        for name, beginning in _OTHERS.items():
            if name != format and beginning.match(data):
                raise PHPDecodeError(
                    f"a stored session was expected in PHP's format {format} and seems to be {name}: set both sides "
                    "to the same format. It was left as it is."
                ) from error
        raise


def dumps(data: Mapping[str, Any], format: Format) -> bytes:
    """Return the session as PHP stores it.

    A list or tuple becomes an array with the keys 0, 1, 2 and so on. A key that is a decimal number becomes an
    integer. A dict with the keys "0", "1", "2" and so on, and the empty dict, will be read as a list.

    Raises `PHPEncodeError`, naming the key at fault, for what PHP has no value for, or wouldn't read.
    """
    write_key = _choose(_KEY_WRITERS, format)
    writer = Writer(first_number=2 if format == "php_serialize" else 1)
    for key, value in data.items():
        try:
            writer.write(write_key(key), value)
        except CantWrite as error:
            raise PHPEncodeError(f"session[{key!r}] can't be stored for PHP: {error}. Nothing was saved.") from None
        except RecursionError:
            raise PHPEncodeError(
                f"session[{key!r}] can't be stored for PHP: it is nested too deeply. Nothing was saved."
            ) from None
    text = "".join(writer.pieces)
    if format == "php_serialize":
        text = f"a:{len(data)}:{{{text}}}"
    raw = text.encode(errors="surrogateescape")
    if len(raw) > MAX_BYTES or len(writer.pieces) > MAX_VALUES:
        raise PHPEncodeError(
            f"the session takes {len(raw)} bytes for {len(writer.pieces)} values, and may take {MAX_BYTES} for "
            f"{MAX_VALUES}: keep less in it. Nothing was saved."
        )
    return raw


def _read(data: bytes, read: Callable[[Reader], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read(Reader(data.decode("latin-1")))
    except (ValueError, IndexError):  # of str.index and str[...], which stand for comparisons with the end
        raise malformed("it ends too early", len(data)) from None
    except RecursionError:
        raise malformed("it is nested too deeply for the call stack that is left", 0) from None


def _choose(functions: Mapping[Format, Callable[..., Any]], format: Format) -> Callable[..., Any]:
    if format not in functions:
        raise ValueError(f"format must be one of {', '.join(functions)}")
    return functions[format]


def _read_php(reader: Reader) -> dict[str, Any]:
    return _read_variables(reader, _read_key_with_bar)


def _read_binary(reader: Reader) -> dict[str, Any]:
    return _read_variables(reader, _read_key_with_length)


def _read_variables(reader: Reader, read_key: Callable[[str, int], tuple[str, int]]) -> dict[str, Any]:
    """Read variables, each behind its key, up to the end of the text."""
    data: dict[str, Any] = {}
    while reader.position < reader.length:
        start = reader.position
        raw, position = read_key(reader.text, start)
        key = raw if raw.isascii() else decoded(raw)
        if not isinstance(key, str):
            raise malformed("a key isn't UTF-8", start)
        if key in data:
            raise malformed("a key is there twice", start)
        data[key] = reader.read_value(position)
    if reader.position > reader.length:
        raise malformed("it ends too early", reader.length)
    return data


def _read_key_with_bar(text: str, position: int) -> tuple[str, int]:
    bar = text.index("|", position)
    return text[position:bar], bar + 1


def _read_key_with_length(text: str, position: int) -> tuple[str, int]:
    length = ord(text[position])
    if length > _LONGEST_BINARY_KEY:  # PHP 5 marked what has no value like this
        raise malformed("a key has no value", position)
    end = position + 1 + length
    return text[position + 1 : end], end


def _read_array(reader: Reader) -> dict[str, Any]:
    """Read the session as one array, and ignore what follows, as PHP does."""
    if not reader.text.startswith("a:"):
        raise malformed("it isn't an array", 0)
    data = reader.read_array(0, 0)
    return data if isinstance(data, dict) else {str(number): value for number, value in enumerate(data)}


def _write_key_with_bar(key: str) -> str:
    _check_key(key)
    if "|" in key:
        raise CantWrite("in the format php no key can hold a |; PHP would store an empty session")
    return key + "|"


def _write_key_with_length(key: str) -> str:
    length = _check_key(key)
    if length > _LONGEST_BINARY_KEY:
        raise CantWrite(f"in the format php_binary a key has at most {_LONGEST_BINARY_KEY} bytes; PHP would drop it")
    return chr(length) + key


def _check_key(key: str) -> int:
    """Refuse a key that PHP would drop. Return its length in bytes."""
    if not isinstance(key, str):
        raise CantWrite("a key isn't a str")
    if is_integer(key):
        raise CantWrite("a key is a number; PHP would drop it")
    return byte_length(key)


def _write_array_key(key: str) -> str:
    if not isinstance(key, str):
        raise CantWrite("a key isn't a str")
    return texts_of_keys({key: None})[0]


_READERS: dict[Format, Callable[[Reader], dict[str, Any]]] = {
    "php": _read_php,
    "php_serialize": _read_array,
    "php_binary": _read_binary,
}
_KEY_WRITERS: dict[Format, Callable[[str], str]] = {
    "php": _write_key_with_bar,
    "php_serialize": _write_array_key,
    "php_binary": _write_key_with_length,
}
