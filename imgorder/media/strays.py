"""Strays: photos of another scene among those of one, found by what they look like. See docs/strays.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgorder.media.likeness import Floats, compare, describe
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.names import show
from imgorder.ordering import canonical_ranks

if TYPE_CHECKING:
    from imgorder.media.preprocess import Tensor

# Fitted on half of the groups by benchmarks/strays.py; docs/results/strays.json has them with their figures.
PAIR = (6.73, 2.52, 4.66, -5.44)
"""Weights of the distances of colours, edges and thumbnails, and a constant: how unlike two photos are."""
SET = (2.24, -0.91, -5.65)
"""Weights of how unlike two photos are, and of the set's own scale, and a constant: above 0 they are of two scenes."""
LOOSEST = -1.0
"""A set whose photos are more unlike than this at its median gives no more room: it may be no scene at all."""

NO_SCENE = "no scene"
MIXED = ("several scenes", NO_SCENE)
"""What a set is that is not one scene, and of which no photo can be set apart."""

_PART = 3  # a scene has at least one of so many photos of the set; fewer that go together are strays
_NAMED = 5  # photos are named up to so many, and counted above


@dataclass(frozen=True)
class Strays:
    """Which photos of a set go together.

    Attributes:
        apart: photos that belong to another scene than most, to be left out; empty where no scene has most photos.
        scenes: photos that go together, the most first, each in ascending order; a photo that is like no other is
            alone. One scene of all photos where nothing is wrong.
        kind: ``"one scene"``; ``"strays"``, with `apart`; ``"several scenes"``, of which each has many of the photos;
            or ``"no scene"``, where most photos are like few others or none.
    """

    apart: tuple[int, ...]
    scenes: tuple[tuple[int, ...], ...]
    kind: str

    def word(self, names: Sequence[str]) -> str:
        """One sentence for people, with the photos' names; empty for one scene."""
        if self.kind == "strays":
            return word_strays([names[index] for index in self.apart])
        if self.kind == "several scenes":
            parts = [_list_names([names[index] for index in scene]) for scene in self.scenes if len(scene) > 1]
            return f"{len(parts)} scenes are mixed: {'; '.join(parts)}"
        if self.kind == NO_SCENE:
            return "these photos do not look like one scene"
        return ""

    def warning(self, names: Sequence[str]) -> str:
        """`word` for who wants all photos in one order, and what can be done."""
        cure = "give the photos of one scene, or --keep-strays if they are"
        if self.kind == "strays":
            cure = "left out, --keep-strays takes all photos"
        said = self.word(names)
        return f"{said}; {cure}" if said else ""


def word_strays(names: Sequence[str]) -> str:
    """One sentence about photos of another scene."""
    verb = "looks" if len(names) == 1 else "look"
    return f"{_list_names(names)} {verb} like another scene than the other photos"


def find_strays(tensors: Tensor, spec: Preprocessing = DEFAULT) -> Strays:
    """Find photos of another scene.

    Two photos are linked if they are alike, measured by how alike the photos of this very set are to their nearest.
    What is linked, also by way of others, goes together: so a camera may walk on.

    Args:
        tensors: the set, ``(n, 3, crop, crop)``, as preprocessed.
        spec: how they were.
    """
    # In an order of their own, so that the listing does not decide, not even by rounding.
    places = np.argsort(canonical_ranks(tensors))
    groups = group_photos(compare(describe(tensors[places], spec)))
    return judge_groups([[int(places[each]) for each in group] for group in groups])


def group_photos(apart: Floats) -> list[list[int]]:
    """The photos that go together, from what `compare` says of each two, ``(n, n, 3)``."""
    unlike = apart @ np.array(PAIR[:-1]) + PAIR[-1]
    scale = min(_measure_scale(unlike), LOOSEST)
    linked = SET[0] * unlike + SET[1] * scale + SET[2] <= 0
    left = np.ones(len(unlike), dtype=bool)
    groups = []
    while left.any():
        group = [int(np.flatnonzero(left)[0])]
        left[group] = False
        for image in group:  # which grows
            more = np.flatnonzero(linked[image] & left)
            left[more] = False
            group += more.tolist()
        groups.append(group)
    return groups


def _measure_scale(unlike: npt.NDArray[np.float64]) -> float:
    """How unlike a photo of the set and its nearest are, at the median."""
    others = unlike.copy()
    np.fill_diagonal(others, np.inf)
    return float(np.median(others.min(axis=1)))


def judge_groups(groups: Sequence[Sequence[int]]) -> Strays:
    """What groups of photos are: one scene, one with strays, several, or none."""
    scenes = tuple(sorted((tuple(sorted(group)) for group in groups), key=lambda group: (-len(group), group)))
    count = sum(map(len, scenes))
    if len(scenes) <= 1:
        return Strays((), scenes, "one scene")
    large = [group for group in scenes if len(group) > 1 and _PART * len(group) >= count]
    if len(large) > 1:
        return Strays((), scenes, "several scenes")
    if 2 * len(scenes[0]) > count:
        return Strays(tuple(sorted(image for group in scenes[1:] for image in group)), scenes, "strays")
    return Strays((), scenes, NO_SCENE)


def _list_names(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(map(show, names[: _NAMED - 1]))} and {len(names) - _NAMED + 1} more"
    return " and ".join([*([", ".join(map(show, names[:-1]))] if names[1:] else []), show(names[-1])])
