"""Capture times for photos in their order, written into each JPEG's EXIF block: from a start by steps, or fitting."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from imgorder.changes import journal, transaction
from imgorder.changes.check import find_file_problems, find_folder_problems, find_hard_links, find_state_problem
from imgorder.changes.folder import locked
from imgorder.changes.journal import Rewrite, Run
from imgorder.changes.new_times import NewTime, find_new_times
from imgorder.changes.records import FileState, is_bare_name
from imgorder.changes.rewriting import sha256
from imgorder.errors import ImgorderError, ProblemsError, UsageError
from imgorder.evidence.facts import Taken
from imgorder.files import orderly_end
from imgorder.media import exif
from imgorder.media.tiff import ExifError
from imgorder.media.time_texts import choose, parse_offset, spell
from imgorder.names import show
from imgorder.sorting.sorted_set import SortedSet

_STEP = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)", re.ASCII)
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}


@dataclass(frozen=True)
class Stamp:
    """One photo.

    Attributes:
        name: of the file in the folder.
        state: of the file.
        before: the capture time that it has, None if it has none that is understood.
        unread: the text of a capture time that is not understood, else empty.
        time: the one that it is to get.
        zone: of its capture time, which is left as it is; None if it names none.
        rewrite: the change of the file, without a hidden name; None if it is left as it is.
    """

    name: str
    state: FileState
    before: datetime | None
    unread: str
    time: datetime
    zone: timezone | None
    rewrite: Rewrite | None


@dataclass(frozen=True)
class StampPlan:
    """The photos of one folder, in order, and their times."""

    folder: Path
    stamps: tuple[Stamp, ...]

    @property
    def changing(self) -> tuple[Rewrite, ...]:
        """The changes of those files whose bytes change."""
        rewrites = (stamp.rewrite for stamp in self.stamps)
        return tuple(rewrite for rewrite in rewrites if rewrite and rewrite.before != rewrite.after)


def parse_start(text: str) -> datetime:
    """``2024-05-01 12:00:00``, also without seconds, with decimals, and as EXIF spells it; raises UsageError."""
    spelt = spell(text)
    decimals = (spelt.decimals if spelt else None) or "0"
    # An hour 24 without minutes would be the end of a day for one reader, and its beginning for another.
    unclear = spelt is None or (spelt.hour_24 and not (spelt.time.minute or spelt.time.second))
    if spelt is None or unclear or spelt.zone is not None or len(decimals) > 6:
        raise UsageError(f"--start takes a time such as '2024-05-01 12:00:00', without a zone; not {text!r}")
    return spelt.time.replace(microsecond=int(decimals.ljust(6, "0")))


def parse_step(text: str) -> timedelta:
    """``1s``, ``500ms``, ``2m``, ``1h``; raises UsageError."""
    match = _STEP.fullmatch(text.strip())
    try:
        step = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else timedelta(0)
    except OverflowError:
        step = timedelta(0)
    if step <= timedelta(0):
        raise UsageError(f"--step takes a time from one photo to the next, such as 1s, 500ms or 2m; not {text!r}")
    return step


def make_stamps(
    ordered: Sequence[SortedSet],
    start: datetime | None,
    step: timedelta,
    *,
    overwrite: bool = False,
    keep_seconds: bool = False,
    fill: bool = False,
) -> StampPlan:
    """Give each photo its time. Reads only.

    Args:
        ordered: one set.
        start: of the first photo; None to keep times that are there, and do what `find_new_times` does.
        step: from one photo to the next.
        overwrite: whether photos that have a capture time may get another.
        keep_seconds, fill: see `find_new_times`; at least one where there is no start.

    Raises:
        UsageError: for several sets, and for times beyond the year 9999.
        ProblemsError: with all reasons why a photo cannot be stamped.
    """
    if len(ordered) != 1:
        raise UsageError("stamp takes one set at a time: one folder, or photos of one scene")
    (photos,) = ordered
    folder = photos.photos.folder
    names = [photos.photos.name(file) for file in photos.files]
    if not all(map(is_bare_name, names)):
        raise ProblemsError([f"{show(folder)}: the photos lie in different folders; give one folder"])
    problems = list(find_folder_problems(folder))
    stamps = []
    if start is None:
        given = find_new_times(photos.files, step, keep_seconds=keep_seconds, fill=fill, overwrite=overwrite)
    else:
        try:
            given = [NewTime(Taken(start + index * step, "EXIF"), False) for index in range(len(names))]
        except OverflowError:
            raise UsageError("--start and --step lead beyond the year 9999") from None
    for name, new in zip(names, given, strict=True):
        if new.stays:
            had = new.taken
            state = FileState.of(os.lstat(folder / name))
            stamps.append(Stamp(name, state, had.clock, "", had.clock, had.zone, None))
            continue
        made = _plan_stamp(folder, name, new.taken, overwrite, within_second=start is None)
        if isinstance(made, Stamp):
            stamps.append(made)
        else:
            problems += made
    problems += find_hard_links(folder, ((stamp.name, stamp.state) for stamp in stamps))
    if problems:
        raise ProblemsError(problems)
    return StampPlan(Path(os.path.abspath(folder)), tuple(stamps))


def apply_stamps(plan: StampPlan) -> Run | None:
    """Write the times: all of them or none.

    Returns:
        The run; None where the photos have these times already.

    Raises:
        ImgorderError: if a photo has changed since the plan was made, or something fails; all is then as before.
        KeyboardInterrupt, SystemExit: after Ctrl-C or a signal to end; all is then as before.
    """
    if not plan.changing:
        return None
    with orderly_end(), locked(plan.folder) as folder:
        history = journal.refuse_unfinished(plan.folder)
        problems = list(find_folder_problems(plan.folder))
        for stamp in plan.stamps:
            changed = find_state_problem(plan.folder / stamp.name, stamp.state)
            problems += [changed] if changed else find_file_problems(plan.folder, stamp.name) if stamp.rewrite else ()
        if problems:
            raise ProblemsError(problems)
        return transaction.carry_out(folder, "stamp", plan.changing, history)


def _plan_stamp(folder: Path, name: str, taken: Taken, overwrite: bool, *, within_second: bool) -> Stamp | list[str]:
    """A photo's stamp, or why it cannot have one.

    Args:
        within_second: whether a time of the same second is replaced without ``overwrite``.
    """
    path, time, digits = folder / name, taken.clock, max(len(taken.digits), 1)
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return [f"{show(path)}: a symbolic link; give the photo that it leads to"]
        problems = list(find_file_problems(folder, name))
        data = path.read_bytes()
    except OSError as error:
        return [f"{show(path)}: cannot be read ({error.strerror}); check its permissions"]
    if not data.startswith(b"\xff\xd8\xff"):
        return [*problems, f"{show(path)}: not a JPEG; only JPEGs can be stamped, leave it out"]
    if hasattr(os, "geteuid") and os.geteuid() not in (0, status.st_uid):
        problems.append(f"{show(path)}: belongs to another user, who could not stay its owner; copy it first")
    places = exif.find_times(data)
    had = [each.time for each in places if each.time not in (None, time)]
    if within_second:
        had = [each for each in had if each and each.replace(microsecond=0) != time.replace(microsecond=0)]
    others = dict.fromkeys(map(str, had))
    unread = [each.unread for each in places if each.unread]
    cure = "--overwrite-times replaces it, or leave it out"
    if others and not overwrite:
        problems.append(f"{show(path)}: has a capture time already ({' and '.join(others)}); {cure}")
    elif unread and not overwrite:
        problems.append(f"{show(path)}: has a capture time that is not understood ({show(unread[0])!r}); {cure}")
    try:
        content, segment = exif.set_capture_time(data, time, digits)
        written = exif.find_times(content)
        if exif.restore_segment(content, segment) != data or {each.time for each in written} != {time}:
            raise ImgorderError("the change could not be taken back exactly")
    except (ExifError, ImgorderError) as error:
        return [*problems, f"{show(path)}: cannot be stamped ({error}); leave it out"]
    if problems:
        return problems
    encoded = base64.b64encode(segment).decode("ascii")
    hashes = sha256(data), sha256(content)
    state = FileState.of(status)
    rewrite = Rewrite(name, "", time.isoformat(), encoded, True, *hashes, state, digits)
    chosen = choose(places)
    return Stamp(name, state, chosen.time, chosen.unread, time, parse_offset(written[0].zone), rewrite)
