"""What is to be renamed: old name, new name and state of every file, with a digest over all of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any

from imgorder.changes.companions import Look, find_belonging, list_folder
from imgorder.changes.following import find_stems
from imgorder.changes.journal import read_history
from imgorder.changes.records import FileState
from imgorder.changes.template import Template
from imgorder.errors import ImgorderError, PhotoError, ProblemsError
from imgorder.fields import Check, Inline, PathText, Probability, as_record, read_record
from imgorder.media.photos import find_sets
from imgorder.names import first_line, show
from imgorder.sorting.sorted_set import SortedSet

VERSION = 1


@dataclass(frozen=True)
class PlannedFile:
    """One file.

    Attributes:
        old: relative to the set's folder.
        new: a bare name.
        companion_of: for a companion, its photo's old name.
        state: when the plan was made.
    """

    old: PathText
    new: str
    companion_of: str | None
    state: Annotated[FileState, Inline]


@dataclass(frozen=True)
class PlannedSet:
    """The photos of one scene in temporal order, each followed by its companions.

    Attributes:
        folder: an absolute path.
        whole_folder: whether the set was all photos of the folder, with those apart, so that one more makes the plan
            stale.
        confidence, direction, model, backend: of the order.
        files: photos and companions.
        apart: photos that belong to another scene, and stay as they are.
    """

    folder: Path
    whole_folder: bool
    confidence: Probability
    direction: str
    model: str
    backend: str
    files: tuple[PlannedFile, ...]
    apart: tuple[PathText, ...] = ()

    @property
    def photos(self) -> tuple[PlannedFile, ...]:
        """The files that are not companions."""
        return tuple(file for file in self.files if file.companion_of is None)

    @property
    def changing(self) -> tuple[PlannedFile, ...]:
        """The files that get another name."""
        return tuple(file for file in self.files if file.old != file.new)


@dataclass(frozen=True)
class Plan:
    """All that a run will do.

    Attributes:
        template: the text that the names come from.
        copy_to: absolute path of the folder that gets copies; None where the files themselves are renamed.
        companions: whether files that belong to the photos come along, so that one more makes the plan stale.
        sets: one for each scene.
    """

    template: str
    copy_to: Path | None
    companions: bool
    sets: tuple[PlannedSet, ...]

    @cached_property
    def record(self) -> dict[str, Any]:
        """The stable JSON of ``docs/json.md``."""
        content = {"version": VERSION, **as_record(self)}
        for each in content["sets"]:
            if not each["apart"]:
                del each["apart"]  # plans of former versions have none, and their digests hold
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
        return {**content, "digest": hashlib.blake2b(canonical, digest_size=16).hexdigest()}

    @property
    def digest(self) -> str:
        """BLAKE2b over everything in the plan, 32 hex digits."""
        return str(self.record["digest"])


_Version = Annotated[int, Check(lambda version: version == VERSION, f"{VERSION}, but of another version of imgorder")]


@dataclass(frozen=True)
class _PlanFile:
    version: _Version
    plan: Annotated[Plan, Inline]
    digest: str


def make_plan(
    ordered: Sequence[SortedSet], template: Template, *, copy_to: Path | None = None, companions: bool = True
) -> Plan:
    """Name the photos of ordered sets. Reads only.

    Raises:
        ProblemsError: if the template needs a capture time and a photo has none that is understood, or a companion is
            claimed twice.
        PhotoError: if a file cannot be reached.
    """
    problems: list[str] = []
    target = None if copy_to is None else Path(os.path.abspath(copy_to))
    look = cache(list_folder)
    sets = [_plan_set(each, template, companions, target is not None, look, problems) for each in ordered]
    if problems:
        raise ProblemsError(problems)
    return Plan(template.text, target, companions, tuple(sets))


def read_plan(file: Path) -> Plan:
    """Read a plan back.

    Raises:
        ImgorderError: if the file cannot be read, is no plan, or its digest shows that it was changed.
    """
    try:
        read = read_record(_PlanFile, json.loads(file.read_bytes()))
    except OSError as error:
        raise ImgorderError(
            f"{show(file)}: no plan can be read there ({error.strerror}); make one without --apply"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ImgorderError(
            f"{show(file)}: not a plan ({first_line(error)}); make one with --plan and without --apply"
        ) from error
    if read.digest != read.plan.digest:
        raise ImgorderError(f"{show(file)}: changed since it was written (its digest differs); make a new plan")
    return read.plan


def write_plan(plan: Plan, file: Path) -> None:
    """Write a plan as JSON; never over a file.

    Raises:
        ImgorderError: if there is such a file, or it cannot be written.
    """
    try:
        stream = file.open("x", encoding="ascii")
        try:
            with stream:
                stream.write(json.dumps(plan.record, indent=2, allow_nan=False) + "\n")
        except BaseException:
            file.unlink()  # half a plan would stand in the way of the next try
            raise
    except FileExistsError as error:
        raise ImgorderError(
            f"{show(file)}: there is such a file already; remove it, or carry it out with --apply"
        ) from error
    except OSError as error:
        raise ImgorderError(f"{show(file)}: cannot be written ({error.strerror}); check the path") from error


def refuse_others(plan: Plan, file: Path, paths: Sequence[Path]) -> None:
    """Raise an ImgorderError if the photos under some paths are not those of a plan."""
    found = {os.path.realpath(path) for photos in find_sets(paths) for path in photos.files}
    planned = {os.path.realpath(each.folder / photo.old) for each in plan.sets for photo in each.photos}
    along = {os.path.realpath(each.folder / file.old) for each in plan.sets for file in each.files}
    along |= {os.path.realpath(each.folder / name) for each in plan.sets for name in each.apart}
    for path in sorted((found - along) | (planned - found)):
        where = "not in the plan" if path in found else "not given, but in the plan"
        raise ImgorderError(f"{show(path)}: {where} {show(file)}; make a new plan, or give no photos with --plan")


def _plan_set(
    ordered: SortedSet, template: Template, companions: bool, copied: bool, look: Look, problems: list[str]
) -> PlannedSet:
    folder = ordered.photos.folder
    names = [ordered.photos.name(file) for file in ordered.files]
    apart = tuple(ordered.photos.name(file) for file in ordered.apart)
    belonging = find_belonging(folder, names, look, problems) if companions else {}
    stems = cache(_find_stems)
    files = []
    for index, (file, name) in enumerate(zip(ordered.files, names, strict=True), start=1):
        stem, ending = os.path.splitext(file.name)
        stem = stems(file.parent).get(file.name, stem)
        values: dict[str, object] = {
            "index": index,
            "stem": stem,
            "ext": ending,
            "n": len(names),
            "folder": os.path.basename(os.path.abspath(folder)),
        }
        if template.uses_date:
            from imgorder.media.capture import capture_time

            taken = capture_time(file)
            values["date"] = taken.time
            if taken.time is None:
                lacks = "no capture time in it (EXIF DateTimeOriginal)"
                if taken.unread:
                    lacks = f"a capture time that is not understood ({show(taken.unread)!r})"
                problems.append(f"{show(file)}: {lacks}, which {{date}} in --template needs; leave {{date}} out")
                continue
        new = template.fill(values)
        files.append(_plan_file(folder, name, new, None, copied))
        for companion in belonging.get(name, ()):
            old = os.path.join(os.path.dirname(name), companion.name)
            called = companion.name if new == file.name else companion.new_name(new)
            files.append(_plan_file(folder, old, called, name, copied))
    try:
        along = {file.old for file in files if file.companion_of is not None}
        whole_folder = look(folder).photos - along - set(apart) == set(names)
    except PhotoError:  # it cannot be read, but photos that were named one by one can be
        whole_folder = False
    return PlannedSet(
        Path(os.path.abspath(folder)),
        whole_folder,
        ordered.confidence,
        ordered.direction,
        ordered.model,
        ordered.backend,
        tuple(files),
        apart,
    )


def _find_stems(folder: Path) -> dict[str, str]:
    try:
        return find_stems(read_history(folder).runs)
    except ImgorderError:  # photos of a folder that cannot be read can be copied
        return {}


def _plan_file(folder: Path, old: str, new: str, companion_of: str | None, copied: bool) -> PlannedFile:
    try:
        # A link is renamed itself, and copied as the file that it leads to.
        status = os.stat(folder / old) if copied else os.lstat(folder / old)
        return PlannedFile(old, new, companion_of, FileState.of(status))
    except OSError as error:
        raise PhotoError(f"{show(folder / old)}: cannot be reached ({error.strerror}); try again") from error
