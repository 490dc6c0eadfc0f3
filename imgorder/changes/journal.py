"""The journal of a run: what it is about to change, on disk before it changes anything.

A journal is a hidden file of JSON lines in the folder itself: a header, one line for each file, a line
``begun``, and at the end a line ``done``. It is written as a draft, and gets its own name when ``begun`` is on
disk. So a draft can always be removed, and a journal without ``begun`` was damaged later. With ``begun`` but
without ``done`` the run was interrupted. Finished journals stay, for `imgorder undo`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from imgorder.changes.folder import PREFIX, Folder
from imgorder.changes.records import BareName, FileState
from imgorder.errors import ImgorderError
from imgorder.fields import Check, Inline, Record, as_record, read_record
from imgorder.names import show, undo_command

VERSION = 1
_KINDS = ("rename", "stamp", "undo")
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_FILE = re.compile(re.escape(PREFIX) + rf"({RUN_ID.pattern})\.jsonl")
_DRAFT = re.compile(re.escape(PREFIX) + rf"({RUN_ID.pattern})\.part\.jsonl")
_STAGE = re.compile(re.escape(PREFIX) + rf"({RUN_ID.pattern})-\d{{6,}}")

# How a journal is opened: not through a link, and without waiting if it is a pipe. Some systems lack some flags.
_OPENED = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_NO_FILE = (errno.ELOOP, errno.EMLINK, errno.ENXIO)  # of a link, here and there, and of a socket

# What is read of one journal; half of it may be written, so that its end always fits.
MAX_BYTES, MAX_LINES = 256 << 20, 500_000

UNBEGUN, BEGUN, DONE, BACK = "unbegun", "begun", "done", "back"


_Digits = Annotated[int, Check(lambda digits: 1 <= digits <= 6, "a number from 1 to 6")]


@dataclass(frozen=True)
class Move:
    """A file that goes from its old name through a hidden one to its new name.

    Attributes:
        stage: the hidden name; empty until the run has its id, as in `Rewrite`.
        group: the same for files that stay together, a photo and its companions; None for a single file.
    """

    old: BareName
    stage: BareName
    new: BareName
    state: Annotated[FileState, Inline]
    group: str | None = None

    def reversed(self) -> Move:
        """The change that takes this one back."""
        return replace(self, old=self.new, new=self.old)


@dataclass(frozen=True)
class Rewrite:
    """A JPEG whose EXIF blocks are changed, or changed back.

    Attributes:
        name: of the file; it stays.
        stage: hidden name under which the new content is written.
        time: the capture time that one of the two contents has, in ISO 8601.
        segment: the EXIF block, in base64, that the other has; of several that change, all from the first to the last.
        stamps: whether the time is written (else the old block is).
        before, after: SHA-256 of the whole file.
        state: before.
        digits: decimals of the time that are written at least.
        was: in an undo, the name in the run that it takes back; None if that is still the same.
        old, new, group: as of a `Move`.
    """

    name: BareName
    stage: BareName
    time: str
    segment: str
    stamps: bool
    before: str
    after: str
    state: Annotated[FileState, Inline]
    digits: _Digits = 1
    was: BareName | None = None

    group = None
    old = new = property(lambda self: self.name)

    def reversed(self) -> Rewrite:
        """The change that takes this one back."""
        return replace(self, before=self.after, after=self.before, stamps=not self.stamps)


Change = Move | Rewrite

_Version = Annotated[int, Check(lambda version: version == VERSION, f"{VERSION}, but of another version")]
_Kind = Annotated[str, Check(lambda kind: kind in _KINDS, f"one of {', '.join(_KINDS)}")]


@dataclass(frozen=True)
class _Header:
    imgorder: _Version
    run: str
    number: int
    kind: _Kind
    of: str | None
    time: str


@dataclass(frozen=True)
class _Begun:
    begun: int
    inode: int


@dataclass(frozen=True)
class _Done:
    done: bool
    back: bool = False
    left_alone: tuple[str, ...] = ()
    inodes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a journal says.

    Attributes:
        id: unique; part of every hidden name.
        number: counts the runs of a folder, since clocks go back at times.
        kind: ``rename``, ``stamp`` or ``undo``.
        of: for an undo, the run that it takes back.
        time: when it began, local time, ISO 8601.
        changes: one for each file.
        status: ``unbegun``, ``begun`` (interrupted, unless it is under way), ``done``, or ``back``: interrupted
            and taken back, except for some files.
        stable: whether files still have the inodes that they had then; not so in a copy of the folder.
        inodes: by final name, the inode of each file to which the run gave a new one: all that were rewritten, and
            those that a layered file system copied when it renamed them.
        left_alone: one line for each file that could not be taken back, above all since somebody else had changed it.
        owner: whose journal it is, for people; empty for one whose word counts (`_name_stranger`).
        refused: one line for each kind of attribute that the file system did not take; not kept in the journal.
    """

    id: str
    number: int
    kind: str
    of: str | None
    time: str
    changes: tuple[Change, ...]
    status: str = UNBEGUN
    stable: bool = True
    inodes: Mapping[str, int] = field(default_factory=dict)
    left_alone: tuple[str, ...] = ()
    owner: str = ""
    refused: tuple[str, ...] = ()

    @property
    def journal(self) -> str:
        """The journal's name."""
        return f"{PREFIX}{self.id}.jsonl"

    @property
    def draft(self) -> str:
        """The journal's name until it is whole."""
        return f"{PREFIX}{self.id}.part.jsonl"

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing to recover."""
        return self.status in (DONE, BACK)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The changes, where they are moves."""
        return tuple(change for change in self.changes if isinstance(change, Move))

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """The changes, where they are rewrites."""
        return tuple(change for change in self.changes if isinstance(change, Rewrite))

    @property
    def title(self) -> str:
        """For people: ``rename (2024-05-01 12:00:00)``."""
        what = f"undo of {self.of}" if self.of else self.kind
        return show(f"{what} ({self.time.replace('T', ' ')})" if self.time else what)  # a journal may be foreign


def new_run_id() -> str:
    """Unique, and readable as a time."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def begin(folder: Folder, run: Run) -> None:
    """Write the journal; it is on disk, and its name too, when this returns.

    Raises:
        OSError: if it cannot be written; nothing else has happened then.
        ImgorderError: if there is too much in it for it to be read again.
    """
    header = _Header(VERSION, run.id, run.number, run.kind, run.of, run.time)
    lines = [_line(as_record(each)) for each in (header, *run.changes)]
    if len(lines) > MAX_LINES // 2 or sum(map(len, lines)) > MAX_BYTES // 2:
        raise ImgorderError(f"{show(folder.path)}: {len(run.changes)} files are too many for one run; give fewer")
    folder.write_new(run.draft, b"".join(lines), *_find_readers(folder, run))
    status = folder.status(run.draft)
    # The file's own inode goes into the last line: where it differs later, inodes are not kept here.
    folder.append(run.draft, _line(as_record(_Begun(len(run.changes), status.st_ino if status else 0))))
    folder.rename(run.draft, run.journal)
    folder.sync()


def _find_readers(folder: Folder, run: Run) -> tuple[int, int | None]:
    """The mode and group of those who may read every photo whose EXIF block is in the journal."""
    mode, groups = 0o644, set()
    for rewrite in run.rewrites:
        if (status := folder.status(rewrite.name)) is not None:
            mode &= status.st_mode | 0o600
            groups.add(status.st_gid)
    return (mode if len(groups) < 2 else mode & ~0o070), min(groups, default=None)


def finish(folder: Folder, run: Run, left_alone: Sequence[str] | None = None) -> None:
    """Write that the run is done; with ``left_alone``, that it was taken back, except for some files.

    The journal of such a run stays, since it knows the names of these files, or that others have new inodes.
    """
    back = {} if left_alone is None else {"back": True, "left_alone": list(left_alone)}
    changes = run.changes if left_alone is None else run.rewrites  # what was moved back has its old name
    record = {"done": True, **back, "inodes": _find_new_inodes(folder, changes)}
    folder.append(run.journal, b"\n" + _line(record))  # a crash may have cut the line before


def is_needed(folder: Folder, run: Run) -> bool:
    """Whether the undo of an earlier rename needs the journal of a run that was taken back.

    Photos that were stamped and got their old content back are new files; without it they would be others.
    """
    if not _find_new_inodes(folder, run.rewrites):
        return False
    return any(each.moves and each.status == DONE for each in read_history(folder.path).runs)


def _find_new_inodes(folder: Folder, changes: Iterable[Change]) -> dict[str, int]:
    """By name, the inode of each file that has another one than before it was changed."""
    found = ((change, folder.status(change.new)) for change in changes)
    return {
        change.new: status.st_ino
        for change, status in found
        if status is not None and status.st_ino != change.state.inode
    }


def reopen(folder: Folder, run: Run) -> None:
    """Remove the line ``done``, if there is one: from now on files move back."""
    if folder.status(run.journal) is None:
        return
    size = 0
    for line in folder.read(run.journal).splitlines(keepends=True):
        if (_parse(line) or {}).get("done") is True:
            folder.cut(run.journal, size)
            return
        size += len(line)


def discard(folder: Folder, run: Run) -> None:
    """Remove the journal of a run of which nothing is left."""
    for name in (run.journal, run.draft):
        if folder.status(name) is not None:
            folder.remove(name)
    folder.sync()


@dataclass(frozen=True)
class History:
    """What the journals of a folder say.

    Attributes:
        path: the folder.
        runs: oldest first; only those whose journals are ours, as `_name_stranger` says.
        stages: names in the folder that are a run's hidden names.
        others: runs of other users, oldest first: they are named, and never taken back or finished.
    """

    path: Path
    runs: tuple[Run, ...]
    stages: frozenset[str]
    others: tuple[Run, ...] = ()

    @property
    def unfinished(self) -> list[Run]:
        """The runs that were interrupted, newest first; without the folder's lock, they may be under way."""
        return [run for run in self.runs if not run.is_finished][::-1]

    @property
    def stray_problem(self) -> str | None:
        """One line about a run, or files under hidden names, that no journal of ours puts right; None if all is well.

        These are an unfinished run of another user, and hidden files whose journal is gone.
        """
        run = next((run for run in self.others if not run.is_finished), None)
        if run is not None:
            return (
                f"{show(self.path / run.journal)}: a {run.title} of another user, {run.owner}, is not finished; "
                f"journals of other users are not followed, let {run.owner} run: "
                f"{undo_command(self.path, '--recover')}"
            )
        strays = sorted(self.stages - {change.stage for run in self.unfinished for change in run.changes})
        if not strays:
            return None
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        return (
            f"{show(self.path / strays[0])}{more}: hidden files of an interrupted run without its journal; "
            "they are your photos: put the journal back, or give them names"
        )

    def refuse_other(self, wanted: str | None) -> None:
        """Raise an ImgorderError if a run that is to be taken back is one of another user."""
        for run in self.others:
            if run.id == wanted:
                raise ImgorderError(
                    f"{show(self.path / run.journal)}: of another user, {run.owner}; journals of other users are not "
                    f"followed, let {run.owner} take the run back"
                )


def read_history(path: Path) -> History:
    """Read all journals of a folder.

    Raises:
        ImgorderError: if the folder or a journal cannot be read, or a journal is damaged.
    """
    try:
        names = os.listdir(path)
        holder = os.stat(path).st_uid
    except OSError as error:
        raise ImgorderError(f"{show(path)}: the folder cannot be read ({error.strerror}); check the path") from error
    found = {match[1]: name for name in names if (match := _FILE.fullmatch(name))}
    runs = [_read(path / name, run, holder) for run, name in found.items()]
    drafts = {match[1]: name for name in names if (match := _DRAFT.fullmatch(name))}
    runs += [_read_draft(path / drafts[run], run, holder) for run in drafts.keys() - found]
    runs.sort(key=lambda run: (run.number, run.id))
    ours = tuple(run for run in runs if not run.owner)
    # A draft says that nothing was changed, so one of another user is not worth a word.
    others = tuple(run for run in runs if run.owner and (run.changes or run.status != UNBEGUN))
    return History(path, ours, frozenset(filter(_STAGE.fullmatch, names)), others)


def refuse_unfinished(path: Path) -> History:
    """The history of a folder in which no run was interrupted.

    Raises:
        ImgorderError: if one was, or as `read_history`.
    """
    history = read_history(path)
    for run in history.unfinished:
        raise ImgorderError(
            f"{show(path)}: a {run.title} was interrupted here; first run: {undo_command(path, '--recover')}"
        )
    if lost := history.stray_problem:
        raise ImgorderError(lost)
    return history


def _name_stranger(owner: int, holder: int) -> str:
    """Who wrote a journal, for people; empty where its word counts.

    A journal makes whoever follows it rename and rewrite files. So it is followed only if it is of somebody who could
    do so without it: this user, root, or the owner of the folder, who can move everything in it even where the
    folder is sticky. This also holds for root, who may be at work in a user's folder, and on shares and cards whose
    files all seem to be of one user. Windows knows no such owners.

    Args:
        owner: user id of the journal.
        holder: user id of its folder.
    """
    if not hasattr(os, "geteuid") or owner in (os.geteuid(), 0, holder):
        return ""
    try:
        import pwd

        return f"{show(pwd.getpwuid(owner).pw_name)} (user {owner})"
    except (ImportError, KeyError):  # on a share, a user of another machine
        return f"user {owner}"


def _line(record: Record) -> bytes:
    return json.dumps(record, allow_nan=False).encode("ascii") + b"\n"  # names that are not UTF-8 as lone surrogates


def _read_draft(path: Path, run: str, holder: int) -> Run:
    """The run of a draft, which has changed nothing."""
    draft = Run(run, 0, "run", None, "", ())
    try:
        return replace(draft, owner=_name_stranger(path.lstat().st_uid, holder))
    except OSError:  # it is a journal by now, or removed
        return draft


def _read(path: Path, run: str, holder: int) -> Run:
    owner, inode, content, large = "", 0, None, False
    try:
        descriptor = os.open(path, _OPENED)
        try:
            # In a shared folder names change hands: the owner has to be that of the bytes that are read.
            status = os.fstat(descriptor)
            owner, inode = _name_stranger(status.st_uid, holder), status.st_ino
            large = status.st_size > MAX_BYTES
            if stat.S_ISREG(status.st_mode) and not large:
                with open(descriptor, "rb", closefd=False) as file:
                    content = file.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FILE:
            with suppress(OSError):
                owner = _name_stranger(path.lstat().st_uid, holder)
            whose = f" of another user, {owner}," if owner else ""
            raise ImgorderError(
                f"{show(path)}: a journal{whose} that cannot be read ({error.strerror}); check its permissions"
            ) from error
    try:
        if content is None:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB" if large else "not a file")
        if content.count(b"\n") > MAX_LINES:
            raise ValueError(f"more than {MAX_LINES} lines")
        lines = [_parse(line) for line in content.splitlines(keepends=True)]
        return replace(_read_lines(path.parent, run, lines, inode), owner=owner)
    except (OSError, ValueError) as error:
        whose = f", of another user, {owner}," if owner else ""
        raise ImgorderError(
            f"{show(path)}: this journal{whose} is damaged ({show(str(error))}); nothing was changed. Look into it for "
            "old and new names, put the files right by hand, then move it elsewhere"
        ) from error


def _read_lines(folder: Path, run: str, lines: list[dict[str, Any] | None], inode: int) -> Run:
    """The run of a journal; raises ValueError if lines are missing, foreign, or cannot be understood."""
    if not lines or lines[0] is None:
        raise ValueError("its first line cannot be read" if lines else "it is empty")
    header = read_record(_Header, lines[0])
    if header.run != run:
        raise ValueError("lines are missing or of another run")
    begun = next((place for place, line in enumerate(lines) if line and "begun" in line), len(lines))
    changes = [_read_change(run, line) for line in lines[1:begun] if line]
    if begun == len(lines):
        _check_unbegun(folder, run, lines, changes)
        return Run(run, header.number, header.kind, None, "", ())
    last = read_record(_Begun, lines[begun])
    if not len(changes) == begun - 1 == last.begun:
        raise ValueError("lines are missing or of another run")
    if len({change.stage for change in changes}) != len(changes) or len({type(each) for each in changes}) > 1:
        raise ValueError("its lines contradict one another")
    end = next((line for line in lines[begun:] if line and line.get("done") is True), None)
    done = _Done(False) if end is None else read_record(_Done, end)
    return Run(
        run,
        header.number,
        header.kind,
        header.of,
        header.time,
        tuple(changes),
        BEGUN if end is None else BACK if done.back else DONE,
        last.inode == inode,
        done.inodes,
        done.left_alone,
    )


def _check_unbegun(folder: Path, run: str, lines: Sequence[object], changes: Sequence[Change]) -> None:
    """Raise a ValueError unless it is certain that a run without the line ``begun`` has changed nothing."""
    if any(name.startswith(f"{PREFIX}{run}-") for name in os.listdir(folder)):
        raise ValueError("it lacks its end, but there are files under its hidden names")
    if None in lines[1:-1]:
        raise ValueError("lines are missing")
    if not changes:
        raise ValueError("it has no whole line but the first")
    for change in changes:
        try:
            now = FileState.of(os.lstat(folder / change.old))
        except FileNotFoundError:
            now = None
        if now is None or (now.inode, now.size) != (change.state.inode, change.state.size):
            raise ValueError(f"it lacks its end, but {show(change.old)} is not as before the run")


def _read_change(run: str, record: Record) -> Change:
    change: Change = read_record(Move, record) if "old" in record else read_record(Rewrite, record)
    if not change.stage.startswith(f"{PREFIX}{run}-"):
        raise ValueError("a hidden name of another run")
    return change


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line as an object; None for an empty line and for one that a crash cut."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
