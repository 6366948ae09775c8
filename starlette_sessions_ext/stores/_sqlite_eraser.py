"""Taking what was deleted or replaced out of SQLite's write-ahead log.

A deleted row is overwritten in the table (secure_delete), but the log goes on holding the pages as
they were before, earlier versions of the row included, until it is emptied. SQLite does that by
itself only when the log has grown, in the commit of some writer, who waits for it; or when the last
connection closes.
"""

from __future__ import annotations

import sqlite3
import threading

ERASE_AFTER = 1.0
"""Seconds until the log is emptied after something was written: once for all that was written meanwhile."""

WAIT = 20
"""Milliseconds to wait for somebody who reads: those who want to write wait as long. Then it is put off."""


class Eraser:
    """Empties the log a while after it is asked to, on a thread that lives as long as there is something to do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA busy_timeout = {WAIT}")
        self._connection = connection
        self._using = threading.Lock()  # one checkpoint at a time, and none of a connection that is closed
        self._lock = threading.Lock()  # for what follows
        self._closing = threading.Event()
        self._wanted = False
        self._thread: threading.Thread | None = None

    def request(self) -> None:
        """Have erased what is deleted or replaced by now, or by a transaction that is running."""
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="session eraser", daemon=True)
                self._thread.start()

    def copy_log(self) -> None:
        """Copy into the table what the log holds by now, beside those who read and write. Blocks.

        When all of it is there, the next to write begins the log anew: it doesn't grow, and emptying it is quick.
        """
        self._checkpoint("PASSIVE")

    def close(self) -> None:
        """Erase at once what is due, and be done. Blocks."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join()
        with self._using:
            self._connection.close()

    def _run(self) -> None:
        while self._is_wanted():
            self._closing.wait(ERASE_AFTER)
            self._wanted = False  # who asks from here on may be too late for this time
            if not self._empty_log() and not self._closing.is_set():
                self._wanted = True

    def _is_wanted(self) -> bool:
        with self._lock:
            if not self._wanted:
                self._thread = None
            return self._wanted

    def _empty_log(self) -> bool:
        """False if somebody was using it.

        TRUNCATE stops all writers while it copies the log into the table, syncs the table and cuts the log off.
        PASSIVE stops nobody, and leaves it less to copy; but if somebody writes meanwhile, it leaves it the sync.
        """
        self.copy_log()
        return self._checkpoint("TRUNCATE")

    def _checkpoint(self, mode: str) -> bool:
        """False if it isn't done, or not wholly (sqlite.org/pragma.html#pragma_wal_checkpoint)."""
        try:
            with self._using:
                busy, _, _ = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error:  # a full or failing disk: who writes is told of it, here it is tried again
            return False
        return not busy
