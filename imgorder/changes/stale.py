"""Refuse an order that is older than a rename: its names may be those of other photos by now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from imgorder.changes.folder import describe_error
from imgorder.changes.journal import DONE, Run, read_history
from imgorder.changes.records import find_grain
from imgorder.changes.undo import UNDONE, list_runs
from imgorder.errors import ImgorderError
from imgorder.names import show
from imgorder.sorting.order_file import OrderFile


def refuse_stale(order: OrderFile, files: Iterable[Path]) -> None:
    """Raise an ImgorderError if a run has given or taken the name of a file since an order was written.

    Where both a rename and its undo are younger than the order, all is as it was.

    Args:
        order: only its age counts.
        files: photos that it is used for; those that are not there are not looked at.
    """
    if order.written is None:
        return
    used: dict[Path, set[str]] = {}
    for file in files:
        folder = file.parent
        if folder not in used:
            try:
                used[folder] = _find_names_used_since(folder, order.written) if os.path.isdir(folder) else set()
            except OSError as error:
                raise ImgorderError(f"{describe_error(error, folder)}; nothing was changed, try again") from error
        if file.name in used[folder]:
            raise ImgorderError(
                f"{show(file)}: a rename or undo has used this name since {show(order.path)} was written, so it may "
                "be another photo by now; sort again"
            )


def _find_latest_end(folder: Path, run: Run) -> int:
    """When a run ended at the latest, in ns. In a copy of its folder the journal's time may be cut."""
    time = os.stat(folder / run.journal).st_mtime_ns
    return time if run.stable else time + find_grain(time) - 1


def _find_names_used_since(folder: Path, written: int) -> set[str]:
    """Old and new names of all younger runs that do not cancel out; another user's word cancels none of ours."""
    history = read_history(folder)
    counting: list[Run] = []
    for runs in (history.runs, history.others):
        younger = {
            each.run.id: each
            for each in list_runs(replace(history, runs=runs))
            if each.run.status == DONE and _find_latest_end(folder, each.run) > written
        }
        undone = {identity for identity, each in younger.items() if each.state == UNDONE}
        counting += [each.run for each in younger.values() if (each.run.of or each.run.id) not in undone]
    return {name for run in counting for move in run.moves for name in (move.old, move.new)}
