"""Checkpoints of SQLite's write-ahead log, which erase old versions of rows.

A deleted row is overwritten in the table (secure_delete), but the log goes on holding the pages as
they were before, earlier versions of the row included, until it is emptied. SQLite does that only when
the log has grown, in the commit of some writer, which waits for it; or when the last connection closes.
"""

from __future__ import annotations

import sqlite3
import threading
from functools import partial

from ...errors import StoreError
from .connections import Connections

CHECKPOINT_DELAY = 1.0
"""Seconds from a write until the log is emptied: once for all writes in that time."""

WAIT = 20
"""Milliseconds to wait for readers: writers wait as long. After that the checkpoint is put off."""


class Checkpointer:
    """Empty the log a while after a request to, on a thread.

    The thread lives as long as there is something to do.
    """

    def __init__(self, connections: Connections) -> None:
        self._copier = connections.copier
        self._thread: threading.Thread | None
        self._begin()
        connections.on_open = self.schedule  # for what was written right before a crash
        connections.in_child.append(self._begin)

    def schedule(self) -> None:
        """Request the erasure of what is deleted or replaced by now.

        A transaction that is running counts.
        """
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="session checkpoints", daemon=True)
                self._thread.start()

    def passive(self) -> None:
        """Copy the log into the table while others read and write. Blocks.

        When all of it is there, the next to write begins the log anew: it doesn't grow, and emptying it is quick.
        """
        self._checkpoint("PASSIVE")

    def truncate(self) -> bool:
        """Empty the log, and say whether that is done. Blocks.

        TRUNCATE stops all writers while it copies the log into the table, syncs the table and cuts the log off.
        A PASSIVE checkpoint first stops no writer and leaves TRUNCATE less to copy, though after a write in between
        it still has to sync.
        """
        self.passive()
        return self._checkpoint("TRUNCATE")

    def finish(self) -> None:
        """Erase at once what is due, and let the thread end. Blocks."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        self._closing.clear()

    def _begin(self) -> None:
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._wanted = False
        self._thread = None

    def _run(self) -> None:
        while self._is_wanted():
            self._closing.wait(CHECKPOINT_DELAY)
            self._wanted = False  # a request from here on may be too late for this time
            if not self.truncate() and not self._closing.is_set():
                self._wanted = True

    def _is_wanted(self) -> bool:
        with self._lock:
            if not self._wanted:
                self._thread = None
            return self._wanted

    def _checkpoint(self, mode: str) -> bool:
        """Checkpoint, and return False if it isn't done, or not wholly.

        A file that is gone has nothing to erase.
        """
        try:
            return self._copier.run_if_current(partial(_checkpoint, mode)) is not False
        except StoreError:  # a full or failing disk: writers get the error, here it is tried again
            return False


def _checkpoint(mode: str, db: sqlite3.Connection) -> bool:
    """Checkpoint, and return False if readers or writers stood in the way.

    Source: sqlite.org/pragma.html#pragma_wal_checkpoint.
    """
    db.execute(f"PRAGMA busy_timeout = {WAIT}")
    busy, _, _ = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return not busy
