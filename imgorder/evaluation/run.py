"""All models on all data: what `imgorder evaluate` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imgorder.datasets.manifest import Manifest, SetEntry, read_manifest
from imgorder.errors import ImgorderError
from imgorder.evaluation.measure import Measured, measure
from imgorder.evaluation.sets import TimedSet, davis_sequences, is_davis_root, windows
from imgorder.names import show
from imgorder.predictor import OrderingModel, load_model
from imgorder.preprocess import DEFAULT, Preprocessing, preprocess_set
from imgorder.registry import BASELINE


@dataclass(frozen=True)
class Case:
    """Sets of one size and spacing; ``sets()`` makes them anew each time."""

    dataset: str
    seq_len: int
    spacing: float
    sets: Callable[[], Iterable[TimedSet]]


def no_bar(items: Iterable[tuple[OrderingModel, Case]], total: int, what: str) -> Iterable[tuple[OrderingModel, Case]]:
    """Progress that shows nothing."""
    return items


def evaluate_models(
    data: Sequence[Path],
    *,
    models: Sequence[str],
    seq_lens: Sequence[int],
    spacings: Sequence[int],
    permutations: int | None = 1,
    split: str = "test",
    backend: str = "auto",
    threads: int | None = None,
    track: Callable[[Iterable[tuple[OrderingModel, Case]], int, str], Iterable[tuple[OrderingModel, Case]]] = no_bar,
) -> list[Measured]:
    """Measure every model, and the shortest-path baseline, on every case.

    Args:
        data: manifests, or roots of DAVIS.
        models: names or files; the baseline is added if it is not among them.
        seq_lens, spacings: of the windows on DAVIS; manifests bring their own.
        permutations: in how many listings each set is shown; None for all n!.
        split: of the manifests.
        track: wraps the work for a progress bar.

    Raises:
        ImgorderError: for data or a model that cannot be read, or data without sets.
    """
    loaded = _load_all([BASELINE, *models], backend, threads)
    specs = {model.preprocessing for model in loaded if model.name != BASELINE} or {DEFAULT}
    if len(specs) > 1:
        raise ImgorderError("these models want photos preprocessed differently; evaluate them one by one")
    cases = [case for path in data for case in _cases(path, seq_lens, spacings, split, next(iter(specs)))]
    work = [(model, case) for case in cases for model in loaded if case.seq_len in model.sizes]
    for model in loaded:
        if cases and not any(case.seq_len in model.sizes for case in cases):
            sizes = ", ".join(map(str, model.sizes))
            raise ImgorderError(
                f"{model.name}: takes sets of {sizes}, and there are none; choose data or --seq-len to fit"
            )
    results = []
    for model, case in track(work, len(work), "evaluating"):
        measured = measure(model, case.dataset, case.sets(), case.seq_len, case.spacing, permutations)
        if measured is not None:
            results.append(measured)
    if not results:
        raise ImgorderError(f"{show(data[0])}: no sets of that size, spacing and split; try other options")
    return results


def _cases(
    path: Path, seq_lens: Sequence[int], spacings: Sequence[int], split: str, spec: Preprocessing
) -> Iterator[Case]:
    if os.path.isdir(path) and is_davis_root(path):
        sequences = davis_sequences(path, spec)
        name = f"davis-{len(sequences)}"
        for n in seq_lens:
            for step in spacings:
                yield Case(name, n, step, partial(windows, sequences, n, step))
        return
    if os.path.isdir(path):
        raise ImgorderError(f"{show(path)}: neither a manifest nor the root of DAVIS; make one with: imgorder dataset")
    manifest = read_manifest(path)
    entries = manifest.split(split)
    if manifest.sets and not entries:
        there = ", ".join(sorted({entry.split for entry in manifest.sets}))
        raise ImgorderError(f"{show(path)}: has no {split} split; it has {there}, to be named with --split")
    by_spacing: dict[float, list[SetEntry]] = {}
    for entry in entries:
        by_spacing.setdefault(entry.spacing, []).append(entry)
    if not all(float(spacing).is_integer() for spacing in by_spacing):
        # Photos: seconds, hardly ever twice the same. Sets of one size are then one case.
        mean = round(sum(entry.spacing for entry in entries) / len(entries), 2)
        by_spacing = {mean: list(entries)}
    for spacing, chosen in sorted(by_spacing.items()):
        yield Case(manifest.dataset, manifest.seq_len, spacing, partial(_manifest_sets, manifest, chosen, spec))


def _load_all(names: Sequence[str], backend: str, threads: int | None) -> list[OrderingModel]:
    """Each model once; two that go by one name could not be told apart in the results."""
    loaded: dict[str, tuple[str, OrderingModel]] = {}
    for name in dict.fromkeys(names):
        model = load_model(name, "auto" if name == BASELINE else backend, threads)
        before = loaded.setdefault(model.name, (name, model))
        if before[0] != name and {before[0], name} != {"default", model.name}:
            raise ImgorderError(
                f"{show(before[0])} and {show(name)}: both are called {model.name}; evaluate one at a time"
            )
    return [model for _, model in loaded.values()]


def _manifest_sets(manifest: Manifest, entries: Sequence[SetEntry], spec: Preprocessing) -> Iterator[TimedSet]:
    from imgorder.datasets.frames import read_set

    for entry in entries:
        yield TimedSet(entry.video, entry.group, preprocess_set(read_set(manifest, entry), spec))
