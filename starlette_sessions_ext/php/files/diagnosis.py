"""What is wrong with a folder of session files."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...stores.base import Finding
from ..leftovers import left_behind
from .save_path import SavePath


def findings(save_path: SavePath, long_ago: float) -> list[Finding]:
    """Look at all files of a save path.

    `long_ago` is the unix time before which no session can need them. A lack of permission is a finding. Raises an
    OSError for other failures.
    """
    return list(_findings(save_path, long_ago))


def _findings(save_path: SavePath, long_ago: float) -> Iterator[Finding]:
    foreign = left = 0
    try:
        for entry in save_path.files():
            status = entry.stat(follow_symlinks=False)
            foreign += status.st_uid != os.geteuid()
            left += status.st_mtime < long_ago
    except PermissionError:
        yield Finding(
            f"{save_path.folder} can't be listed, so that this can't look at its sessions",
            "run doctor as root, or as a user that may list the folder",
        )
        return
    if foreign:
        yield Finding(
            f"{foreign} session files belong to another user, and PHP goes on with an empty session for a foreign file",
            "run PHP and the application as the same user",
        )
    yield from left_behind(left)
