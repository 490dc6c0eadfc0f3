"""What commands that order photos share: which photos, by what model, and in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli._errors import tell
from imgorder.cli._paths import named_path
from imgorder.errors import UsageError

if TYPE_CHECKING:
    from imgorder.order_file import OrderFile
    from imgorder.ordered import OrderedSet


Photos = Annotated[
    list[Path], typer.Argument(metavar="PATHS", parser=named_path, help="A folder of photos, or 3 to 6 photos.")
]
Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATHS", parser=named_path, help="A folder of photos, or 3 to 6 photos.", show_default=False
    ),
]
Order = Annotated[
    Path | None,
    typer.Option("--order", metavar="FILE", parser=named_path, help="Take the order that `sort --json` wrote."),
]
First = Annotated[
    list[Path] | None,
    typer.Option("--first", metavar="FILE", parser=named_path, help="Taken first; fixes the direction. Repeatable."),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Take the opposite direction.")]
MinConfidence = Annotated[
    float,
    typer.Option(
        "--min-confidence", min=0.0, max=1.0, help="Below this probability exit with code 3; no photo is changed."
    ),
]
Model = Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="See `imgorder models`; or a model file.")]
Backend = Annotated[str, typer.Option("--backend", metavar="auto|onnx|torch", help="What runs the model.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads (default: all cores).")]
Votes = Annotated[
    int,
    typer.Option("--votes", metavar="K", min=1, help="Show the network each set in K listings; answer by the mean."),
]
Apply = Annotated[bool, typer.Option("--apply", help="Carry the plan out. Without it nothing is changed.")]


def names_model(model: str, backend: str, threads: int | None, votes: int) -> bool:
    """Whether any of the options is given that only matter where photos are sorted."""
    return threads is not None or (model, backend, votes) != ("default", "auto", 1)


def one_direction(first: Sequence[Path] | None, reverse: bool) -> None:
    """Raise UsageError where the direction is fixed twice."""
    if first and reverse:
        raise UsageError("--first and --reverse both fix the direction; give one of them")


def ordered_sets(
    paths: Sequence[Path],
    order: OrderFile | None,
    first: Sequence[Path],
    reverse: bool,
    model: str,
    backend: str,
    threads: int | None,
    votes: int,
) -> list[OrderedSet]:
    """The sets in their order: from the file, or else sorted.

    Raises:
        ImgorderError: for trouble with the photos or the file.
        UsageError: for options that do not fit together.
    """
    one_direction(first, reverse)
    if order is not None:
        if names_model(model, backend, threads, votes):
            raise UsageError("--order FILE takes an order that is there already; leave the options of a model out")
        from imgorder.order_file import read_order
        from imgorder.renaming.stale import refuse_stale

        refuse_stale(order, order.files)
        sets = read_order(order, paths, first=first, reverse=reverse)
        if paths:  # the photos may lie elsewhere by now
            refuse_stale(order, (path for each in sets for path in each.files))
        return sets
    from imgorder.ordered import sort_now

    return sort_now(
        paths,
        model=model,
        backend=backend,
        threads=threads,
        votes=votes,
        first=first,
        reverse=reverse,
        warn=lambda message: tell("warning", message),
    )


def read(order: Path | None) -> OrderFile | None:
    """What ``--order`` names, read once: it may be a pipe. Raises ImgorderError."""
    from imgorder.order_file import read_file

    return None if order is None else read_file(order)


def folders_of(paths: Sequence[Path], order: OrderFile | None) -> list[Path]:
    """The folders in which the photos are said to lie, as far as they are there."""
    if not paths and order is not None:
        paths = order.files
    folders = (path if os.path.isdir(path) else path.parent for path in paths)
    return list(dict.fromkeys(folder for folder in folders if os.path.isdir(folder)))


def sure(confidence: float, photos: int) -> str:
    """How sure an order is, for people. Of two photos nothing but the direction is asked, which nobody knows."""
    return "two photos, nothing to order" if photos == 2 else f"order {confidence:.1%} sure"


def likely(confidence: float, photos: int, direction: str) -> float:
    """The probability that ``--min-confidence`` is held against: of two photos either may be the first."""
    return 0.5 if photos == 2 and direction == "unknown" else confidence


def tell_unsure(title: str, confidence: float, least: float) -> None:
    """One line on stderr for a set whose order is not sure enough."""
    tell("unsure", f"{title}: confidence {confidence:g} is below {least:g}; nothing was changed")
