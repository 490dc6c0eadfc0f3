"""Where sets come from: the sets of manifests, or windows drawn from clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from imgorder.datasets.manifest import SetEntry
from imgorder.datasets.split import draw_held_out_groups
from imgorder.errors import ImgorderError, UsageError
from imgorder.permutations import class_count, permutation_classes
from imgorder.training.batch_plan import Box, Drawn, draw_box, draw_orders, middle_boxes
from imgorder.training.config import TrainConfig
from imgorder.training.packing import Data
from imgorder.training.store import CELL, Clip, Frames, FrameStore, Indices
from imgorder.training.warm_start import find_held_out_groups


class Source(Protocol):
    """Sets to train on and to validate with; all frames are numbers in ``store``."""

    store: FrameStore

    def samples(self, n: int) -> int | None:
        """Samples of n images in an epoch; None where there is no end."""

    def draw(self, rng: np.random.Generator, n: int, start: int, count: int) -> Drawn:
        """The samples ``start … start + count − 1`` of all epochs in a row."""

    def validation(self) -> dict[str, Indices]:
        """Held-out sets in temporal order, ``(S, n)`` each, by the name of their figure."""


def make_source(config: TrainConfig, data: Data, store: FrameStore, resumed: bool = False) -> Source:
    """The source for some data; fills in ``config.held_out_groups`` where it is empty.

    Args:
        resumed: whether the config is of a run that has begun, which keeps to its split.

    Raises:
        ImgorderError: if there is nothing to train on at a set size of the config.
        UsageError: if the config does not fit the data.
    """
    return ManifestSource(config, data.entries, store, resumed) if data.entries else ClipSource(config, store)


class ManifestSource:
    """The sets of manifests. In an epoch every sample comes once, in a random order.

    A sample is a set in one of its n!/2 classes, with a coin for the direction; or, where the config says
    ``permutations = "one"``, a set in a random order.
    """

    def __init__(
        self, config: TrainConfig, entries: Sequence[SetEntry], store: FrameStore, resumed: bool = False
    ) -> None:
        self.config = config
        self.store = store
        place = {
            (clip.name, number): int(first) + index
            for clip, first in zip(store.clips, store.first, strict=True)
            for index, number in enumerate(clip.numbers or range(clip.frames))
        }
        found = {n: [each for each in entries if len(each.frames) == n] for n in config.seq_len}
        everything = [each for sets in found.values() for each in sets]
        own_split = any(each.split == "validation" for each in everything)
        if not config.held_out_groups and not (own_split and resumed):
            clips = {(each.video, each.group) for each in everything}
            config.held_out_groups = _draw_groups(config, [group for _, group in clips], not own_split)
        _check_groups(config, [each.group for each in everything])
        self._train: dict[int, Indices] = {}
        self._validation: dict[str, Indices] = {}
        for n, sets in found.items():
            # Frames that could not be decoded were named when the store was made.
            usable = [each for each in sets if all((each.video, frame) in place for frame in each.frames)]
            # Of a validation split that the first weights may have been trained on nothing is used.
            held_out = set(config.held_out_groups)
            kept_out = [e for e in usable if (e.group in held_out if held_out else e.split == "validation")]
            train = [e for e in usable if e.split == "train" and e.group not in held_out]
            if not train:
                raise ImgorderError(f"no sets of {n} to train on; give a manifest of them, or another --seq-len")
            self._train[n] = _numbers(train, place)
            if kept_out:
                numbers = _numbers(kept_out, place)
                rng = np.random.default_rng((config.split_seed, n))
                self._validation[f"n{n}"] = numbers[np.sort(rng.permutation(len(numbers))[: config.validation_sets])]

        # One epoch's order; a batch may reach into the next.
        self._epoch = lru_cache(maxsize=2 * len(found))(self._shuffle)

    def samples(self, n: int) -> int:
        """Sets, times n!/2 where each is shown in all classes."""
        return len(self._train[n]) * (class_count(n) if self.config.permutations == "all" else 1)

    def draw(self, rng: np.random.Generator, n: int, start: int, count: int) -> Drawn:
        """See `Source`."""
        size = self.samples(n)
        positions = np.arange(start, start + count)
        sample = np.array([self._epoch(n, int(position // size))[position % size] for position in positions])
        if self.config.permutations == "all":
            chosen, classes = np.divmod(sample, class_count(n))
            orders = np.array(permutation_classes(n), dtype=np.int64)[classes]
            backwards = rng.random(count) < 0.5
            orders = np.where(backwards[:, None], orders[:, ::-1], orders)
        else:
            chosen, orders = sample, draw_orders(rng, n, count)
        frames = self._train[n][chosen]
        shapes = zip(self.store.height[frames[:, 0]].tolist(), self.store.width[frames[:, 0]].tolist(), strict=True)
        boxes = [draw_box(rng, self.config, *shape) for shape in shapes]
        return Drawn(frames, orders, np.array(boxes, dtype=np.int64))

    def validation(self) -> dict[str, Indices]:
        """See `Source`."""
        return self._validation

    def _shuffle(self, n: int, epoch: int) -> Indices:
        return np.random.default_rng((self.config.seed, n, epoch)).permutation(self.samples(n))


class ClipSource:
    """Windows of clips: n frames in temporal order, on average a drawn spacing apart, in which enough moves."""

    def __init__(self, config: TrainConfig, store: FrameStore) -> None:
        self.config = config
        self.store = store
        groups = [clip.group for clip in store.clips]
        if not config.held_out_groups:
            config.held_out_groups = _draw_groups(config, groups)
        _check_groups(config, groups)
        held_out = set(config.held_out_groups)
        self._train = [index for index, group in enumerate(groups) if group not in held_out]
        self.held_out = [index for index, group in enumerate(groups) if group in held_out]
        if not self._train:
            raise ImgorderError("all clips are held out, and none is left to train on; give more groups of videos")
        longest = max((store.clips[index].frames for index in self._train), default=0)
        if longest < max(config.seq_len):
            wanted = f"no clip has the {max(config.seq_len)} frames of a set"
            raise ImgorderError(f"{wanted}; the longest to train on has {longest}")
        need_steps(config)

    def samples(self, n: int) -> None:
        """None: windows are drawn without end."""

    def draw(self, rng: np.random.Generator, n: int, start: int, count: int) -> Drawn:
        """See `Source`; ``start`` says nothing here."""
        drawn = [self._window(rng, n) for _ in range(count)]
        frames, boxes = (np.array(each, dtype=np.int64) for each in zip(*drawn, strict=True))
        return Drawn(frames, draw_orders(rng, n, count), boxes)

    def validation(self) -> dict[str, Indices]:
        """Evenly spaced sets, two of a clip, by set size and spacing."""
        found = {}
        for n in self.config.seq_len:
            for spacing in self.config.validation_spacings:
                sets = find_even_windows(self.store, self.held_out, n, spacing)
                if len(sets):
                    count = min(len(sets), self.config.validation_sets)
                    found[f"n{n}_s{spacing}"] = sets[np.linspace(0, len(sets) - 1, count).round().astype(int)]
        return found

    def _window(self, rng: np.random.Generator, n: int) -> tuple[Indices, Box]:
        """Frames and box of one set; after 20 tries without enough change the last is taken as it is."""
        tries = 0
        while True:
            index = self._train[rng.integers(len(self._train))]
            clip = self.store.clips[index]
            places = self.places(rng, n, clip.frames)
            if places is None:
                continue
            box = draw_box(rng, self.config, clip.height, clip.width)
            frames = self.store.first[index] + places
            tries += 1
            if measure_smallest_change(self.store, frames, box) >= self.config.min_change or tries == 20:
                return frames, box

    def places(self, rng: np.random.Generator, n: int, frames: int) -> Indices | None:
        """Rising places ``(n,)`` in a clip, or None where it is too short for the spacing drawn."""
        widest = min(self.config.max_spacing, (frames - 1) / (n - 1))
        if widest < 1:
            return None
        spacing = float(widest ** (rng.random() ** (1 / self.config.wide)))
        gaps = np.full(n - 1, spacing)
        if rng.random() < self.config.uneven:
            gaps = gaps * np.exp2(rng.uniform(-1.2, 1.2, n - 1))
        gaps = np.maximum(1, np.rint(gaps)).astype(np.int64)
        length = int(gaps.sum())
        if length >= frames:
            return None
        start = rng.integers(frames - length)
        return np.asarray(start + np.concatenate([[0], np.cumsum(gaps)]), dtype=np.int64)


def need_steps(config: TrainConfig) -> None:
    """Raise UsageError unless the length of a run on folders of videos is given."""
    if not config.steps:
        raise UsageError("folders of videos have no epochs, sets are drawn from them without end; give --steps")


def find_even_windows(
    store: FrameStore, clips: Sequence[int], n: int, spacing: int, per_clip: int = 2, min_change: float = 1.5
) -> Indices:
    """Evenly spaced sets spread over each clip, ``(S, n)``; those whose centre crop hardly changes are left out.

    The spacing is one of the source's frames, also where the store has some of them only.
    """
    sets = []
    for index in clips:
        clip = store.clips[index]
        places = _even_places(clip, n, spacing)
        if not len(places):
            continue
        # Of the usual preprocessing whatever the network's, so that all are judged on the same sets.
        top, left, height, width = middle_boxes(np.array([clip.height]), np.array([clip.width]))[0].tolist()
        for chosen in np.unique(np.linspace(0, len(places) - 1, per_clip).round().astype(int)):
            frames = store.first[index] + places[chosen]
            if measure_smallest_change(store, frames, (top, left, height, width)) >= min_change:
                sets.append(frames)
    return np.array(sets, dtype=np.int64).reshape(-1, n)


def _even_places(clip: Clip, n: int, spacing: int) -> Indices:
    """Where in a clip all its evenly spaced sets lie, ``(S, n)``, one after the other."""
    steps = spacing * np.arange(n)
    if clip.numbers is None:
        return np.arange(max(0, clip.frames - (n - 1) * spacing))[:, None] + steps
    place = {number: index for index, number in enumerate(clip.numbers)}
    found = [[place.get(first + step, -1) for step in steps.tolist()] for first in clip.numbers]
    return np.array([each for each in found if min(each) >= 0], dtype=np.int64).reshape(-1, n)


def measure_smallest_change(store: FrameStore, frames: Indices, box: Box) -> float:
    """Smallest mean absolute difference, 0…255, of 8 px cells in a box between neighbours in a set."""
    top, left, height, width = (each // CELL for each in box)
    cells: list[Frames] = [store.cells(int(number))[top : top + height, left : left + width] for number in frames]
    small = np.stack(cells).astype(np.int16)
    return float(np.abs(small[1:] - small[:-1]).mean(axis=(1, 2, 3)).min())


def _draw_groups(config: TrainConfig, groups: Sequence[str], draw: bool = True) -> tuple[str, ...]:
    """Groups to hold out, given the group of every clip: as the first weights did, or drawn where that is wished."""
    if config.init and (known := set(find_held_out_groups(config.init)) & set(groups)):
        return tuple(sorted(known))
    if not draw:
        return ()
    return tuple(sorted(draw_held_out_groups(Counter(groups), config.validation_fraction, config.split_seed)))


def _check_groups(config: TrainConfig, groups: Sequence[str]) -> None:
    strange = sorted(set(config.held_out_groups) - set(groups))
    if strange:
        raise UsageError(f"held_out_groups names {strange[0]!r}, which no clip is of; leave the setting out")


def _numbers(sets: Sequence[SetEntry], place: dict[tuple[str, int], int]) -> Indices:
    return np.array([[place[each.video, frame] for frame in each.frames] for each in sets], dtype=np.int64)
