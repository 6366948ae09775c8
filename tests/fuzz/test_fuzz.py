"""Each target for a bounded number of examples; scripts/fuzz goes on for as long as its arguments say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from . import cookies, records, replies

pytestmark = pytest.mark.slow

Bytes = st.SearchStrategy[bytes]


def likely(fragments: list[bytes]) -> Bytes:
    """Bytes that are nearly right."""
    pieces = st.sampled_from(fragments) | st.binary(max_size=2)
    return st.lists(pieces, max_size=30).map(b"".join) | st.binary()


def asked() -> Bytes:
    """How many questions, which, and the size of pieces."""
    kinds = st.lists(st.integers(0, len(replies.READERS) - 1), max_size=15).map(
        lambda kinds: bytes([len(kinds), *kinds])
    )
    return st.builds(bytes.__add__, kinds, st.integers(0, 20).map(lambda size: bytes([size])))


@settings(max_examples=2000)
@given(st.builds(bytes.__add__, asked(), likely(replies.FRAGMENTS)))
def test_replies(data: bytes) -> None:
    replies.replies(data)


@settings(max_examples=1000)
@given(likely(cookies.FRAGMENTS))
def test_cookies(data: bytes) -> None:
    cookies.cookies(data)


@settings(max_examples=1000)
@given(likely(records.FRAGMENTS))
def test_records(data: bytes) -> None:
    records.records(data)
