"""How well photos of many scenes in one folder are grouped, with times, with some, and without; docs/libraries.md.

    python benchmarks/groups.py --frames RUN/frames --clips CLIPS --held-out RUN.toml --photos PHOTOS

Folders are mixed of scenes: held-out clips, cut to a few frames, and sets of photos. Each pair of photos counts:
whether it is of one scene, and whether it was put into one. The thresholds are chosen on one half of the groups of
clips and on the camera traps; the other half and the other photo sets have no part in that. All is drawn by one seed.

RUN/frames is what ``imgorder train`` has decoded, CLIPS a folder with ``clips.csv`` (file, group, fps) in it or in
folders below, RUN.toml a run's settings with its ``held_out_groups``. PHOTOS has a folder for each set with a
``truth.csv`` (file, seconds); sets whose names begin alike are of one place.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.library.grouping import Rule, group_photos
from imgorder.library.listing import Listed, state_of
from imgorder.library.looking import Record, as_rows, look_at
from imgorder.training.store import FrameStore

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "groups.json"
SPLIT = 4  # as benchmarks/strays.py puts groups into halves
RATE = 2  # frames a second that are taken from clips
TREES = 12
EACH = 2  # scenes of one place in a tree; of camera traps with times more
BURSTS = 8
PAUSES = (3, 8, 20, 60, 600, 3600)  # seconds from one scene to the next
NO_TIME_KNOWN = 10.0  # seconds between photos of a set whose times are not known
LEAST = 0.99  # precision where thresholds are chosen, so that other photos keep 0.98
GAPS, SIMILARITIES = (5, 10, 15, 20, 30, 60, 300), (0.7, 0.8, 0.85, 0.88, 0.9, 0.92, 0.95)
TIMES = ("all", "half", "none")


@dataclass(frozen=True)
class Source:
    """Photos of one scene: by their looks, with the seconds at which they were taken."""

    kind: str
    place: str
    looks: tuple[Record, ...]
    seconds: tuple[float, ...]

    @property
    def chosen_on(self) -> bool:
        """Whether thresholds are chosen on it."""
        return self.kind == "camera traps" or (
            self.kind == "clips" and crc32(f"{SPLIT} {self.place}".encode()) % 2 == 0
        )


@dataclass(frozen=True)
class Photo:
    """A photo of a mixed folder."""

    look: Record
    scene: int
    place: str
    time: datetime


def look(path: Path) -> Record:
    """As a run looks at a photo."""
    return look_at(Listed(str(path.parent), path.name, state_of(str(path))))


def read_clips(frames: Path, clips: Path, groups: Sequence[str]) -> Iterator[Source]:
    """Each clip of the held-out groups."""
    rates: dict[str, float] = {}
    for table in sorted({*clips.glob("clips.csv"), *clips.glob("*/clips.csv")}):
        with table.open(encoding="utf-8") as file:
            rates.update({row["file"]: float(row["fps"]) for row in csv.DictReader(file)})
    store = FrameStore(frames)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.jpg")
        for clip, first in zip(store.clips, store.first, strict=True):
            if clip.group not in groups or clip.name not in rates:
                continue
            rate = rates[clip.name]
            taken = range(0, clip.frames, max(1, round(rate / RATE)))
            looks = []
            for number in taken:
                Image.fromarray(store.frame(int(first) + number)).save(path, quality=92)
                looks.append(look(path))
            yield Source("clips", clip.group, tuple(looks), tuple(number / rate for number in taken))


def read_photos(folder: Path) -> Iterator[Source]:
    """Each set of photos."""
    for inside in sorted(each for each in folder.iterdir() if each.is_dir()):
        with (inside / "truth.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        known = all(row["seconds"] for row in rows)
        seconds = [float(row["seconds"]) if known else NO_TIME_KNOWN * place for place, row in enumerate(rows)]
        kind = "camera traps" if inside.name.startswith("trap") else "photo sets"
        word = re.match(r"(trap-)?[^\W\d_]+", inside.name)
        assert word is not None
        yield Source(kind, word[0], tuple(look(inside / row["file"]) for row in rows), tuple(seconds))


def mix(rng: np.random.Generator, sources: Sequence[Source], times: str) -> list[Photo]:
    """A folder with a few photos of some scenes of each place, one scene after the other."""
    places: dict[str, list[Source]] = {}
    for source in sources:
        places.setdefault(source.place, []).append(source)
    chosen = []
    for name in sorted(places):
        own = places[name]
        most = BURSTS if times == "all" and own[0].kind == "camera traps" else EACH
        chosen += [own[place] for place in rng.choice(len(own), min(most, len(own)), replace=False)]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    clock = datetime(2024, 5, 1, 9)
    photos = []
    for scene, source in enumerate(chosen):
        step = int(rng.choice([1, 2, 4])) if source.kind == "clips" else 1
        looks = source.looks[::step][: int(rng.integers(1, 13))]
        clock += timedelta(seconds=float(rng.choice(PAUSES)))
        moments = [clock + timedelta(seconds=each - source.seconds[0]) for each in source.seconds[::step]]
        photos += [Photo(look, scene, source.place, time) for look, time in zip(looks, moments, strict=False)]
        clock = photos[-1].time
    rng.shuffle(photos)  # type: ignore[arg-type]
    return photos


def count_pairs(photos: Sequence[Photo], times: str, rule: Rule) -> tuple[int, int, int]:
    """Pairs that were rightly put together, wrongly put together, and that are of one scene."""
    timed = [times == "all" or (times == "half" and place % 2 == 0) for place in range(len(photos))]
    facts = [
        PhotoFacts(
            f"{place}.jpg",
            times=(Taken(photo.time.replace(microsecond=0), "EXIF"),) if timed[place] else (),
            make="Maker",
            model="Camera",
        )
        for place, photo in enumerate(photos)
    ]
    right = wrong = 0
    for group in group_photos(facts, as_rows([photo.look for photo in photos]), rule):
        for number, one in enumerate(group):
            for other in group[:number]:
                if photos[one].scene == photos[other].scene:
                    right += 1
                elif photos[one].place != photos[other].place or (timed[one] and timed[other]):
                    wrong += 1  # two scenes of one place without times nobody could tell apart
    sizes = Counter(photo.scene for photo in photos)
    return right, wrong, sum(size * (size - 1) // 2 for size in sizes.values())


def measure(data: str, sources: Sequence[Source], times: str, rule: Rule, how: str) -> dict[str, Any]:
    """A row of the results."""
    counts = np.zeros(3)
    photos = scenes = 0
    for seed in range(TREES):
        folder = mix(np.random.default_rng(seed), sources, times)
        photos += len(folder)
        scenes += len({photo.scene for photo in folder})
        counts += count_pairs(folder, times, rule)
    right, wrong, same = counts
    return {
        "data": data,
        "times": times,
        "how": how,
        "gap_s": rule.gap.total_seconds(),
        "similarity": rule.similarity,
        "folders": TREES,
        "scenes": scenes,
        "photos": photos,
        "precision": round(right / max(right + wrong, 1), 4),
        "recall": round(right / same, 4),
    }


def choose(rows: Sequence[dict[str, Any]]) -> Rule:
    """The thresholds of most recall, in the mean over times, among those that are precise enough with all of them."""
    found: dict[tuple[float, float], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["gap_s"], row["similarity"]), []).append(row)
    enough = {key: own for key, own in found.items() if min(row["precision"] for row in own) >= LEAST}
    gap, similarity = max(enough, key=lambda key: sum(row["recall"] for row in enough[key]))
    return Rule(timedelta(seconds=gap), similarity)


def main() -> None:
    """Choose, measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    groups = tomllib.loads(given.held_out.read_text("utf-8"))["held_out_groups"]
    sources = [*read_clips(given.frames, given.clips, groups), *read_photos(given.photos)]
    chosen_on = [source for source in sources if source.chosen_on]
    rows = []
    for gap in GAPS:
        for similarity in SIMILARITIES:
            rule = Rule(timedelta(seconds=gap), similarity)
            rows += [measure("chosen on", chosen_on, times, rule, "both") for times in TIMES]
    default = choose(rows)
    print(f"chosen: {default}; the code has {Rule()}")
    others = [source for source in sources if not source.chosen_on]
    for data, own in (
        ("chosen on", chosen_on),
        ("other clips", [source for source in others if source.kind == "clips"]),
        ("photo sets", [source for source in others if source.kind == "photo sets"]),
        ("both", others),
    ):
        for times in TIMES:
            rows.append(measure(data, own, times, default, "default"))
        rows.append(measure(data, own, "all", replace(default, similarity=1e-6), "time alone"))
    record = {"default": {"gap_s": default.gap.total_seconds(), "similarity": default.similarity}, "rows": rows}
    given.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(*row.values())


if __name__ == "__main__":
    main()
