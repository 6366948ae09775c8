"""The statements over the rows of PHP, as templates for quoted names. Pure.

PHP keeps no version. So a version is the data, and a statement compares the bytes that were loaded. Ids are compared as
bytes too: to the column's collation, ids that differ in case or accents are the same.
"""

from __future__ import annotations

LIVING = "{id} = %s AND CAST({id} AS BINARY) = %s AND {age} > %s"
"""The condition for one row that hasn't expired, in the place of `{living}`."""

LOAD = "SELECT {read}, {age_read} FROM {table} WHERE {living} AND {data} IS NOT NULL"
CREATE = "INSERT INTO {table} ({id}, {data}, {times}) VALUES (%s, {write}, {time_values})"
DROP_IF_EXPIRED = "DELETE FROM {table} WHERE {id} = %s AND {age} <= %s"
REPLACE = "UPDATE {table} SET {data} = {write}, {modified} = %s WHERE {living} AND {read} = %s"
TOUCH = "UPDATE {table} SET {modified} = %s WHERE {living}"
DELETE = "DELETE FROM {table} WHERE {living}"
DELETE_VERSION = "DELETE FROM {table} WHERE {living} AND {read} = %s"
FIND_EXPIRED = "SELECT {id} FROM {table} WHERE {age} <= %s LIMIT %s"
DELETE_EXPIRED = "DELETE FROM {table} WHERE {id} IN (%s{more}) AND {age} <= %s"
IDS = "SELECT {id} FROM {table} WHERE {id} > %s ORDER BY {id} LIMIT 1000"
COUNT_EXPIRED = "SELECT COUNT(*) FROM {table} WHERE {age} <= %s"
