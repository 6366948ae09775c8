"""Work on session files as a store does, one file at a time.

All of this blocks, so it runs on threads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress

from ...errors import CorruptRecord
from ...stores.base import Stored
from ..codec import Format
from ..padding import padded, without_padding
from .save_path import SavePath, id_of
from .session_file import Locked, SessionFile, locked_file, new_file


class Rows:
    """The session files of a save path.

    A method that takes a `SessionFile` needs it to be locked. None says that there is no file.

    `lifetime` is in seconds, `clock` gives unix seconds. Raises the errors of the operating system.
    """

    def __init__(
        self,
        save_path: SavePath,
        format: Format,
        lifetime: int,
        max_data_bytes: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._save_path = save_path
        self._format: Format = format
        self._lifetime = lifetime
        self._max_data_bytes = max_data_bytes
        self._clock = clock

    def load(self, file: SessionFile | None) -> Stored | None:
        """Return what is stored."""
        if file is None or not self._is_live(file):
            return None
        if self._max_data_bytes is not None and file.size > self._max_data_bytes:
            raise CorruptRecord(
                f"a session file in {self._save_path.folder} has {file.size} bytes: raise max_data_bytes. "
                "It was left as it is."
            )
        data = without_padding(file.read(), self._format)
        return Stored(data, data, file.modified + self._lifetime)

    def replace(self, data: bytes, expires_at: int, version: Hashable, file: SessionFile | None) -> bool:
        """Compare and swap."""
        if file is None or not self._is_live(file):
            return False
        before = file.read()
        if without_padding(before, self._format) != version:
            return False
        if data != version:
            file.write(padded(data, len(before), self._format) or data, before)
        self._set_expiry(file, expires_at)
        return True

    def touch(self, expires_at: int, file: SessionFile | None) -> bool:
        """Move the expiry of a live file."""
        if file is None or not self._is_live(file):
            return False
        self._set_expiry(file, expires_at)
        return True

    def delete(self, version: Hashable | None, file: SessionFile | None) -> bool:
        """Remove a live file; with a version, only while it has that one."""
        if file is None or not self._is_live(file):
            return False
        if version is not None and without_padding(file.read(), self._format) != version:
            return False
        file.remove()
        return True

    def remove_expired(self, file: SessionFile | None) -> bool:
        """Return whether there is none now."""
        if file is not None and self._is_live(file):
            return False
        if file is not None:
            file.remove()
        return True

    def create(self, path: str, data: bytes, expires_at: int) -> bool:
        """Make a file. False: there is one."""
        try:
            with new_file(path, self._save_path.mode) as file:
                file.write(data, b"")
                self._set_expiry(file, expires_at)
        except FileExistsError:
            return False
        return True

    def find_expired(self, limit: int) -> Sequence[str]:
        """Return the paths of up to `limit` files that have expired.

        It returns none if the folder can't be read.
        """
        latest = self._clock() - self._lifetime
        found: list[str] = []
        with suppress(PermissionError):
            for entry in self._save_path.files():
                if len(found) == limit:
                    break
                with suppress(FileNotFoundError):
                    if int(entry.stat(follow_symlinks=False).st_mtime) <= latest:
                        found.append(entry.path)
        return found

    def collect(self, paths: Iterable[str]) -> int:
        """Remove files that have still expired, and return how many.

        A file that is locked is in use, and stays.
        """
        removed = 0
        for path in paths:
            with suppress(Locked, OSError), locked_file(path, waits=False) as file:
                removed += file is not None and self.remove_expired(file)
        return removed

    def ids(self) -> list[str]:
        """Return the ids of all sessions."""
        return [id_of(entry.name) for entry in self._save_path.files()]

    def _is_live(self, file: SessionFile) -> bool:
        return self._clock() < file.modified + self._lifetime

    def _set_expiry(self, file: SessionFile, expires_at: int) -> None:
        file.set_modified(max(expires_at - self._lifetime, 0))
