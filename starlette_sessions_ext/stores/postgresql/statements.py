"""The statements of a PostgreSQLStore, as templates for the table's name. Pure.

`{set_lock_timeout}` is a condition that is always true. It is evaluated before the row is locked, and lets this one
statement wait for a lock for as long as the store's budget allows. As a setting of the connection the same
would be refused by PgBouncer, or be left behind for another client.
"""

from __future__ import annotations

LOAD = "SELECT key, data, version, expires_at FROM {table} WHERE key = ANY($1::text[]) AND expires_at > $2"
SELECT_DATA = "SELECT data FROM {table} WHERE key = $1"
# An expired row is in the way of nobody, and gives its place to the new one in the same step.
CREATE = """INSERT INTO {table} AS old (key, data, version, expires_at, owner)
    SELECT $1::text, $2::bytea, $3::bigint, $4::bigint, $5::text WHERE {set_lock_timeout}
    ON CONFLICT (key) DO UPDATE
    SET data = excluded.data, version = excluded.version, expires_at = excluded.expires_at, owner = excluded.owner
    WHERE old.expires_at <= $6"""
REPLACE = """UPDATE {table} SET data = $3, expires_at = $4, owner = $5, version = version + 1
    WHERE key = $1 AND version = $2 AND expires_at > $6 AND {set_lock_timeout}"""
# Rows that another transaction has locked are skipped: so no row keeps the others waiting, and nothing deadlocks.
REPLACE_MANY = """WITH new AS (
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::text[])
            AS new (key, version, data, expires_at, owner)
    ), free AS MATERIALIZED (
        SELECT row.key FROM {table} AS row JOIN new ON row.key = new.key AND row.version = new.version
        WHERE row.expires_at > $6 FOR NO KEY UPDATE OF row SKIP LOCKED
    )
    UPDATE {table} AS row
    SET data = new.data, expires_at = new.expires_at, owner = new.owner, version = row.version + 1
    FROM new JOIN free ON free.key = new.key
    WHERE row.key = new.key AND row.version = new.version RETURNING row.key"""
TOUCH = "UPDATE {table} SET expires_at = $2 WHERE key = $1 AND expires_at > $3 AND {set_lock_timeout}"
DELETE = "DELETE FROM {table} WHERE key = $1 AND expires_at > $2 AND {set_lock_timeout}"
DELETE_VERSION = DELETE + " AND version = $3"
# The index on the day finds them, in its order; without ORDER BY the whole table may be read.
FIND_PAST_DAYS = "SELECT key FROM {table} WHERE expires_on < $1::bigint / 86400 ORDER BY expires_on LIMIT $2"
# A scan of this range of blocks, or of the index where that is the shorter way.
FIND_TODAY = """SELECT key FROM {table} WHERE expires_on = $1::bigint / 86400 AND expires_at <= $1
    AND ctid >= $2::tid AND ctid < $3::tid"""
# How long the table, or its largest partition, is, and a range of it. Servers before 14 can't scan a range alone.
COUNT_BLOCKS = """SELECT size / current_setting('block_size')::integer,
        CASE WHEN current_setting('server_version_num')::integer >= 140000 THEN 1024 ELSE 4294967295 END
    FROM greatest(pg_relation_size('{table}'), (SELECT max(pg_relation_size(relid)) FROM pg_partition_tree('{table}')))
        AS size"""
DELETE_EXPIRED = """DELETE FROM {table} WHERE expires_at <= $2 AND key = ANY(ARRAY(
        SELECT key FROM {table} WHERE key = ANY($1::text[]) AND expires_at <= $2 FOR UPDATE SKIP LOCKED
    ))"""
KEYS = "SELECT key FROM {table} WHERE key > $1 ORDER BY key LIMIT 1000"
KEYS_OF = "SELECT key FROM {table} WHERE owner = $1 AND expires_at > $2"
OWNER_OF = "SELECT owner FROM {table} WHERE key = $1 AND expires_at > $2"
# All of them, for to another process with a slower clock an expired one may still live; the living are counted.
DELETE_ALL_OF = """WITH gone AS (
        DELETE FROM {table} WHERE owner = $1 AND key IS DISTINCT FROM $2 AND {set_lock_timeout} RETURNING expires_at
    )
    SELECT count(*) FILTER (WHERE expires_at > $3) FROM gone"""


def for_table(table: str, lock_seconds: float) -> dict[str, str]:
    """Return each template's text for a table, by its quoted name.

    It waits for a lock for up to `lock_seconds`.
    """
    milliseconds = max(1, int(lock_seconds * 1000))
    set_lock_timeout = f"pg_catalog.set_config('lock_timeout', '{milliseconds}', true) IS NOT NULL"
    return {template: template.format(table=table, set_lock_timeout=set_lock_timeout) for template in _ALL}


_ALL = (
    *(LOAD, SELECT_DATA, CREATE, REPLACE, REPLACE_MANY, TOUCH, DELETE, DELETE_VERSION),
    *(FIND_PAST_DAYS, FIND_TODAY, COUNT_BLOCKS, DELETE_EXPIRED, KEYS, KEYS_OF, OWNER_OF, DELETE_ALL_OF),
)
