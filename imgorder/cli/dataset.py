"""``imgorder dataset``: write down sets with a known order as manifests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli._options import Commands, named_path, parse_any_sizes, parse_sizes, parse_spacings
from imgorder.cli._terminal import counting, one_line_errors, print_warning, say_if_stopped
from imgorder.errors import ImgorderError
from imgorder.files import make_folder
from imgorder.names import show, word_count
from imgorder.permutations import SIZES, SIZES_TEXT

if TYPE_CHECKING:
    from imgorder.datasets.manifest import DataSet
    from imgorder.datasets.scan import Scan

dataset = Commands(
    name="dataset",
    help="Make sets with a known order from videos or photos, for training and evaluation.",
    no_args_is_help=True,
)

ALL_SIZES = [f"{SIZES[0]}-{SIZES[-1]}"]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", parser=named_path, help="Folder for the manifests; created if missing.")
]
TrainedSeqLens = Annotated[
    list[str],
    typer.Option("--seq-len", metavar="N|N-M", help=f"Images in a set, {SIZES_TEXT}; repeat it, or 3-6, or 3,5."),
]
SeqLens = Annotated[
    list[str],
    typer.Option("--seq-len", metavar="N|N-M|all", help="Images in a set, from 3; repeat it, or 3-6, or 4,12,all."),
]
Spacings = Annotated[
    list[str],
    typer.Option("--spacing", metavar="N|N-M", help="Frames from one image to the next; repeat it, or 1-8, or 2,4."),
]
MinFlow = Annotated[
    float,
    typer.Option("--min-flow", min=0.0, help="Least mean optical flow between neighbours, in px of a 240 px frame."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Decides the split.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: one a core).")]


@dataset.command(epilog="Example: imgorder dataset ucf101 --videos UCF-101/ --out sets/")
@one_line_errors
def ucf101(
    videos: Annotated[
        Path, typer.Option("--videos", metavar="DIR", parser=named_path, help="UCF101's folder of videos.")
    ],
    out: Out,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            parser=named_path,
            help="Take only the videos of a list, such as trainlist01.txt.",
        ),
    ] = None,
    seq_len: TrainedSeqLens = ALL_SIZES,
    spacing: Spacings = ["4"],  # noqa: B006
    min_flow: MinFlow = 1.0,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Sets from UCF101 as in the paper: frames chosen by optical flow, split 70/30 by group.

    After an interrupt, the same command goes on where it stopped.
    """
    from imgorder.datasets.ucf101 import build_ucf101

    lengths = parse_sizes(seq_len)
    with _scanning(out / "ucf101.progress.jsonl", spacing, min_flow, workers) as scan:
        built = build_ucf101(videos, scan, lengths, seed, listed)
    _write(built, out, "videos")


@dataset.command(epilog="Example: imgorder dataset davis --root DAVIS/ --out sets/ --spacing 1-4")
@one_line_errors
def davis(
    root: Annotated[
        Path,
        typer.Option("--root", metavar="DIR", parser=named_path, help="DAVIS's folder, with JPEGImages/480p in it."),
    ],
    out: Out,
    seq_len: SeqLens = ALL_SIZES,
    spacing: Spacings = ["1-8"],  # noqa: B006
) -> None:
    """All evenly spaced sets of DAVIS, for tests."""
    from imgorder.datasets.davis import build_davis

    built = build_davis(root, parse_any_sizes(seq_len), parse_spacings(spacing))
    _write(built, out, "sequences")


@dataset.command(epilog="Example: imgorder dataset videos ./clips/ --out sets/ --spacing 2,4,8")
@one_line_errors
def videos(
    folder: Annotated[Path, typer.Argument(metavar="DIR", parser=named_path, help="A folder of videos, at any depth.")],
    out: Out,
    seq_len: SeqLens = ALL_SIZES,
    spacing: Spacings = ["2,4,8"],  # noqa: B006
    min_flow: MinFlow = 1.0,
    validation_fraction: Annotated[
        float, typer.Option("--validation-fraction", min=0.0, max=0.9, help="Share of the videos for validation.")
    ] = 0.15,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Sets from any videos: evenly spaced frames where something moves, split by group.

    The group is a video's folder, or what clips.csv (columns file, group) says. After an interrupt, the
    same command goes on where it stopped.
    """
    from imgorder.datasets.videos import build_videos

    lengths = parse_any_sizes(seq_len)
    with _scanning(out / "videos.progress.jsonl", spacing, min_flow, workers) as scan:
        built = build_videos(folder, scan, lengths, validation_fraction, seed)
    _write(built, out, "videos")


@dataset.command(epilog="Example: imgorder dataset photos ./bursts/ --out sets/")
@one_line_errors
def photos(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", parser=named_path, help="Folders of photos; each folder is one scene.")
    ],
    out: Out,
    seq_len: SeqLens = ALL_SIZES,
    truth: Annotated[
        str, typer.Option("--truth", metavar="times|names|csv", help="What tells the order of the photos of a folder.")
    ] = "times",
) -> None:
    """Sets from photos whose order is known, for tests. No photo is changed.

    EXIF times tell the order; or the names of the files; or truth.csv in each folder (columns file, seconds), and
    then sets.csv beside the folders (columns set, kind) may say of what kind each is.
    """
    from imgorder.datasets.photos import build_photos

    built = build_photos(folder, parse_any_sizes(seq_len), truth)
    _write(built, out, "folders")


@contextmanager
def _scanning(working: Path, spacing: list[str], min_flow: float, workers: int | None) -> Iterator[Scan]:
    """How videos are read, with a bar on stderr where that is a terminal; a word on how to go on after an interrupt."""
    from imgorder.datasets.scan import Scan

    spacings = parse_spacings(spacing)
    make_folder(working.parent)
    how = f"what is done is in {show(working)}; the same command goes on from there"
    with say_if_stopped(how), counting("videos") as progress:
        yield Scan(working, spacings, min_flow, workers or os.cpu_count() or 1, progress)


def _write(built: DataSet, out: Path, sources: str) -> None:
    from imgorder.datasets.manifest import write_manifest

    make_folder(out)
    for each in built.skipped:
        print_warning(f"{show(each.name)}: left out: {each.reason}")
    if not any(manifest.sets for manifest in built.manifests):
        raise ImgorderError(
            f"{show(built.manifests[0].root)}: no sets: {built.sources} {sources} read, "
            f"{len(built.skipped)} left out, no set of the lengths asked for in the others; no manifest was written"
        )
    for manifest in built.manifests:
        size = "all" if manifest.seq_len is None else f"n{manifest.seq_len}"
        path = out / f"{manifest.dataset}-{size}.jsonl"
        write_manifest(manifest, path)
        splits = Counter(entry.split for entry in manifest.sets)
        parts = ", ".join(f"{name} {splits[name]}" for name in ("train", "validation", "test") if splits[name])
        print(f"{show(path)}: {word_count(len(manifest.sets), 'set')}{f' ({parts})' if parts else ''}")
    print(f"{built.sources} {sources} read, {len(built.skipped)} left out")
