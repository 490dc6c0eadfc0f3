"""A run from its journal to its end; and what becomes of a run that was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from imgorder.changes import journal, moving, rewriting
from imgorder.changes.folder import Folder, reason_of
from imgorder.changes.journal import DONE, UNBEGUN, Change, Run
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


def carry_out(folder: Folder, kind: str, changes: Callable[[str], Sequence[Change]], of: str | None = None) -> Run:
    """Change all files or none.

    Args:
        folder: under its lock.
        kind: ``rename``, ``stamp`` or ``undo``.
        changes: gives the changes for a run's id.
        of: for an undo, the run that it takes back.

    Raises:
        ImgorderError: if something fails; everything is then as before, or the message says what to do.
    """
    identity = journal.new_run_id()
    number = max((run.number for run in journal.read_runs(folder.path)), default=0) + 1
    time = datetime.now().isoformat(timespec="seconds")
    run = Run(identity, number, kind, of, time, tuple(changes(identity)))
    try:
        journal.begin(folder, run)
        if run.rewrites:
            rewriting.perform(folder, run.rewrites)
        else:
            moving.perform(folder, run.moves)
        journal.finish(folder, run)
        return replace(run, status=DONE)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        recovery = _take_back(folder, run, error)
        if recovery.way == FORWARD:
            outcome = "it could not be taken back any more (is an old name taken?), so the run was finished"
        elif recovery.left_alone:
            outcome = "; ".join((f"taken back, but for {len(recovery.left_alone)} files", *recovery.left_alone))
        else:
            outcome = "nothing was changed"
        if isinstance(error, OSError | ImgorderError):
            raise ImgorderError(f"{_reason(folder, error)}; {outcome}") from error
        raise


def recover(folder: Folder, run: Run) -> Recovery:
    """End an interrupted run: back, or if that cannot be (an old name is taken by a foreign file), forward.

    It may be stopped at any point and called again.

    Raises:
        ProblemsError: if neither way is free; names each file and where it is. Nothing was changed then.
        OSError: if the disk fails.
    """
    if run.status == UNBEGUN:
        journal.discard(folder, run)
        return Recovery(run, NOTHING, ())
    if run.rewrites:
        return _recover_rewrites(folder, run)
    found = moving.whereabouts(folder, run.moves)
    if not found.doubtful and not moving.obstacles(run.moves, found, back=True):
        moving.settle(folder, run.moves, found, back=True)
        return _taken_back(folder, run, moving.losses(run.moves, found, back=True))
    if not found.doubtful and not moving.obstacles(run.moves, found, back=False):
        moving.settle(folder, run.moves, found, back=False)
        journal.finish(folder, run)
        return Recovery(run, FORWARD, tuple(moving.losses(run.moves, found, back=False)))
    taken = moving.obstacles(run.moves, found, back=True)
    cure = f"move {', '.join(map(show, taken))} elsewhere and try again" if taken else "see each file"
    raise ProblemsError(
        [
            f"{show(folder.path)}: the {run.title} can be neither taken back nor finished; nothing was changed. "
            f"{cure}, or put the files right by hand and move {show(run.journal)} elsewhere",
            *moving.report(run.moves, found),
        ]
    )


def _taken_back(folder: Folder, run: Run, left_alone: Sequence[str]) -> Recovery:
    """The journal goes if all is as before; else it stays, as it alone knows the names of what is not."""
    if left_alone and folder.status(run.journal) is not None:
        journal.finish_back(folder, run, left_alone)
    else:
        journal.discard(folder, run)
    return Recovery(run, BACK, tuple(left_alone))


def _recover_rewrites(folder: Folder, run: Run) -> Recovery:
    if rewriting.possible(folder, run.rewrites, back=True):
        left_alone = rewriting.settle(folder, run.rewrites, back=True)
        return _taken_back(folder, run, left_alone)
    if rewriting.possible(folder, run.rewrites, back=False):
        left_alone = rewriting.settle(folder, run.rewrites, back=False)
        journal.finish(folder, run)
        return Recovery(run, FORWARD, tuple(left_alone))
    raise ProblemsError(
        [
            f"{show(folder.path)}: the {run.title} can be neither taken back nor finished; nothing was changed. "
            f"Try the version of imgorder that began it, or move {show(run.journal)} elsewhere and leave "
            "the files as they are",
            *rewriting.report(folder, run.rewrites),
        ]
    )


def _take_back(folder: Folder, run: Run, error: BaseException) -> Recovery:
    """At once, in the process that failed, by what `recover` does."""
    try:
        journal.reopen(folder, run)
        # Whatever of the journal is on disk, this process knows what it was about to do.
        return recover(folder, replace(run, status=journal.BEGUN))
    except (OSError, ImgorderError, KeyboardInterrupt, SystemExit) as second:
        raise ImgorderError(
            f"{_reason(folder, error)}; taking back what was done failed too ({_reason(folder, second)}). "
            f"Run: {undo_command(folder.path, '--recover')}"
        ) from error


def _reason(folder: Folder, error: BaseException) -> str:
    if isinstance(error, OSError):
        return reason_of(error, folder.path)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return f"{show(folder.path)}: interrupted"
    return " ".join(str(error).splitlines())
