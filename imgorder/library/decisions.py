"""What a person has decided of the photos of a folder: which are one scene, and in which order; kept beside them.

Runs read the file and never write it; `imgorder decide` does. A photo is known by its name, or, once it has got another
one, by its size and time of change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from imgorder.errors import ImgorderError
from imgorder.fields import Check, as_record, read_record
from imgorder.files import atomic_write
from imgorder.names import show

NAME = "imgorder-decisions.json"


@dataclass(frozen=True)
class Decided:
    """A photo that a decision names.

    Attributes:
        name: of the file.
        size, changed: in bytes, and in ns; None where a person has written the file by hand.
    """

    name: str
    size: int | None = None
    changed: int | None = None


@dataclass(frozen=True)
class Decision:
    """Photos that a person has put together.

    Attributes:
        photos: one scene; a single photo stands alone.
        ordered: whether they are in their order, from the first to the last.
    """

    photos: Annotated[tuple[Decided, ...], Check(bool, "a list of photos")]
    ordered: bool = False


@dataclass(frozen=True)
class Decisions:
    """All decisions of a folder; a photo is in one at most."""

    version: Annotated[int, Check(lambda version: version == 1, "1")] = 1
    scenes: tuple[Decision, ...] = ()


def read_decisions(folder: Path) -> Decisions:
    """The decisions of a folder; none if it has no such file.

    Raises:
        ImgorderError: if the file cannot be read, or is damaged.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Decisions()
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be read ({error.strerror}); check its permissions") from error
    try:
        record = json.loads(content)
        for scene in record["scenes"]:  # a bare name is enough, for a person who writes it
            scene["photos"] = [{"name": each} if isinstance(each, str) else each for each in scene["photos"]]
        found = read_record(Decisions, record)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImgorderError(f"{show(path)}: not decisions of imgorder; correct it, or move it away") from error
    names = [photo.name for scene in found.scenes for photo in scene.photos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ImgorderError(f"{show(path)}: {show(twice[0])} stands in it twice; remove it once")
    return found


def decide(folder: Path, names: Sequence[str], *, ordered: bool = False, alone: bool = False) -> None:
    """Keep that these photos of a folder are one scene, or that each stands alone; earlier decisions on them go.

    Raises:
        ImgorderError: if the file cannot be read or written.
    """
    left = forget(folder, names)
    photos = [_describe(folder, name) for name in names]
    new = [Decision((photo,)) for photo in photos] if alone else [Decision(tuple(photos), ordered)]
    _write(folder, replace(left, scenes=(*left.scenes, *new)))


def forget(folder: Path, names: Sequence[str], *, write: bool = False) -> Decisions:
    """The decisions of a folder without those on some photos; a scene that loses one keeps the others.

    Raises:
        ImgorderError: if the file cannot be read or written.
    """
    found = read_decisions(folder)
    there = {name: found_as for found_as, name in match(folder, found).items()}
    gone = {there.get(name, name) for name in names}
    scenes = [
        replace(scene, photos=tuple(photo for photo in scene.photos if photo.name not in gone))
        for scene in found.scenes
    ]
    left = replace(found, scenes=tuple(scene for scene in scenes if scene.photos))
    if write and left != found:
        _write(folder, left)
    return left


def match(folder: Path, decisions: Decisions) -> dict[str, str]:
    """From each name in the decisions to the name that the photo has now, for photos that are there."""
    wanted = [photo for scene in decisions.scenes for photo in scene.photos]
    if not wanted:
        return {}
    found = {}
    missing = []
    for photo in wanted:
        if os.path.lexists(folder / photo.name):
            found[photo.name] = photo.name
        elif photo.size is not None:
            missing.append(photo)
    if missing:
        states: dict[tuple[int, int], list[str]] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    states.setdefault((status.st_size, status.st_mtime_ns), []).append(entry.name)
        for photo in missing:
            names = states.get((photo.size or 0, photo.changed or 0), [])
            if len(names) == 1 and names[0] not in found.values():  # else nobody knows which it is
                found[photo.name] = names[0]
    return found


def _describe(folder: Path, name: str) -> Decided:
    try:
        status = os.stat(folder / name)
    except OSError as error:
        raise ImgorderError(f"{show(folder / name)}: cannot be reached ({error.strerror}); check the path") from error
    return Decided(name, status.st_size, status.st_mtime_ns)


def _write(folder: Path, decisions: Decisions) -> None:
    path = folder / NAME
    if not decisions.scenes:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(as_record(decisions), indent=1) + "\n", "ascii")
