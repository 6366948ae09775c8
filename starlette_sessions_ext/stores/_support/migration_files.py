"""The numbered SQL files of `migrations`, in the wheel or in a source tree."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGE = "starlette_sessions_ext"


def read_migrations(*subfolders: str) -> list[tuple[str, str]]:
    """Return the files of a folder in `migrations`, in the order of their names.

    Each is its name without `.sql`, and its text.
    """
    folders: list[Traversable] = [
        files(_PACKAGE).joinpath("_migrations"),
        Path(__file__).parents[3] / "migrations",  # of an editable install
    ]
    folder = next(folder for folder in folders if folder.is_dir())
    for name in subfolders:
        folder = folder.joinpath(name)
    found = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    return sorted((file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in found)
