"""Take back a run that is done, by a run of its own. Files that cannot go back are named, with the reason."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgorder.changes import journal, transaction
from imgorder.changes.check import find_file_problems, find_folder_problems
from imgorder.changes.folder import Folder, describe_error, locked
from imgorder.changes.journal import BACK, DONE, Change, History, Move, Rewrite, Run
from imgorder.changes.records import FileState
from imgorder.changes.rewriting import sha256
from imgorder.changes.transaction import Recovery
from imgorder.errors import ImgorderError
from imgorder.files import orderly_end
from imgorder.names import show, undo_command

UNDONE, INTERRUPTED, TAKEN_BACK = "undone", "interrupted", "taken back"


@dataclass(frozen=True)
class Undone:
    """What an undo did.

    Attributes:
        run: the run that was to be taken back.
        files: how many went back.
        refused: one line for each file that did not go back, with the reason.
    """

    run: Run
    files: int
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """A run and its state: ``done``, ``undone``, ``interrupted``, or ``taken back`` (except for some files)."""

    run: Run
    state: str
    left: int  # how many files are not taken back yet


def list_runs(folder: Path) -> list[Listed]:
    """The runs of a folder, oldest first. Reads only; raises ImgorderError."""
    return list_history(journal.read_history(folder))


def list_history(history: History) -> list[Listed]:
    """As `list_runs`, of journals that were read already."""
    return [Listed(run, _find_state(run, history.runs), len(_find_left(run, history.runs))) for run in history.runs]


def undo(path: Path, wanted: str | None = None) -> Undone:
    """Take back the last run that is not undone yet, or a certain one.

    Raises:
        ImgorderError: if there is no such run, another process is at work, or a run was interrupted. Nothing was
            changed.
    """
    with orderly_end(), locked(path) as folder:
        history = journal.refuse_unfinished(path)
        run = _choose(path, history.runs, wanted)
        for problem in find_folder_problems(path):
            raise ImgorderError(problem)
        changes, refused = _choose_changes(folder, run, history.runs)
        if changes:
            transaction.carry_out(folder, "undo", changes, history, run.id)
        return Undone(run, len(changes), tuple(refused))


def recover(path: Path) -> list[Recovery]:
    """End all interrupted runs of a folder; see `transaction.recover`."""
    with orderly_end(), locked(path) as folder:
        recoveries = []
        for run in journal.read_history(path).unfinished:
            try:
                recoveries.append(transaction.recover(folder, run))
            except OSError as error:
                raise ImgorderError(f"{describe_error(error, path)}; put that right and run --recover again") from error
        return recoveries


def _find_state(run: Run, runs: Sequence[Run]) -> str:
    if not run.is_finished:
        return INTERRUPTED
    if run.status == BACK:
        return TAKEN_BACK
    return DONE if run.kind == "undo" or _find_left(run, runs) else UNDONE


def _find_left(run: Run, runs: Sequence[Run]) -> list[Change]:
    """The changes of a run that neither an undo nor a recovery has taken back."""
    if run.status == BACK:
        return []
    back = {_key(change) for each in runs if each.of == run.id and each.status == DONE for change in each.changes}
    return [change for change in run.changes if _key(_reverse(change)) not in back]


def _key(change: Change) -> tuple[str, ...]:
    return (change.old, change.new) if isinstance(change, Move) else (change.name, change.before, change.after)


def _reverse(change: Change) -> Change:
    if isinstance(change, Move):
        return replace(change, old=change.new, new=change.old)
    return replace(change, before=change.after, after=change.before, stamps=not change.stamps)


def _choose(path: Path, runs: Sequence[Run], wanted: str | None) -> Run:
    if wanted is not None:
        for run in runs:
            if run.id == wanted:
                if run.kind == "undo":
                    raise ImgorderError(f"{show(path)}: {wanted} is an undo itself; rename or stamp again instead")
                if not _find_left(run, runs):
                    raise ImgorderError(f"{show(path)}: {wanted} is undone already")
                return run
        raise ImgorderError(f"{show(path)}: no run {show(wanted)} here; see {undo_command(path, '--list')}")
    for run in reversed(runs):
        if run.kind != "undo" and _find_left(run, runs):
            return run
    raise ImgorderError(f"{show(path)}: nothing to undo in this folder; see {undo_command(path, '--list')}")


def _find_successors(runs: Sequence[Run]) -> dict[int, set[int]]:
    """For each inode those that replaced it: a stamp, and the undo of one, write a new file."""
    successors: dict[int, set[int]] = {}
    for run in runs:
        for change in run.changes:
            if change.final_name in run.inodes:
                successors.setdefault(change.state.inode, set()).add(run.inodes[change.final_name])
    return successors


def _follow(inode: int, successors: dict[int, set[int]]) -> set[int]:
    """An inode and all that have followed it."""
    found, new = {inode}, {inode}
    while new:
        new = {each for known in new for each in successors.get(known, ())} - found
        found |= new
    return found


def _choose_changes(folder: Folder, run: Run, runs: Sequence[Run]) -> tuple[list[Change], list[str]]:
    """The reversed changes that can be made, and why the others cannot."""
    successors = _find_successors(runs)
    possible: list[Change] = []
    refused = []
    staying: dict[str | None, str] = {}  # for each group that cannot go back as a whole, the file that is the reason
    for change in _find_left(run, runs):
        back = _reverse(change)
        reason = _check_file(folder, back, _follow(back.state.inode, successors) if run.stable else None)
        if isinstance(reason, str):
            refused.append(reason)
            if isinstance(back, Move):
                staying.setdefault(back.group, back.old)
        else:
            possible.append(replace(back, state=reason))
    moves = [change for change in possible if isinstance(change, Move)]
    if len(moves) < len(possible):
        return possible, refused
    names = folder.names()
    while True:  # each file that has to stay may keep another from its name, and all that belong to it
        leaving = {move.old: move.state.inode for move in moves}
        blocked = [move for move in moves if move.new not in leaving and _is_taken(folder, move.new, names, leaving)]
        refused += [
            f"{show(folder.at(move.old))}: its old name {show(move.new)} is taken; move that file elsewhere first"
            for move in blocked
        ]
        for move in blocked:
            staying.setdefault(move.group, move.old)
        kept = [move for move in moves if move not in blocked and move.group is not None and move.group in staying]
        refused += [
            f"{show(folder.at(move.old))}: stays with {show(staying[move.group])}, which cannot go back "
            f"and belongs to it; {show(move.new)} is not given back"
            for move in kept
        ]
        if not blocked and not kept:
            return list(moves), refused
        moves = [move for move in moves if move not in blocked and move not in kept]


def _check_file(folder: Folder, back: Change, inodes: set[int] | None) -> FileState | str:
    """The state of a file that can be changed back, or why it cannot."""
    try:
        return _check_moved(folder, back, inodes) if isinstance(back, Move) else _check_rewritten(folder, back)
    except (OSError, ValueError) as error:  # a foreign journal may name what no file can be called
        name = back.old if isinstance(back, Move) else back.name
        reason = error.strerror if isinstance(error, OSError) else error
        return f"{show(folder.at(name))}: cannot be looked at ({reason}); check its permissions"


def _check_moved(folder: Folder, back: Move, inodes: set[int] | None) -> FileState | str:
    """The state of a file that can go back, or why it cannot; ``inodes``: those that it may have, None for any."""
    path = folder.at(back.old)
    status = folder.status(back.old)
    if status is None:
        return f"{show(path)}: gone since ({show(back.new)} before)"
    state = FileState.of(status)
    if not state.like(back.state):
        return f"{show(path)}: changed since (its size or time differs); {show(back.new)} is not given back"
    if inodes is not None and state.inode not in inodes:
        return f"{show(path)}: another file by now; {show(back.new)} is not given back"
    for problem in find_file_problems(folder.path, back.old):
        return problem
    return state


def _check_rewritten(folder: Folder, back: Rewrite) -> FileState | str:
    path = folder.at(back.name)
    status = folder.status(back.name)
    if status is None:
        return f"{show(path)}: gone since"
    state = FileState.of(status)
    if not stat.S_ISREG(status.st_mode):
        return f"{show(path)}: another file by now"
    if state.mtime_ns != back.state.mtime_ns or sha256(folder.read(back.name)) != back.before:
        return f"{show(path)}: changed since; its old time is not given back"
    for problem in find_file_problems(folder.path, back.name):
        return problem
    return state


def _is_taken(folder: Folder, name: str, names: set[str], leaving: dict[str, int]) -> bool:
    status = folder.status(name)
    if status is None:
        return False
    # Where case does not count, a.JPG may be one of the files that go back, in other letters.
    return name in names or status.st_ino not in leaving.values()
