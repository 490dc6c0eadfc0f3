"""Take back a run that is done, by a run of its own. Files that cannot go back are named, with the reason."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from imgorder.changes import journal, transaction
from imgorder.changes.check import find_file_problems, find_folder_problems
from imgorder.changes.folder import Folder, describe_error, locked
from imgorder.changes.following import Fate, follow
from imgorder.changes.journal import BACK, DONE, Change, History, Move, Rewrite, Run
from imgorder.changes.records import FileState, find_spellings, is_other_spelling
from imgorder.changes.rewriting import sha256
from imgorder.errors import ImgorderError
from imgorder.files import orderly_end
from imgorder.names import show, undo_command

UNDONE, INTERRUPTED, TAKEN_BACK = "undone", "interrupted", "taken back"


@dataclass(frozen=True)
class Listed:
    """A run and its state: ``done``, ``undone``, ``interrupted``, or ``taken back`` (except for some files)."""

    run: Run
    state: str
    left: int  # how many files are not taken back yet


def list_runs(history: History) -> list[Listed]:
    """The runs of a folder, oldest first."""
    listed = []
    undone = _find_undone(history.runs)
    for run in history.runs:
        left = len(_find_left(run, undone))
        if run.status == BACK:
            state = TAKEN_BACK
        elif run.status != DONE:
            state = INTERRUPTED
        else:
            state = DONE if left or run.kind == "undo" else UNDONE
        listed.append(Listed(run, state, left))
    return listed


def undo(path: Path, wanted: str | None = None, *, names_only: bool = False) -> Run:
    """Take back the last run that is not undone yet, or a certain one.

    Args:
        path: the folder.
        wanted: the run's id.
        names_only: whether files of a rename get their old names back although they were changed since.

    Returns:
        The run, with only those changes that were taken back; ``left_alone`` has one line for each of the others.

    Raises:
        ImgorderError: if there is no such run, it is a stamp although ``names_only``, another process is at work, or
            a run was interrupted. Nothing was changed.
    """
    with orderly_end(), locked(path) as folder:
        history = journal.refuse_unfinished(path)
        history.refuse_other(wanted)
        run = _choose(path, history.runs, wanted)
        if names_only and run.rewrites:
            raise ImgorderError(
                f"{show(path)}: {run.id} is a stamp, which changed no names; leave --names-only out, or give the id of "
                f"a rename: {undo_command(path, '--list')}"
            )
        for problem in find_folder_problems(path):
            raise ImgorderError(problem)
        try:
            changes, refused = _choose_changes(folder, run, history.runs, names_only)
        except OSError as error:
            raise ImgorderError(f"{describe_error(error, path)}; nothing was changed, try again") from error
        made = transaction.carry_out(folder, "undo", changes, history, run.id) if changes else run
        return replace(run, changes=tuple(changes), left_alone=tuple(refused), refused=made.refused)


def recover(path: Path) -> list[Run]:
    """End all interrupted runs of a folder; see `transaction.recover`."""
    with orderly_end(), locked(path) as folder:
        try:
            return [transaction.recover(folder, run) for run in journal.read_history(path).unfinished]
        except OSError as error:
            raise ImgorderError(f"{describe_error(error, path)}; put that right and run --recover again") from error


_Undone = Mapping[str | None, Set[tuple[str, ...]]]  # by the id of a run, the changes of its undos


def _find_undone(runs: Sequence[Run]) -> _Undone:
    undone: dict[str | None, set[tuple[str, ...]]] = {}
    for run in runs:
        if run.of is not None and run.status == DONE:
            undone.setdefault(run.of, set()).update(map(_key, run.changes))
    return undone


def _find_left(run: Run, undone: _Undone) -> list[Change]:
    """The changes of a run that neither an undo nor a recovery has taken back."""
    if run.status == BACK:
        return []
    back = undone.get(run.id, set())
    return [change for change in run.changes if _key(change.reversed()) not in back]


def _key(change: Change) -> tuple[str, ...]:
    if isinstance(change, Move):
        return (change.old, change.new)
    return (change.was or change.name, change.before, change.after)  # an undo may know the file by a later name


def _choose(path: Path, runs: Sequence[Run], wanted: str | None) -> Run:
    undone = _find_undone(runs)
    if wanted is not None:
        for run in runs:
            if run.id == wanted:
                if run.kind == "undo":
                    raise ImgorderError(f"{show(path)}: {wanted} is an undo itself; rename or stamp again instead")
                if not _find_left(run, undone):
                    raise ImgorderError(f"{show(path)}: {wanted} is undone already")
                return run
        raise ImgorderError(f"{show(path)}: no run {show(wanted)} here; see {undo_command(path, '--list')}")
    for run in reversed(runs):
        if run.kind != "undo" and _find_left(run, undone):
            return run
    raise ImgorderError(f"{show(path)}: nothing to undo in this folder; see {undo_command(path, '--list')}")


def _find_successors(runs: Sequence[Run]) -> dict[int, set[int]]:
    """For each inode of a file all that the file may have by now: a stamp, and the undo of one, write a new file."""
    successors: dict[int, set[int]] = {}
    for run in reversed(runs):
        for change in run.changes:
            inodes = successors.setdefault(change.state.inode, {change.state.inode})
            if change.new in run.inodes:
                new = run.inodes[change.new]
                inodes |= successors.get(new, {new})
    return successors


def _choose_changes(folder: Folder, run: Run, runs: Sequence[Run], names_only: bool) -> tuple[list[Change], list[str]]:
    """The reversed changes that can be made, and why the others cannot."""
    successors, fates = _find_successors(runs), follow(run, runs)
    possible: list[Change] = []
    refused = []
    staying: dict[str | None, str] = {}  # for each group that cannot go back as a whole, the file that is the reason
    used: set[str] = set()
    for change in _find_left(run, _find_undone(runs)):
        back, fate = change.reversed(), fates[change.stage]
        inodes = successors[back.state.inode] if run.stable else None
        problems = []
        for each in _find_names(back, fate):
            checked = _check_file(folder, each, inodes, names_only, fate, used)
            if not isinstance(checked, str):
                used.add(checked.old)
                possible.append(checked)
                break
            problems.append(checked)
        else:
            refused.append(problems[0])
            staying.setdefault(back.group, back.old)
    names = folder.names()
    spellings, givers = find_spellings(names), _find_givers(run, runs)
    while True:  # each file that has to stay may keep another from its name, and all that belong to it
        leaving = {change.old: change.state.inode for change in possible}
        blocked = [
            each
            for each in possible
            if each.new not in leaving
            and (status := folder.status(each.new)) is not None
            and not is_other_spelling(each.new, status.st_ino, spellings, leaving)
        ]
        for each in blocked:
            giver = givers.get(each.new)
            refused.append(
                f"{show(folder.at(each.old))}: its old name {show(each.new)} is taken; move that file elsewhere first"
                + (f", or {_name_cure(folder, giver)}" if giver else "")
            )
        for each in blocked:
            staying.setdefault(each.group, each.old)
        kept = [each for each in possible if each not in blocked and each.group is not None and each.group in staying]
        refused += [
            f"{show(folder.at(each.old))}: stays with {show(staying[each.group])}, which cannot go back "
            f"and belongs to it; {show(each.new)} is not given back"
            for each in kept
        ]
        if not blocked and not kept:
            return possible, refused
        possible = [each for each in possible if each not in blocked and each not in kept]


def _find_givers(run: Run, runs: Sequence[Run]) -> dict[str, Run]:
    """For each name the last rename after a run that gave it to a file, and is not undone for that file."""
    undone = _find_undone(runs)
    later = (each for each in runs[runs.index(run) + 1 :] if each.kind == "rename")
    return {change.new: each for each in later for change in _find_left(each, undone)}


def _find_names(back: Change, fate: Fate) -> list[Change]:
    """A change with each name that its file may have now, the likeliest first.

    A stamp goes back under whatever name later renames gave: its content shows that it is the right file.
    """
    if isinstance(back, Move):
        return [back]
    names = dict.fromkeys(filter(None, (fate.name, back.name)))
    return [back if name == back.name else replace(back, name=name, was=back.name) for name in names]


def _check_file(
    folder: Folder, back: Change, inodes: set[int] | None, names_only: bool, fate: Fate, used: Set[str]
) -> Change | str:
    """The change of a file that can be changed back, with the file's state, or why it cannot.

    Args:
        inodes: those that a file that was moved may have; None for any, in a copy of the folder.
        names_only: whether a file that was moved may be any.
        fate: what later runs have done with it.
        used: names of files that are changed back already.
    """
    path = show(folder.at(back.old))
    moved = isinstance(back, Move)
    lost = f"{show(back.new)} is not given back" if moved else "its old time is not given back"
    try:
        status = folder.status(back.old)
        elsewhere = ""  # for a file that a later rename has moved on
        if moved and fate.standing and fate.name not in (None, back.old) and folder.status(fate.name) is not None:
            elsewhere = f"{path}: renamed to {show(fate.name)} since; {lost}; {_name_cure(folder, fate.standing[-1])}"
        if status is None:
            return elsewhere or f"{path}: gone since" + (f" ({show(back.new)} before)" if moved else "")
        state = FileState.of(status)
        if isinstance(back, Rewrite):
            if back.name in used or not stat.S_ISREG(status.st_mode):
                return f"{path}: another file by now; {lost}"
            content = sha256(folder.read(back.name))
            if content != back.before:
                run = _find_stamp(fate, content)
                return f"{path}: changed since; {lost}" + (f"; {_name_cure(folder, run)}" if run else "")
        elif not names_only and not back.state.like(state, copied=inodes is None):
            content = sha256(folder.read(back.old)) if fate.content and stat.S_ISREG(status.st_mode) else ""
            run = _find_stamp(fate, content)
            if run or not content or content != fate.content:  # what the undo of an earlier stamp wrote is no change
                cure = f", or {_name_cure(folder, run)}" if run else ""
                changed = f"{path}: changed since (its size or time differs); {lost} without --names-only{cure}"
                return elsewhere or changed
        elif not names_only and inodes is not None and state.inode not in inodes:
            return elsewhere or f"{path}: another file by now; {lost} without --names-only"
        return next(find_file_problems(folder.path, back.old), replace(back, state=state))
    except (OSError, ValueError) as error:  # a foreign journal may name what no file can be called
        reason = error.strerror if isinstance(error, OSError) else error
        return f"{path}: cannot be looked at ({reason}); check its permissions"


def _find_stamp(fate: Fate, content: str) -> Run | None:
    """The later stamp that wrote what a file holds, if it is not undone."""
    if content != fate.content:
        return None
    return next((run for run in reversed(fate.standing) if run.kind == "stamp"), None)


def _name_cure(folder: Folder, run: Run) -> str:
    return f"undo the later {run.title} first: {undo_command(folder.path, run.id)}"
