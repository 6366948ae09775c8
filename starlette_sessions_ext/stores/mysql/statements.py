"""The statements of a DatabaseStore, as templates for quoted names. Pure."""

from __future__ import annotations

LOAD = """SELECT {session_id}, CAST({data} AS BINARY), {version}, COALESCE({modified_at}, {created_at}) FROM {table}
    WHERE {session_id} IN (%s{more}) AND COALESCE({modified_at}, {created_at}) > %s"""
SELECT_DATA = "SELECT CAST({data} AS BINARY) FROM {table} WHERE {session_id} = %s"
CREATE = """INSERT INTO {table} ({session_id}, {data}, {created_at}, {modified_at}, {version})
    VALUES (%s, %s, %s, %s, %s)"""
DROP_IF_EXPIRED = "DELETE FROM {table} WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) <= %s"
CREATE_OWNED = """INSERT INTO {table} ({session_id}, {data}, {created_at}, {modified_at}, {version}, {owner})
    VALUES (%s, %s, %s, %s, %s, %s)"""
REPLACE = """UPDATE {table} SET {data} = %s, {modified_at} = %s, {version} = {version} + 1
    WHERE {session_id} = %s AND {version} = %s AND COALESCE({modified_at}, {created_at}) > %s"""
REPLACE_OWNED = """UPDATE {table} SET {data} = %s, {modified_at} = %s, {owner} = %s, {version} = {version} + 1
    WHERE {session_id} = %s AND {version} = %s AND COALESCE({modified_at}, {created_at}) > %s"""
TOUCH = """UPDATE {table} SET {modified_at} = %s
    WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) > %s"""
DELETE = "DELETE FROM {table} WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) > %s"
DELETE_VERSION = DELETE + " AND {version} = %s"
# The OR is what lets the index on both columns be used; COALESCE would read the whole table.
FIND_EXPIRED = """SELECT {session_id} FROM {table}
    WHERE {modified_at} <= %s OR ({modified_at} IS NULL AND {created_at} <= %s) LIMIT %s"""
DELETE_EXPIRED = """DELETE FROM {table} WHERE {session_id} IN (%s{more})
    AND COALESCE({modified_at}, {created_at}) <= %s"""
OWNER = "SELECT {owner} FROM {table} WHERE {session_id} = %s AND COALESCE({modified_at}, {created_at}) > %s"
KEYS_OF = "SELECT {session_id} FROM {table} WHERE {owner} = %s AND COALESCE({modified_at}, {created_at}) > %s"
# COALESCE keeps the index of the owner out of it: all writers lock a row by its primary key first.
DELETE_OWNED = """DELETE FROM {table} WHERE {session_id} IN (%s{more}) AND COALESCE({owner}, '') = %s
    AND COALESCE({modified_at}, {created_at}) > %s"""
KEYS = "SELECT {session_id} FROM {table} WHERE {session_id} > %s ORDER BY {session_id} LIMIT 1000"

MAX_LIFETIME = 1_000_000_000
"""Seconds. A row at the beginning of unix time has then been absent since 2001."""
