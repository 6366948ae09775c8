"""An external server keeps what it had, and nothing of the tests stays there."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from redis import Redis

from ..support.external_servers import mongo_database, mysql_database, postgresql_database, redis_database
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.postgresql_server import PostgreSQLServer, run_sql
from ..support.redis_server import RedisServer


def test_a_redis_database_that_isnt_empty_is_left_alone(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    given = redis_server.url.replace("/0", "/7")
    with Redis.from_url(redis_server.url.replace("/0", "/8")) as client:
        with redis_database(given) as url:
            assert url.endswith("/8")
            client.set("ours", 1)
        assert client.dbsize() == 0
        client.set("theirs", 1)
        with pytest.raises(RuntimeError, match="database 8 of SESSIONS_TEST_REDIS isn't empty"):
            redis_database(given).__enter__()
        assert client.get("theirs") == b"1"
        client.flushdb()


def test_a_mysql_database_comes_and_goes(mariadb: MariaDBServer) -> None:
    before = mariadb.run("SHOW DATABASES")
    with mysql_database(mariadb.url("other")) as url:
        made = set(mariadb.run("SHOW DATABASES").splitlines()) - set(before.splitlines())
        assert made == {url.rpartition("/")[2]}
    assert mariadb.run("SHOW DATABASES") == before


def test_a_postgresql_database_comes_and_goes(postgresql: PostgreSQLServer) -> None:
    names = "SELECT datname FROM pg_database ORDER BY 1"
    before = postgresql.run(names)
    with postgresql_database(postgresql.url("other")) as url:
        made = set(postgresql.run(names).splitlines()) - set(before.splitlines())
        assert made == {url.rpartition("/")[2]}
        assert run_sql(url, "SELECT count(*) FROM sessions") == "0\n"
    assert postgresql.run(names) == before


def test_a_mongo_database_comes_and_goes(mongo_server: MongoServer) -> None:
    with MongoClient[dict[str, int]](mongo_server.url) as client:
        before = client.list_database_names()
        with mongo_database(mongo_server.url) as url:
            client.get_database(url.rpartition("/")[2]).rows.insert_one({"a": 1})
            assert len(client.list_database_names()) == len(before) + 1
        assert client.list_database_names() == before
