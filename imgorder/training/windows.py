"""Windows: which frames of a clip make a set, and how the set is cropped and lit.

A set holds n frames of one clip in temporal order, `spacing` frames apart on average. Everything
is drawn from one generator, so that a step's batch depends on the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgorder.training.clips import Clip, ClipStore

Frames = npt.NDArray[np.uint8]

CROP = 112


@dataclass(frozen=True)
class WindowConfig:
    """How sets are drawn.

    Attributes:
        max_spacing: mean spacing is drawn from 1…max_spacing frames, or as far as the clip reaches.
        wide: 1 for log-uniform spacings; above, wide ones are drawn more often.
        uneven: share of sets whose gaps differ from one another.
        min_change: mean absolute difference (0…255) of 16×16 thumbnails below which two
            neighbouring frames hardly differ; sets with such a pair are drawn again.
        crop_min, crop_max: side of the square crop in px at a shorter side of 136.
        shift: share of sets whose images are shifted and zoomed a little each, as from a hand.
    """

    max_spacing: float = 16.0
    wide: float = 1.0
    uneven: float = 0.4
    min_change: float = 1.5
    crop_min: int = 92
    crop_max: int = 136
    shift: float = 0.3


class WindowSampler:
    """Draws sets of n frames, uint8 ``(n, 112, 112, 3)`` in temporal order, from a clip store."""

    def __init__(self, store: ClipStore, clips: Sequence[Clip], config: WindowConfig | None = None) -> None:
        self.store = store
        self.clips = list(clips)
        self.config = config or WindowConfig()
        self._longest = max((clip.frames for clip in self.clips), default=0)

    def batch(self, rng: np.random.Generator, n: int, size: int) -> Frames:
        """``size`` sets of n frames, uint8 ``(size, n, 112, 112, 3)``."""
        return np.stack([self.set(rng, n) for _ in range(size)])

    def set(self, rng: np.random.Generator, n: int) -> Frames:
        """One set with enough change between neighbours; after 20 tries the last is taken as it is.

        Raises:
            ValueError: if no clip has n frames.
        """
        if self._longest < n:
            raise ValueError(f"no clip has the {n} frames of a set; the longest has {self._longest}")
        tries = 0
        while True:
            clip = self.clips[rng.integers(len(self.clips))]
            indices = self.indices(rng, n, clip.frames)
            if indices is None:
                continue
            images = self._crop(rng, self.store.frames(clip)[indices])
            tries += 1
            if smallest_change(images) >= self.config.min_change or tries == 20:
                return images

    def indices(self, rng: np.random.Generator, n: int, frames: int) -> npt.NDArray[np.int64] | None:
        """Rising frame indices ``(n,)``, or None where the clip is too short for the spacing drawn."""
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
        return start + np.concatenate([[0], np.cumsum(gaps)])

    def _crop(self, rng: np.random.Generator, frames: Frames) -> Frames:
        import cv2

        config = self.config
        height, width = frames.shape[1:3]
        side = int(rng.integers(config.crop_min, config.crop_max + 1))
        top = int(rng.integers(height - side + 1))
        left = int(rng.integers(width - side + 1))
        flip = rng.random() < 0.5
        shake = rng.random() < config.shift
        out = np.empty((len(frames), CROP, CROP, 3), dtype=np.uint8)
        for image, frame in zip(out, frames, strict=True):
            t, le, s = top, left, side
            if shake:
                s = int(np.clip(side + rng.integers(-3, 4), 64, min(height, width)))
                t = int(np.clip(top + rng.integers(-3, 4), 0, height - s))
                le = int(np.clip(left + rng.integers(-3, 4), 0, width - s))
            patch = frame[t : t + s, le : le + s]
            interpolation = cv2.INTER_AREA if s > CROP else cv2.INTER_LINEAR
            scaled = cv2.resize(patch, (CROP, CROP), interpolation=interpolation)
            image[...] = scaled[:, ::-1] if flip else scaled
        return out


def smallest_change(images: Frames) -> float:
    """Smallest mean absolute difference, 0…255, between 16×16 thumbnails of neighbours in a set."""
    small = images.reshape(len(images), 16, 7, 16, 7, 3).mean(axis=(2, 4), dtype=np.float32)
    return float(np.abs(small[1:] - small[:-1]).mean(axis=(1, 2, 3)).min())


def validation_sets(store: ClipStore, clips: Sequence[Clip], n: int, spacing: int, per_clip: int = 2) -> list[Frames]:
    """Evenly spaced sets, centre-cropped, spread over each clip; sets that hardly move are left out."""
    sets = []
    for clip in clips:
        room = clip.frames - (n - 1) * spacing
        if room < 1:
            continue
        for start in np.unique(np.linspace(0, room - 1, per_clip).round().astype(int)):
            frames = store.frames(clip)[start + spacing * np.arange(n)]
            top = (clip.height - CROP) // 2
            left = (clip.width - CROP) // 2
            images = frames[:, top : top + CROP, left : left + CROP]
            if smallest_change(images) >= 1.5:
                sets.append(images)
    return sets
