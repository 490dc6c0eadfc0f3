"""What the commands share: their options, how `--help` shows them, and what the options say of the photos."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import Signature, cleandoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from imgorder.cli._formats import Output
from imgorder.cli._library import LibraryOptions, TreeOptions, open_scenes
from imgorder.cli._terminal import print_warning
from imgorder.errors import ImgorderError, PhotoError, ProblemsError, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.library.remote import Address, is_address
from imgorder.names import show, undo_command
from imgorder.permutations import SIZES

if TYPE_CHECKING:
    from imgorder.sorting.sorted_set import SortedSet

R = TypeVar("R")

MOST_IMAGES = 1000  # of a set whose size is asked for


def named_path(text: str | Path) -> Path:
    """A path that is not empty: `Path("")` would mean the current folder, as of a variable that is not set."""
    if text == "":
        raise typer.BadParameter("an empty name; give a path, or . for the current folder")
    return Address(text) if is_address(str(text)) else Path(text)


class _PlainHelp:
    """Help pages whose options say their metavar and nothing of Python's types; a flag says nothing."""

    help: str | None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if self.help:  # Typer would keep the line ends of a docstring
            self.help = "\n\n".join(" ".join(part.split()) for part in cleandoc(self.help).split("\n\n"))

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in parameters:
            # An argument's metavar stands in the column of names already.
            shown = (each.metavar or "N") if each.param_type_name == "option" and not each.is_flag else ""
            each.display_type_rich = lambda ctx, shown=shown: shown
        return parameters


class _Command(_PlainHelp, TyperCommand):
    pass


class _Group(_PlainHelp, TyperGroup):
    pass


class Commands(typer.Typer):
    """A group of commands with plain help pages; ``command`` takes an example for the end of the page."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Callable[..., R]], Callable[..., R]]:  # type: ignore[override]
        """As Typer's."""
        return super().command(name, cls=_Command, **settings)


Photos = Annotated[
    list[Path], typer.Argument(metavar="PATHS", parser=named_path, help="A folder of photos, or photos.")
]
Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATHS", parser=named_path, help="A folder of photos, or photos.", show_default=False),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="P",
        min=0.0,
        max=1.0,
        help="If an order is less sure than this, change nothing and exit with code 3.",
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Carry the plan out. Without it nothing is changed.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def in_panel(panel: str, *names: str, **settings: Any) -> Any:
    """An option under a heading of its own in the help."""
    return typer.Option(*names, rich_help_panel=panel, **settings)


_ORDER, _MODEL = "Order", "Model"
Order = Annotated[
    Path | None,
    in_panel(
        _ORDER,
        "--order",
        metavar="FILE",
        parser=named_path,
        help="Take the order in FILE: names, one a line, or what `sort --json` wrote; - is stdin.",
    ),
]
First = Annotated[
    list[Path],
    in_panel(
        _ORDER,
        "--first",
        metavar="FILE",
        parser=named_path,
        help="The photo taken first, for each set; or exif: that with the earliest capture time.",
        show_default=False,
    ),
]
Last = Annotated[
    list[Path],
    in_panel(
        _ORDER,
        "--last",
        metavar="FILE",
        parser=named_path,
        help="The photo taken last; give one for each set.",
        show_default=False,
    ),
]
Metadata = Annotated[
    str,
    in_panel(_ORDER, "--metadata", metavar="auto|ignore|only", help="Whether capture times and counters decide, too."),
]
TrustMtime = Annotated[
    bool, in_panel(_ORDER, "--trust-mtime", help="Take a file's time of change where a photo has no capture time.")
]
Offsets = Annotated[
    list[str],
    in_panel(
        _ORDER,
        "--offset",
        metavar="CAMERA=TIME",
        help="Add to the times of a camera: 'Pixel 7=+00:03:12'; may be given again.",
        show_default=False,
    ),
]
KeepStrays = Annotated[
    bool, in_panel(_ORDER, "--keep-strays", help="Sort photos that look like another scene with the others.")
]
EitherDirection = Annotated[
    bool, in_panel(_ORDER, "--either-direction", help="Apply also where it is not known which end is the first.")
]
Reverse = Annotated[bool, in_panel(_ORDER, "--reverse", help="Take the opposite direction.")]
Model = Annotated[
    str, in_panel(_MODEL, "--model", metavar="NAME|PATH", help="A name that `imgorder models` lists, or a model file.")
]
Backend = Annotated[str, in_panel(_MODEL, "--backend", metavar="auto|onnx|torch", help="What runs the model.")]
Threads = Annotated[
    int | None, in_panel(_MODEL, "--threads", metavar="N", min=1, help="CPU threads (default: all cores).")
]
Votes = Annotated[
    int | None,
    in_panel(
        _MODEL,
        "--votes",
        metavar="K",
        min=1,
        help="Ask the model K times, photos listed differently; take the mean (default: as released; heat maps: 24).",
    ),
]

_OUTPUT = "Output"
Jsonl = Annotated[bool, in_panel(_OUTPUT, "--jsonl", help="Print a line of JSON for each set when it is sorted.")]
Csv = Annotated[bool, in_panel(_OUTPUT, "--csv", help="Print a CSV table with a row for each photo.")]
Parquet = Annotated[
    Path | None,
    in_panel(
        _OUTPUT,
        "--parquet",
        metavar="FILE.parquet",
        parser=named_path,
        help="Write a Parquet file with a row for each photo.",
    ),
]
Layout = Annotated[
    str | None,
    in_panel(
        _OUTPUT, "--format", metavar="TEXT", help="Print a line for each photo, such as '{set}/{index:03d} {path}'."
    ),
]
Plain = Annotated[bool, in_panel(_OUTPUT, "--plain", help="Print the paths of the photos in order, one a line.")]
Print0 = Annotated[
    bool, in_panel(_OUTPUT, "--print0", help="Print the paths with a zero byte after each, for xargs -0.")
]
_TREES = "Trees of photos"
Recursive = Annotated[
    bool, in_panel(_TREES, "--recursive", "-r", help="Find the scenes in all folders below, and order each.")
]
Gap = Annotated[
    str | None,
    in_panel(_TREES, "--gap", metavar="TIME", help="The longest time between photos of one scene (default: 10s)."),
]
Similarity = Annotated[
    float | None,
    in_panel(_TREES, "--similarity", metavar="S", help="How alike photos of one scene are, 0 to 1 (default: 0.85)."),
]
Workers = Annotated[
    int | None, in_panel(_TREES, "--workers", metavar="N", min=1, help="Processes (default: all cores).")
]
EngineName = Annotated[
    str, in_panel(_TREES, "--engine", metavar="local|ray", help="What runs the work: this machine, or Ray.")
]
Gpus = Annotated[
    float | None,
    in_panel(_TREES, "--gpus", metavar="N", min=0.0, help="GPUs that each piece of work asks Ray for (default: none)."),
]
PartsFolder = Annotated[
    Path | None,
    in_panel(
        _TREES,
        "--parts",
        metavar="DIR",
        parser=named_path,
        help="Keep what was found in DIR, for all machines, and not in the cache.",
    ),
]

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="GLOB", help="Leave out photos with such a name; may be given again.", show_default=False
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out photos and folders that cannot be read, and go on with the rest.")
]


PartsFormat = Annotated[str, in_panel(_TREES, "--parts-format", metavar="jsonl|parquet", help="How that is kept.")]

_TREE = {
    "gap": Gap,
    "similarity": Similarity,
    "workers": Workers,
    "engine": EngineName,
    "gpus": Gpus,
    "parts": PartsFolder,
    "parts_format": PartsFormat,
}

# A command takes one of these objects under this name, and is called with one option for each field.
_GROUPS: dict[str, tuple[type, dict[str, Any]]] = {
    "options": (ModelOptions, {"model": Model, "backend": Backend, "threads": Threads, "votes": Votes}),
    "known": (
        Known,
        {
            "first": First,
            "last": Last,
            "reverse": Reverse,
            "metadata": Metadata,
            "trust_mtime": TrustMtime,
            "keep_strays": KeepStrays,
            "offsets": Offsets,
        },
    ),
    "output": (
        Output,
        {"jsonl": Jsonl, "csv": Csv, "parquet": Parquet, "layout": Layout, "plain": Plain, "print0": Print0},
    ),
    "library": (LibraryOptions, {"recursive": Recursive, **_TREE}),
    "tree": (TreeOptions, _TREE),
}


def spread_options(command: Callable[..., R]) -> Callable[..., R]:
    """Decorator: let Typer see one option for each field where a command takes ``options`` or ``known``."""
    hints = get_type_hints(command, include_extras=True)
    seen = []
    for parameter in signature(command).parameters.values():
        kind, options = _GROUPS.get(parameter.name, (None, {parameter.name: hints[parameter.name]}))
        for name, annotation in options.items():
            default = getattr(kind, name) if kind else parameter.default
            seen.append(parameter.replace(name=name, annotation=annotation, default=default))

    @wraps(command)
    def gathered(**given: Any) -> R:
        for group, (kind, options) in _GROUPS.items():
            if group in hints:
                values = {name: given.pop(name) for name in options}
                # What may be given several times comes as a list.
                given[group] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        return command(**given)

    gathered.__signature__ = Signature(seen)  # type: ignore[attr-defined]
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in seen}
    del gathered.__wrapped__  # type: ignore[attr-defined]
    return gathered


def find_orders(
    paths: Sequence[Path],
    order: Path | None,
    known: Known,
    options: ModelOptions,
    exclude: Sequence[str] = (),
    skip_bad: bool = False,
    library: LibraryOptions = LibraryOptions(),
    *,
    read_only: bool = False,
) -> Sequence[SortedSet]:
    """The sets in their order, which a file says or a model; the photos are about to be changed.

    Args:
        paths: photos and folders; may be empty if there is a file.
        order: a file that `sort --json` wrote, or a person with a name on each line.
        known: what the user says of the order.
        options: how a model is asked; only without a file.
        exclude: names and patterns of photos to leave out.
        skip_bad: warn of photos and sets that cannot be read or sorted, and take the rest; else they are refused.
        library: whether the paths are trees of scenes, and how these are found.
        read_only: the photos will only be copied; they may lie on a medium that cannot be locked.

    Raises:
        ImgorderError: for photos, a file or a folder that cannot be used, as after an interrupted run.
        UsageError: for options that do not fit together.
    """
    from imgorder.changes.apply import refuse_interrupted
    from imgorder.changes.stale import refuse_stale
    from imgorder.sorting.order_file import read_file, read_order

    library.check()
    if not paths and order is None:
        raise UsageError("give photos, or a folder of photos")
    if any(isinstance(path, Address) for path in paths):
        raise UsageError(f"{show(paths[0])}: photos there are only read, by `group` and `sort -r`")
    if library.recursive and order is not None:
        raise UsageError("--order FILE says what the scenes are; leave -r out")
    file = None if order is None else read_file(order)  # only once: it may be a pipe
    given = paths or (file.files if file else ())
    refuse_interrupted((path if os.path.isdir(path) else path.parent for path in given), read_only=read_only)
    problems: list[str] = []
    apart = warn_of_bad if skip_bad else lambda error: problems.append(str(error))
    sets: Sequence[SortedSet]
    if library.recursive:
        with open_scenes(paths, library, apart, exclude, known.trust_mtime) as tree:
            sets = list(tree.sort(known, options))
        refuse_interrupted((each.photos.folder for each in sets), read_only=read_only)
    elif file is None:
        from imgorder.sorting.sort import sort_photos

        sets = sort_photos(paths, options, known, print_warning, exclude, apart)
    else:
        if options != ModelOptions():
            raise UsageError("--order FILE takes an order that is there already; leave the options of a model out")
        if known.keep_strays or known.offsets or known.earliest_first:
            option = "--keep-strays" if known.keep_strays else "--offset" if known.offsets else "--first exif"
            raise UsageError(f"--order FILE takes an order that is there already; leave {option} out")
        if not (paths and file.names):  # what a list names is searched for among the photos
            refuse_stale(file, file.files)
        sets = read_order(file, paths, known, exclude, print_warning, apart)
        if paths or file.names:  # the photos may lie elsewhere by now
            refuse_stale(file, (path for each in sets for path in each.files))
    if problems:
        raise ProblemsError(problems)
    if not sets:
        raise PhotoError("no photos are left; nothing was changed")
    return sets


def warn_of_bad(error: ImgorderError) -> None:
    """What is done with a bad photo or set where ``--skip-bad`` says so."""
    print_warning(f"left out: {error}")


def warn_interrupted(paths: Iterable[Path]) -> None:
    """One warning for each folder with an unfinished run, since some of its photos may have hidden names."""
    for folder in dict.fromkeys(path if os.path.isdir(path) else path.parent for path in paths):
        try:
            with os.scandir(folder) as entries:
                hidden = any(entry.name.startswith(".imgorder-") for entry in entries)
        except OSError:  # reading the photos will say so
            hidden = False
        if hidden:
            _warn_unfinished(folder)


def _warn_unfinished(folder: Path) -> None:
    from imgorder.changes import journal  # only now: most folders have no hidden files of ours

    try:
        history = journal.read_history(folder)
    except ImgorderError as error:
        print_warning(str(error))
        return
    if history.stray_problem:
        print_warning(history.stray_problem)
    for run in history.unfinished[:1]:
        print_warning(
            f"{show(folder)}: a {run.title} is under way or was interrupted here; photos may be hidden. "
            f"Unless it is under way: {undo_command(folder, '--recover')}"
        )


def parse_sizes(texts: Sequence[str]) -> list[int]:
    """What ``--seq-len`` was given, as set sizes that networks are trained for; raises UsageError."""
    return parse_numbers(texts, "--seq-len", SIZES[0], SIZES[-1])


def parse_any_sizes(texts: Sequence[str]) -> list[int | None]:
    """What ``--seq-len`` was given where any number of images will do; None, at the end, for ``all`` of an album.

    Raises:
        UsageError: for anything else.
    """
    given = re.split(r"[,\s]+", " ".join(texts).strip())
    numbers = [text for text in given if text != "all"]
    sizes: list[int | None] = [*parse_numbers(numbers, "--seq-len", SIZES[0], MOST_IMAGES)] if numbers else []
    return [*sizes, None] if "all" in given else sizes


def parse_spacings(texts: Sequence[str]) -> list[int]:
    """What ``--spacing`` was given, in frames; raises UsageError."""
    return parse_numbers(texts, "--spacing", 1, 1000)


def number_or_all(text: str, option: str) -> int | None:
    """``"all"`` to None, else a number from 1 up.

    Raises:
        UsageError: for anything else; names the option.
    """
    if text == "all":
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < 1:
        raise UsageError(f"{option} takes a number from 1 up, or all; not {text!r}")
    return int(text)


def parse_numbers(texts: Sequence[str], option: str, least: int, most: int) -> list[int]:
    """``["3-5", "8,9"]`` as ``[3, 4, 5, 8, 9]``.

    Raises:
        UsageError: for anything else, and for numbers outside ``least`` … ``most``; names the option.
    """
    numbers: set[int] = set()
    for part in re.split(r"[,\s]+", " ".join(texts).strip()):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part, re.ASCII)
        if not match:
            raise UsageError(f"{option} takes a number, or numbers as in 3-5 or 3,5; not {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{option}: {part} is an empty range")
        if first < least or last > most:
            raise UsageError(f"{option} takes numbers from {least} to {most}; not {part}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)
