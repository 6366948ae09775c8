"""Explain a failure of SQLite's file, with the remedy.

It blocks, since it looks at the file system.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ...errors import StoreFull, StoreTimeout, StoreUnavailable

_HAS_EFFECTIVE_IDS = os.access in os.supports_effective_ids
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def to_store_error(error: OSError | sqlite3.Error, path: Path, timeout: float) -> StoreUnavailable:
    """Make our error of one that SQLite or the system raised for the file at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        return StoreTimeout(
            f"another process kept {path} locked for longer than the timeout of {timeout:g} s: "
            "end that process, or raise timeout"
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"{path} can't grow, its disk or quota is full: free some space, or remove expired sessions "
            "with sessions-ext gc"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreUnavailable(f"{path} isn't an SQLite database: name another file, or move this one away")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreUnavailable(
            f"the database {path} is damaged: restore it from a backup, or move it away to begin with an empty one"
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(
            f"the disk failed under {path} ({error}): look at the system's log, at the disk's quota "
            "and at the limit of file sizes (ulimit -f)"
        )
    return StoreUnavailable(path_problem(path) or f"{path} can't be used as a session store: {error}")


def path_problem(path: Path) -> str | None:
    """Explain why this process can't keep a database at `path`, or return None."""
    folder = path.parent
    if os.path.exists(folder) and not os.path.isdir(folder):
        return f"{folder} isn't a folder: correct the path of the store"
    if not os.path.isdir(folder):
        return f"the folder {folder} doesn't exist, or this process may not enter it: make it, or correct the path"
    if os.path.isdir(path):
        return f"{path} is a folder: name a file in it, such as {path / 'sessions.db'}"
    if os.path.exists(path) and not os.path.isfile(path):
        return f"{path} isn't a regular file: correct the path of the store"
    if _is_read_only(folder):
        return f"the file system of {folder} is read-only: mount it for writing, or name a file elsewhere"
    if not _may(folder, os.W_OK | os.X_OK):
        return (
            f"this process may not write in the folder {folder}, where SQLite keeps its log: "
            "give its user the right, or name a file elsewhere"
        )
    if os.path.exists(path) and not _may(path, os.R_OK | os.W_OK):
        return f"this process may not read and write {path}: give the file to the user that it runs as (chown)"
    return None


def _is_read_only(folder: Path) -> bool:
    """Return whether the file system is read-only; False if Windows can't say."""
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _may(path: Path, rights: int) -> bool:
    return os.access(path, rights, effective_ids=_HAS_EFFECTIVE_IDS)
