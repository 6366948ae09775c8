"""Encode the data of a session as bytes, and decode it. Pure."""

from __future__ import annotations

import json
import json.encoder
import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from json.scanner import make_scanner
from typing import Any

from ..errors import CorruptRecord

MAX_DEPTH = 200
"""How deep lists and dicts may nest, the session itself counted.

Python's own limit depends on how deep the call stack happens to be: what one request could still
write, another could then not read. This is far above what belongs in a session, and leaves most
of the stack to the application.
"""

_SHALLOW = 2 * MAX_DEPTH
"""Characters of JSON that can't nest deeper."""

# A key that JSON may have made from an int, a float, a bool or None. The first pattern finds candidates
# quickly: it begins with what every key ends with, and most keys fail its first look back.
_MAYBE_MADE_KEY = re.compile(r'":(?<=[0-9el]":)(?:(?<=[0-9]":)|(?<="true":)|(?<="false":)|(?<="null":))')
_MADE_KEY = re.compile(r'[{,]"(?:-?[0-9][0-9.e+-]*|true|false|null)":')

_BRACKETS = b"[]{}"
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(_BRACKETS + b'"'))
_STEPS = bytes.maketrans(_BRACKETS, bytes([1, 255, 1, 255]))  # into a level and out of it: 255 is -1 as a signed byte


class SameKey(ValueError):
    """Two keys of one dict are the same in JSON."""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} isn't JSON")  # Python would read NaN and Infinity, and then couldn't write them


Writer = Callable[[object, int], Iterable[str]]
"""Writes JSON in pieces. The number is the level to indent from, which is 0."""


def fast_writer(encoder: json.JSONEncoder) -> Writer:
    """Return json's C encoder, set up once.

    `encoder.encode` sets it up at each call.

    For data that holds itself it raises a RecursionError. Where Python has no C encoder this is slower.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value, _: encoder.encode(value)
    quote = json.encoder.encode_basestring_ascii
    colon, comma = encoder.key_separator, encoder.item_separator
    writer: Writer = make(None, encoder.default, quote, None, colon, comma, False, False, encoder.allow_nan)
    return writer


class JSONSerializer:
    """Compact ASCII JSON, so no character set of a database can damage it.

    As in Starlette's own sessions a tuple comes back as a list, and a key that isn't a str as a
    str. What JSON can't say without loss (NaN, bytes, sets, lone surrogates, two keys that would become
    one) and what nests deeper than `MAX_DEPTH` is refused instead of stored differently. The error
    names the path, the type and the remedy. `TaggedJSONSerializer` gives more types back.
    """

    _write = staticmethod(fast_writer(json.JSONEncoder(allow_nan=False, separators=(",", ":"))))
    _scan = staticmethod(make_scanner(json.JSONDecoder(parse_constant=_refuse_constant)))  # type: ignore[arg-type]

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        try:
            text = "".join(self._write(data, 0))
            if len(text) > _SHALLOW or "\\ud" in text or _MAYBE_MADE_KEY.search(text):
                self._check(data, text)
            return text.encode("ascii")
        except (TypeError, ValueError, RecursionError):
            from .json_faults import explain, find_fault, json_remedy  # it knows types that few sessions hold

            raise explain(find_fault(data, self.dump_value), data, json_remedy) from None

    def loads(self, raw: bytes) -> dict[str, Any]:
        try:
            text = raw.decode("ascii")
            data, end = self._scan(text, 0)
        except (ValueError, StopIteration, RecursionError):
            data, end = None, 0
        if type(data) is not dict or end != len(text):
            raise CorruptRecord("a stored session isn't a JSON object; its row was left as it is")
        return data

    def dump_value(self, value: object) -> bytes:
        """Encode any value.

        Raises TypeError, ValueError or RecursionError for what can't be stored.
        """
        text = "".join(self._write(value, 0))
        self._check(value, text)
        return text.encode("ascii")

    def _check(self, value: object, text: str) -> None:
        """Raise for a value that json has encoded but a reader wouldn't give back.

        Everything whose cost grows with the session runs in C.
        """
        if "\\ud" in text:
            # Perhaps a lone surrogate, which no other JSON reader accepts: UTF-8 can't hold one.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
            raise RecursionError
        if _MAYBE_MADE_KEY.search(text) and _MADE_KEY.search(text):
            read, _ = self._scan(text, 0)
            if read != value and "".join(self._write(read, 0)) != text:  # a reader keeps the last of two equal keys
                raise SameKey


def _depth(text: str) -> int:
    """Measure how deep lists and dicts nest in JSON without blanks."""
    raw = text.encode("ascii")
    if b"\\" in raw:  # what is escaped is no end of a string
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = raw.translate(None, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    if b'"' in brackets:
        brackets = re.sub(b'"[^"]*"', b"", brackets)
    return max(accumulate(array("b", brackets.translate(_STEPS))))
