"""The order that `rename` and `stamp` go by: sorted now, or read from what ``imgorder sort --json`` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError, UsageError
from imgorder.names import show
from imgorder.photos import PhotoSet, find_sets


@dataclass(frozen=True)
class OrderedSet:
    """Photos of one scene in temporal order.

    Attributes:
        photos: the set; ``files`` in natural order of the names, as found.
        files: in temporal order.
        confidence: probability of the order, 0 to 1.
        direction: ``given`` or ``unknown``.
        model, backend: what decided.
    """

    photos: PhotoSet
    files: tuple[Path, ...]
    confidence: float
    direction: str
    model: str
    backend: str


def sort_now(
    paths: Sequence[Path],
    *,
    model: str = "default",
    backend: str = "auto",
    threads: int | None = None,
    first: Sequence[Path] = (),
    reverse: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> list[OrderedSet]:
    """Sort as `imgorder sort` does; raises as `sort_photos` does."""
    from imgorder.sorting import sort_photos

    results = sort_photos(paths, model=model, backend=backend, threads=threads, first=first, reverse=reverse, warn=warn)
    return [
        OrderedSet(
            result.photos,
            tuple(result.photos.files[index] for index in result.ordering.order),
            result.confidence,
            result.direction,
            result.model,
            result.backend,
        )
        for result in results
    ]


def read_order(
    file: Path, paths: Sequence[Path] = (), *, first: Sequence[Path] = (), reverse: bool = False
) -> list[OrderedSet]:
    """Take the order from a file that ``imgorder sort --json`` wrote.

    Args:
        file: its folders are as they were given to `sort`, so relative ones count from the current folder.
        paths: if given, photos are looked for here, and have to be those of the file.
        first: photos known to be the first of their sets: the first or last ones of the file's orders.
        reverse: turn every order round.

    Raises:
        ImgorderError: if the file cannot be read or is something else, or names other photos than there are.
        UsageError: if ``first`` is none of the ends.
    """
    sets = [_set_of(record) for record in _records(file)]
    if paths:
        sets = _among(file, sets, find_sets(paths))
    else:
        for photos in sets:
            find_sets(photos.files)  # they are there
    unused = set(first)
    turned = []
    for each in sets:
        heads = {wanted for wanted in first if _is_file(wanted, each.files[0])}
        tails = {wanted for wanted in first if _is_file(wanted, each.files[-1])}
        unused -= heads | tails
        if heads or tails or reverse:
            turn = reverse or not heads
            each = replace(each, files=each.files[::-1] if turn else each.files, direction="given")
        turned.append(each)
    for wanted in unused:
        raise UsageError(f"--first {show(wanted)}: neither first nor last in {show(file)}; sort again with --first")
    return turned


def files_of_order(file: Path) -> list[Path]:
    """The photos that such a file names; raises ImgorderError."""
    return [path for record in _records(file) for path in _set_of(record).files]


def _records(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_bytes())
        if content["version"] != 1:
            raise ValueError
        records = content["sets"]
        for record in records:
            names, confidence = record["order"], record["confidence"]
            texts = [record["folder"], record["direction"], record["model"], record["backend"], *names]
            if not names or len(set(names)) < len(names) or not all(isinstance(each, str) for each in texts):
                raise ValueError
            if isinstance(confidence, bool) or not isinstance(confidence, int | float):
                raise ValueError
    except OSError as error:
        raise ImgorderError(f"{show(file)}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ImgorderError(
            f"{show(file)}: not an order; write one with: imgorder sort --json PHOTOS > {show(file)}"
        ) from error
    return list(records)


def _set_of(record: dict[str, Any]) -> OrderedSet:
    folder = Path(record["folder"])
    files = tuple(folder / name for name in record["order"])
    return OrderedSet(
        PhotoSet(folder, files),
        files,
        float(record["confidence"]),
        record["direction"],
        record["model"],
        record["backend"],
    )


def _among(file: Path, sets: Sequence[OrderedSet], found: Sequence[PhotoSet]) -> list[OrderedSet]:
    if len(sets) != len(found):
        raise ImgorderError(f"{show(file)}: {len(sets)} sets, but {len(found)} were given; give the same ones")
    matched = []
    for each, photos in zip(sets, found, strict=True):
        by_name = {photos.name(path): path for path in photos.files}
        names = [os.path.relpath(path, each.photos.folder) for path in each.files]
        for name in sorted({*names} ^ {*by_name}):
            where = "not in the order of" if name in by_name else "not there any more, but in the order of"
            raise ImgorderError(f"{show(photos.folder / name)}: {where} {show(file)}; sort again")
        matched.append(replace(each, photos=photos, files=tuple(by_name[name] for name in names)))
    return matched


def _is_file(wanted: Path, file: Path) -> bool:
    if os.path.abspath(wanted) == os.path.abspath(file) or (wanted.parent == Path() and wanted.name == file.name):
        return True
    try:
        return wanted.samefile(file)
    except OSError:
        return False
