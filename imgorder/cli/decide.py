"""``imgorder decide``: fix that photos are one scene, or in which order they are; `group` and ``-r`` heed it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._options import named_path
from imgorder.cli._terminal import one_line_errors
from imgorder.errors import UsageError
from imgorder.names import show, word_count


@one_line_errors
def decide(
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PHOTOS", parser=named_path, help="Photos of one folder.", show_default=False),
    ] = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="They are in their order, the first one first.")] = False,
    alone: Annotated[bool, typer.Option("--alone", help="Each of them stands alone.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Take back what was decided of them.")] = False,
    order: _options.Order = None,
) -> None:
    """Decide that photos are one scene. `group`, and `sort`, `rename` and `stamp` with -r, heed it.

    Decisions stand in imgorder-decisions.json beside the photos; no other command changes that file.
    """
    from imgorder.library import decisions
    from imgorder.media.photos import SUFFIXES
    from imgorder.sorting.order_file import read_file

    if ordered + alone + forget + (order is not None) > 1:
        raise UsageError("--ordered, --alone, --forget and --order say different things; give one of them")
    if (order is None) == (not photos):
        raise UsageError("give photos of one folder, or a file with an order by --order")
    if order is None:
        sets: list[Sequence[Path]] = [photos or []]
    else:
        file = read_file(order)
        sets = [file.files] if file.names else [each.files for each in file.sets]
    for files in sets:
        folders = {os.path.abspath(each.parent) for each in files}
        if len(folders) > 1:
            raise UsageError("decisions are kept folder by folder; give photos of one folder")
        if len({each.name for each in files}) < len(files):
            raise UsageError("a photo is given twice; give each once")
        if other := [each for each in files if not forget and not each.name.lower().endswith(SUFFIXES)]:
            raise UsageError(f"{show(other[0])}: no photo that is read; give photos")
        if not files[0].parent.is_dir():
            raise UsageError(f"{show(files[0].parent)}: there is no such folder; check the path")
        if len(files) < 2 and not (alone or forget):
            raise UsageError(f"{show(files[0])}: one photo alone is no scene; add --alone if it stands alone")
    for files in sets:
        folder, names = files[0].parent, [each.name for each in files]
        if forget:
            if not decisions.forget(folder, names):
                print(f"{show(folder / decisions.NAME)}: nothing was decided of {word_count(len(names), 'photo')}")
                continue
        else:
            decisions.decide(folder, names, ordered=ordered or order is not None, alone=alone)
        print(f"{show(folder / decisions.NAME)}: {_say(len(names), forget, alone, ordered or order is not None)}")


def _say(count: int, forget: bool, alone: bool, ordered: bool) -> str:
    photos = word_count(count, "photo")
    if forget:
        return f"what was decided of {photos} is forgotten"
    if alone:
        return f"{photos} {'stands' if count == 1 else 'stand'} alone"
    return f"{photos} are one scene" + (", in this order" if ordered else "")
