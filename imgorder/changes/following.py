"""Where later runs have left the files of a run, what stands in the way of its undo, and what names were made of."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from imgorder.changes.journal import DONE, Rewrite, Run


@dataclass
class Fate:
    """What later runs have done with a file.

    Attributes:
        name: that it has since the last of them; None if they gave its name to another file: somebody had moved it.
        content: SHA-256 of what the last of them wrote; None if none wrote anything.
        standing: the renames and stamps among them that are not undone for it, oldest first.
    """

    name: str | None
    content: str | None = None
    standing: list[Run] = field(default_factory=list)


def follow(run: Run, runs: Sequence[Run]) -> dict[str, Fate]:
    """For each change of a run, by its hidden name, what later runs have done with the file.

    Only journals are read: what somebody else does with a file is not seen.

    Args:
        run: one of ``runs``.
        runs: of one folder, oldest first.
    """
    fates = {change.stage: Fate(change.new) for change in run.changes}
    for later in runs[runs.index(run) + 1 :]:
        if later.status != DONE:
            continue
        changes = {change.old: change for change in later.changes}
        given = {change.new for change in later.changes}
        for fate in fates.values():
            change = changes.get(fate.name or "")
            if change is None:
                fate.name = None if fate.name in given else fate.name
                continue
            fate.name = change.new
            if isinstance(change, Rewrite):
                fate.content = change.after
            fate.standing = [each for each in fate.standing if each.id != later.of]
            if later.of is None:
                fate.standing.append(later)
    return fates


def find_stems(runs: Sequence[Run]) -> dict[str, str]:
    """For each name that renames gave: the stem that it was made of, so that the next one does not count twice.

    A name that has not the former one in it, as words of its own, is not there: it is a new name.

    Args:
        runs: of one folder, oldest first. Those that were taken back, and those that did so, do not count.
    """
    undone = {run.of for run in runs if run.status == DONE}
    stems: dict[str, str] = {}
    for run in runs:
        if run.status != DONE or run.of is not None or run.id in undone:
            continue
        former = [stems.pop(move.old, os.path.splitext(move.old)[0]) for move in run.moves]
        stems |= {move.new: stem for move, stem in zip(run.moves, former, strict=True) if _has(move.new, stem)}
    return stems


def _has(name: str, stem: str) -> bool:
    """Whether a stem is in a name, and not as a part of another word or number."""
    return re.search(rf"(?<![^\W_]){re.escape(stem)}(?![^\W_])", os.path.splitext(name)[0]) is not None
