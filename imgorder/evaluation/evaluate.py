"""All models on all data: what `imgorder evaluate` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imgorder.datasets.davis import is_davis_root
from imgorder.datasets.manifest import Manifest, SeqLen, SetEntry, name_size, read_manifest
from imgorder.errors import ImgorderError, UsageError
from imgorder.evaluation.measure import Measured, measure_all, takes
from imgorder.evaluation.sets import DavisWindows, TimedSet
from imgorder.inference.cards import BASELINE
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.preprocess import Preprocessing, preprocess_set
from imgorder.names import short_names, show, word_count
from imgorder.permutations import MAX_EXACT


@dataclass(frozen=True)
class Case:
    """Sets of one size and spacing, or of one kind.

    Attributes:
        source, dataset: where they are from.
        seq_len, spacing, kind: as in `Row`.
        lengths: how many images the sets have, each number once.
        sets: makes them anew each time, the same ones for every preprocessing.
    """

    source: str
    dataset: str
    seq_len: SeqLen
    spacing: float
    lengths: tuple[int, ...]
    sets: Callable[[Preprocessing], Iterable[TimedSet]]
    kind: str | None = None

    def fits(self, model: OrderingModel) -> bool:
        """Whether the model takes sets of all these sizes; raises ModelError if it does, but cannot be opened."""
        return all(takes(model, n) for n in self.lengths)


@dataclass(frozen=True)
class Job:
    """A case for all models that want photos preprocessed alike: each set is preprocessed once for them."""

    case: Case
    spec: Preprocessing
    models: tuple[OrderingModel, ...]


def pass_on(jobs: Iterable[Job], total: int, what: str) -> Iterable[Job]:
    """In the place of a progress bar: shows nothing."""
    return jobs


def evaluate_models(
    data: Sequence[Path],
    *,
    models: Sequence[str],
    seq_lens: Sequence[SeqLen],
    spacings: Sequence[int],
    stride: int = 1,
    permutations: int | None = 1,
    split: str = "test",
    backend: str = "auto",
    threads: int | None = None,
    votes: int | None = None,
    track: Callable[[Iterable[Job], int, str], Iterable[Job]] = pass_on,
) -> list[Measured]:
    """Measure every model, and the shortest-path baseline, on every case.

    Each model is shown photos preprocessed in its own way, the baseline in the usual one; the sets and their
    listings are the same for all, so that rows can be compared.

    Args:
        data: manifests, or roots of DAVIS.
        models: names or files; the baseline is added if it is not among them.
        seq_lens, spacings: of the windows on DAVIS, None for whole sequences; manifests bring their own.
        stride: on DAVIS, a window begins at every so many frames; the data set's name says so if not at each.
        permutations: in how many listings each set is shown; None for all n!.
        split: of the manifests.
        votes: in how many listings, all n! at most, a network is shown each set for one answer; if it was released
            with another number, its rows say in the model's name how many there were. The baseline has no use for it.
        track: wraps the work for a progress bar.

    Raises:
        ImgorderError: for data or a model that cannot be read, or data without sets.
        UsageError: for data that is given twice, whose sets would count twice; and for all n! listings of sets that
            have too many, or differ in size.
    """
    _refuse_repeated(data)
    loaded = _load_all([BASELINE, *models], backend, threads)
    cases = [case for path in data for case in _cases(path, seq_lens, spacings, stride, split)]
    for case in cases if permutations is None else ():
        if case.seq_len is None or case.seq_len > MAX_EXACT:
            sizes = name_size(case.seq_len)
            raise UsageError(f"--permutations all is for sets of up to {MAX_EXACT}, not {sizes}; give a number")
    _check_sizes(loaded, cases)
    jobs = _jobs(loaded, cases)
    found: dict[tuple[Case, str], Measured] = {}
    for job in track(jobs, len(jobs), "evaluating"):
        case = job.case
        sets = case.sets(job.spec)
        asked = [_voting(model, votes, max(case.lengths)) for model in job.models]
        measured = measure_all(asked, case.dataset, sets, case.seq_len, case.spacing, permutations, kind=case.kind)
        for model, each in zip(job.models, measured, strict=False):  # of no sets there is nothing
            found[case, model.name] = replace(each, source=case.source)
    results = [found[case, model.name] for case in cases for model in loaded if (case, model.name) in found]
    if not results:
        raise ImgorderError(f"{show(data[0])}: no sets of that size, spacing and split; try other options")
    return name_sources(results)


def name_sources(results: Sequence[Measured]) -> list[Measured]:
    """The results, with the source's name beside the data set's where several have one name and set size."""
    sources: dict[tuple[str, SeqLen], dict[str, str]] = {}  # of a data set and set size: source -> its name
    for each in results:
        sources.setdefault((each.row.dataset, each.row.seq_len), {})[each.source] = ""
    for own in sources.values():
        own.update(zip(own, short_names([Path(source) for source in own]), strict=True))
    apart = []
    for each in results:
        own = sources[each.row.dataset, each.row.seq_len]
        named = replace(each.row, dataset=f"{each.row.dataset} ({own[each.source]})")
        apart.append(replace(each, row=named) if len(own) > 1 else each)
    return apart


def _refuse_repeated(data: Sequence[Path]) -> None:
    places = [os.path.realpath(path) for path in data]
    for index, path in enumerate(data):
        if places[index] in places[:index]:
            raise UsageError(f"{show(path)}: is given twice; name it once")


def _check_sizes(models: Sequence[OrderingModel], cases: Sequence[Case]) -> None:
    """Find what does not fit or cannot be opened before hours of work."""
    for model in models:
        fitting = [case for case in cases if case.fits(model)]
        if cases and not fitting:
            sizes = ", ".join(map(str, model.sizes))
            raise ImgorderError(
                f"{model.name}: takes sets of {sizes} or more, and there are none; choose data or --seq-len to fit"
            )


def _jobs(models: Sequence[OrderingModel], cases: Sequence[Case]) -> list[Job]:
    """All cases with one preprocessing, then all with the next, so that frames are preprocessed once for each."""
    jobs = []
    for spec in dict.fromkeys(model.preprocessing for model in models):
        alike = [model for model in models if model.preprocessing == spec]
        for case in cases:
            fitting = tuple(model for model in alike if case.fits(model))
            jobs += [Job(case, spec, fitting)] if fitting else []
    return jobs


def _cases(path: Path, seq_lens: Sequence[SeqLen], spacings: Sequence[int], stride: int, split: str) -> Iterator[Case]:
    if os.path.isdir(path) and is_davis_root(path):
        davis = DavisWindows(path)
        name = f"davis-{davis.sequences}" + (f", stride {stride}" if stride > 1 else "")
        for n in seq_lens:
            for step in spacings:
                if lengths := tuple(davis.lengths(n, step)):
                    yield Case(str(path), name, n, step, lengths, partial(davis.sets, n, step, stride=stride))
        return
    if os.path.isdir(path):
        raise ImgorderError(f"{show(path)}: neither a manifest nor the root of DAVIS; make one with: imgorder dataset")
    manifest = read_manifest(path)
    entries = manifest.split(split)
    if manifest.sets and not entries:
        there = ", ".join(sorted({entry.split for entry in manifest.sets}))
        raise ImgorderError(f"{show(path)}: has no {show(split)} split; it has {show(there)}, to be named with --split")
    # Of photos the seconds between them are hardly ever twice the same: their sets are one case, or one a kind.
    photos = any(entry.kind or not entry.spacing.is_integer() for entry in entries)
    parts: dict[tuple[str, float], list[SetEntry]] = {}
    for entry in entries:
        parts.setdefault((entry.kind or "", 0.0 if photos else entry.spacing), []).append(entry)
    for (kind, _), chosen in sorted(parts.items()):
        known = [entry.spacing for entry in chosen if entry.spacing]
        spacing = round(sum(known) / len(known), 2) if known else 0.0
        lengths = tuple(sorted({len(entry.frames) for entry in chosen}))
        sets = partial(_manifest_sets, manifest, chosen)
        yield Case(str(path), manifest.dataset, manifest.seq_len, spacing, lengths, sets, kind or None)


def _load_all(names: Sequence[str], backend: str, threads: int | None) -> list[OrderingModel]:
    """Each model once; two of one name would be mixed up in the results."""
    loaded: dict[str, tuple[str, OrderingModel]] = {}
    for name in dict.fromkeys(names):
        model = load_model(name, "auto" if name == BASELINE else backend, threads)
        before = loaded.setdefault(model.name, (name, model))
        if before[0] != name and {before[0], name} != {"default", model.name}:
            raise ImgorderError(
                f"{show(before[0])} and {show(name)}: both are called {model.name}; evaluate one at a time"
            )
    return [model for _, model in loaded.values()]


def _voting(model: OrderingModel, votes: int | None, n: int) -> OrderingModel:
    asked = model if votes is None else model.with_votes(votes)
    if asked.votes(n) == model.votes(n):
        return model
    return replace(asked, name=f"{model.name} ({word_count(asked.votes(n), 'vote')})")


def _manifest_sets(manifest: Manifest, entries: Sequence[SetEntry], spec: Preprocessing) -> Iterator[TimedSet]:
    from imgorder.datasets.frames import read_set

    for entry in entries:
        yield TimedSet(entry.video, entry.group, preprocess_set(read_set(manifest, entry), spec))
