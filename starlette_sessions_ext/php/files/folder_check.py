"""Look at the folder of session files: whether PHP and this process can share it."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from ...errors import ConfigurationError, StoreUnavailable
from .save_path import SavePath

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(r"nfs[0-9]*|cifs|smb[0-9a-z]*|fuse\..+|fuse|9p|ceph|glusterfs|lustre|afs|virtiofs")
"""File systems whose `flock` may be local to a machine, or another lock than PHP's."""


def check_folder(save_path: SavePath) -> None:
    """Check that PHP and this process can share the folder.

    Raises `ConfigurationError` for a folder that can't be shared, `StoreUnavailable` if there is none.
    """
    folder = save_path.folder
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise StoreUnavailable(f"the folder {folder} of PHP's sessions can't be used: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise ConfigurationError(f"{folder} in save_path isn't a folder")
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigurationError(f"any user can remove the sessions in {folder}: chmod +t {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"this process can't write to {folder}: run it as PHP's user")
    if save_path.depth and not Path(save_path.path_of("a" * 22)).parent.is_dir():
        raise ConfigurationError(f"{folder} lacks the folders for the N of save_path: PHP doesn't make them")
    if (kind := network_file_system(folder.resolve())) is not None:
        raise ConfigurationError(f"{folder} is on a file system of the type {kind}, where PHP's locks may not hold")
    _check_owner(save_path)


def network_file_system(folder: Path, mounts: str | None = None) -> str | None:
    """Return the type of a folder's file system, if it is one of a network.

    `mounts` is the text of /proc/self/mountinfo; None reads it. Systems without it aren't looked at.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text()
        except OSError:
            return None
    found = (0, "")
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4].encode().decode("unicode_escape")
        if folder.is_relative_to(place) and len(place) >= found[0]:  # of two at one place the later is on top
            found = (len(place), after.split()[0])
    return found[1] if _NETWORK.fullmatch(found[1]) else None


def _check_owner(save_path: SavePath) -> None:
    """Refuse a folder with files of other users, where it can be read."""
    mine = os.geteuid()
    if mine == 0:
        return
    with suppress(OSError):
        first = next(save_path.files(), None)
        if first is not None and first.stat(follow_symlinks=False).st_uid not in (0, mine):
            raise ConfigurationError(f"the sessions in {save_path.folder} belong to another user: run as PHP's user")
