"""The journal of a run: what it is about to change, on disk before it changes anything.

A journal is a hidden file of JSON lines in the folder itself: a header, one line for each file, a line
``begun``, and at the end a line ``done``. Without ``begun`` nothing has happened yet; with ``begun`` but
without ``done`` the run was interrupted. Finished journals stay, for `imgorder undo`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError
from imgorder.names import show
from imgorder.renaming.folder import PREFIX, Folder
from imgorder.renaming.records import FileState, Record, bare_name, integer, optional_text, text

VERSION = 1
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_FILE = re.compile(re.escape(PREFIX) + rf"({RUN_ID.pattern})\.jsonl")
_KINDS = ("rename", "stamp", "undo")

UNBEGUN, BEGUN, DONE = "unbegun", "begun", "done"


@dataclass(frozen=True)
class Move:
    """A file that goes from its old name through a hidden one to its new name."""

    old: str
    stage: str
    new: str
    state: FileState

    @property
    def final_name(self) -> str:
        """When the run is done."""
        return self.new

    def record(self) -> dict[str, Any]:
        """As a line of the journal."""
        return {"old": self.old, "stage": self.stage, "new": self.new, **self.state.record()}


@dataclass(frozen=True)
class Rewrite:
    """A JPEG whose EXIF block is changed, or changed back.

    Attributes:
        name: of the file; it stays.
        stage: hidden name under which the new content is written.
        time: the capture time that one of the two contents has, in ISO 8601.
        segment: the EXIF block, in base64, that the other has.
        stamps: whether the time is written (else the old block is).
        before, after: SHA-256 of the whole file.
        state: before.
    """

    name: str
    stage: str
    time: str
    segment: str
    stamps: bool
    before: str
    after: str
    state: FileState

    @property
    def final_name(self) -> str:
        """When the run is done."""
        return self.name

    def record(self) -> dict[str, Any]:
        """As a line of the journal."""
        return {
            "name": self.name,
            "stage": self.stage,
            "time": self.time,
            "segment": self.segment,
            "stamps": self.stamps,
            "before": self.before,
            "after": self.after,
            **self.state.record(),
        }


Change = Move | Rewrite


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
        status: ``unbegun``, ``begun`` (interrupted, unless it is under way) or ``done``.
        stable: whether inodes are still those of the time of the run.
        inodes: by final name, the inode of each file that has another one since: all that were rewritten, and
            those that a layered file system copied when it renamed them.
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

    @property
    def journal(self) -> str:
        """The journal's name."""
        return f"{PREFIX}{self.id}.jsonl"

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
        """For people: ``rename of 2024-05-01 12:00:00``."""
        what = f"undo of {self.of}" if self.of else self.kind
        return f"{what} ({self.time.replace('T', ' ')})" if self.time else what


def new_run_id() -> str:
    """Unique, and readable as a time."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def stage_name(run: str, index: int) -> str:
    """The hidden name of a run's file."""
    return f"{PREFIX}{run}-{index:06d}"


def begin(folder: Folder, run: Run) -> None:
    """Write the journal; it is on disk, and its name too, when this returns.

    Raises:
        OSError: if it cannot be written; nothing else has happened then.
    """
    header = {
        "imgorder": VERSION,
        "run": run.id,
        "number": run.number,
        "kind": run.kind,
        "of": run.of,
        "time": run.time,
    }
    lines = [header, *(change.record() for change in run.changes)]
    # The file's own inode goes into the last line: where it differs later, inodes are not kept here.
    folder.write_new(run.journal, b"".join(map(_line, lines)))
    status = folder.status(run.journal)
    folder.append(run.journal, _line({"begun": len(run.changes), "inode": status.st_ino if status else 0}))
    folder.sync()


def finish(folder: Folder, run: Run) -> None:
    """Write that the run is done."""
    inodes = {}
    for change in run.changes:
        status = folder.status(change.final_name)
        if status is not None and status.st_ino != change.state.inode:
            inodes[change.final_name] = status.st_ino
    folder.append(run.journal, b"\n" + _line({"done": True, "inodes": inodes}))  # a crash may have cut the line before


def reopen(folder: Folder, run: Run) -> None:
    """Take the line ``done`` back, should there be one: from here on files move back."""
    if folder.status(run.journal) is None:
        return
    size = 0
    for line in folder.read(run.journal).splitlines(keepends=True):
        if (_parsed(line) or {}).get("done") is True:
            folder.cut(run.journal, size)
            return
        size += len(line)


def discard(folder: Folder, run: Run) -> None:
    """Remove the journal of a run that has left no trace."""
    if folder.status(run.journal) is not None:
        folder.remove(run.journal)
        folder.sync()


def read_runs(path: Path) -> list[Run]:
    """All runs of a folder, oldest first.

    Raises:
        ImgorderError: if the folder or a journal cannot be read, or a journal is damaged.
    """
    try:
        names = os.listdir(path)
    except OSError as error:
        raise ImgorderError(f"{show(path)}: the folder cannot be read ({error.strerror}); check the path") from error
    found = [(match[1], name) for name in names if (match := _FILE.fullmatch(name))]
    return sorted((_read(path / name, run) for run, name in found), key=lambda run: (run.number, run.id))


def unfinished(path: Path) -> list[Run]:
    """The runs of a folder that were interrupted, newest first. Meaningful only under the folder's lock."""
    return [run for run in read_runs(path) if run.status != DONE][::-1]


def refuse_unfinished(path: Path) -> None:
    """Raise an ImgorderError if a run in the folder was interrupted."""
    for run in unfinished(path):
        raise ImgorderError(
            f"{show(path)}: a {run.title} was interrupted here; first run: imgorder undo {show(path)} --recover"
        )


def _line(record: Record) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"  # names that are not UTF-8 as lone surrogates


def _read(path: Path, run: str) -> Run:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _damaged(path, "not a file")
        content = path.read_bytes()
    except OSError as error:
        raise ImgorderError(
            f"{show(path)}: a journal that cannot be read ({error.strerror}); check its permissions"
        ) from error
    lines = [_parsed(line) for line in content.splitlines(keepends=True)]
    begun = next((place for place, line in enumerate(lines) if line and "begun" in line), None)
    if begun is None:
        if any(name.startswith(f"{PREFIX}{run}-") for name in os.listdir(path.parent)):
            raise _damaged(path, "it lacks its end, but there are files under its hidden names")
        header = lines[0] if lines and lines[0] else {}
        kind, number = header.get("kind"), header.get("number")
        return Run(
            run,
            number if isinstance(number, int) else 0,
            kind if kind in _KINDS else "run",
            None,
            "",
            (),
        )
    try:
        return _run(run, lines, begun, status.st_ino)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _run(run: str, lines: list[dict[str, Any] | None], begun: int, inode: int) -> Run:
    header, last = lines[0] or {}, lines[begun] or {}
    if header.get("imgorder") != VERSION:
        raise ValueError(f"written by another version of imgorder ({header.get('imgorder')!r})")
    records = [line for line in lines[1:begun] if line]
    if text(header, "run") != run or len(records) != begun - 1 or integer(last, "begun") != len(records):
        raise ValueError("lines are missing or of another run")
    if (kind := text(header, "kind")) not in _KINDS:
        raise ValueError(f"of a kind not known here ({kind!r})")
    changes = tuple(_change(run, record) for record in records)
    if len({change.stage for change in changes}) != len(changes) or len({type(each) for each in changes}) > 1:
        raise ValueError("its lines contradict one another")
    done = next((line for line in lines[begun:] if line and line.get("done") is True), None)
    return Run(
        run,
        integer(header, "number"),
        kind,
        optional_text(header, "of"),
        text(header, "time"),
        changes,
        BEGUN if done is None else DONE,
        integer(last, "inode") == inode,
        _inodes(done),
    )


def _change(run: str, record: Record) -> Change:
    stage = bare_name(record, "stage")
    if not stage.startswith(f"{PREFIX}{run}-"):
        raise ValueError("a hidden name of another run")
    state = FileState.read(record)
    if "old" in record:
        return Move(bare_name(record, "old"), stage, bare_name(record, "new"), state)
    stamps = record.get("stamps")
    if not isinstance(stamps, bool):
        raise ValueError("stamps is neither true nor false")
    return Rewrite(
        bare_name(record, "name"),
        stage,
        text(record, "time"),
        text(record, "segment"),
        stamps,
        text(record, "before"),
        text(record, "after"),
        state,
    )


def _inodes(done: Record | None) -> dict[str, int]:
    record = {} if done is None else done.get("inodes", {})
    if not isinstance(record, dict):
        raise ValueError("inodes is no object")
    return {name: integer(record, name) for name in record}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line as an object; None for an empty line and for one that a crash cut."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _damaged(path: Path, reason: str) -> ImgorderError:
    return ImgorderError(
        f"{show(path)}: this journal is damaged ({reason}); nothing was changed. See its lines for old and new "
        "names, put the files right by hand, then remove it"
    )
