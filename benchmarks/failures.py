"""What models fail on, by what can be measured about a set; see docs/failures.md.

    python benchmarks/failures.py --models path tridab-s --run RUN --frames RUN/frames --labels CLIPS/clips.csv

Exact match on the clips whose groups the runs kept out of training, also on sets that hardly move, for
each bucket of facts.py and each label of the clips; and what kind of errors the wrong answers are. Results
go to docs/results/failures.json; they are the same on each run.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from answers import Answer, answer, exact_match
from facts import PROPERTIES, facts

from imgorder.evaluation.measure import percent
from imgorder.evaluation.metrics import kendall_tau
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.preprocess import centre, preprocess_set
from imgorder.names import natural_key
from imgorder.permutations import permutation_classes
from imgorder.training.held_out import DATASET, find_held_out_clips
from imgorder.training.sources import find_even_windows
from imgorder.training.store import FrameStore

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "failures.json"
SURE = 0.9
SPACING, CATEGORY, CAMERA = LABELS = ("spacing in frames", "category", "camera, as labelled")


@dataclass(frozen=True)
class Case:
    """One set: its frames in the store, the group of its clip, and the bucket of each property."""

    frames: tuple[int, ...]
    group: str
    buckets: dict[str, str]


def cases(
    store: FrameStore, clips: Sequence[int], n: int, spacings: Sequence[int], labels: dict[str, dict[str, str]]
) -> list[Case]:
    """Two sets of each clip and spacing, however little moves in them."""
    found = []
    for spacing in spacings:
        for index in clips:
            clip = store.clips[index]
            for frames in find_even_windows(store, [index], n, spacing, min_change=0).tolist():
                measured = facts(np.stack([centre(store.frame(number)) for number in frames]))
                buckets = {each.name: each.bucket(measured) for each in PROPERTIES}
                named = {SPACING: str(spacing), **buckets, **labels.get(Path(clip.name).name, {})}
                found.append(Case(tuple(frames), clip.group, {name: each for name, each in named.items() if each}))
    return found


def read_labels(files: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Rough labels of clips by file name, from tables with the columns file, category and camera."""
    found = {}
    for file in files:
        with file.open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                found[row["file"]] = {CATEGORY: row["category"], CAMERA: row["camera"]}
    return found


def by_bucket(model: str, n: int, found: Sequence[Case], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """A row for all sets, and one for each bucket."""
    names = [("all sets", ""), *((each.name, bucket) for each in PROPERTIES for bucket in each.buckets)]
    for label in LABELS:
        seen = {case.buckets[label] for case in found if label in case.buckets}
        names += [(label, each) for each in sorted(seen, key=natural_key)]
    rows = []
    for name, bucket in names:
        chosen = [i for i, case in enumerate(found) if name == "all sets" or case.buckets.get(name) == bucket]
        if chosen:
            figures = exact_match([answers[i].right for i in chosen], [found[i].group for i in chosen], n)
            place = {"model": model, "dataset": DATASET, "seq_len": n, "property": name, "bucket": bucket}
            rows.append({**place, **figures})
    return rows


def errors(model: str, n: int, answers: Sequence[Answer]) -> dict[str, Any]:
    """What kind of errors the wrong answers are; shares in percent of the wrong ones."""
    wrong = [each for each in answers if not each.right]
    right = [each for each in answers if each.right]
    kinds = [kind(each.in_time) for each in wrong]
    taken = max(len(wrong), 1)
    return {
        "model": model,
        "dataset": DATASET,
        "seq_len": n,
        "sets": len(answers),
        "wrong": len(wrong),
        **{name: percent(kinds.count(name) / taken) for name in ("swap", "moved", "far")},
        "ends_found": percent(sum({each.in_time[0], each.in_time[-1]} == {0, n - 1} for each in wrong) / taken),
        "kendall_tau": round(float(np.mean([kendall_tau(each.in_time) for each in wrong])), 3) if wrong else None,
        "confidence_wrong": percent(float(np.mean([each.confidence for each in wrong]))) if wrong else None,
        "confidence_right": percent(float(np.mean([each.confidence for each in right]))) if right else None,
        "sure": percent(sum(each.confidence >= SURE for each in wrong) / taken),
        "sure_above": SURE,
    }


def by_chance(n: int) -> dict[str, Any]:
    """The same for all wrong orders, each once: what the shares of a model are to be read against."""
    unsure = dict.fromkeys(("confidence_wrong", "confidence_right", "sure"))
    return {**errors("any wrong order", n, [Answer(order, 0.0) for order in permutation_classes(n)]), **unsure}


def kind(in_time: Sequence[int]) -> str:
    """``swap``: two neighbours are exchanged; ``moved``: one photo stands elsewhere; ``far``: more than that."""
    true, n = list(range(len(in_time))), len(in_time)
    for given in (list(in_time), list(in_time)[::-1]):
        differing = [place for place in true if given[place] != place]
        if len(differing) == 2 and differing[1] - differing[0] == 1:
            return "swap"
    for given in (list(in_time), list(in_time)[::-1]):
        for photo in range(n):
            rest = [each for each in given if each != photo]
            if rest == [each for each in true if each != photo]:
                return "moved"
    return "far"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of these runs")
    parser.add_argument("--labels", type=Path, nargs="*", default=[], help="tables of labels of the clips")
    parser.add_argument("--seq-len", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--spacing", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    store = FrameStore(arguments.frames)
    clips = find_held_out_clips(store, *arguments.run)
    labels = read_labels(arguments.labels)
    models: list[OrderingModel] = [load_model(name, threads=arguments.threads) for name in arguments.models]
    rows, kinds = [], []
    for n in arguments.seq_len:
        found = cases(store, clips, n, arguments.spacing, labels)
        for model in models:
            if n not in model.sizes:
                continue
            answers: list[Answer] = []
            for start in range(0, len(found), 64):  # a part at a time, for the memory
                part = found[start : start + 64]
                sets = [preprocess_set([store.frame(f) for f in case.frames], model.preprocessing) for case in part]
                answers += answer(model, sets, seed=start)
            rows += by_bucket(model.name, n, found, answers)
            kinds.append(errors(model.name, n, answers))
            print(json.dumps(kinds[-1]), flush=True)
        kinds.append(by_chance(n))
    result = {"version": 1, "spacings": arguments.spacing, "rows": rows, "errors": kinds}
    arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
