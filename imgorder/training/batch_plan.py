"""A plan: all that is random about a batch, drawn before a pixel is touched.

Plans are small arrays, made alike by every process from the seed and the step alone. So a resumed run
goes on with the same batches, and several processes take their rows of one plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.permutations import order_to_class
from imgorder.training.config import TrainConfig
from imgorder.training.store import FrameStore, Indices

Flags = npt.NDArray[np.bool_]

# Top, left, height and width in a frame, in px.
Box = tuple[int, int, int, int]

# Share of the boxes other than squares whose longer edge is that of their frame.
ALONG = 0.8

# How far away from the first camera's view the second one's is, as a share of it, and the log of how much nearer.
BESIDE, LENS = 0.08, 0.2


@dataclass(frozen=True)
class Drawn:
    """Sets as a source gives them, in temporal order.

    Attributes:
        frames: numbers in the store, ``(B, n)``.
        orders: the order that is asked for, ``(B, n)``: the image shown at place ``orders[b, t]`` is
            t-th in time.
        boxes: top, left, height and width of each set's crop in px, ``(B, 4)``.
    """

    frames: Indices
    orders: Indices
    boxes: Indices


@dataclass(frozen=True)
class BatchPlan:
    """A batch of B sets of n images in the order in which they are shown.

    Attributes:
        frames: numbers in the store, ``(B, n)``.
        top, left, height, width: each image's box in px, ``(B, n)``; it is scaled to a square of ``size``.
        turn: radians by which each box is turned about its middle, float32 ``(B, n)``; a corner that
            then lies outside the frame shows the nearest pixel of it.
        tilt: across and down, float32 ``(B, n, 2)``: what is seen at (u, v) from the middle of the image, in units of
            its side, lies at (u, v) / (1 + tilt · (u, v)) of the box, so that one edge is nearer than the other.
        flip: whether a set is mirrored, bool ``(B,)``.
        gain: factor on each channel of each image, float32 ``(B, n, 3)``.
        offset: added to a set's values in 0…255, float32 ``(B,)``.
        target: permutation class of each set, ``(B,)``.
        size: side of the network's input in px.
    """

    frames: Indices
    top: Indices
    left: Indices
    height: Indices
    width: Indices
    turn: npt.NDArray[np.float32]
    tilt: npt.NDArray[np.float32]
    flip: Flags
    gain: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    target: Indices
    size: int = DEFAULT.crop

    def rows(self, first: int, step: int) -> BatchPlan:
        """The sets of one process: every ``step``-th from the ``first``."""
        arrays = (each.name for each in fields(self) if each.name != "size")
        return replace(self, **{name: getattr(self, name)[first::step] for name in arrays})

    @property
    def varies_light(self) -> bool:
        """Whether any value of a pixel changes."""
        return bool((self.gain != 1).any() or self.offset.any())


def draw_orders(rng: np.random.Generator, n: int, count: int) -> Indices:
    """An order for each set, any of the n!, ``(count, n)``."""
    return rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def draw_box(rng: np.random.Generator, config: TrainConfig, height: int, width: int) -> Box:
    """A random box inside a frame: a square, unless the config squeezes."""
    side = int(rng.integers(config.crop_min, config.crop_max + 1))
    tall = wide = side
    if config.squeeze > 1:  # a run without it draws what it always drew
        ratio = config.squeeze ** rng.random()
        across = (width >= height) == (rng.random() < ALONG)
        # Its longer edge ends where the frame does, and the shorter one keeps the ratio.
        longer = min(width if across else height, round(side * ratio))
        shorter = min(side, round(longer / ratio))
        tall, wide = (shorter, longer) if across else (longer, shorter)
    return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide


def middle_boxes(height: Indices, width: Indices, spec: Preprocessing = DEFAULT) -> Indices:
    """What the preprocessing shows of frames of any scale, ``(B,) -> (B, 4)``."""
    shorter = np.minimum(height, width)
    tall, wide = (
        np.minimum(edge, np.floor(shorter * spec.squeeze).astype(np.int64)) * spec.crop // spec.shorter_edge
        for edge in (height, width)
    )
    return np.stack([(height - tall) // 2, (width - wide) // 2, tall, wide], axis=1)


def plan_batch(
    rng: np.random.Generator, config: TrainConfig, drawn: Drawn, height: Indices, width: Indices
) -> BatchPlan:
    """Vary what a source has drawn, as the config says.

    Args:
        rng: of the step.
        config: of the run.
        drawn: B sets.
        height, width: of their frames, ``(B,)``.
    """
    count, n = drawn.frames.shape
    top, left, tall, wide = np.moveaxis(np.repeat(drawn.boxes[:, None], n, axis=1), -1, 0)  # (B, n) each
    shaken: Flags = rng.random((count,)) < config.shift
    moves = rng.integers(-3, 4, (count, n, 3)) * shaken[:, None, None]
    # Both edges of a box grow or shrink alike, and where one meets the frame the other stops as well.
    room = np.minimum(height[:, None] - tall, width[:, None] - wide)
    zoom = np.clip(moves[..., 2], np.minimum(0, 64 - np.minimum(tall, wide)), room)
    tall, wide = tall + zoom, wide + zoom
    top = np.clip(top + moves[..., 0], 0, height[:, None] - tall)
    left = np.clip(left + moves[..., 1], 0, width[:, None] - wide)
    turn, tilt = np.zeros((count, n), np.float32), np.zeros((count, n, 2), np.float32)
    if config.turn:  # a run without it draws what it always drew
        turn = np.deg2rad(rng.uniform(-config.turn, config.turn, (count, n)) * shaken[:, None]).astype(np.float32)
    if config.tilt:
        tilt = (rng.uniform(-config.tilt, config.tilt, (count, n, 2)) * shaken[:, None, None]).astype(np.float32)
    flip: Flags = rng.random((count,)) < config.flip
    gain, offset = np.ones((count, n, 3), np.float32), np.zeros(count, np.float32)
    if config.light:
        gain, offset = draw_light(rng, count, n, config.exposure)
    if config.cameras:
        second = (rng.random((count, 1)) < config.cameras) & (rng.random((count, n)) < 0.5)
        nearer = np.where(second, np.exp(-rng.uniform(0, LENS, (count, 1))), 1.0)
        down, right = rng.uniform(-BESIDE, BESIDE, (2, count, 1)) * second
        top, tall = _moved(top, tall, height[:, None], nearer, down)
        left, wide = _moved(left, wide, width[:, None], nearer, right)
        gain = np.where(second[..., None], gain * _draw_gain(rng, count), gain).astype(np.float32)
    shown = np.argsort(drawn.orders, axis=1)
    rows = np.arange(count)[:, None]
    return BatchPlan(
        frames=drawn.frames[rows, shown],
        top=top[rows, shown],
        left=left[rows, shown],
        height=tall[rows, shown],
        width=wide[rows, shown],
        turn=turn[rows, shown],
        tilt=tilt[rows, shown],
        flip=flip,
        gain=gain,
        offset=offset,
        target=find_classes(drawn.orders),
        size=config.image_size,
    )


def plan_validation(
    frames: Indices, orders: Indices, height: Indices, width: Indices, spec: Preprocessing = DEFAULT
) -> BatchPlan:
    """Sets ``(B, n)`` in temporal order as validation shows them: as the preprocessing does, nothing varied."""
    plain = TrainConfig(shorter_edge=spec.shorter_edge, image_size=spec.crop)
    drawn = Drawn(frames, orders, middle_boxes(height, width, spec))
    return plan_batch(np.random.default_rng(0), plain, drawn, height, width)


def plan_held_out(
    store: FrameStore, frames: Indices, spec: Preprocessing, batch: int, rows: slice = slice(None)
) -> Iterator[BatchPlan]:
    """Held-out sets ``(S, n)`` in temporal order as plans of some each; every set is shown in one random listing.

    Args:
        store: of the frames.
        frames: numbers in the store.
        spec: how photos become the network's input.
        batch: sets a plan.
        rows: which of the sets; their listings do not depend on it.
    """
    orders = draw_orders(np.random.default_rng(0), frames.shape[1], len(frames))[rows]
    frames = frames[rows]
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        size = store.height[part[:, 0]], store.width[part[:, 0]]
        yield plan_validation(part, orders[start : start + batch], *size, spec)


def draw_light(
    rng: np.random.Generator, count: int, n: int, exposure: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Exposure, white balance and brightness offset of each set, and of four sets in ten some of each image.

    Args:
        rng: of the step.
        count, n: sets, and images of a set.
        exposure: of the config.

    Returns:
        gains ``(count, n, 3)`` and offsets ``(count,)``.
    """
    gain = _draw_gain(rng, count)
    each = rng.random((count, 1, 1)) < 0.4
    gain = gain * np.where(each, _around_one(rng, (count, n, 1), exposure), 1.0)
    # A camera that balances white from photo to photo must not be taken for time that passes.
    each = rng.random((count, 1, 1)) < 0.4
    gain = gain * np.where(each, _around_one(rng, (count, n, 3), 0.1), 1.0)
    return gain.astype(np.float32), rng.uniform(-20, 20, count).astype(np.float32)


def _moved(
    start: Indices, edge: Indices, whole: Indices, factor: npt.NDArray[np.float64], aside: npt.NDArray[np.float64]
) -> tuple[Indices, Indices]:
    """Starts and lengths of boxes' edges, scaled about their middle, moved by a share, and kept inside the frame."""
    length = np.rint(edge * factor).astype(np.int64)
    place = np.rint(start + (edge - length) / 2 + aside * edge).astype(np.int64)
    return np.clip(place, 0, whole - length), length


def _draw_gain(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Exposure and white balance of a camera in each set, ``(count, 1, 3)``."""
    return _around_one(rng, (count, 1, 1), 0.35) * _around_one(rng, (count, 1, 3), 0.12)


def _around_one(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> npt.NDArray[np.float64]:
    return np.exp(rng.uniform(-spread, spread, shape))


def find_classes(orders: Indices) -> Indices:
    """Class of each order, ``(B, n) -> (B,)``."""
    return np.array([order_to_class(order) for order in orders.tolist()], dtype=np.int64)
