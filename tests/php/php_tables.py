"""A database with the tables as the README of the PHP adapters prints them, and variants."""

from __future__ import annotations

from ..support.mariadb_server import PHP_TABLES, MariaDBServer, empty

DATABASE = "php_shared"
TABLES = ("session_data", "php_session", "session_data_bytes", "wide_data", "latin_data")


def make_tables(server: MariaDBServer) -> None:
    server.run(f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8")
    server.run(f"SET sql_mode = ''; DROP TABLE IF EXISTS {', '.join(TABLES)}, no_data; {PHP_TABLES}", DATABASE)
    server.run(
        """
        CREATE TABLE session_data_bytes LIKE session_data;
        ALTER TABLE session_data_bytes MODIFY data mediumblob NOT NULL;
        CREATE TABLE wide_data LIKE session_data;
        ALTER TABLE wide_data MODIFY data mediumtext CHARACTER SET utf8mb4 NOT NULL;
        CREATE TABLE latin_data LIKE session_data;
        ALTER TABLE latin_data MODIFY data mediumtext CHARACTER SET latin1 NOT NULL;
        CREATE TABLE no_data (session_id varchar(35), created_at int, modified_at int);
        """,
        DATABASE,
    )


def empty_tables(url: str) -> None:
    for table in TABLES:
        empty(url, table)
