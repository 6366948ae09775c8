"""Tables in the real server, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starlette_sessions_ext.handlersocket import Client, Index

from ..support.event_loops import anyio_backend as anyio_backend
from ..support.mariadb_server import MariaDBServer

TABLES = """
CREATE TABLE IF NOT EXISTS people (id VARBINARY(16) PRIMARY KEY, name VARBINARY(20) NOT NULL,
    amount BIGINT NOT NULL, note VARBINARY(20) NULL, KEY amount (amount));
CREATE TABLE IF NOT EXISTS things (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL,
    amount INT NOT NULL, picture BLOB, KEY name (name)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
DELETE FROM people;
TRUNCATE things;
"""

PEOPLE = Index(0, "other", "people", "PRIMARY", ("id", "name", "amount", "note"), ("amount", "name"), echo=0)
NAMES = Index(1, "other", "people", "PRIMARY", ("id", "name"), echo=0)
AMOUNTS = Index(2, "other", "people", "PRIMARY", ("amount",))
BY_AMOUNT = Index(3, "other", "people", "amount", ("id", "amount"))
THINGS = Index(4, "other", "things", "PRIMARY", ("name", "amount"))


@pytest.fixture
def server(mariadb: MariaDBServer) -> MariaDBServer:
    """The server, with empty tables."""
    mariadb.run(TABLES, "other")
    return mariadb


@pytest.fixture
async def client(server: MariaDBServer) -> AsyncIterator[Client]:
    """A connection to the port for writing, with all indexes open."""
    indexes = [PEOPLE, NAMES, AMOUNTS, BY_AMOUNT, THINGS]
    client = await Client.connect("127.0.0.1", server.hs_port_wr, secret=server.hs_secret_wr, indexes=indexes)
    yield client
    await client.aclose()
