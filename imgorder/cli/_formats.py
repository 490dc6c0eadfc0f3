"""Sorted sets for other programs: a line or a row for each photo, or a JSON object for each set, as they are sorted."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgorder.errors import UsageError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.media.photos import PhotoSet
    from imgorder.sorting.sorted_set import SortedSet

Write = Callable[["SortedSet"], None]
Row = dict[str, Any]

# What is known of a photo in its order, each with a value to try a format on; documented in docs/formats.md.
FIELDS: dict[str, object] = {
    "set": "photos",
    "folder": "photos",
    "index": 1,
    "n": 4,
    "path": "photos/a.jpg",
    "name": "a.jpg",
    "reason": "content",
    "confidence": 0.5,
    "direction": "unknown",
    "model": "path",
    "backend": "numpy",
}
COLUMNS = (*FIELDS, "sure")


@dataclass(frozen=True)
class Output:
    """What a command prints in place of tables, one of these at most.

    Attributes:
        jsonl: a line of JSON for each set.
        csv: a table with a row for each photo.
        parquet: a file for such a table.
        layout: a line for each photo, with its fields where this text names them.
        plain: the path of each photo, one a line.
        print0: the same, with a zero byte after each.
    """

    jsonl: bool = False
    csv: bool = False
    parquet: Path | None = None
    layout: str | None = None
    plain: bool = False
    print0: bool = False

    @property
    def needs_sets(self) -> bool:
        """Whether `writing` has to see all sets before the first one."""
        return self.plain or self.parquet is not None or self.layout is not None

    def choose(self, as_json: bool = False) -> str | None:
        """The option that was given; raises UsageError if there are several."""
        spelled = {
            "--json": as_json,
            "--jsonl": self.jsonl,
            "--csv": self.csv,
            "--parquet": self.parquet is not None,
            "--format": self.layout is not None,
            "--plain": self.plain,
            "--print0": self.print0,
        }
        given = [option for option, is_given in spelled.items() if is_given]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)}: the output has one form; give one of them")
        return given[0] if given else None


@contextmanager
def writing(
    output: Output, sets: Sequence[PhotoSet], as_json: Callable[[SortedSet], Row], force: bool = False
) -> Iterator[Write | None]:
    """A function that writes one sorted set, in the form that was asked for; None if none was.

    All that can be checked before the first set is sorted is checked here.

    Args:
        output: what was asked for.
        sets: all that will be sorted.
        as_json: one set as the object of ``docs/json.md``.
        force: a file may be replaced.

    Raises:
        UsageError: for a format that does not fit, and for names that the form cannot hold.
        ImgorderError: for a file that cannot be written, or a library that is missing.
    """
    if output.parquet is not None:
        from imgorder.cli._parquet import parquet_table

        with parquet_table(output.parquet, sets, COLUMNS, force) as add:
            yield lambda result: add(_rows(result))
        return
    if output.jsonl:
        yield lambda result: _print([json.dumps({"version": 1, **as_json(result)})], "\n")
    elif output.csv:
        _take_any_name("utf-8")
        table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        table.writeheader()

        def write_rows(result: SortedSet) -> None:
            table.writerows(_rows(result))
            sys.stdout.flush()

        yield write_rows
    elif output.print0:
        _take_any_name(sys.getfilesystemencoding())
        yield lambda result: _print(map(path_of, result.files), "\0")
    elif output.plain:
        _refuse_line_breaks("--plain", sets)
        _take_any_name(sys.getfilesystemencoding())
        yield lambda result: _print(map(path_of, result.files), "\n")
    elif output.layout is not None:
        from imgorder.changes.template import parse_template

        template = parse_template(output.layout, "--format", FIELDS, "no line of it")
        if not any(field for _, field, _ in template.parts):
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise UsageError(f"--format {output.layout!r}: says nothing of the photos; known are {known}")
        _refuse_line_breaks("--format", sets)
        _take_any_name(sys.getfilesystemencoding())
        yield lambda result: _print(map(template.fill, _rows(result)), "\n")
    else:
        yield None


def path_of(file: Path) -> str:
    """A path that no program takes for an option."""
    text = os.fspath(file)
    return os.path.join(os.curdir, text) if text.startswith("-") else text


def _rows(result: SortedSet) -> Iterator[Row]:
    """One for each photo, in temporal order; ``sure`` is None where nothing is known of it."""
    n = len(result.order)
    places = result.ordering.places if result.ordering else (None,) * (n - 1)
    reasons = result.reasons or ("file",) * n
    whole = {
        "set": _set_name(result.photos),
        "folder": os.fspath(result.photos.folder),
        "n": n,
        "confidence": result.confidence,
        "direction": result.direction,
        "model": result.model,
        "backend": result.backend,
    }
    for index, (file, reason, sure) in enumerate(zip(result.files, reasons, (None, *places), strict=True), start=1):
        row = {"index": index, "path": path_of(file), "name": result.photos.name(file), "reason": reason}
        yield whole | row | {"sure": None if sure is None else round(sure, 6)}


def _print(lines: Iterator[str] | Sequence[str], end: str) -> None:
    for line in lines:
        sys.stdout.write(line + end)
    sys.stdout.flush()


def _take_any_name(encoding: str) -> None:
    """From now on names go to stdout byte by byte as they are, and nothing is added to a line's end."""
    sys.stdout.reconfigure(  # type: ignore[union-attr]
        encoding=encoding, errors=sys.getfilesystemencodeerrors(), newline="\n"
    )


def _refuse_line_breaks(option: str, sets: Sequence[PhotoSet]) -> None:
    for photos in sets:
        for file in photos.files:
            if set("\n\r") & {*os.fspath(file), *_set_name(photos)}:
                raise UsageError(
                    f"{show(file)}: has a line break in its name; {option} writes a line for each photo, give --print0"
                )


def _set_name(photos: PhotoSet) -> str:
    """The own name of its folder."""
    folder = os.path.abspath(photos.folder)
    return os.path.basename(folder) or folder
