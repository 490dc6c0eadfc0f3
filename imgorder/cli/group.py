"""``imgorder group``: find the scenes and bursts in trees of photos; change nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgorder.cli import _options
from imgorder.cli._library import TreeOptions, open_library, say_left_out
from imgorder.cli._options import named_path, spread_options
from imgorder.cli._terminal import one_line_errors, print_message
from imgorder.errors import EXIT_INPUT, ImgorderError, UsageError
from imgorder.names import show, word_count

if TYPE_CHECKING:
    from imgorder.library.grouping import Rule
    from imgorder.library.scenes import Library, Scene

_GAPS = (2, 10, 30, 60, 300, 1800)  # seconds that the preview shows beside the one that is asked for
_SIMILARITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
_NAMED = 4  # photos of a scene that a table names


@one_line_errors
@spread_options
def group(
    roots: Annotated[
        list[Path], typer.Argument(metavar="ROOTS", parser=named_path, help="Folders with photos in all below.")
    ],
    preview: Annotated[
        bool, typer.Option("--preview", help="Show how many scenes other thresholds would make.")
    ] = False,
    as_json: _options.Json = False,
    exclude: _options.Exclude = None,
    trust_mtime: _options.TrustMtime = False,
    tree: TreeOptions = TreeOptions(),
) -> None:
    """Find the photos that belong together in whole trees of folders. No photo is changed.

    A scene lies in one folder. Its photos follow each other in time, where times are known, and look alike; where
    they are not known they look alike even more. Photos that stand alone stay alone.
    """
    if preview and as_json:
        raise UsageError("--preview is for people, --json for programs; give one of them")
    problems: list[str] = []

    def set_apart(error: ImgorderError) -> None:
        print_message("error", str(error))
        problems.append(str(error))

    rule = tree.rule
    with open_library(roots, tree, set_apart, exclude or (), trust_mtime) as library:
        if preview:
            _print_preview(library, rule)
        elif as_json:
            _print_json(library, rule, problems)
        else:
            _print_tables(library, rule)
    say_left_out(problems)
    if problems:
        raise typer.Exit(EXIT_INPUT)


def _print_tables(library: Library, rule: Rule) -> None:
    photos = scenes = alone = 0
    folder = None
    for scene in library.scenes(rule):
        photos += len(scene.listed)
        if len(scene.listed) == 1:
            alone += 1
            continue
        scenes += 1
        if scene.photos.folder != folder:
            folder = scene.photos.folder
            print(f"{show(folder)}:")
        print(f"  {_describe(scene)}")
    alone_text = word_count(alone, "photo that stands alone", "photos that stand alone")
    print(f"{word_count(photos, 'photo')}: {word_count(scenes, 'scene')}, and {alone_text}")


def _describe(scene: Scene) -> str:
    names = [show(each.name) for each in scene.listed]
    listed = ", ".join(names if len(names) <= _NAMED else [*names[: _NAMED - 1], "…", names[-1]])
    times = ""
    if scene.taken:
        first, last = (str(time.replace(microsecond=0)) for time in scene.taken)
        times = f", {first}" if first == last else f", {first} to {last[11:] if last[:10] == first[:10] else last}"
    decided = ", decided by you" if scene.decided else ""
    return f"{len(names)} photos{times}{decided}: {listed}"


def _print_json(library: Library, rule: Rule, problems: Sequence[str]) -> None:
    """One document, written as the scenes are found: a tree may have more than memory holds."""
    print('{\n "version": 1,\n "scenes": [', end="")
    for number, scene in enumerate(library.scenes(rule)):
        print(("," if number else "") + "\n  " + json.dumps(_as_record(scene)), end="")
    print('\n ],\n "problems": ' + json.dumps(list(problems)) + "\n}")


def _as_record(scene: Scene) -> dict[str, Any]:
    first, last = scene.taken or (None, None)
    return {
        "folder": str(scene.photos.folder),
        "photos": [each.name for each in scene.listed],
        "versions": list(scene.versions),
        "first": first and first.isoformat(),
        "last": last and last.isoformat(),
        "decided": scene.decided,
        "ordered": scene.ordered,
    }


def _print_preview(library: Library, rule: Rule) -> None:
    from rich.console import Console
    from rich.table import Table

    gaps = sorted({rule.gap, *(timedelta(seconds=each) for each in _GAPS)})
    similarities = sorted({rule.similarity, *_SIMILARITIES})
    counts: dict[tuple[timedelta, float], list[int]] = {
        (gap, similarity): [0, 0] for gap in gaps for similarity in similarities
    }
    for folder, records in library.folders():
        for (gap, similarity), count in counts.items():
            for scene in library.group(folder, records, replace(rule, gap=gap, similarity=similarity)):
                count[len(scene.listed) == 1] += 1
    table = Table(title="Scenes + photos that stand alone, by --gap (rows) and --similarity (columns)")
    table.add_column("", justify="right")
    for similarity in similarities:
        chosen = similarity == rule.similarity
        table.add_column(f"{similarity:g}", justify="right", style="bold" if chosen else None)
    for gap in gaps:
        cells = [f"{scenes} + {alone}" for scenes, alone in (counts[gap, each] for each in similarities)]
        table.add_row(_spell(gap), *cells, style="bold" if gap == rule.gap else None)
    Console(highlight=False).print(table)


def _spell(gap: timedelta) -> str:
    seconds = gap.total_seconds()
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
