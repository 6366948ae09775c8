"""PHP's setting `session.save_path` for the files handler.

It has the form `/path`, `N;/path` or `N;MODE;/path`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigurationError
from ..session_ids import is_session_id

_SAVE_PATH = re.compile(r"(?:([0-9]{1,2});(?:([0-7]{1,4});)?)?(/[^\0]*)")
_PREFIX = "sess_"

DEFAULT_MODE = 0o600
SHORTEST_ID = 22


class SavePath(NamedTuple):
    """The folder in which PHP keeps session files.

    The files are `depth` folders deep, by the first characters of the id.
    """

    folder: Path
    depth: int = 0
    mode: int = DEFAULT_MODE
    """Of new files. As in PHP, the umask is taken off."""

    @classmethod
    def parse(cls, save_path: str) -> SavePath:
        """Read the setting.

        Raises `ConfigurationError` for what PHP would read differently than it looks.
        """
        match = _SAVE_PATH.fullmatch(save_path) if isinstance(save_path, str) else None
        if match is None:
            raise ConfigurationError(
                "save_path must be /path, N;/path or N;MODE;/path with an absolute path, as PHP reports it: in php.ini "
                "a value with a ; has to be quoted"
            )
        depth = int(match[1] or 0)
        if depth > SHORTEST_ID:
            raise ConfigurationError(f"the N of save_path is at most {SHORTEST_ID}, the length of the shortest id")
        return cls(Path(match[3]), depth, int(match[2], 8) if match[2] else DEFAULT_MODE)

    def path_of(self, session_id: str) -> str:
        """Return the path of a session's file."""
        return os.path.join(self.folder, *session_id[: self.depth], _PREFIX + session_id)

    def files(self) -> Iterator[os.DirEntry[str]]:
        """Yield the session files, in no order.

        Raises an OSError if the folder can't be read.
        """
        folders = [(str(self.folder), 0)]
        while folders:
            folder, depth = folders.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if depth < self.depth:
                        if len(entry.name) == 1 and entry.is_dir(follow_symlinks=False):
                            folders.append((entry.path, depth + 1))
                    elif is_session_id(id_of(entry.name)):
                        yield entry


def id_of(file_name: str) -> str:
    """Return the id of the session in a file; empty for a file of another name."""
    return file_name[len(_PREFIX) :] if file_name.startswith(_PREFIX) else ""
