"""What a person has decided of the photos of a folder: which are one scene, and in which order; kept beside them.

Runs read the file and never write it; `imgorder decide` does. A photo is known by its size and time of change, so that
it may get another name, also one that another photo had; once its content has changed, by its name.
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
            if isinstance(scene["photos"], list):
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
    left = _leave_out(folder, read_decisions(folder), names)
    photos = [_describe(folder, name) for name in names]
    new = [Decision((photo,)) for photo in photos] if alone else [Decision(tuple(photos), ordered)]
    _write(folder, replace(left, scenes=(*left.scenes, *new)))


def forget(folder: Path, names: Sequence[str]) -> bool:
    """Take back what was decided of some photos of a folder; whether anything was.

    Raises:
        ImgorderError: if the file cannot be read or written.
    """
    found = read_decisions(folder)
    now = match(folder, found)
    left = _leave_out(folder, found, names)
    if left != found:
        _write(folder, left)
    return any(now.get(photo.name, photo.name) in names for scene in found.scenes for photo in scene.photos)


def _leave_out(folder: Path, decisions: Decisions, names: Sequence[str]) -> Decisions:
    """The decisions without those on some photos. A scene that loses one keeps the others, if there are two at least:
    nobody has said that the last one stands alone.
    """
    now = match(folder, decisions)

    def keep(photo: Decided) -> tuple[Decided, ...]:
        """The photo by the name that it has now; none if it goes, or is lost and another one has its name."""
        name = now.get(photo.name, photo.name)
        lost = photo.name not in now and name in now.values()
        return () if name in names or lost else (replace(photo, name=name),)

    scenes = []
    for scene in decisions.scenes:
        kept = tuple(each for photo in scene.photos for each in keep(photo))
        if len(kept) > 1 or len(kept) == len(scene.photos):
            scenes.append(replace(scene, photos=kept))
    return replace(decisions, scenes=tuple(scenes))


def match(folder: Path, decisions: Decisions) -> dict[str, str]:
    """From each name in the decisions to the name that the photo has now, for photos that are there."""
    wanted = [photo for scene in decisions.scenes for photo in scene.photos]
    if not wanted:
        return {}
    states: dict[str, tuple[int, int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                states[entry.name] = (status.st_size, status.st_mtime_ns)
    alike: dict[tuple[int | None, int | None], list[str]] = {}
    for name, state in states.items():
        alike.setdefault(state, []).append(name)
    found: dict[str, str] = {}
    for photo in wanted:
        if (photo.name in states and photo.size is None) or states.get(photo.name) == (photo.size, photo.changed):
            found[photo.name] = photo.name
    for photo in wanted:
        names = alike.get((photo.size, photo.changed), [])
        if photo.name not in found and len(names) == 1 and names[0] not in found.values():  # else nobody knows which
            found[photo.name] = names[0]
    for photo in wanted:
        if photo.name not in found and photo.name in states and photo.name not in found.values():  # it was changed
            found[photo.name] = photo.name
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
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ImgorderError(f"{show(path)}: cannot be removed ({error.strerror}); check its permissions") from error
        return
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(as_record(decisions), indent=1) + "\n", "ascii")
