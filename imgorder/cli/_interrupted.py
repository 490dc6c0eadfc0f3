"""A folder in which a rename or stamp was interrupted: commands that only read photos say so, and go on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from imgorder.cli._errors import tell


def warn_interrupted(paths: Iterable[Path]) -> None:
    """One warning for each folder with an unfinished run: some of its photos may have hidden names."""
    for folder in dict.fromkeys(path if os.path.isdir(path) else path.parent for path in paths):
        if _has_hidden_files(folder):
            _warn(folder)


def _has_hidden_files(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.startswith(".imgorder-") for entry in entries)
    except OSError:  # told by what reads the photos
        return False


def _warn(folder: Path) -> None:
    from imgorder.errors import ImgorderError  # only now: most folders have no hidden files of ours
    from imgorder.names import show
    from imgorder.renaming import journal
    from imgorder.renaming.commands import undo_command

    try:
        runs = journal.unfinished(folder)
        lost = journal.stray_problem(folder, runs)
    except ImgorderError as error:
        tell("warning", str(error))
        return
    if lost:
        tell("warning", lost)
    for run in runs[:1]:
        tell(
            "warning",
            f"{show(folder)}: a {run.title} is under way or was interrupted here; photos may be hidden. "
            f"Unless it is under way: {undo_command(folder, '--recover')}",
        )
