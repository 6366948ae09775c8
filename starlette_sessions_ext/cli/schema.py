"""The command `migrate`."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import ConfigurationError
from .commands import Commands, add_url

_WITHOUT_MIGRATIONS = {
    "sqlite": "SQLiteStore makes its table when it opens",
    "redis": "Redis has no tables",
    "rediss": "Redis has no tables",
    "unix": "Redis has no tables",
    "mongodb": "MongoStore makes its index when it opens",
    "mongodb+srv": "MongoStore makes its index when it opens",
    "memory": "MemoryStore has no tables",
}


def add_to(commands: Commands) -> None:
    """Add the command of this module."""
    parser = commands.add_for_store("migrate", migrate, "mysql://user:password@localhost/app")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a migration is missing")
    how.add_argument("--print", action="store_true", help="print the SQL of all migrations, for others to apply")
    add_url(parser)


async def migrate(options: argparse.Namespace) -> int:
    """Apply, print or check the migrations of a MySQL, MariaDB or PostgreSQL database."""
    scheme = options.url.partition("://")[0].lower()
    if scheme in _WITHOUT_MIGRATIONS:
        print(f"nothing to migrate: {_WITHOUT_MIGRATIONS[scheme]}")
        return 0
    if scheme == "handlersocket":
        raise ConfigurationError(
            "migrations go over SQL: give the mysql:// URL of the server behind this HandlerSocket"
        )
    migrations = _migrations_of(scheme)
    if options.print:
        for migration in migrations.find():
            print(f"-- {migration.name}\n{migration.sql}")
        return 0
    async with migrations.connect(options.url) as connection:
        if options.check:
            missing = await migrations.pending(connection)
            for migration in missing:
                print(f"missing: {migration.name}")
            if not missing:
                print("the tables are up to date")
            return 1 if missing else 0
        applied = await migrations.apply(connection)
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the tables are up to date already")
    return 0


def _migrations_of(scheme: str) -> Any:
    """Import the migrations of a server, and its driver."""
    if scheme.startswith("postgres"):
        from ..stores.postgresql import migrations as postgresql

        return postgresql
    from ..stores.mysql import migrations as mysql

    return mysql
