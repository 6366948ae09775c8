"""What MongoStore is given: refused at once where it can't work, with what to give."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient

from starlette_sessions_ext import ConfigurationError, MongoStore

URL = "mongodb://localhost/shop"


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Any]]:
    """None of them connects."""
    blocking = MongoClient[Any](connect=False)
    yield {"pymongo": AsyncMongoClient[Any](), "motor": AsyncIOMotorClient[Any](connect=False), "blocking": blocking}
    blocking.close()


A_COLLECTION = r'give a collection, such as client\["shop"\]\["session_data"\]'
GIVEN: dict[str, tuple[Any, str]] = {
    "a client": (lambda clients: clients["pymongo"], f"AsyncMongoClient.*{A_COLLECTION}"),
    "a client of motor": (lambda clients: clients["motor"], f"AsyncIOMotorClient.*{A_COLLECTION}"),
    "a database": (lambda clients: clients["pymongo"].shop, f"AsyncDatabase.*{A_COLLECTION}"),
    "a database of motor": (lambda clients: clients["motor"].shop, f"AsyncIOMotorDatabase.*{A_COLLECTION}"),
    "a blocking client": (lambda clients: clients["blocking"], "blocks the event loop.*AsyncMongoClient"),
    "a blocking database": (lambda clients: clients["blocking"].shop, "blocks the event loop.*AsyncMongoClient"),
    "a blocking collection": (lambda clients: clients["blocking"].shop.sessions, "blocks the event loop"),
    "nothing": (lambda clients: None, f"NoneType.*mongodb://.*{A_COLLECTION}"),
    "a number": (lambda clients: 5, f"int.*{A_COLLECTION}"),
    "a path": (lambda clients: Path("sessions.db"), f"Path.*{A_COLLECTION}"),
    "bytes": (lambda clients: b"mongodb://canary@host", f"bytes.*{A_COLLECTION}"),
    "the class": (lambda clients: AsyncMongoClient, f"type.*{A_COLLECTION}"),
}


@pytest.mark.parametrize(("given", "words"), GIVEN.values(), ids=GIVEN)
def test_what_is_no_collection_is_refused_with_what_to_give(clients: dict[str, Any], given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refusal:
        MongoStore(given(clients))
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["pymongo", "motor"])
def test_a_collection_is_taken(clients: dict[str, Any], kind: str) -> None:
    MongoStore(clients[kind].shop.sessions)
    MongoStore(clients[kind]["shop"].get_collection("sessions"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        *(({"collection": value}, "collection") for value in (5, None, b"sessions", "")),
        *(({"timeout": value}, "timeout") for value in (0, -1, math.nan, math.inf, "2", None, True)),
        *(({"max_data_bytes": value}, "max_data_bytes") for value in (0, -1, 1.5, "1", 16_000_001)),
        *(({"clock": value}, "clock") for value in (5, None, "now")),
    ],
)
def test_options_that_cant_work_are_refused_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        MongoStore(URL, **options)
