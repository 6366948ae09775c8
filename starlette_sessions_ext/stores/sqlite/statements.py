"""The statements of an SQLiteStore. Pure."""

from __future__ import annotations

_IS_SESSION = "typeof(data) = 'blob' AND typeof(version) = 'integer' AND typeof(expires_at) = 'integer'"
"""SQLite stores any type in any column: a row of another program, or one that was edited, may hold text or NULL."""

_IS_KEY = "typeof(key) = 'text' AND length(key) = 32 AND key NOT GLOB '*[^a-z2-7]*'"
_IS_OWNER = _IS_KEY.replace("key", "owner")

LOAD = f"""SELECT CASE WHEN {_IS_SESSION} THEN data END, version, expires_at FROM starlette_sessions
    WHERE key = ? AND (expires_at > ? OR typeof(expires_at) <> 'integer')"""  # noqa: S608 - constants
CREATE = """INSERT INTO starlette_sessions (key, data, version, expires_at, owner) VALUES (?, ?, random() / 4, ?, ?)
    ON CONFLICT DO NOTHING"""
REPLACE = f"""UPDATE starlette_sessions SET data = ?, version = version + 1, expires_at = ?, owner = ?
    WHERE key = ? AND version = ? AND expires_at > ? AND {_IS_SESSION}"""  # noqa: S608
TOUCH = f"""UPDATE starlette_sessions SET expires_at = ?
    WHERE key = ? AND expires_at > ? AND {_IS_SESSION}"""  # noqa: S608
DELETE = """DELETE FROM starlette_sessions
    WHERE key = ? AND (expires_at > ? OR typeof(expires_at) <> 'integer')"""
DELETE_VERSION = "DELETE FROM starlette_sessions WHERE key = ? AND version = ? AND expires_at > ?"
DELETE_EXPIRED = """DELETE FROM starlette_sessions WHERE key IN
    (SELECT key FROM starlette_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"""
KEYS = f"SELECT key FROM starlette_sessions WHERE key > ? AND {_IS_KEY} ORDER BY key LIMIT 1000"  # noqa: S608
DROP_IF_EXPIRED = """DELETE FROM starlette_sessions
    WHERE key = ? AND expires_at <= ? AND typeof(expires_at) = 'integer'"""

OWNER = f"SELECT owner FROM starlette_sessions WHERE key = ? AND expires_at > ? AND {_IS_OWNER}"  # noqa: S608
KEYS_OF = f"""SELECT key FROM starlette_sessions
    WHERE owner = ? AND +expires_at > ? AND {_IS_KEY} AND {_IS_SESSION}"""  # noqa: S608
"""The plus keeps the index of the expiry out of it, whatever ANALYZE found."""
DELETE_OWNED = "DELETE FROM starlette_sessions WHERE key = ? AND owner = ? AND expires_at > ?"
