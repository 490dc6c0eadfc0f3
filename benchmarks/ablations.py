"""Train the paper's ablations at a compact width and measure them; see docs/reproduction.md.

    python benchmarks/ablations.py CLIPS… --runs runs/ablations --davis DAVIS/ --seeds 0 1 2

Runs `imgorder train` once for each variant and seed, with the settings of ablations.toml, and writes what
each reaches into docs/results/ablations.json. Runs that are finished are not repeated, so the command can
be stopped and started again; rows of runs that are not there stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from imgorder.evaluation.evaluate import evaluate_models
from imgorder.evaluation.sets import TimedSet, draw_listings
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.permutations import class_to_order
from imgorder.training.checkpoint import read_config, read_step
from imgorder.training.held_out import DATASET, find_held_out_clips, make_held_out_sets, measure_held_out
from imgorder.training.packing import find_data, open_store
from imgorder.training.store import FrameStore

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results" / "ablations.json"

RESNET = ["--backbone", "resnet18", "--width", "0.125"]
# Name -> flags of `imgorder train`. In "-n3" and "-n5" the sets are of three and five images, else of four.
VARIANTS: dict[str, list[str]] = {
    "signed": RESNET,
    "magnitude": [*RESNET, "--dab", "magnitude"],
    "off": [*RESNET, "--dab", "off"],
    "m0": [*RESNET, "--dab-window", "0"],
    "m1": [*RESNET, "--dab-window", "1"],
    "m2": [*RESNET, "--dab-window", "2"],
    "pooled": [*RESNET, "--set", "network.pool=set"],
    "inner-norm": [*RESNET, "--set", "network.inner_norm=true"],
    "mix3": [*RESNET, "--set", "network.mix_kernel=3"],
    "resnet50": ["--backbone", "resnet50", "--width", "0.125"],
    "opn": ["--backbone", "opn", "--width", "0.25"],
    "deepimseq": ["--backbone", "deepimseq", "--width", "0.25"],
    "tridab": ["--backbone", "tridab", "--width", "0.5"],
    "symmetric": [*RESNET, "--dab", "symmetric"],
    "symmetric-magnitude": [*RESNET, "--dab", "symmetric-magnitude"],
    "symmetric-m1": [*RESNET, "--dab", "symmetric", "--dab-window", "1"],
    "symmetric-m2": [*RESNET, "--dab", "symmetric", "--dab-window", "2"],
    "symmetric-resnet50": ["--backbone", "resnet50", "--width", "0.125", "--dab", "symmetric"],
    "symmetric-hidden": [*RESNET, "--dab", "symmetric", "--set", "network.hidden=256"],
    "symmetric-long": [*RESNET, "--dab", "symmetric", "--steps", "4000"],
    "signed-n3": [*RESNET, "--seq-len", "3"],
    "resnet50-n3": ["--backbone", "resnet50", "--width", "0.125", "--seq-len", "3"],
    "signed-n5": [*RESNET, "--seq-len", "5"],
    "m0-n5": [*RESNET, "--seq-len", "5", "--dab-window", "0"],
    "m1-n5": [*RESNET, "--seq-len", "5", "--dab-window", "1"],
    "m2-n5": [*RESNET, "--seq-len", "5", "--dab-window", "2"],
}
SPACINGS = (2, 4, 8)


def train(clips: list[Path], frames: Path, run: Path, variant: str, seed: int) -> None:
    """One run, unless it is finished."""
    if finished(run):
        return
    state = run / "state.safetensors"
    command = [sys.executable, "-m", "imgorder", "train", *map(str, clips), "--frames", str(frames)]
    command += ["--out", str(run), "--config", str(HERE / "ablations.toml"), "--seed", str(seed), *VARIANTS[variant]]
    command += ["--resume"] if state.exists() else []
    run.mkdir(parents=True, exist_ok=True)
    with (run / "log.txt").open("a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def finished(run: Path) -> bool:
    """Whether a run has done all its steps."""
    state = run / "state.safetensors"
    return state.exists() and read_step(state) >= read_config(state).steps


def measure(frames: Path, run: Path, model: str, davis: Path | None) -> list[dict[str, Any]]:
    """Rows of one model on the held-out clips of a run, and on DAVIS."""
    store = FrameStore(frames)
    loaded, clips = load_model(model), find_held_out_clips(store, run)
    sizes = read_config(run / "state.safetensors").seq_len
    results = measure_held_out([loaded], store, clips, sizes, SPACINGS)
    if davis:
        models = [] if model == "path" else [model]
        results += evaluate_models([davis], models=models, seq_lens=sizes, spacings=SPACINGS)
    name = "path" if model == "path" else run.name
    rows = [asdict(each.row) for each in results if each.row.model == name]
    for row in rows:
        if row["dataset"] == DATASET and row["seq_len"] == 4:
            sets = make_held_out_sets(store, clips, 4, int(row["spacing"]), loaded.preprocessing)
            row["ends"] = ends_right(loaded, list(sets))
    return rows


def ends_right(model: OrderingModel, sets: list[TimedSet]) -> float:
    """Percent of sets of four whose first and last image are found, whatever is between them.

    Who knows these and nothing else is right in half of the sets.
    """
    hits = 0
    listings = [draw_listings(4, 1, (0, index))[0] for index in range(len(sets))]
    for start in range(0, len(sets), 32):
        part = list(zip(sets[start : start + 32], listings[start : start + 32], strict=True))
        probabilities = model.probabilities(np.stack([each.tensors[list(listing)] for each, listing in part]))
        for winner, (_, listing) in zip(probabilities.argmax(axis=1), part, strict=True):
            first, _, _, last = (listing[i] for i in class_to_order(4, int(winner)))
            hits += {first, last} == {0, 3}
    return round(100 * hits / len(sets), 2)


def measured_once(frames: Path, run: Path, model: str, davis: Path | None) -> list[dict[str, Any]]:
    """`measure`, kept in the run's folder, so that it is not repeated while the weights are the same."""
    kept = run / f"{Path(model).stem}.rows.json"
    if not kept.exists() or kept.stat().st_mtime < (run / "model.safetensors").stat().st_mtime:
        kept.write_text(json.dumps(measure(frames, run, model, davis)), "utf-8")
    rows: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))
    return rows


def parameters(weights: Path) -> int:
    """Numbers that a network learns."""
    from imgorder.networks.weights import read_network

    return sum(parameter.numel() for parameter in read_network(weights)[0].parameters())


def main() -> None:
    """Train what is missing, then measure everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, help="folders of videos")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--frames", type=Path, help="decoded frames (default: RUNS/frames)")
    parser.add_argument("--davis", type=Path, help="root of DAVIS")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--measure-only", action="store_true", help="of the runs that are finished")
    arguments = parser.parse_args()
    frames = arguments.frames or arguments.runs / "frames"
    runs = [(f"{v}-{seed}", v, seed) for seed in arguments.seeds for v in arguments.variants]
    if not arguments.measure_only:
        open_store(find_data(arguments.clips), frames, os.cpu_count() or 1)  # once, before the runs share them
        with ThreadPoolExecutor(arguments.at_once) as pool:
            list(pool.map(lambda r: train(arguments.clips, frames, arguments.runs / r[0], r[1], r[2]), runs))
    rows: list[dict[str, Any]] = []
    for name, variant, seed in runs:
        weights = arguments.runs / name / "model.safetensors"
        if not finished(arguments.runs / name):
            continue
        n = read_config(arguments.runs / name / "state.safetensors").seq_len[0]
        if not any(row["model"] == "path" and row["seq_len"] == n for row in rows):
            rows += measured_once(frames, arguments.runs / name, "path", arguments.davis)
        facts = {"variant": variant, "seed": seed, "parameters": parameters(weights)}
        rows += [
            {**facts, **row} for row in measured_once(frames, arguments.runs / name, str(weights), arguments.davis)
        ]
        print(name, *(f"{row['dataset']} {row['spacing']}: {row['accuracy']}" for row in rows[-6:]), flush=True)
    RESULTS.write_text(
        json.dumps({"version": 1, "variants": VARIANTS, "rows": with_former(rows)}, indent=1) + "\n", "utf-8"
    )


def with_former(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with those of the results file that were not measured anew, by variant and seed, in the table's order."""
    former = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else []

    def run_of(row: dict[str, Any]) -> tuple[Any, ...]:
        return row.get("variant"), row.get("seed"), row["seq_len"]

    anew = {run_of(row) for row in rows}
    kept = [row for row in former if run_of(row) not in anew and row.get("variant") in (None, *VARIANTS)]
    places = [None, *VARIANTS]
    return sorted(rows + kept, key=lambda row: (places.index(row.get("variant")), row.get("seed") or 0, row["seq_len"]))


if __name__ == "__main__":
    main()
