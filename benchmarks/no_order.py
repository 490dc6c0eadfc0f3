"""How sure models are of sets that have no order; see docs/accuracy.md.

    python benchmarks/no_order.py --models path tridab-s --run RUN --frames RUN/frames

The frames are of clips whose groups the runs kept out of training. In a set each photo is of another group; or all are
one frame, each changed at random as conditions.py has it. No order is right, so the less sure of one the better.
Results go to docs/results/no-order.json; they are the same on each run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from answers import answer
from conditions import CONDITIONS, Pixels

from imgorder.evaluation.measure import percent
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.preprocess import preprocess_set
from imgorder.ordering import SURE
from imgorder.permutations import class_count
from imgorder.training.held_out import find_held_out_clips
from imgorder.training.store import FrameStore

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "no-order.json"
SEED = 0
CHANGES = {
    "one frame, light varies": "exposure",
    "one frame, with noise": "low light",
    "one frame, hand shakes": "hand-held",
}


def make_sets(store: FrameStore, clips: Sequence[int], n: int, count: int) -> Iterator[tuple[str, list[Pixels]]]:
    """Sets with what they are made of."""
    groups = sorted({store.clips[clip].group for clip in clips})
    rng = np.random.default_rng((SEED, n))

    def draw(group: str) -> Pixels:
        clip = int(rng.choice([each for each in clips if store.clips[each].group == group]))
        return store.frame(int(store.first[clip] + rng.integers(store.clips[clip].frames)))

    conditions = {condition.name: condition for condition in CONDITIONS}
    for _ in range(count):
        yield "each of another clip", [draw(group) for group in rng.choice(groups, n, replace=False)]
        frame = draw(str(rng.choice(groups)))
        for kind, name in CHANGES.items():
            yield kind, conditions[name].photos(rng, [frame] * n)


def measure(models: Sequence[OrderingModel], sets: Sequence[tuple[str, list[Pixels]]]) -> Iterator[dict[str, Any]]:
    """For each kind and model a row."""
    n = len(sets[0][1])
    for kind in dict.fromkeys(kind for kind, _ in sets):
        own = [images for each, images in sets if each == kind]
        for model in models:
            answers = answer(model, [preprocess_set(images, model.preprocessing) for images in own])
            sure = np.array([each.confidence for each in answers])
            row = {"model": model.name, "seq_len": n, "kind": kind, "sets": len(own)}
            shares = {"confidence": percent(sure.mean()), "sure": percent((sure >= SURE).mean())}
            yield row | shares | {"chance": percent(1 / class_count(n))}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of these runs")
    parser.add_argument("--seq-len", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--sets", type=int, default=100, help="of each kind")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    store = FrameStore(arguments.frames)
    clips = find_held_out_clips(store, *arguments.run)
    models = [load_model(name, threads=arguments.threads) for name in arguments.models]
    rows: list[dict[str, Any]] = []
    for n in arguments.seq_len:
        able = [model for model in models if n in model.sizes]
        rows += measure(able, list(make_sets(store, clips, n, arguments.sets)))
    for row in rows:
        print(f"{row['seq_len']} photos, {row['kind']}: {row['model']} {row['confidence']:.1f} % sure", flush=True)
    arguments.json.write_text(json.dumps({"version": 1, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
