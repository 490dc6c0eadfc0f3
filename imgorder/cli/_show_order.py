"""How `sort` shows its results: tables and thumbnails for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgorder.cli._terminal import print_warning
from imgorder.errors import UsageError
from imgorder.names import show, word_count
from imgorder.ordering import LIKELY
from imgorder.permutations import MAX_EXACT
from imgorder.sorting.sorted_set import SortedSet

UNKNOWN_DIRECTION = (
    "Whether this runs forward or backward is not known from the pictures; --first FILE or --reverse tells."
)

DIRECTIONS = {
    "known": "their capture times or counters tell which was the first",
    "given": "it was said which was the first",
}
"""What decides the order of two photos, by the direction of a `SortedSet`."""


def as_json(results: Sequence[SortedSet], limit: int | None, problems: Sequence[str] = ()) -> str:
    """The JSON of ``docs/json.md``. A name with bytes that are not UTF-8 has lone surrogates in their place."""
    sets = [set_as_json(result, limit) for result in results]
    return json.dumps({"version": 1, "sets": sets, "problems": list(problems)}, indent=2)


def print_tables(
    results: Sequence[SortedSet],
    limit: int | None,
    written: Sequence[Sequence[Path]] = (),
    thumbnails: Sequence[str] = (),
) -> None:
    """Print for each set its photos, the predicted order beside the runner-up, and what is not known.

    Args:
        limit: how many orders to list with their probability; None for all.
        written: the files written for each set.
        thumbnails: from `draw_thumbnails`.
    """
    console = Console(highlight=False)
    for number, result in enumerate(results):
        if number:
            console.print()
        _print_set(console, result, limit)
        if thumbnails:
            print(thumbnails[number])
        if written:
            console.print(Text(f"Written: {', '.join(show(file) for file in written[number])}"), soft_wrap=True)


def choose_protocol(thumbnails: bool, graphics: str | None, form: str | None) -> str | None:
    """How to send thumbnails; None for no thumbnails. If the output cannot show any, a warning says so.

    Args:
        thumbnails: whether they are wanted.
        graphics: for which terminals.
        form: the option that asks for an output for programs.

    Raises:
        UsageError: for options that do not fit together.
    """
    if not thumbnails:
        if graphics is not None:
            raise UsageError("--graphics says how the terminal takes thumbnails; add --thumbnails")
        return None
    if form is not None:
        raise UsageError(f"{form} is for programs, --thumbnails for people at a terminal; give one of them")
    from imgorder.pictures import graphics as terminal  # only now: sorting needs no drawing

    known = tuple(terminal.ENCODERS)
    if graphics not in (None, "auto", *known):
        raise UsageError(f"--graphics is auto, {', '.join(known)}; not {graphics!r}")
    if not sys.stdout.isatty():
        print_warning("--thumbnails: the output is no terminal, none are shown; --sheet FILE.png writes a picture")
        return None
    if graphics in known:
        return graphics
    detected = terminal.detect(os.environ)
    if detected is None:
        cure = f"if it does, add --graphics {', '.join(known[:-1])} or {known[-1]}"
        print_warning(f"--thumbnails: this terminal is not known to show pictures, none are shown; {cure}")
    return detected


def draw_thumbnails(results: Sequence[SortedSet], protocol: str) -> list[str]:
    """The thumbnails of each set, as the terminal takes them; raises PhotoError."""
    from imgorder.pictures import graphics as terminal

    width = terminal.measure_width(sys.stdout)
    return [terminal.draw_thumbnails(result.files, protocol, width) for result in results]


def set_as_json(result: SortedSet, limit: int | None) -> dict[str, Any]:
    """One of the ``sets`` of the JSON."""
    assert result.ordering is not None  # it was sorted now
    return {
        "folder": str(result.photos.folder),
        "order": result.names(result.order),
        "confidence": result.confidence,
        "direction": result.direction,
        "model": result.model,
        "backend": result.backend,
        "votes": result.votes,
        "reasons": list(result.reasons),
        "words": result.words,
        "places": [round(place, 6) for place in result.ordering.places],
        "search": result.ordering.search,
        "proven": result.ordering.proven,
        "given": result.names(result.given),
        "scene": result.scene,
        "apart": [result.photos.name(file) for file in result.apart],
        "clocks": [clock.as_record() for clock in result.clocks],
        "classes": [
            {"order": result.names(order), "probability": round(probability, 6)}
            for order, probability in result.ordering.ranking()[:limit]
        ],
    }


def _show_place(probability: float) -> Text:
    """How sure it is that a photo is the next after the one above; what is not likely has a mark."""
    weak = probability < LIKELY
    figure = f"{probability:.0%}" if probability < 0.995 else ">99%"  # nothing is certain
    return Text(f"? {figure}" if weak else figure, style="yellow" if weak else "")


def _print_set(console: Console, result: SortedSet, limit: int | None) -> None:
    files = result.photos.files
    listing = f": {', '.join(show(result.photos.name(file)) for file in files)}" if len(files) <= MAX_EXACT else ""
    console.print(Text(f"{result.title}: {word_count(len(files), 'photo')}{listing}"), soft_wrap=True)
    if len(files) == 2:
        nothing = "nothing to order, since an order and its reverse are one"
        console.print(f"Two photos: {DIRECTIONS.get(result.direction, nothing)}.", soft_wrap=True)
        if result.direction == "unknown":
            return
    assert result.ordering is not None  # it was sorted now
    ranking = result.ordering.ranking()
    table = Table()
    table.add_column("", justify="right")
    large = len(files) > MAX_EXACT
    table.add_column("order" if large else f"order ({result.confidence:.1%})", overflow="fold", style="bold")
    if len(files) > 2:
        table.add_column("sure", justify="right")
    if len(ranking) > 1:
        # Where the order is a guess for another reason, the confidence is 0, and the model's figures tell nothing.
        figure = "" if result.doubt else f" ({ranking[1][1]:.1%})"
        table.add_column(f"runner-up{figure}", overflow="fold", style="dim")
    sure = [Text(), *map(_show_place, result.ordering.places)]
    for place, row in enumerate(zip(*(result.names(order) for order, _ in ranking[:2]), strict=True), start=1):
        first, *other = (Text(show(name)) for name in row)
        table.add_row(str(place), first, *[sure[place - 1]] * (len(files) > 2), *other)
    console.print(table)
    if result.given:
        console.print(f"{len(result.given)} of these photos keep the order that was given.", soft_wrap=True)
    if len(files) > 2:
        console.print(Text(f"The order is {result.words}."), soft_wrap=True)
    for clock in result.clocks:
        console.print(Text(clock.words), soft_wrap=True)
    if large and (limit is None or limit > 2):
        console.print(f"Orders are listed for up to {MAX_EXACT} photos.", soft_wrap=True)
    elif limit is None or limit > 2:
        listed = ranking[:limit]
        table = Table(title=f"{len(listed)} of {len(ranking)} orders")
        table.add_column("probability", justify="right")
        table.add_column("order", overflow="fold")
        for order, probability in listed:
            table.add_row(f"{probability:.2%}", Text(", ".join(show(name) for name in result.names(order))))
        console.print(table)
    if result.direction == "unknown":
        console.print(UNKNOWN_DIRECTION, soft_wrap=True)
