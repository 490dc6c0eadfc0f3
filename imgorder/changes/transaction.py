"""A run from its journal to its end, and the recovery of a run that was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from imgorder.changes import journal, moving, rewriting
from imgorder.changes.folder import Folder, describe_error
from imgorder.changes.journal import DONE, UNBEGUN, Change, History, Run
from imgorder.changes.moving import MoveRecovery
from imgorder.changes.rewriting import RewriteRecovery
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.names import show, undo_command

BACK, FORWARD, NOTHING = "back", "forward", "nothing"


@dataclass(frozen=True)
class Recovery:
    """How an interrupted run was ended.

    Attributes:
        run: the run.
        way: ``back`` to what was before it, ``forward`` to its end, or ``nothing`` had happened yet.
        left_alone: one line for each file that somebody else has changed or removed since.
    """

    run: Run
    way: str
    left_alone: tuple[str, ...]


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
    staged = [replace(each, stage=journal.make_stage_name(identity, index)) for index, each in enumerate(changes)]
    run = Run(identity, number, kind, of, time, tuple(staged))
    try:
        journal.begin(folder, run)
        if run.rewrites:
            rewriting.rewrite_all(folder, run.rewrites)
        else:
            moving.move_all(folder, run.moves)
        journal.finish(folder, run)
        return replace(run, status=DONE)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        recovery = _take_back(folder, run, error)
        if recovery.way == FORWARD:
            outcome = "it could not be taken back any more (is an old name taken?), so the run was finished"
        elif recovery.left_alone:
            outcome = "; ".join((f"taken back, except for {len(recovery.left_alone)} files", *recovery.left_alone))
        else:
            outcome = "nothing was changed"
        if isinstance(error, OSError | ImgorderError):
            raise ImgorderError(f"{_describe(folder, error)}; {outcome}") from error
        raise


def recover(folder: Folder, run: Run) -> Recovery:
    """End an interrupted run: back, or if that is not possible (somebody's file has an old name), forward.

    It may be stopped at any point and called again.

    Raises:
        ProblemsError: if neither is possible; names each file and where it is. Nothing was changed then.
        OSError: if the disk fails.
    """
    if run.status == UNBEGUN:
        journal.discard(folder, run)
        return Recovery(run, NOTHING, ())
    recovery: MoveRecovery | RewriteRecovery
    recovery = RewriteRecovery(folder, run.rewrites) if run.rewrites else MoveRecovery(folder, run.moves)
    if recovery.is_possible(back=True):
        left_alone = recovery.settle(back=True)
        if left_alone and folder.status(run.journal) is not None:
            journal.finish_back(folder, run, left_alone)
        else:
            journal.discard(folder, run)
        return Recovery(run, BACK, tuple(left_alone))
    if recovery.is_possible(back=False):
        left_alone = recovery.settle(back=False)
        journal.finish(folder, run)
        return Recovery(run, FORWARD, tuple(left_alone))
    raise ProblemsError(
        [
            f"{show(folder.path)}: the {run.title} can be neither taken back nor finished; nothing was changed. "
            f"{recovery.cure()}, or put the files right by hand and move {show(run.journal)} elsewhere",
            *recovery.report(),
        ]
    )


def _take_back(folder: Folder, run: Run, error: BaseException) -> Recovery:
    """Recover at once, in the process that failed."""
    try:
        journal.reopen(folder, run)
        # However much of the journal is on disk, this process knows what it was about to do.
        return recover(folder, replace(run, status=journal.BEGUN))
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
