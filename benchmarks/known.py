"""What capture times add to the pictures, and what strays, copies and a second scene do; see docs/albums.md.

    python benchmarks/known.py --models path tridab-s --davis DAVIS/ --photos ALBUMS/ --run RUN --frames RUN/frames

The data are those of `benchmarks/albums.py`. Sets of a few photos are written to folders under names that say nothing,
with the times of each case, and sorted as a user would sort them. Results go to docs/results/known.json; they are the
same on each run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from imgorder.evaluation.measure import percent
from imgorder.evaluation.metrics import kendall_tau
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.photos import find_sets
from imgorder.sorting.sort import sort_sets
from imgorder.sorting.sorted_set import SortedSet

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "known.json"
SEED = 24
NOON = datetime(2024, 5, 1, 12)
LAG = 1000  # s by which the second clock is behind where its offset is given
EXIF, TAKEN, MODEL = 0x8769, 0x9003, 0x0110


@dataclass(frozen=True)
class Scene:
    """Photos of one scene in temporal order; scenes of one group may look alike."""

    group: str
    images: tuple[Image.Image, ...]


@dataclass(frozen=True)
class Photo:
    """A photo of a set: its place in time, the picture, what the camera's clock showed, which camera it was, and by how
    many seconds its clock is behind.

    A photo without a place does not belong.
    """

    place: int | None
    image: Image.Image
    time: float | None = None
    camera: int = 0
    lag: float = 0


def read_davis(root: Path, n: int, spacing: int, stride: int) -> Iterator[Scene]:
    """Sets of frames that lie ``spacing`` frames apart."""
    for folder in sorted(each for each in root.rglob("*") if each.is_dir() and any(each.glob("*.jpg"))):
        files = sorted(folder.glob("*.jpg"))
        for first in range(0, len(files) - (n - 1) * spacing, stride):
            chosen = files[first : first + (n - 1) * spacing + 1 : spacing]
            yield Scene(folder.name, tuple(Image.open(file).convert("RGB") for file in chosen))


def read_photos(root: Path, n: int, leave_out: Sequence[str]) -> Iterator[Scene]:
    """The first photos of each album."""
    for folder in sorted(each for each in root.iterdir() if each.is_dir()):
        files = sorted(folder.glob("*.jpg"))
        if len(files) >= n and not any(fnmatch(folder.name, pattern) for pattern in leave_out):
            yield Scene(folder.name.rstrip("0123456789"), tuple(Image.open(file).convert("RGB") for file in files[:n]))


def read_clips(frames: Path, runs: Sequence[Path], n: int, spacing: int, limit: int) -> Iterator[Scene]:
    """The beginnings of some clips that were held out of training."""
    from robustness import spread  # only now: it imports torch, which other data do without

    from imgorder.training.held_out import find_held_out_clips
    from imgorder.training.store import FrameStore

    store = FrameStore(frames)
    reach = [each for each in find_held_out_clips(store, *runs) if store.clips[each].frames > (n - 1) * spacing]
    for clip in spread(reach, limit):
        numbers = (store.first[clip] + place * spacing for place in range(n))
        yield Scene(store.clips[clip].group, tuple(Image.fromarray(store.frame(number).copy()) for number in numbers))


Case = Callable[[np.random.Generator, Scene, Scene], list[Photo]]
"""A set, from a scene and one of another group."""


def plain(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
    """No times."""
    return [Photo(place, image) for place, image in enumerate(scene.images)]


def missing(count: int) -> Case:
    """A case in which so many photos have a time."""

    def make(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
        timed = {*rng.choice(len(scene.images), count, replace=False).tolist()}
        return [
            Photo(place, image, second if place in timed else None)
            for place, (image, second) in enumerate(zip(scene.images, _seconds(rng, len(scene.images)), strict=True))
        ]

    return make


def equal(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
    """Each two photos have the same second."""
    return [Photo(place, image, place // 2) for place, image in enumerate(scene.images)]


def two_cameras(lag: float | None) -> Case:
    """A case in which two cameras took the photos; the clock of one is behind, by up to an hour if it is not told."""

    def make(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
        n = len(scene.images)
        cameras = rng.permutation([place % 2 for place in range(n)]).tolist()
        behind = int(rng.integers(-3600, 3600)) if lag is None else lag
        return [
            Photo(place, image, second - behind * camera, camera, behind * camera)
            for place, (image, second, camera) in enumerate(zip(scene.images, _seconds(rng, n), cameras, strict=True))
        ]

    return make


def stray(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
    """No times, and a photo of another scene."""
    return [*plain(rng, scene, other), Photo(None, other.images[0])]


def copied(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
    """No times, and one photo is there twice."""
    place = int(rng.integers(len(scene.images)))
    return [*plain(rng, scene, other), Photo(place, scene.images[place])]


def two_scenes(rng: np.random.Generator, scene: Scene, other: Scene) -> list[Photo]:
    """No times, and half of the photos are of another scene."""
    half = len(scene.images) // 2
    return [*plain(rng, scene, other)[:half], *(Photo(None, image) for image in other.images[:half])]


def _seconds(rng: np.random.Generator, n: int) -> list[int]:
    """Some seconds between each two photos."""
    return np.cumsum(rng.integers(3, 9, n)).tolist()  # type: ignore[no-any-return]


def write(folder: Path, photos: Sequence[Photo], rng: np.random.Generator) -> list[str]:
    """The photos under names that say nothing; gives the names."""
    folder.mkdir()
    names = [f"p{number:02}.jpg" for number in rng.permutation(len(photos))]
    for name, photo in zip(names, photos, strict=True):
        exif = Image.Exif()
        if photo.time is not None:
            clock = NOON + timedelta(seconds=photo.time)
            exif.get_ifd(EXIF)[TAKEN] = f"{clock:%Y:%m:%d %H:%M:%S}"
            exif[MODEL] = ("One", "Two")[photo.camera]
        photo.image.save(folder / name, quality=92, exif=exif)
    return names


def follow(order: Sequence[int | None]) -> list[int]:
    """Places without those that do not belong, and without the copy of a photo beside it."""
    places = [place for place in order if place is not None]
    return [*places[:1], *(place for last, place in pairwise(places) if place != last)]


def score(order: Sequence[int | None], n: int) -> tuple[float, float]:
    """Whether the n photos are in order, up to reversal, and Kendall's tau; 0 and 0 where some are missing."""
    places = follow(order)
    if sorted(places) != list(range(n)):
        return 0.0, 0.0
    return float(places in (sorted(places), sorted(places)[::-1])), abs(kendall_tau(places))


def by_time(photos: Sequence[Photo], names: Sequence[str]) -> list[int | None]:
    """As file managers sort: by time, then by name; photos without a time come last."""
    listed = sorted(
        zip(photos, names, strict=True), key=lambda each: (each[0].time is None, each[0].time or 0, each[1])
    )
    return [photo.place for photo, _ in listed]


def measure(
    dataset: str, scenes: Sequence[Scene], model: str, threads: int | None, root: Path
) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    n = len(scenes[0].images)
    cases: dict[str, tuple[Case, Known]] = {
        f"{n - 2} of {n} without a time": (missing(2), Known()),
        f"{n - n // 2} of {n} without a time": (missing(n // 2), Known()),
        "equal seconds, two by two": (equal, Known()),
        "two cameras, offset unknown": (two_cameras(None), Known()),
        "two cameras, offset given": (two_cameras(LAG), Known(offsets=("Two=+00:16:40",))),
        "a stray": (stray, Known()),
        "a copy": (copied, Known()),
        "two scenes": (two_scenes, Known()),
    }
    pictures: list[tuple[float, float]] = []
    for name, (case, known) in {"no times": (plain, Known()), **cases}.items():
        sets = []
        for number, scene in enumerate(scenes):
            rng = np.random.default_rng((SEED, number))
            others = [each for each in scenes if each.group != scene.group]
            photos = case(rng, scene, others[number % len(others)])
            folder = root / f"{dataset} {model} {name} {number}"
            sets.append((photos, write(folder, photos, rng), folder))
        folders = [folder for _, _, folder in sets]
        found = _sort(folders, model, known, threads)
        if case in (plain, stray, copied):  # of the others the pictures are those of the first case
            pictures = _score(sets, _sort(folders, model, Known(metadata="ignore", keep_strays=True), threads))
        row = {"dataset": dataset, "model": model, "case": name, "photos": n, **_compare(sets, found)}
        scores: dict[str, Scores | None] = {"times": None, "pictures": None, "both": _score(sets, found)}
        if case is not two_scenes:
            times = [score(by_time(photos, names), n) for photos, names, _ in sets]
            scores |= {"times": times, "pictures": pictures}
        yield row | _mean(scores)


def _sort(folders: Sequence[Path], model: str, known: Known, threads: int | None) -> list[SortedSet]:
    options = ModelOptions(model=model, threads=threads)
    return [sorting.result for sorting in sort_sets(find_sets(folders), options, known)]


Set = tuple[list[Photo], list[str], Path]
Scores = list[tuple[float, float]]


def _score(sets: Sequence[Set], found: Sequence[SortedSet]) -> Scores:
    scores = []
    for (photos, names, _), each in zip(sets, found, strict=True):
        place = {name: photo.place for name, photo in zip(names, photos, strict=True)}
        n = len({photo.place for photo in photos if photo.place is not None})
        scores.append(score([place[file.name] for file in each.files], n))
    return scores


def _mean(scores: dict[str, Scores | None]) -> dict[str, float | None]:
    return {
        f"{name}_{what}": None if values is None else round(float(np.mean([each[index] for each in values])) * scale, 3)
        for name, values in scores.items()
        for index, (what, scale) in enumerate((("exact", 100.0), ("tau", 1.0)))
    }


def _compare(sets: Sequence[Set], found: Sequence[SortedSet]) -> dict[str, Any]:
    errors, inside, confidences, right_scene, directed = [], [], [], [], []
    for (photos, names, _), both in zip(sets, found, strict=True):
        place = {name: photo.place for name, photo in zip(names, photos, strict=True)}
        confidences.append(both.confidence)
        places = follow([place[file.name] for file in both.files])
        directed.append(both.direction != "unknown" and places[0] < places[-1])
        foreign = {name for name, each in place.items() if each is None}
        kind = "one scene" if not foreign else "strays" if len(foreign) == 1 else "several scenes"
        right_scene.append(both.scene == kind and (kind != "strays" or {file.name for file in both.apart} == foreign))
        for clock in both.clocks:
            shift = clock.shift.total_seconds() if clock.shift is not None else None
            true = max((photo.lag for photo in photos), key=abs) * (1 if clock.camera == "Two" else -1)
            if shift is not None and not clock.given:
                errors.append(abs(shift - true))
                low, high = (each.total_seconds() if each else None for each in (clock.low, clock.high))
                inside.append((low is None or low <= true) and (high is None or true <= high))
    return {
        "sets": len(sets),
        "confidence": percent(float(np.mean(confidences))),
        "direction": percent(float(np.mean(directed))),
        "scene": percent(float(np.mean(right_scene))),
        "offsets": len(errors),
        "offset_error": median(errors) if errors else None,
        "offset_inside": percent(float(np.mean(inside))) if inside else None,
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--davis", type=Path, help="root of DAVIS")
    parser.add_argument("--photos", type=Path, help="folder of albums")
    parser.add_argument(
        "--leave-out", nargs="+", default=["trap-*"], metavar="PATTERN", help="albums that do not count"
    )
    parser.add_argument("--run", type=Path, nargs="+", help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, help="decoded frames of these runs")
    parser.add_argument("--photos-in-a-set", type=int, default=6)
    parser.add_argument("--spacing", type=int, default=4, help="frames from one photo to the next")
    parser.add_argument("--stride", type=int, default=48, help="on DAVIS, a set begins at every so many frames")
    parser.add_argument("--clips", type=int, default=12, help="at most so many clips")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    n, spacing = arguments.photos_in_a_set, arguments.spacing
    data: dict[str, list[Scene]] = {}
    if arguments.davis:
        data["DAVIS"] = list(read_davis(arguments.davis, n, spacing, arguments.stride))
    if arguments.frames and arguments.run:
        data["held-out clips"] = list(read_clips(arguments.frames, arguments.run, n, spacing, arguments.clips))
    if arguments.photos:
        data["photos"] = list(read_photos(arguments.photos, n, arguments.leave_out))
    if not any(data.values()):
        parser.error("nothing to measure: give --davis, --photos, or --run and --frames")
    rows = []
    for dataset, scenes in data.items():
        for model in arguments.models:
            with tempfile.TemporaryDirectory() as folder:
                for row in measure(dataset, scenes, model, arguments.threads, Path(folder)):
                    rows.append(row)
                    print(row, flush=True)
    arguments.json.write_text(json.dumps({"version": 1, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
