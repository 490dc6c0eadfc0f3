"""A plan: all that is random about a batch, drawn before a pixel is touched.

Plans are small arrays, made alike by every process from the seed and the step alone. So a resumed run
goes on with the same batches, and several processes take their rows of one plan.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from imgorder.permutations import order_to_class
from imgorder.preprocess import DEFAULT, Preprocessing
from imgorder.training.config import TrainConfig

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """Sets as a source gives them, in temporal order.

    Attributes:
        frames: numbers in the store, ``(B, n)``.
        orders: the order that is asked for, ``(B, n)``: the image shown at place ``orders[b, t]`` is
            t-th in time.
        squares: top, left and side of each set's crop in px, ``(B, 3)``.
    """

    frames: Indices
    orders: Indices
    squares: Indices


@dataclass(frozen=True)
class Plan:
    """A batch of B sets of n images in the order in which they are shown.

    Attributes:
        frames: numbers in the store, ``(B, n)``.
        top, left, side: each image's square in px, ``(B, n)``; it is scaled to ``size``.
        turn: radians by which each square is turned about its middle, float32 ``(B, n)``; a corner that
            then lies outside the frame shows the nearest pixel of it.
        flip: whether a set is mirrored, bool ``(B,)``.
        gain: factor on each channel of each image, float32 ``(B, n, 3)``.
        offset: added to a set's values in 0…255, float32 ``(B,)``.
        target: permutation class of each set, ``(B,)``.
        size: side of the network's input in px.
    """

    frames: Indices
    top: Indices
    left: Indices
    side: Indices
    turn: npt.NDArray[np.float32]
    flip: Flags
    gain: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    target: Indices
    size: int = DEFAULT.crop

    def rows(self, first: int, step: int) -> Plan:
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


def draw_square(rng: np.random.Generator, config: TrainConfig, height: int, width: int) -> tuple[int, int, int]:
    """Top, left and side of a random square inside a frame."""
    side = int(rng.integers(config.crop_min, config.crop_max + 1))
    return int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side


def centre_squares(height: Indices, width: Indices, spec: Preprocessing = DEFAULT) -> Indices:
    """The centre crop of the preprocessing in frames of any scale, ``(B,) -> (B, 3)``."""
    side = np.minimum(height, width) * spec.crop // spec.shorter_edge
    return np.stack([(height - side) // 2, (width - side) // 2, side], axis=1)


def make_plan(rng: np.random.Generator, config: TrainConfig, drawn: Drawn, height: Indices, width: Indices) -> Plan:
    """Vary what a source has drawn, as the config says.

    Args:
        rng: of the step.
        config: of the run.
        drawn: B sets.
        height, width: of their frames, ``(B,)``.
    """
    count, n = drawn.frames.shape
    square = np.repeat(drawn.squares[:, None], n, axis=1)  # (B, n, 3)
    shaken: Flags = rng.random((count,)) < config.shift
    moves = rng.integers(-3, 4, (count, n, 3)) * shaken[:, None, None]
    side = np.clip(square[..., 2] + moves[..., 2], 64, np.minimum(height, width)[:, None])
    side = np.where(shaken[:, None], side, square[..., 2])
    top = np.clip(square[..., 0] + moves[..., 0], 0, height[:, None] - side)
    left = np.clip(square[..., 1] + moves[..., 1], 0, width[:, None] - side)
    turn = np.zeros((count, n), np.float32)
    if config.turn:  # a run without it draws what it always drew
        turn = np.deg2rad(rng.uniform(-config.turn, config.turn, (count, n)) * shaken[:, None]).astype(np.float32)
    flip: Flags = rng.random((count,)) < config.flip
    gain, offset = np.ones((count, n, 3), np.float32), np.zeros(count, np.float32)
    if config.light:
        gain, offset = draw_light(rng, count, n)
    shown = np.argsort(drawn.orders, axis=1)
    rows = np.arange(count)[:, None]
    return Plan(
        frames=drawn.frames[rows, shown],
        top=top[rows, shown],
        left=left[rows, shown],
        side=side[rows, shown],
        turn=turn[rows, shown],
        flip=flip,
        gain=gain,
        offset=offset,
        target=classes_of(drawn.orders),
        size=config.image_size,
    )


def plain_plan(
    frames: Indices, orders: Indices, height: Indices, width: Indices, spec: Preprocessing = DEFAULT
) -> Plan:
    """Sets ``(B, n)`` in temporal order as validation shows them: centre crops, nothing varied."""
    plain = TrainConfig(shorter_edge=spec.shorter_edge, image_size=spec.crop)
    drawn = Drawn(frames, orders, centre_squares(height, width, spec))
    return make_plan(np.random.default_rng(0), plain, drawn, height, width)


def draw_light(rng: np.random.Generator, count: int, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Exposure, white balance and brightness offset of each set, and of four sets in ten a little of each image.

    Returns:
        gains ``(count, n, 3)`` and offsets ``(count,)``.
    """

    def around_one(shape: tuple[int, ...], spread: float) -> npt.NDArray[np.float64]:
        return np.exp(rng.uniform(-spread, spread, shape))

    gain = around_one((count, 1, 1), 0.35) * around_one((count, 1, 3), 0.12)
    each = rng.random((count, 1, 1)) < 0.4
    gain = gain * np.where(each, around_one((count, n, 1), 0.08), 1.0)
    # A camera that balances white from photo to photo must not be taken for time that passes.
    each = rng.random((count, 1, 1)) < 0.4
    gain = gain * np.where(each, around_one((count, n, 3), 0.1), 1.0)
    return gain.astype(np.float32), rng.uniform(-20, 20, count).astype(np.float32)


def classes_of(orders: Indices) -> Indices:
    """Class of each order, ``(B, n) -> (B,)``."""
    return np.array([order_to_class(order) for order in orders.tolist()], dtype=np.int64)
