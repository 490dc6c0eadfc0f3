"""Which photos of a set are of one camera, and how it has counted them."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.names import show

TURN = 10_000  # a camera's counter has four digits
APART = 1_000  # photos that one camera leaves out within one scene, at the very most

_LONE = 4  # at most one of so many photos differs from all others where the rest are of several cameras
UNKNOWN = "unknown camera"
"""The name of a camera of which nothing is known, and the beginning of its name where there are several."""

_ROLL = re.compile(r"\d{3}[A-Z0-9_]{5}", re.ASCII)  # as cameras name folders: 100APPLE, 101CANON


@dataclass(frozen=True)
class Camera:
    """Photos of one camera, as far as that is known.

    Attributes:
        name: for people; no two cameras of a set have the same one.
        photos: their numbers in the set, from 0, ascending.
        known: whether the photos say which camera it was; else they are together because nothing tells them apart.
    """

    name: str
    photos: tuple[int, ...]
    known: bool


def find_runs(facts: Sequence[PhotoFacts], photos: Iterable[int]) -> list[list[list[int]]]:
    """Photos by their counters, each family from the first to the last; equal counters are the same shot."""
    families: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    wraps = {}
    for photo in photos:
        named = facts[photo].named
        if named.counter is not None:
            families[named.family][named.counter].append(photo)
            wraps[named.family] = named.wraps
    runs = []
    for family, numbers in families.items():
        ascending = sorted(numbers)
        if wraps[family]:
            # A counter turns over at most once in a set: at its widest gap.
            gaps = [(later - earlier, place) for place, (earlier, later) in enumerate(pairwise(ascending), 1)]
            widest, place = max(gaps, default=(0, 0))
            if widest > TURN // 2:
                ascending = ascending[place:] + ascending[:place]
        runs.append([numbers[number] for number in ascending])
    return runs


def find_cameras(facts: Sequence[PhotoFacts], times: Sequence[Taken | None]) -> tuple[Camera, ...]:
    """The photos of each camera.

    Two of one model are told apart by serial numbers, folders and counters; two of unknown model by folders, by the way
    of naming, and by looks.
    """
    serials: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in facts:
        if each.serial:
            serials[_model(each)].add(each.serial)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for photo, each in enumerate(facts):
        time = times[photo]
        model = _model(each)
        if not any(model):
            # Programs name photos in their own ways; one camera does it in one.
            groups["", "", "", _style(each, time), _roll(each.folder)].append(photo)
            continue
        known = serials[model]
        # A photo that lost its serial number, such as an edited one, belongs to the only camera of its model.
        serial = each.serial or (next(iter(known)) if len(known) == 1 else "")
        groups[(*model, serial, "", "" if serial else _roll(each.folder))].append(photo)
    parts: list[tuple[tuple[str, ...], list[int]]] = []
    for key, photos in groups.items():
        if not any(key[:2]):
            split = _split_by(facts, photos, times, lambda each: each.look)
        else:
            split = [photos] if key[2] else _split_by_counters(facts, photos, times)
        parts += [(key, each) for each in split]
    parts.sort(key=lambda part: part[1])
    plain = [_name_camera(facts[photos[0]]) for _, photos in parts]
    sizes = [
        _show_edges(facts, photos) if name == UNKNOWN else "" for name, (_, photos) in zip(plain, parts, strict=True)
    ]
    if len({size for name, size in zip(plain, sizes, strict=True) if name == UNKNOWN}) > 1:
        plain = [name + size for name, size in zip(plain, sizes, strict=True)]
    names: list[str] = []
    for (key, photos), name in zip(parts, plain, strict=True):
        if plain.count(name) > 1:
            first = facts[photos[0]]
            name += f", serial number {show(first.serial)}" if key[2] and first.serial else f", {show(first.name)}"
        names.append(name if name not in names else f"{name}, {len(names) + 1}")
    return tuple(Camera(name, tuple(photos), any(key[:2])) for name, (key, photos) in zip(names, parts, strict=True))


def _model(facts: PhotoFacts) -> tuple[str, str]:
    return (facts.make or "").casefold(), (facts.model or "").casefold()


def _style(facts: PhotoFacts, time: Taken | None) -> str:
    if time is None or time.source not in ("name", "file"):
        return ""
    return facts.named.style if time.source == "name" else "file"


def _roll(folder: str) -> str:
    """The folder, or the one above where a camera goes on in another folder when one is full."""
    above, name = os.path.split(folder)
    return above if _ROLL.fullmatch(name) else folder


def _name_camera(facts: PhotoFacts) -> str:
    make, model = facts.make or "", facts.model or ""
    if not (make or model):
        return UNKNOWN
    if not model:
        return show(make)
    # "Canon EOS 5D" names its maker already.
    known = not make or model.casefold().startswith(make.split()[0].casefold())
    return show(model if known else f"{make} {model}")


def _show_edges(facts: Sequence[PhotoFacts], photos: Sequence[int]) -> str:
    """`` (4000x3000)``, where all photos have this size."""
    edges = {facts[photo].edges for photo in photos}
    only = edges.pop()
    return f" ({only[1]}x{only[0]})" if only and not edges else ""


def part_by_file(facts: Sequence[PhotoFacts], photos: Sequence[int], times: Sequence[Taken | None]) -> list[list[int]]:
    """Photos of unknown camera in groups of one size and coding, as those of several cameras are.

    A camera that was set to another size in between makes such groups, too, so this is no more than a hint. The clocks
    of two cameras may differ by more than all was taken in, so it does not count whether the times mix.
    """
    parts = [list(photos)]
    for tell in (lambda each: each.edges, lambda each: each.coding):
        parts = [each for part in parts for each in _split_by(facts, part, times, tell)]
    return parts


def _split_by(
    facts: Sequence[PhotoFacts],
    photos: list[int],
    times: Sequence[Taken | None],
    tell: Callable[[PhotoFacts], object],
) -> list[list[int]]:
    """The photos that are alike in something, and each of the others alone; all together where that tells no cameras.

    A camera takes several photos. If many differ from all others, they were cropped or scanned one by one, or their
    camera makes each in its own way.
    """
    kinds: dict[object, list[int]] = defaultdict(list)
    for photo in photos:
        kinds[tell(facts[photo])].append(photo)
    counts = {kind: sum(times[photo] is not None for photo in own) for kind, own in kinds.items()}
    large = [own for kind, own in kinds.items() if kind and counts[kind] > 1]
    alone = sum(count for kind, count in counts.items() if not kind or count < 2)
    if len(large) < 2 or alone * _LONE > sum(counts.values()):
        return [photos]
    return [*large, *([photo] for photo in photos if not any(photo in own for own in large))]


def _split_by_counters(
    facts: Sequence[PhotoFacts], photos: list[int], times: Sequence[Taken | None]
) -> list[list[int]]:
    """Photos of one model whose counters lie far apart while their times mix are of several cameras."""
    counted = [photo for photo in photos if facts[photo].named.counter is not None and facts[photo].named.wraps]
    families = Counter(facts[photo].named.family for photo in counted)
    if not families:
        return [photos]
    family = max(families, key=lambda each: (families[each], each))
    clusters: list[list[int]] = []
    last = None
    for group in find_runs(facts, [photo for photo in counted if facts[photo].named.family == family])[0]:
        number = facts[group[0]].named.counter or 0
        if last is None or (number - last) % TURN > APART:
            clusters.append([])
        clusters[-1] += group
        last = number
    spans = []
    for cluster in clusters:
        clocks = [time.clock for photo in cluster if (time := times[photo]) is not None]
        if clocks:
            spans.append((min(clocks), max(clocks)))
    spans.sort()
    if all(one[1] <= other[0] for one, other in pairwise(spans)):
        return [photos]  # the counter of one camera jumped, or it has been used between
    rest = [[photo] for photo in photos if not any(photo in cluster for cluster in clusters)]
    return [*map(sorted, clusters), *rest]
