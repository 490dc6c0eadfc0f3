"""Carry a plan out, exactly as it was shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from imgorder.changes import journal, transaction
from imgorder.changes.check import find_problems
from imgorder.changes.copying import copy_all
from imgorder.changes.folder import Folder, find_room, locked
from imgorder.changes.journal import History, Move, Run
from imgorder.changes.plan import Plan, PlannedSet
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.files import orderly_end
from imgorder.names import show, undo_command


class Stopped(KeyboardInterrupt):
    """Ctrl-C or a signal to end stopped a run; the folder that was under way is as before.

    Attributes:
        by: the exception of Ctrl-C or of the signal.
        finished: one line for each folder that was finished by then, with the command that takes it back.
    """

    def __init__(self, by: KeyboardInterrupt | SystemExit, finished: Sequence[str]) -> None:
        self.by = by
        self.finished = tuple(finished)
        super().__init__()


def refuse_interrupted(folders: Iterable[Path], *, read_only: bool = False) -> None:
    """Raise an ImgorderError if another process is changing a folder, or a run in it was interrupted.

    Args:
        folders: those that are not there are left out.
        read_only: they may lie on a medium that cannot be locked.
    """
    for folder in dict.fromkeys(folders):
        if os.path.isdir(folder):
            with nullcontext() if read_only else locked(folder):
                journal.refuse_unfinished(folder)


def check(plan: Plan) -> None:
    """Raise a ProblemsError with all problems of a plan, if it has any."""
    if problems := find_problems(plan):
        raise ProblemsError(problems)


def apply_plan(plan: Plan, warn: Callable[[str], object] = lambda line: None) -> list[Run]:
    """Rename, or copy, all files of a plan. Each folder is a transaction of its own.

    A plan that nobody has checked may be given: it is checked here, where no other imgorder can change the folders.

    Args:
        plan: what is to be done.
        warn: is told what the copies cannot have where they are, once they are made.

    Returns:
        The run of each folder in which something changed; none for copies.

    Raises:
        ProblemsError: if the plan cannot be carried out (any more); nothing was changed then.
        ImgorderError: if something fails later; the folder is then as before.
        Stopped: the folder that was under way is then as before; copies are removed again.
    """
    finished: dict[Path, Run] = {}
    try:
        with orderly_end():
            if plan.copy_to is None:
                _rename(plan, finished)
            else:
                check(plan)
                files = [(planned.folder / file.old, file.new) for planned in plan.sets for file in planned.files]
                for line in copy_all(files, plan.copy_to):
                    warn(line)
    except (KeyboardInterrupt, SystemExit) as stop:
        raise Stopped(stop, _describe(finished)) from stop
    except ProblemsError:
        raise
    except ImgorderError as error:
        raise ImgorderError("; ".join((str(error), *_describe(finished)))) from error
    return list(finished.values())


def _rename(plan: Plan, finished: dict[Path, Run]) -> None:
    """Rename folder by folder; each is added to ``finished``."""
    changing = [planned for planned in plan.sets if planned.changing]
    room = find_room(len(changing))
    with ExitStack() as stack:
        folders = [stack.enter_context(locked(planned.folder)) for planned in changing[:room]]
        histories = [journal.refuse_unfinished(folder.path) for folder in folders]
        refuse_interrupted(planned.folder for planned in changing[room:])
        check(plan)
        for folder, planned, history in zip(folders, changing, histories, strict=False):
            finished[folder.path] = _rename_set(folder, planned, history)
    for planned in changing[room:]:  # more than can be locked at once, so another program may have been here since
        with locked(planned.folder) as folder:
            history = journal.refuse_unfinished(folder.path)
            if problems := find_problems(replace(plan, sets=(planned,))):
                raise ImgorderError("; ".join(problems))
            finished[folder.path] = _rename_set(folder, planned, history)


def _rename_set(folder: Folder, planned: PlannedSet, history: History) -> Run:
    moves = [Move(file.old, "", file.new, file.state, file.companion_of or file.old) for file in planned.changing]
    return transaction.carry_out(folder, "rename", moves, history)


def _describe(finished: dict[Path, Run]) -> list[str]:
    return [
        f"{show(path)} is renamed already; taken back by: {undo_command(path, run.id)}"
        for path, run in finished.items()
    ]
