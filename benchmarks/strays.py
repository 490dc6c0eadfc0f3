"""How surely photos of another scene are found, and how often one is seen where there is none; see docs/strays.md.

    python benchmarks/strays.py --fit CLIPS --fit-photos PHOTOS --check NAME=FOLDER --davis DAVIS

The rule of `imgorder.media.strays` is fitted on half of the groups of clips and photos, and measured on the other half
and on further sets, with the constants of the fit. They go to docs/results/strays.json with the figures, and from
there by hand into the code; a test compares the two. All is drawn by one seed.

CLIPS has videos and a ``clips.csv`` (file, group, fps, camera). PHOTOS has a folder of photos for each set; so has
each FOLDER. Sets whose names begin alike, up to a digit, are one group; those of FOLDER up to a hyphen as well: of
several sets of one desk none has strays for another.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

import imgorder.media.strays as rule
from imgorder.inference.cards import find_card, preprocessing_of
from imgorder.media.likeness import Floats, Rows, compare, describe
from imgorder.media.preprocess import normalise, preprocess, to_pixels
from imgorder.media.video import read_pictures

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "strays.json"
SEED = 0
SPLIT = 4  # puts one of the two kinds of camera traps into either half
SIZES = (3, 4, 6, 10, 20)
RATE = 2  # frames a second that are taken from clips
STEPS = (1, 2, 4)  # of them between photos: 0.5, 1 and 2 s
LENIENT = 1.0  # what is taken off after the fit: a false alarm is worse than a stray that is not found
FIRST_WORD = r"[^\W\d_]+"
SPEC = preprocessing_of(find_card("tridab-s"))

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Photos of one scene in their order.

    Attributes:
        kind: under which figures it counts.
        group: what shares people and places with it.
        photos: places in the table of all photos.
        steps: distances in it between photos of a set.
    """

    kind: str
    group: str
    photos: tuple[int, ...]
    steps: tuple[int, ...] = (1,)

    @property
    def fitted(self) -> bool:
        """Whether it is of the half that the rule is fitted on."""
        return crc32(f"{SPLIT} {self.group}".encode()) % 2 == 0

    def sets(self) -> Iterator[tuple[int, ...]]:
        """From its beginning and its end."""
        for step in self.steps:
            spread = self.photos[::step]
            for n in sorted({*(size for size in SIZES if size < len(spread)), min(len(spread), 30)} - {1, 2}):
                yield from dict.fromkeys((spread[:n], spread[-n:]))


class Table:
    """What all photos are compared by."""

    def __init__(self) -> None:
        """Without a photo."""
        self._rows: list[Rows] = []
        self._all: Rows | None = None

    def add(self, tensor: npt.NDArray[np.float32]) -> int:
        """The place of a photo."""
        self._rows.append(describe(tensor[None], SPEC))
        return len(self._rows) - 1

    def compare(self, photos: Sequence[int]) -> Floats:
        """As `compare`, for photos by their places."""
        if self._all is None:
            colours, edges, greys = (np.concatenate(each) for each in zip(*self._rows, strict=True))
            self._all = colours, edges, greys
        colours, edges, greys = (each[list(photos)] for each in self._all)
        return compare((colours, edges, greys))


def read_clips(folder: Path, table: Table) -> Iterator[Source]:
    """Each clip of a folder."""
    with (folder / "clips.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            every = float(row["fps"]) / RATE
            frames = enumerate(read_pictures(folder / row["file"]))
            kept = [frame for index, frame in frames if int(index / every) != int((index - 1) / every) or not index]
            photos = [
                table.add(normalise(to_pixels(np.ascontiguousarray(frame[..., ::-1]), SPEC), SPEC)) for frame in kept
            ]
            yield Source(f"clips, camera {row['camera']}", row["group"], tuple(photos), STEPS)


def read_photos(kind: str, folder: Path, table: Table, group: str = r"\D+", every: int = 1) -> Iterator[Source]:
    """Each folder of photos in a folder."""
    for inside in sorted(each for each in folder.iterdir() if each.is_dir()):
        files = sorted(each for each in inside.iterdir() if each.suffix == ".jpg")[::every]
        if len(files) > 2:
            photos = tuple(table.add(preprocess(each, SPEC)) for each in files)
            yield Source(kind, "".join(re.findall(rf"\A{group}", inside.name)), photos)


def draw(rng: np.random.Generator, sources: Sequence[Source], unlike: Sequence[str]) -> Source | None:
    """A source of another group than these."""
    others = [each for each in sources if each.group not in unlike]
    return others[rng.integers(len(others))] if others else None


def fit_logistic(rows: Array, answers: Array, weights: Array) -> Array:
    """Weights and a constant, by Newton's method."""
    known = np.column_stack([rows, np.ones(len(rows))])
    found = np.zeros(known.shape[1])
    least = np.full(len(found), 1e-3)
    least[-1] = 1e-9
    weights = weights / weights.sum()
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(known @ found, -30, 30)))
        slope = known.T @ (weights * (p - answers)) + least * found
        found -= np.linalg.solve((known * (weights * p * (1 - p))[:, None]).T @ known + np.diag(least), slope)
    return found


def balanced(groups: Sequence[str]) -> Array:
    """Weights that add up to one; large groups count more than small ones, but by the root of their size."""
    counts = Counter(groups)
    weights = np.array([counts[each] ** -0.5 for each in groups])
    return np.asarray(weights / weights.sum())


def nearest(distances: Floats) -> Floats:
    """Of each photo, its distances to the nearest other one, ``(n, 3)``."""
    whole = distances @ np.array([1, 1, 0.2])
    np.fill_diagonal(whole, np.inf)
    return np.asarray(distances[np.arange(len(whole)), whole.argmin(axis=1)])


def longest_link(unlike: Array) -> float:
    """How unlike the photos are that hold a set together, at the worst place."""
    reached, near, longest = [0], unlike[0].copy(), -np.inf
    while len(reached) < len(unlike):
        near[reached] = np.inf
        following = int(near.argmin())
        longest = max(longest, near[following])
        reached.append(following)
        near = np.minimum(near, unlike[following])
    return float(longest)


def as_rule(found: Array) -> Any:
    """Constants as they stand in the code."""
    return tuple(round(float(each), 2) for each in found)


def fit(table: Table, sources: Sequence[Source]) -> None:
    """Fit the rule on sets and on the same with a stray, and put its constants into its module."""
    rng = np.random.default_rng(SEED)
    true = [(source, table.compare(photos)) for source in sources for photos in source.sets()]
    strayed = []
    for source in sources:
        for photos in source.sets():
            if other := draw(rng, sources, [source.group]):
                strayed.append((source, table.compare([other.photos[rng.integers(len(other.photos))], *photos])))
    rows = [nearest(each) for _, each in true]
    groups = [source.group for (source, _), part in zip(true, rows, strict=True) for _ in part]
    same = np.repeat([1 / len(part) for part in rows], [len(part) for part in rows]) * balanced(groups)
    apart = np.array([nearest(each)[0] for _, each in strayed])
    weights = np.concatenate([same / same.sum(), balanced([source.group for source, _ in strayed])])
    answers = np.repeat([0.0, 1.0], [len(same), len(apart)])
    rule.PAIR = as_rule(fit_logistic(np.concatenate([*rows, apart]), answers, weights))

    measured, answers = [], np.repeat([0.0, 1.0], [len(true), len(strayed)])
    for index, (_, each) in enumerate([*true, *strayed]):
        unlike = each @ np.array(rule.PAIR[:-1]) + rule.PAIR[-1]
        worst = longest_link(unlike) if index < len(true) else unlike[0, 1:].min()
        measured.append([worst, min(rule._measure_scale(unlike), rule.LOOSEST)])
    weights = np.concatenate([balanced([source.group for source, _ in part]) for part in (true, strayed)])
    rule.SET = as_rule(fit_logistic(np.array(measured), answers, weights) - [0, 0, LENIENT])


def measure(table: Table, sources: Sequence[Source], others: Sequence[Source]) -> Iterator[dict[str, object]]:
    """One row for each case: what was right, and what was said where it was not."""
    rng = np.random.default_rng(SEED)
    said: dict[str, Counter[str]] = {}

    def ask(case: str, photos: Sequence[int], right: str, apart: tuple[int, ...] = ()) -> None:
        found = rule.judge_groups(rule.group_photos(table.compare(photos)))
        kind = found.kind if found.kind != "strays" or found.apart == apart else "other strays"
        said.setdefault(case, Counter())["right" if kind == right else kind] += 1

    for source in sources:
        for photos in source.sets():
            n = len(photos)
            ask("one scene", photos, "one scene")
            for count in (1, 2) if n >= 6 else (1,):
                if other := draw(rng, others, [source.group]):
                    strays = rng.choice(other.photos, count, replace=False).tolist()
                    ask(f"{count} of another scene", [*photos, *strays], "strays", tuple(range(n, n + count)))
        photos = next(source.sets())
        if other := draw(rng, others, [source.group]):
            ask("two scenes", [*photos, *next(other.sets())[: len(photos)]], "several scenes")
        groups, unlike = [source.group], [photos[0]]
        while len(unlike) < 6 and (other := draw(rng, others, groups)):
            groups.append(other.group)
            unlike.append(other.photos[rng.integers(len(other.photos))])
        for n in (2, 4, 6):
            if len(unlike) >= n:
                ask(f"{n} of {n} scenes", unlike[:n], "no scene")
    for case, counts in said.items():
        total = counts.total()
        wrong = {kind: count for kind, count in sorted(counts.items()) if kind != "right"}
        yield {"case": case, "sets": total, "right": round(100 * counts["right"] / total, 1), "wrong": wrong}


def main() -> None:
    """Fit, measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, required=True, metavar="CLIPS")
    parser.add_argument("--fit-photos", type=Path, required=True, metavar="PHOTOS")
    parser.add_argument("--check", nargs="*", default=[], metavar="NAME=FOLDER", help="sets for the last look")
    parser.add_argument("--davis", type=Path, help="folder with DAVIS's sequences, for the last look as well")
    given = parser.parse_args()
    table = Table()
    sources = [*read_clips(given.fit, table), *read_photos("camera traps", given.fit_photos, table)]
    sources = [each for each in sources if any(each.sets())]
    checked = []
    for text in given.check:
        name, _, folder = text.partition("=")
        checked.append(list(read_photos(name, Path(folder), table, FIRST_WORD)))
    if given.davis:
        checked.append(list(read_photos("DAVIS", given.davis, table, FIRST_WORD, every=6)))
    halves = {half: [each for each in sources if each.fitted is half] for half in (True, False)}
    fit(table, halves[True])
    rows = [{"data": "fitted on", **row} for row in measure(table, halves[True], halves[True])]
    kinds = sorted({each.kind for each in sources})
    rows += [{"data": "other half", **row} for row in measure(table, halves[False], halves[False])]
    for kind in kinds:
        own = [each for each in halves[False] if each.kind == kind]
        rows += [{"data": kind, **row} for row in measure(table, own, halves[False])]
    for own in checked:
        rows += [{"data": own[0].kind, **row} for row in measure(table, own, own)]
    groups = {
        "fitted on": len({each.group for each in halves[True]}),
        "other half": len({e.group for e in halves[False]}),
    }
    record = {"pair": rule.PAIR, "set": rule.SET, "loosest": rule.LOOSEST, "groups": groups, "rows": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(*row.values())


if __name__ == "__main__":
    main()
