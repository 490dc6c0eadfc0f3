"""Carrying a plan out, exactly as it was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from imgorder.changes import journal, transaction
from imgorder.changes.check import find_problems
from imgorder.changes.copying import copy_all
from imgorder.changes.folder import locked
from imgorder.changes.journal import Move, Run
from imgorder.changes.plan import Plan, PlannedSet
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.files import orderly_end
from imgorder.names import show, undo_command


class Stopped(KeyboardInterrupt):
    """Ctrl-C was pressed, or a signal to end came, while files were changed.

    Attributes:
        by: the exception that came of it.
        done: the folders in which all was done by then, and by which runs.
    """

    def __init__(self, by: KeyboardInterrupt | SystemExit, done: Sequence[tuple[Path, Run]]) -> None:
        self.by = by
        self.done = tuple(done)
        super().__init__()


def refuse_interrupted(folders: Iterable[Path]) -> None:
    """Raise an ImgorderError if a folder is being changed by another process, or a run in it was interrupted."""
    for folder in dict.fromkeys(folders):
        with locked(folder):
            journal.refuse_unfinished(folder)


def check(plan: Plan) -> None:
    """Raise a ProblemsError with all problems of a plan, if it has any."""
    if problems := find_problems(plan):
        raise ProblemsError(problems)


def apply_plan(plan: Plan) -> list[Run]:
    """Rename, or copy, all files of a plan. Each folder is a transaction of its own.

    Returns:
        The run of each folder in which something changed; none for copies.

    Raises:
        ProblemsError: if the plan cannot be carried out (any more); nothing was changed then.
        ImgorderError: if something fails on the way; the folder is then as before.
        Stopped: the folder that was under way is then as before; copies are removed again.
    """
    done: list[tuple[Path, Run]] = []
    try:
        with orderly_end():
            if plan.copy_to is None:
                _rename(plan, done)
            else:
                check(plan)
                files = [(planned.folder / file.old, file.new) for planned in plan.sets for file in planned.files]
                copy_all(files, plan.copy_to)
    except (KeyboardInterrupt, SystemExit) as stop:
        raise Stopped(stop, done) from stop
    return [run for _, run in done]


def _rename(plan: Plan, done: list[tuple[Path, Run]]) -> None:
    """Rename folder by folder; each that is done is added to ``done``."""
    with ExitStack() as stack:
        check(plan)
        changing = [planned for planned in plan.sets if planned.changing]
        folders = [stack.enter_context(locked(planned.folder)) for planned in changing]
        for folder in folders:
            journal.refuse_unfinished(folder.path)
        check(plan)  # once more, now that no other imgorder can change anything
        try:
            for folder, planned in zip(folders, changing, strict=True):
                done.append((folder.path, transaction.carry_out(folder, "rename", _moves(planned))))
        except ImgorderError as error:
            told = "".join(
                f"; {show(path)} is renamed already, taken back by: {undo_command(path, run.id)}" for path, run in done
            )
            raise ImgorderError(f"{error}{told}") from error


def _moves(planned: PlannedSet) -> Callable[[str], Sequence[Move]]:
    def moves(run: str) -> Sequence[Move]:
        return [
            Move(file.old, journal.stage_name(run, index), file.new, file.state, file.companion_of or file.old)
            for index, file in enumerate(planned.changing)
        ]

    return moves
