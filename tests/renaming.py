"""Folders, plans and comparisons for the tests of `rename`, `undo` and `stamp`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.changes.plan import Plan, PlannedFile, PlannedSet
from imgorder.changes.records import FileState
from imgorder.changes.stamp import StampPlan, make_stamps
from imgorder.cli import app
from imgorder.media.photos import PhotoSet
from imgorder.sorting.sorted_set import SortedSet

Snapshot = dict[str, tuple[bytes, int]]

START = datetime(2024, 5, 1, 12, 0, 0)
STEP = timedelta(milliseconds=500)

# A cycle, a chain, and companions of both. Names of a plan are old -> new.
TANGLED = {
    "a.jpg": "b.jpg",
    "a.CR3": "b.CR3",
    "b.jpg": "c.jpg",
    "c.jpg": "a.jpg",
    "d.jpg": "e.jpg",
    "d.jpg.xmp": "e.jpg.xmp",
    "e.jpg": "f.jpg",
}
BYSTANDERS = {"notes.txt": b"not a photo", ".hidden": b"of somebody else", "z.jpg": b"a photo that is not in the plan"}


def snapshot(folder: Path) -> Snapshot:
    """Everything in a folder: content and time of change of each name."""
    return {name: (content(folder / name), (folder / name).lstat().st_mtime_ns) for name in os.listdir(folder)}


def content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(os.readlink(path))
    return b"a folder" if path.is_dir() else path.read_bytes()


def without_journals(state: Snapshot) -> Snapshot:
    return {name: value for name, value in state.items() if not name.endswith(".jsonl")}


def fill(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """A folder of files, each with a time of change of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (name, content) in enumerate(contents.items()):
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(0, 1_600_000_000_123_456_789 + index * 1_000_000_007))
    return folder


def tangled(folder: Path) -> Path:
    return fill(folder, {**{name: f"content of {name}".encode() for name in TANGLED}, **BYSTANDERS})


def plan_of(folder: Path, names: Mapping[str, str], copy_to: Path | None = None) -> Plan:
    """A plan for any names, as if the photos had been sorted."""
    files = tuple(PlannedFile(old, new, None, FileState.of(os.lstat(folder / old))) for old, new in names.items())
    return Plan("", copy_to, False, (PlannedSet(folder, False, 1.0, "given", "path", "numpy", files),))


def grouped(folder: Path, names: Mapping[str, str]) -> Plan:
    """Such a plan, in which files of one stem belong to its ``.jpg``."""
    plan = plan_of(folder, names)
    (planned,) = plan.sets
    files = tuple(
        replace(file, companion_of=None if file.old.endswith(".jpg") else f"{Path(file.old).stem}.jpg")
        for file in planned.files
    )
    return replace(plan, sets=(replace(planned, files=files),))


@lru_cache
def jpeg(shade: int) -> bytes:
    """A small JPEG without EXIF; an odd shade gives one with an EXIF block but without a time."""
    stream = io.BytesIO()
    exif = Image.Exif()
    if shade % 2:
        exif[0x010F] = "a maker"
    Image.new("RGB", (16, 16), (shade, 10, 200)).save(stream, "JPEG", **({"exif": exif} if shade % 2 else {}))
    return stream.getvalue()


def jpegs(folder: Path, n: int = 3) -> Path:
    return fill(folder, {**{f"{index}.jpg": jpeg(index) for index in range(n)}, **BYSTANDERS})


def ordered(folder: Path, names: list[str]) -> SortedSet:
    files = tuple(folder / name for name in names)
    return SortedSet(PhotoSet(folder, files), tuple(range(len(files))), 1.0, "given", "path", "numpy")


def stamp_plan(folder: Path, n: int = 3) -> StampPlan:
    return make_stamps([ordered(folder, [f"{index}.jpg" for index in range(n)])], START, STEP)


def shoot(home: Path, names: list[str], **record: object) -> tuple[Path, Path]:
    """A folder of files that pass for photos, and a file with their order as `sort --json` writes it."""
    folder = fill(home / "photos", {name: f"content of {name!r}".encode() for name in names})
    return folder, write_order(home, folder, names, **record)


def write_order(home: Path, folder: Path, names: list[str], **record: object) -> Path:
    order = home / "order.json"
    fields = {"confidence": 0.9, "direction": "unknown", "model": "tridab-s", "backend": "onnx", "classes": []}
    order.write_text(json.dumps({"version": 1, "sets": [{"folder": str(folder), "order": names, **fields, **record}]}))
    return order


def command(*arguments: str | Path) -> Result:
    """Run a command; it never ends in a traceback, and an error leaves stdout empty."""
    result: Result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert all(line.startswith("imgorder: ") for line in result.stderr.splitlines() if result.exit_code == 1)
    return result


def done(*arguments: str | Path) -> str:
    """Run a command that succeeds; gives stdout."""
    result = command(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(folder: Path, *arguments: str | Path) -> list[str]:
    """Run a command that is refused and changes nothing; gives the lines of stderr."""
    before = snapshot(folder)
    result = command(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert snapshot(folder) == before
    return result.stderr.splitlines()


def names_each(lines: Sequence[str], expected: Sequence[tuple[str, str]]) -> None:
    """Each line of stderr names a file of ``photos`` and, after it, the reason or the cure."""
    assert len(lines) == len(expected), lines
    for line, (file, word) in zip(lines, expected, strict=True):
        name, _, rest = line.split("photos/", 1)[1].partition(": ")
        assert name == file, line
        assert word in rest, line
