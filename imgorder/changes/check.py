"""Find all that is wrong with a plan before anything is touched."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from imgorder.changes.companions import Look, find_belonging, find_unclaimed, list_folder
from imgorder.changes.folder import PREFIX
from imgorder.changes.plan import Plan, PlannedFile, PlannedSet
from imgorder.changes.records import (
    MAX_BYTES,
    FileState,
    find_spellings,
    is_bare_name,
    is_other_spelling,
)
from imgorder.errors import PhotoError
from imgorder.names import fold_name, is_inside, show

_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL
)
_REFUSED_BY_WINDOWS = re.compile(r'[<>:"\\|?*\x00-\x1f]')


def find_problems(plan: Plan) -> list[str]:
    """One line for each problem, with the file's name and the cure; empty if the plan can be carried out."""
    # A plan from a file may be foreign. What leads elsewhere is not even looked at.
    if elsewhere := list(dict.fromkeys(_find_ways_out(plan))):
        return elsewhere
    look = cache(list_folder)
    problems = [problem for planned in plan.sets for problem in _find_changes(planned, plan, look)]
    problems += _find_shared_folders(plan)
    for planned in plan.sets:
        changing = planned.files if plan.copy_to else planned.changing
        for file in changing:
            problems += [*find_name_problems(file.new), *_find_lost_names(planned.folder / file.old, file.new)]
    if plan.copy_to is not None:
        problems += _find_copy_problems(plan, plan.copy_to)
    else:
        for planned in plan.sets:
            problems += _find_rename_problems(planned, look)
        problems += _find_broken_links(plan)
    return list(dict.fromkeys(problems))


def find_left_behind(plan: Plan) -> Iterator[str]:
    """One line for each folder where files stay that look as if they belonged to photos, but do not move with them.

    With ``--no-companions`` that was asked for.
    """
    look = cache(list_folder)
    for planned in plan.sets if plan.companions else ():
        moving = planned.files if plan.copy_to else planned.changing
        photos = [file.old for file in moving if file.companion_of is None]
        known = {file.old for file in planned.files}
        for inside in dict.fromkeys(map(os.path.dirname, photos)):
            folder = planned.folder / inside
            try:
                names = look(folder).files
            except PhotoError:
                continue
            there = [os.path.basename(each) for each in photos if os.path.dirname(each) == inside]
            left = [name for name in find_unclaimed(there, names) if os.path.join(inside, name) not in known]
            if left:
                yield (
                    f"{show(folder)}: left behind, though named like photos that get other names: "
                    f"{', '.join(map(show, left))}; rename by hand what belongs to them"
                )


def find_name_problems(name: str) -> Iterator[str]:
    """What is wrong with a new name, here or on a system to which the file may be copied."""
    if name == "":
        yield "an empty name; use {stem} or {index} in --template"
        return
    if not is_bare_name(name):
        yield f"{show(name)}: not a file name; --template makes names, not folders"
        return
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        yield f"{show(name)}: cannot be written as a file name; use other characters in --template"
        return
    if size > MAX_BYTES:
        yield f"{show(name)}: {size} bytes; a name has at most {MAX_BYTES}, use a shorter --template"
    if name.startswith(PREFIX):
        yield f"{show(name)}: names that begin with {PREFIX} are kept for journals"
    if _RESERVED.fullmatch(name):
        yield f"{show(name)}: a name that Windows keeps for a device; use another --template"
    if name[-1] in ". ":
        yield f"{show(name)}: Windows drops a dot or space at the end; use another --template"
    if sys.platform == "win32" and (refused := _REFUSED_BY_WINDOWS.search(name)):
        yield f"{show(name)}: Windows takes no {refused[0]!r} in names; use another --template"


def _find_lost_names(file: Path, new: str) -> Iterator[str]:
    """Names by which neither imgorder nor other programs would find a file again."""
    if file.name.startswith("._"):  # hidden already, and stays so
        new = new.removeprefix("._")
    if new.startswith(".") and not new.startswith(PREFIX):
        yield f"{show(new)}: a hidden name, for {show(file)}; let --template begin with something else than a dot"
    elif new and os.path.splitext(new.rstrip(". "))[1].casefold() != os.path.splitext(file)[1].casefold():
        yield f"{show(new)}: another ending than {show(file)} has; let --template end with {{ext}}"


def find_folder_problems(folder: Path) -> Iterator[str]:
    """Whether names in a folder can be changed."""
    if not os.path.isdir(folder):
        yield f"{show(folder)}: not a folder (any more); make a new plan"
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield f"{show(folder)}: nothing can be changed in this folder; check its permissions"


def find_file_problems(folder: Path, name: str) -> Iterator[str]:
    """Whether a file that is in a folder can be changed."""
    path = folder / name
    status = os.lstat(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        yield f"{show(path)}: neither a file nor a link; leave it out"
    elif status.st_dev != os.stat(folder).st_dev:
        yield f"{show(path)}: on another file system than its folder; leave it out"
    elif stat.S_ISREG(status.st_mode) and not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
        yield f"{show(path)}: read-only; make it writable (chmod u+w) or leave it out"


def find_state_problem(path: Path, state: FileState, follow: bool = False) -> str | None:
    """Whether a file is no longer what it was when the plan was made; with ``follow``, what a link leads to."""
    try:
        now = FileState.of(os.stat(path) if follow else os.lstat(path))
    except (OSError, ValueError):
        return f"{show(path)}: gone since the plan was made; make a new one"
    return None if state.same(now) else f"{show(path)}: changed since the plan was made; make a new one"


def find_hard_links(folder: Path, files: Iterable[tuple[str, FileState]]) -> Iterator[str]:
    """Files that are one with an earlier one of them."""
    seen: dict[int, str] = {}
    for name, state in files:
        if state.inode in seen:
            first = show(seen[state.inode])
            yield f"{show(folder / name)}: the same file as {first} (a hard link); leave one of them out"
        seen[state.inode] = name


def _find_ways_out(plan: Plan) -> Iterator[str]:
    """What no plan that is made here holds: sets without photos, paths that depend on the current folder, or leave
    the set's own.
    """
    for folder in (*(planned.folder for planned in plan.sets), *([plan.copy_to] if plan.copy_to else [])):
        if not os.path.isabs(folder):
            yield f"{show(folder)}: not a whole path, so the plan could mean any folder; make a new one"
    for planned in plan.sets:
        if not planned.photos:
            yield f"{show(planned.folder)}: no photos in the plan; make a new one"
        for file in planned.files:
            if not is_inside(file.old):
                yield f"{show(file.old)}: not in the folder of the plan, {show(planned.folder)}; make a new one"
            elif file.companion_of is None and os.path.isdir(planned.folder / file.old):
                yield f"{show(planned.folder / file.old)}: a folder, not a photo; make a new plan"


def _find_changes(planned: PlannedSet, plan: Plan, look: Look) -> Iterator[str]:
    """What is not as it was when the plan was made, and files that have come since."""
    for file in planned.files:
        if problem := find_state_problem(planned.folder / file.old, file.state, plan.copy_to is not None):
            yield problem
    photos = [file.old for file in planned.photos]
    known = {file.old for file in planned.files}
    problems: list[str] = []
    try:
        more = look(planned.folder).photos - known - {*planned.apart} if planned.whole_folder else ()
        belonging = find_belonging(planned.folder, photos, look, problems) if plan.companions else {}
    except PhotoError:  # a folder that is gone: the problems of its files say so
        return
    for name in sorted(more):
        yield f"{show(planned.folder / name)}: not there when the plan was made; make a new one"
    yield from problems
    for photo, companions in belonging.items():
        for companion in companions:
            name = os.path.join(os.path.dirname(photo), companion.name)
            if name not in known:
                yield (
                    f"{show(planned.folder / name)}: belongs to {show(os.path.basename(photo))}, but was not there "
                    "when the plan was made; make a new one"
                )


def _find_broken_links(plan: Plan) -> Iterator[str]:
    """Links to files that get another name: they would lead nowhere, or to another photo."""
    leaving = {
        os.path.join(os.path.realpath(planned.folder), file.old) for planned in plan.sets for file in planned.changing
    }
    for planned in plan.sets:
        for file in planned.files:
            path = planned.folder / file.old
            try:
                text = os.readlink(path)
            except (OSError, ValueError):  # not a link
                continue
            target = os.path.join(os.path.realpath(planned.folder), os.path.dirname(file.old), text)
            direct = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
            if {direct, os.path.realpath(target)} & leaving:
                yield (
                    f"{show(path)}: a link to {show(text)}, which gets another name; leave the link out and make it "
                    "again afterwards, or give --copy-to"
                )


def _find_shared_folders(plan: Plan) -> Iterator[str]:
    seen: dict[tuple[int, int], Path] = {}
    files: dict[str, str] = {}
    for planned in plan.sets:
        for file in planned.files:
            path = os.path.realpath(planned.folder / os.path.dirname(file.old)) + os.sep + os.path.basename(file.old)
            if path in files:
                yield f"{show(path)}: in two sets; give it once"
            files[path] = file.new
        try:
            status = os.stat(planned.folder)
        except OSError:
            continue
        key = (status.st_dev, status.st_ino)
        if key in seen and plan.copy_to is None:
            cure = "give an order of one of them, or rename -r for all scenes"
            yield f"{show(planned.folder)}: holds two of the sets; {cure}"
        seen[key] = planned.folder


def _find_rename_problems(planned: PlannedSet, look: Look) -> Iterator[str]:
    folder = planned.folder
    changing = planned.changing
    elsewhere = [file for file in planned.files if not is_bare_name(file.old)]
    apart = [show(file.old) for file in elsewhere if file.companion_of is None]
    if apart:
        yield (
            f"{show(folder)}: photos of one set lie in different folders ({', '.join(apart)}); give one folder, or "
            "--copy-to"
        )
    elif elsewhere:
        yield from (f"{show(file.old)}: not a file name; make a new plan" for file in elsewhere)
    if elsewhere or not changing:
        return
    yield from find_folder_problems(folder)
    there = [file for file in planned.files if os.path.lexists(folder / file.old)]
    for file in there:
        if file.old != file.new:
            yield from find_file_problems(folder, file.old)
    yield from find_hard_links(folder, ((file.old, file.state) for file in there))
    yield from _find_duplicates([(file.old, file.new) for file in planned.files])
    yield from _find_taken_names(planned, changing, look)


def _find_taken_names(planned: PlannedSet, changing: Sequence[PlannedFile], look: Look) -> Iterator[str]:
    leaving = {file.old: file.state.inode for file in changing}
    staying = {fold_name(file.old) for file in planned.files if file.old == file.new}
    try:
        spellings = find_spellings(look(planned.folder).names)
    except PhotoError:
        return
    for file in changing:
        if file.new in leaving:
            continue
        path = planned.folder / file.new
        status = _find_status(path)
        if status is None:
            continue
        if fold_name(file.new) in staying or not is_bare_name(file.new):
            continue  # a problem already: a duplicate, or not a file name
        if is_other_spelling(file.new, status.st_ino, spellings, leaving):
            continue
        yield f"{show(path)}: is there already; use another --template, or move it elsewhere"


def _find_duplicates(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for old, new in names:
        groups.setdefault(fold_name(new), []).append((old, new))
    for group in groups.values():
        if len(group) > 1 and any(old != new for old, new in group):
            olds = " and ".join(show(old) for old, _ in group)
            fields = "{index} or {stem}" if len({os.path.dirname(old) for old, _ in group}) == 1 else "{folder}"
            yield f"{show(group[0][1])}: {olds} would all get this name; use {fields} in --template"


def _find_copy_problems(plan: Plan, target: Path) -> Iterator[str]:
    folder, problem = target.parent, "its parent folder is not there; make it, or"
    if os.path.lexists(target):
        folder, problem = target, "not a folder;"
    if not os.path.isdir(folder):
        yield f"{show(target)}: {problem} give another --copy-to"
        return
    yield from find_folder_problems(folder)
    files = [(planned, file) for planned in plan.sets for file in planned.files]
    for planned, file in files:
        path = planned.folder / file.old
        if os.path.lexists(path) and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            yield f"{show(path)}: cannot be read; check its permissions"
        if is_bare_name(file.new) and _find_status(target / file.new):
            yield f"{show(target / file.new)}: is there already; give another --copy-to"
    yield from _find_duplicates([(os.path.join(planned.folder, file.old), file.new) for planned, file in files])


def _find_status(path: Path) -> os.stat_result | None:
    """The status of what has a name; None if nothing has, or it cannot be encoded, which is a problem already."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None
