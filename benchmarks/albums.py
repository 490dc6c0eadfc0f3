"""How models order many photos: windows and whole sequences of DAVIS, held-out clips, albums; see docs/albums.md.

    python benchmarks/albums.py --models path tridab-s --davis DAVIS/ --photos ALBUMS/ --run RUN --frames RUN/frames

ALBUMS has a folder of photos for each album, with a truth.csv, and a sets.csv; `--leave-out` names albums that a
model may have learned from. Of DAVIS a set begins at every few frames; of the clips whose groups the runs kept out of
training some are taken, spread evenly over all. Results go to docs/results/albums.json; they are the same on each run.
To add a model without the others, write to another --json and merge with docs/merge_results.py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from imgorder.datasets.manifest import Manifest, SeqLen, name_size, write_manifest
from imgorder.datasets.photos import build_photos, read_sets
from imgorder.datasets.table import Row as Facts
from imgorder.evaluation.evaluate import Job, evaluate_models
from imgorder.evaluation.measure import Measured, Row, measure_all
from imgorder.evaluation.pooling import pool_rows
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.permutations import SIZES

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "albums.json"
ALBUMS = "photos"
ALL, DECIDABLE = "all", "all but the hard ones"
HARD = " (hard)"
CAMERAS = {"static": "tripod", "handheld": "hand-held"}


def kind_of(facts: Facts) -> str:
    """What was photographed and how, where the table says so, else its kind; still scenes are one, whatever they show.

    A set that a person called hard to decide has that beside it.
    """
    category, camera = facts.get("category", ""), facts.get("camera", "")
    kind = f"{category}, {CAMERAS.get(camera, camera)}" if category and camera else facts["kind"]
    if "still scene" in category:
        kind = "still scene, moving camera"
    return kind + (HARD if facts.get("decidable", "").startswith("hard") else "")


def measure_photos(
    root: Path, models: Sequence[str], seq_lens: Sequence[SeqLen], leave_out: Sequence[str], threads: int | None = None
) -> Iterator[Row]:
    """For each number of photos and model a row for each kind, one of all, and one of all but the hard ones."""
    kinds = {name: kind_of(facts) for name, facts in read_sets(root).items()}
    for manifest in build_photos(root, seq_lens, "csv").manifests:
        sets = tuple(
            replace(each, kind=kinds.get(each.video, "not told"))
            for each in manifest.sets
            if not any(fnmatch(each.video, pattern) for pattern in leave_out)
        )
        if sets:
            measured = _measure_manifest(replace(manifest, dataset=ALBUMS, sets=sets), models, threads)
            easy = [each for each in measured if not (each.row.kind or "").endswith(HARD)]
            yield from (each.row for each in measured)
            yield from _pooled(measured, ALL)
            if len(easy) < len(measured):
                yield from _pooled(easy, DECIDABLE)


def _measure_manifest(manifest: Manifest, models: Sequence[str], threads: int | None) -> list[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sets.jsonl"
        write_manifest(manifest, file)
        return evaluate_models([file], models=models, seq_lens=[], spacings=[], threads=threads)


def _pooled(measured: Sequence[Measured], kind: str) -> Iterator[Row]:
    for pooled in pool_rows(measured):
        figures: dict[str, Any] = {field.name: getattr(pooled, field.name, None) for field in fields(Row)}
        yield Row(**figures | {"spacing": 0.0, "kind": kind})


def measure_clips(
    frames: Path,
    runs: Sequence[Path],
    models: Sequence[OrderingModel],
    seq_lens: Sequence[SeqLen],
    spacings: Sequence[int],
    limit: int,
    longest: int,
) -> Iterator[Row]:
    """A row for each number of images, spacing and model; whole clips of more than ``longest`` images are left out."""
    from robustness import spread  # only now: it imports torch, which other data do without

    from imgorder.training.held_out import DATASET, find_held_out_clips, make_held_out_sets
    from imgorder.training.store import FrameStore

    store = FrameStore(frames)
    held_out = find_held_out_clips(store, *runs)
    for n in seq_lens:
        for spacing in spacings:
            least = ((n or SIZES[0]) - 1) * spacing
            reach = [index for index in held_out if store.clips[index].frames > least]
            if n is None:
                reach = [index for index in reach if store.clips[index].frames <= longest * spacing]
            clips = spread(reach, limit) if reach else []
            for model in models:
                sets = make_held_out_sets(store, clips, n, spacing, model.preprocessing)
                yield from (each.row for each in measure_all([model], DATASET, sets, n, spacing))


def _tell(jobs: Iterable[Job], total: int, what: str) -> Iterator[Job]:
    """Each job with a line about it, since minutes may go by."""
    for job in jobs:
        print(f"{what} {name_size(job.case.seq_len)} photos, spacing {job.case.spacing:g}", flush=True)
        yield job


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--davis", type=Path, help="root of DAVIS")
    parser.add_argument("--photos", type=Path, help="folder of albums")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="PATTERN", help="albums that do not count: trap-*"
    )
    parser.add_argument("--run", type=Path, nargs="+", help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, help="decoded frames of these runs")
    parser.add_argument("--seq-len", nargs="+", default=["8", "12", "20", "50", "all"], help="photos in a set, or all")
    parser.add_argument("--spacing", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--stride", type=int, default=8, help="on DAVIS, a set begins at every so many frames")
    parser.add_argument("--clips", type=int, default=40, help="at most so many clips of each size and spacing")
    parser.add_argument("--longest", type=int, default=120, help="images of a whole clip, at most")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    seq_lens: list[SeqLen] = [None if text == "all" else int(text) for text in arguments.seq_len]
    rows: list[dict[str, Any]] = []

    def keep(found: Iterator[Row]) -> None:
        for row in found:
            rows.append(asdict(row))
            where = f"{row.dataset}, {name_size(row.seq_len)} photos, {row.kind or f'spacing {row.spacing:g}'}"
            print(f"{where}: {row.model} {row.accuracy:.1f}, tau {row.kendall_tau:.3f}, {row.sets} sets", flush=True)

    if arguments.davis:
        measured = evaluate_models(
            [arguments.davis],
            models=arguments.models,
            seq_lens=seq_lens,
            spacings=arguments.spacing,
            stride=arguments.stride,
            threads=arguments.threads,
            track=_tell,
        )
        keep(each.row for each in measured)
    if arguments.frames and arguments.run:
        models = [load_model(name, threads=arguments.threads) for name in arguments.models]
        limits = arguments.clips, arguments.longest
        keep(measure_clips(arguments.frames, arguments.run, models, seq_lens, arguments.spacing, *limits))
    if arguments.photos:
        photos = arguments.photos, arguments.models, seq_lens, arguments.leave_out, arguments.threads
        keep(measure_photos(*photos))
    if not rows:
        parser.error("nothing to measure: give --davis, --photos, or --run and --frames, and sizes that they have")
    arguments.json.write_text(json.dumps({"version": 1, "rows": rows}, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
