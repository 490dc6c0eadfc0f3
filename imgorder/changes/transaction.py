"""A run from its journal to its end, and the recovery of a run that was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from imgorder.changes import journal, moving, rewriting
from imgorder.changes.folder import PREFIX, Folder, FolderMovedError, describe_error
from imgorder.changes.journal import BACK, BEGUN, DONE, UNBEGUN, Change, History, Run
from imgorder.changes.moving import MoveRecovery
from imgorder.changes.rewriting import RewriteRecovery
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.names import show, undo_command, word_count


def carry_out(folder: Folder, kind: str, changes: Sequence[Change], history: History, of: str | None = None) -> Run:
    """Change all files or none.

    Args:
        folder: under its lock.
        kind: ``rename``, ``stamp`` or ``undo``.
        changes: one for each file, without hidden names.
        history: of the folder, under the same lock.
        of: for an undo, the run that it takes back.

    Raises:
        ImgorderError: if something fails; everything is then as before, or the message says what to do.
    """
    identity = journal.new_run_id()
    number = max((run.number for run in history.runs), default=0) + 1
    time = datetime.now().isoformat(timespec="seconds")
    staged = [replace(each, stage=f"{PREFIX}{identity}-{index:06d}") for index, each in enumerate(changes)]
    run = Run(identity, number, kind, of, time, tuple(staged))
    refused: list[str] = []
    try:
        journal.begin(folder, run)
        if run.rewrites:
            refused = rewriting.rewrite_all(folder, run.rewrites)
        else:
            moving.move_all(folder, run.moves)
        journal.finish(folder, run)
        return replace(run, status=DONE, refused=tuple(refused))
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        ended = _take_back(folder, run, error)
        if ended.status == DONE:
            outcome = "it could not be taken back any more (is an old name taken?), so the run was finished"
        elif ended.left_alone:
            outcome = "; ".join(
                (f"taken back, except for {word_count(len(ended.left_alone), 'file')}", *ended.left_alone)
            )
        else:
            outcome = "nothing was changed"
        if isinstance(error, OSError | ImgorderError):
            raise ImgorderError(f"{_describe(folder, error)}; {outcome}") from error
        raise


def recover(folder: Folder, run: Run) -> Run:
    """End an interrupted run: back, or if that is not possible (somebody's file has an old name), forward.

    It may be stopped at any point and called again.

    Returns:
        The run with its new status: ``back``, ``done``, or still ``unbegun`` if it had changed nothing; and in
        ``left_alone`` one line for each file that somebody else has changed or removed since.

    Raises:
        ProblemsError: if neither is possible; names each file and where it is. Nothing was changed then.
        OSError: if the disk fails.
    """
    folder.refuse_moved()
    if run.status == UNBEGUN:
        journal.discard(folder, run)
        return run
    recovery: MoveRecovery | RewriteRecovery
    if run.rewrites:
        recovery = RewriteRecovery(folder, run.rewrites)
    else:
        recovery = MoveRecovery(folder, run.moves, copied=not run.stable)
    if recovery.is_possible(back=True):
        left_alone = recovery.settle(back=True)
        if folder.status(run.journal) is not None and (left_alone or journal.is_needed(folder, run)):
            journal.finish(folder, run, left_alone)
        else:
            journal.discard(folder, run)
        return replace(run, status=BACK, left_alone=tuple(left_alone), refused=tuple(recovery.refused))
    if recovery.is_possible(back=False):
        left_alone = recovery.settle(back=False)
        journal.finish(folder, run)
        return replace(run, status=DONE, left_alone=tuple(left_alone), refused=tuple(recovery.refused))
    cure, *places = recovery.report()
    raise ProblemsError(
        [
            f"{show(folder.path)}: the {run.title} can be neither taken back nor finished; nothing was changed. "
            f"{cure}, or put the files right by hand and move {show(run.journal)} elsewhere",
            *places,
        ]
    )


def _take_back(folder: Folder, run: Run, error: BaseException) -> Run:
    """Recover at once, in the process that failed."""
    try:
        journal.reopen(folder, run)
        # However much of the journal is on disk, this process knows what it was about to do.
        return recover(folder, replace(run, status=BEGUN))
    except FolderMovedError:
        raise
    except (OSError, ImgorderError, KeyboardInterrupt, SystemExit) as second:
        raise ImgorderError(
            f"{_describe(folder, error)}; taking back what was done failed too ({_describe(folder, second)}). "
            f"Run: {undo_command(folder.path, '--recover')}"
        ) from error


def _describe(folder: Folder, error: BaseException) -> str:
    if isinstance(error, OSError):
        return describe_error(error, folder.path)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return f"{show(folder.path)}: interrupted"
    return " ".join(str(error).splitlines())
