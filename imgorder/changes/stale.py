"""An order that was written before a rename: its names may be those of other photos by now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from imgorder.changes.journal import DONE
from imgorder.changes.undo import UNDONE, Listed, list_runs
from imgorder.errors import ImgorderError
from imgorder.names import show
from imgorder.order_file import OrderFile


def refuse_stale(order: OrderFile, files: Iterable[Path]) -> None:
    """Raise an ImgorderError if a run has given or taken the name of a file since an order was written.

    Where both a rename and its undo are younger than the order, all is as it was.

    Args:
        order: only its age counts.
        files: photos that it is taken for; those that are not there are not looked at.
    """
    if order.written is None:
        return
    touched: dict[Path, set[str]] = {}
    for file in files:
        folder = file.parent
        if folder not in touched:
            touched[folder] = _touched_since(folder, order.written) if os.path.isdir(folder) else set()
        if file.name in touched[folder]:
            raise ImgorderError(
                f"{show(file)}: a rename or undo has used this name since {show(order.path)} was written, so it may "
                "be another photo by now; sort again"
            )


def _touched_since(folder: Path, written: int) -> set[str]:
    """Old and new names of all younger runs that count."""
    listed = {each.run.id: each for each in list_runs(folder)}
    younger = {
        identity: each
        for identity, each in listed.items()
        if each.run.status == DONE and os.stat(folder / each.run.journal).st_mtime_ns > written
    }
    counting = [each for each in younger.values() if not _is_balanced(younger.get(each.run.of or each.run.id))]
    return {name for each in counting for move in each.run.moves for name in (move.old, move.new)}


def _is_balanced(base: Listed | None) -> bool:
    """Whether a run and its undos cancel out; None for a run that is older than the order."""
    return base is not None and base.state == UNDONE
