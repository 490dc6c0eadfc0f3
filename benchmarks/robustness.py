"""How much models lose on photos that are not evenly spaced, clean frames; see docs/accuracy.md.

    python benchmarks/robustness.py --models path tridab-s --davis DAVIS/ --run RUN --frames RUN/frames

Every model gets the very same sets under every condition of conditions.py: windows of DAVIS, and of the
clips whose groups the runs kept out of training (with several ``--run``: all of them did), a few of each
video. A condition changes the whole frames; what follows is each model's own preprocessing. Results go to
docs/results/robustness.json; they are the same on each run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from answers import answer, exact_match, numbered
from conditions import CONDITIONS, PLAIN, Condition, Pixels

from imgorder.datasets.davis import find_davis_sequences
from imgorder.evaluation.measure import percent
from imgorder.evaluation.metrics import bootstrap_interval
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.photos import open_photo
from imgorder.media.preprocess import Preprocessing, Tensor, preprocess_set, upright_rgb
from imgorder.training.held_out import DATASET, find_held_out_clips
from imgorder.training.sources import find_even_windows
from imgorder.training.store import FrameStore

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "robustness.json"
SEED = 0


@dataclass(frozen=True)
class Window:
    """A stretch of a video, from the first to the last photo of a set.

    Attributes:
        group: the video, or what it shares its people and places with.
        frame: a frame by its place in the stretch, whole, uint8 ``(H, W, 3)``.
    """

    group: str
    frame: Callable[[int], Pixels]


# Windows of a data set by set size and spacing.
Windows = Callable[[int, int], list[Window]]


def davis_windows(root: Path, limit: int) -> tuple[str, Windows]:
    """Windows of DAVIS, equally many of each sequence, spread evenly over it; and the name of the data set."""
    sequences = {
        name: [np.asarray(upright_rgb(open_photo(file))) for file in files]
        for name, files in find_davis_sequences(root).items()
    }

    def windows(n: int, spacing: int) -> list[Window]:
        each = -(-limit // len(sequences))
        return [
            Window(name, lambda place, frames=frames, start=start: frames[start + place])  # type: ignore[misc]
            for name, frames in sequences.items()
            for start in spread(range(len(frames) - (n - 1) * spacing), each)
        ]

    return f"davis-{len(sequences)}", windows


def clip_windows(store: FrameStore, clips: Sequence[int], limit: int) -> Windows:
    """Of the windows of held-out clips, as docs/accuracy.md has them, so many, spread evenly over the clips."""

    def windows(n: int, spacing: int) -> list[Window]:
        group = np.repeat([clip.group for clip in store.clips], [clip.frames for clip in store.clips])
        firsts = find_even_windows(store, clips, n, spacing)[:, 0].tolist()
        return [
            Window(str(group[first]), lambda place, first=first: store.frame(first + place))  # type: ignore[misc]
            for first in spread(firsts, limit)
        ]

    return windows


def spread(items: Sequence[int], limit: int) -> list[int]:
    """At most ``limit`` items at even distances."""
    places = np.unique(np.linspace(0, len(items) - 1, min(limit, len(items))).round().astype(int))
    return [items[place] for place in places]


def photos(condition: Condition, windows: Sequence[Window], n: int, spacing: int) -> Iterator[list[Pixels]]:
    """The set of each window under a condition; the same on each call."""
    for index, window in enumerate(windows):
        rng = np.random.default_rng((SEED, crc32(condition.name.encode()), n, spacing, index))
        places = condition.places(rng, n, spacing)
        yield condition.photos(rng, [window.frame(place) for place in places])


def tensors(sets: Iterable[list[Pixels]], specs: Iterable[Preprocessing]) -> dict[Preprocessing, list[Tensor]]:
    """Sets as networks see them, by preprocessing."""
    found: dict[Preprocessing, list[Tensor]] = {spec: [] for spec in specs}
    for images in sets:
        for spec, rows in found.items():
            rows.append(preprocess_set(images, spec))
    return found


def measure(
    models: Sequence[OrderingModel], name: str, make: Windows, n: int, spacings: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Rows of one data set and set size: for each condition and model one a spacing, and one of all spacings.

    The latter says also how far it is from the plain sets, with an interval: the sets are the same.
    """
    able = [model for model in models if n in model.sizes]
    windows = {spacing: make(n, spacing) for spacing in spacings}
    windows = {spacing: found for spacing, found in windows.items() if found}
    groups = [window.group for found in windows.values() for window in found]
    plain: dict[str, Any] = {}
    for condition in CONDITIONS:
        if not any(condition.applies(each.frame(0)) for found in windows.values() for each in found):
            continue
        hits: dict[str, list[bool]] = {model.name: [] for model in able}
        for spacing, found in windows.items():
            seen = tensors(photos(condition, found, n, spacing), {model.preprocessing for model in able})
            for model in able:
                right = [each.right for each in answer(model, seen[model.preprocessing])]
                hits[model.name] += right
                facts = {"dataset": name, "seq_len": n, "spacing": spacing, "condition": condition.name}
                own = [window.group for window in found]
                yield {"model": model.name, **facts, **exact_match(right, own, n)}
        for model in able:
            right = hits[model.name]
            plain.setdefault(model.name, right)
            change = np.array(right, dtype=float) - np.array(plain[model.name], dtype=float)
            low, high = bootstrap_interval(change, numbered(groups)) if len(set(groups)) > 1 else (-1.0, 1.0)
            facts = {"dataset": name, "seq_len": n, "spacing": None, "condition": condition.name}
            lost = {"change": percent(change.mean()), "change_low": percent(low), "change_high": percent(high)}
            yield {"model": model.name, **facts, **exact_match(right, groups, n), **lost}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--davis", type=Path, help="root of DAVIS")
    parser.add_argument("--run", type=Path, nargs="+", help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, help="decoded frames of these runs")
    parser.add_argument("--seq-len", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--spacing", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--sets", type=int, default=24, help="at most so many of each size and spacing")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    data: list[tuple[str, Windows]] = []
    if arguments.davis:
        data.append(davis_windows(arguments.davis, arguments.sets))
    if arguments.frames and arguments.run:
        store = FrameStore(arguments.frames)
        clips = find_held_out_clips(store, *arguments.run)
        data.append((DATASET, clip_windows(store, clips, arguments.sets)))
    if not data:
        parser.error("no data: give --davis, or --run and --frames")
    models = [load_model(name, threads=arguments.threads) for name in arguments.models]
    rows = []
    for name, make in data:
        for n in arguments.seq_len:
            for row in measure(models, name, make, n, arguments.spacing):
                rows.append(row)
                where = f"{row['dataset']}, {n} photos, spacing {row['spacing'] or 'all'}"
                print(f"{where}, {row['condition']}: {row['model']} {row['accuracy']:.1f}", flush=True)
    about = {condition.name: condition.about for condition in CONDITIONS}
    result = {"version": 1, "plain": PLAIN.name, "conditions": about, "rows": rows}
    arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
