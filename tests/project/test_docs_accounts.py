"""The rights that docs/accounts.md gives are enough for sessions, and no right is one too many."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from redis import Redis

from starlette_sessions_ext import (
    DatabaseStore,
    HandlerSocketStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    StoreError,
    cli,
)
from starlette_sessions_ext._core.ids import key_of, new_id

from ..support import pages
from ..support.mariadb_server import MIGRATIONS, MariaDBServer, run_sql
from ..support.mongo_server import MongoServer, running_mongo
from ..support.postgresql_server import PostgreSQLServer, migrate
from ..support.postgresql_server import run_sql as run_postgresql
from ..support.redis_server import RedisServer

PAGE = pages.sections((pages.DOCS / "accounts.md").read_text())
LATER = 4_000_000_000

# The drivers of these stores run on asyncio alone.
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def code(section: str) -> str:
    """The one block of code in a section, which isn't Python."""
    [block] = re.findall(r"^```\w+\n(.*?)^```$", PAGE[section], flags=re.MULTILINE | re.DOTALL)
    return str(block)


async def live(store: SessionStore) -> None:
    """One of each operation, each of which has to take place."""
    key = key_of(new_id())
    async with store:
        assert await store.load(key) is None
        assert await store.create(key, b"data", LATER)
        row = await store.load(key)
        assert row is not None
        assert await store.touch(key, LATER + 1)
        assert await store.replace(key, b"new", LATER, row.version)
        row = await store.load(key)
        assert row is not None
        assert await store.delete(key, row.version)
        assert not await store.delete(key)


class TestRedis:
    @pytest.fixture
    def server(self, redis_server: RedisServer) -> Iterator[RedisServer]:
        yield redis_server
        with Redis.from_url(redis_server.url) as administrator:
            administrator.execute_command("ACL DELUSER", "shop")
            administrator.flushall()

    @staticmethod
    def run(server: RedisServer, line: str) -> None:
        with Redis.from_url(server.url) as administrator:
            administrator.execute_command(*line.split())

    @staticmethod
    def url(server: RedisServer, database: int = 0) -> str:
        return f"redis://shop:password@127.0.0.1:{server.port}/{database}"

    async def test_a_user_with_these_rights_has_sessions(self, server: RedisServer) -> None:
        self.run(server, code("Redis"))
        await live(RedisStore(self.url(server)))

    @pytest.mark.parametrize("right", re.findall(r"\+(\w+)", code("Redis")))
    async def test_none_can_be_left_out(self, server: RedisServer, right: str) -> None:
        self.run(server, code("Redis"))
        self.run(server, "SCRIPT FLUSH")
        self.run(server, f"ACL SETUSER shop -{right}")
        with pytest.raises(StoreError):
            await live(RedisStore(self.url(server)))

    async def test_other_keys_are_out_of_reach(self, server: RedisServer) -> None:
        self.run(server, code("Redis"))
        with pytest.raises(StoreError):
            await live(RedisStore(self.url(server), prefix="other:"))

    async def test_what_the_tools_need_besides(self, server: RedisServer) -> None:
        self.run(server, code("Redis"))
        self.run(server, "ACL SETUSER shop +info +scan")
        async with RedisStore(self.url(server)) as store:
            await store.diagnose()
            key = key_of(new_id())
            await store.create(key, b"data", LATER)
            assert key in [one async for one in store.all_keys()]

    async def test_another_database_needs_one_more(self, server: RedisServer) -> None:
        self.run(server, code("Redis"))
        with pytest.raises(StoreError):
            await live(RedisStore(self.url(server, 1)))
        self.run(server, "ACL SETUSER shop +select")
        await live(RedisStore(self.url(server, 1)))


class TestMariaDB:
    @pytest.fixture
    def server(self, mariadb: MariaDBServer) -> Iterator[MariaDBServer]:
        mariadb.run("CREATE DATABASE shop")
        yield mariadb
        mariadb.run("DROP DATABASE shop; DROP USER IF EXISTS shop, migrations")

    @staticmethod
    def url(server: MariaDBServer, user: str, password: str) -> str:
        return f"mysql://{user}:{password}@127.0.0.1:{server.port}/shop"

    def test_one_account_migrates_and_the_other_has_sessions(
        self, server: MariaDBServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        create, grant, *migrations = code("MySQL and MariaDB").splitlines()
        server.run("\n".join(migrations))
        migrator = self.url(server, "migrations", "another%20password")
        assert cli.main(["migrate", migrator]) == 0
        server.run(create + grant)
        assert cli.main(["gc", self.url(server, "shop", "password")]) == 0
        capsys.readouterr()
        cli.main(["doctor", self.url(server, "shop", "password")])
        assert "innodb_flush_log_at_trx_commit" in capsys.readouterr().out, "as the tests' server is set"
        with pytest.raises(RuntimeError, match="denied"):
            run_sql(self.url(server, "shop", "password"), "DROP TABLE session_data")

    async def test_the_application_reads_and_writes_rows(self, server: MariaDBServer) -> None:
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "shop")
        server.run(code("MySQL and MariaDB"))
        await live(DatabaseStore(self.url(server, "shop", "password")))

    @pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
    async def test_none_can_be_left_out(self, server: MariaDBServer, right: str) -> None:
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "shop")
        server.run(code("MySQL and MariaDB"))
        server.run(f"REVOKE {right} ON shop.session_data FROM shop")
        with pytest.raises(StoreError):
            await live(DatabaseStore(self.url(server, "shop", "password")))


class TestPostgreSQL:
    @pytest.fixture
    def server(self, postgresql: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
        postgresql.run("CREATE DATABASE shop", "postgres")
        yield postgresql
        postgresql.run("DROP OWNED BY shop, migrations CASCADE", "shop")
        postgresql.run("DROP DATABASE shop WITH (FORCE)", "postgres")
        postgresql.run("DROP ROLE shop, migrations", "postgres")

    @staticmethod
    def url(server: PostgreSQLServer, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{server.port}/shop"

    def test_one_account_migrates_and_the_other_has_sessions(
        self, server: PostgreSQLServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.run(code("PostgreSQL"), "shop")
        assert cli.main(["migrate", self.url(server, "migrations", "another%20password")]) == 0
        assert cli.main(["gc", self.url(server, "shop", "password")]) == 0
        capsys.readouterr()
        cli.main(["doctor", self.url(server, "shop", "password")])
        assert "fsync is off" in capsys.readouterr().out, "as the tests' server is set"
        with pytest.raises(RuntimeError, match="must be owner"):
            run_postgresql(self.url(server, "shop", "password"), "DROP TABLE sessions")

    async def test_the_application_reads_and_writes_rows(self, server: PostgreSQLServer) -> None:
        server.run(code("PostgreSQL"), "shop")
        migrate(self.url(server, "migrations", "another%20password"))
        await live(PostgreSQLStore(self.url(server, "shop", "password")))

    @pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
    async def test_none_can_be_left_out(self, server: PostgreSQLServer, right: str) -> None:
        server.run(code("PostgreSQL"), "shop")
        migrate(self.url(server, "migrations", "another%20password"))
        server.run(f"REVOKE {right} ON sessions FROM shop", "shop")
        with pytest.raises(StoreError):
            await live(PostgreSQLStore(self.url(server, "shop", "password")))


async def test_handlersocket_looks_at_the_schema_with_select_alone(mariadb: MariaDBServer) -> None:
    mariadb.run("CREATE USER looks IDENTIFIED BY 'password'; GRANT SELECT ON fresh.php_session TO looks")
    url = f"mysql://looks:password@127.0.0.1:{mariadb.port}/fresh"
    try:
        async with HandlerSocketStore(
            "127.0.0.1",
            mariadb.hs_port,
            port_wr=mariadb.hs_port_wr,
            dbname="fresh",
            secret=mariadb.hs_secret,
            secret_wr=mariadb.hs_secret_wr,
            mysql_url=url,
        ) as store:
            await store.diagnose()
    finally:
        mariadb.run("DROP USER looks")


@pytest.fixture(scope="module")
def guarded_mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that asks for a user, and has one: root."""
    with running_mongo(tmp_path_factory.mktemp("accounts"), "--auth") as server:
        with MongoClient[Any](server.url) as client:
            client.admin.command("createUser", "root", pwd="right", roles=["root"])
        yield server


class TestMongoDB:
    ACTIONS = re.findall(r'"(\w+)"', code("MongoDB").split("actions: ")[1].split("]")[0])

    @pytest.fixture
    def root(self, guarded_mongo: MongoServer) -> Iterator[MongoClient[Any]]:
        with MongoClient[Any](guarded_mongo.url.replace("://", "://root:right@")) as client:
            yield client
            client.drop_database("shop")
            client.shop.command("dropAllUsersFromDatabase")
            client.shop.command("dropAllRolesFromDatabase")

    @staticmethod
    def create(root: MongoClient[Any]) -> None:
        """As mongosh does, but for the names without quotes that JavaScript allows."""
        for database, command, argument in re.findall(
            r'^db\.getSiblingDB\("(\w+)"\)\.(\w+)\((.*?)\)$', code("MongoDB"), flags=re.MULTILINE | re.DOTALL
        ):
            options = json.loads(re.sub(r"\b(\w+): ", r'"\1": ', argument))
            name = options.pop(command.removeprefix("create").lower())
            root[database].command(command, name, **options)

    @staticmethod
    def store(guarded_mongo: MongoServer) -> MongoStore:
        return MongoStore(guarded_mongo.url.replace("://", "://shop:password@") + "/shop")

    async def test_a_user_with_this_role_has_sessions(self, guarded_mongo: MongoServer, root: MongoClient[Any]) -> None:
        self.create(root)
        await live(self.store(guarded_mongo))
        assert "expires_at_1" in root.shop.session_data.index_information()

    @pytest.mark.parametrize("action", ACTIONS)
    async def test_none_can_be_left_out(self, guarded_mongo: MongoServer, root: MongoClient[Any], action: str) -> None:
        self.create(root)
        where = {"db": "shop", "collection": "session_data"}
        root.shop.command("revokePrivilegesFromRole", "sessions", privileges=[{"resource": where, "actions": [action]}])
        with pytest.raises((StoreError, ValueError)):
            await live(self.store(guarded_mongo))
