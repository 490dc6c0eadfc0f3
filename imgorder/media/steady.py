"""The second view of a set: what moves once the camera's own movement is taken out.

Photos from a hand are shifted, turned and zoomed against each other, and networks take that for movement of the
scene. So a set is shown twice: as it is, and mirrored with each photo laid over one of them, by the similarity
transform that fits most of the picture. Where the camera stood still, or no transform fits, the second view is the
mirror image alone. Where two cameras took the photos of a small set, from two places or with two lenses, what differs
between them says nothing of time, so both views are steadied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder.media.preprocess import SCALING, Pixels, Preprocessing, Tensor, denormalise, normalise

Floats = npt.NDArray[np.float32]
Moves = npt.NDArray[np.complex128]
"""Of each photo, ``(n, 2)``: what is at z in the one that all are laid over is here at ``move[0] · z + move[1]``.
Points are complex numbers, x + iy, from the middle of the photo, in units of its side. A factor's length is a zoom and
its angle a turn.
"""

_STAYS = np.array([1, 0], dtype=np.complex128)
_LEVELS = ((16, 8), (32, 6))  # px to which photos are scaled, and rounds at each
_FINE = ((64, 6),)  # then, for photos of two cameras, between which a pixel of shift shows
_APART = 0.06  # least move from one camera's photos to the other's
_TIMES = 2  # and so many times that between photos of one camera, at least
_MOST_OF_TWO = 8  # photos of a set that may be of two cameras
_FARTHEST = 0.3  # largest shift, in units of the side, and largest zoom or turn
_LEAST = 0.004  # shift, zoom or turn; with less, half a pixel, a photo is left as it is
_BETTER = 0.9  # a transform has to bring the difference of most pixels below this share of what it was
_OVERLAP = 0.6  # and so much of the photos has to be seen in both
_MOST = 30  # photos of a set; of more, such as a whole walk, too many do not overlap the one that all are laid over
_ENOUGH = 1e-3  # a round that changes less is the last one


def two_views(tensors: Tensor, spec: Preprocessing) -> tuple[Tensor, Tensor]:
    """A set as networks are shown it: as it is, and steadied and mirrored; each float32 ``(n, 3, crop, crop)``.

    Of two cameras both views are steadied. A set and its mirror image give the same two views: the first one is that
    whose left half is the brighter one. A very large set is mirrored alone.
    """
    half = tensors.shape[-1] // 2
    if tensors[..., :half].sum(dtype=np.float64) < tensors[..., -half:].sum(dtype=np.float64):
        tensors = tensors[..., ::-1]
    pixels = denormalise(tensors, spec)
    moves = find_moves(pixels) if len(pixels) <= _MOST else np.tile(_STAYS, (len(pixels), 1))
    steadied = tensors.copy()
    for index, move in enumerate(moves):
        if not np.array_equal(move, _STAYS):
            steadied[index] = normalise(lay_over(pixels[index], move), spec)
    first = steadied if are_of_two_cameras(moves) else tensors
    return np.ascontiguousarray(first), np.ascontiguousarray(steadied[..., ::-1])


def find_moves(pixels: Pixels) -> Moves:
    """How each photo of a set has to be moved to lie over one of them, which stays; so do all that nothing fits.

    Lucas and Kanade's way: the difference of two photos is explained by the gradients of one, a little more in each
    round, first in small pictures. Pixels that do not fit, where something in the scene moves, count little; so do
    brightness and contrast, which have unknowns of their own.
    """
    moves = _fit(pixels, np.tile(_STAYS, (len(pixels), 1)), _LEVELS)
    return _fit(pixels, moves, _FINE) if are_of_two_cameras(moves) else moves


def are_of_two_cameras(moves: Moves) -> bool:
    """Whether photos fall into two groups of two or more, each moved alike, and one far from the other.

    The photos of one moving camera have no gap between their moves that is far larger than all others. Many photos
    always count as those of one camera: some of them are too far from the others to be fitted, which looks like a gap.
    """
    if len(moves) > _MOST_OF_TWO:
        return False
    apart = np.abs(moves[:, None] - moves[None]).max(axis=-1)
    groups = [[index] for index in range(len(moves))]
    gap = 0.0

    def between(some: list[int], others: list[int]) -> float:
        return float(apart[np.ix_(some, others)].min())

    while len(groups) > 2:  # the two nearest groups become one
        gap, one, other = min((between(a, b), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups[:i]))
        groups[other] += groups.pop(one)
    return min(map(len, groups)) > 1 and between(*groups) > max(_APART, _TIMES * gap)


def _fit(pixels: Pixels, moves: Moves, levels: Sequence[tuple[int, int]]) -> Moves:
    """Better moves, from pictures of one size after the other; photos that go too far, or do not fit, stay."""
    count = len(pixels)
    lost = np.zeros(count, dtype=bool)
    middle = _find_middle(_shrink(pixels, _LEVELS[0][0]))
    for side, rounds in levels:
        greys = _shrink(pixels, side)
        still = greys[middle].ravel()
        slopes = _slopes(greys[middle])
        products = (slopes[:, :, None] * slopes[:, None, :]).reshape(side * side, 36)
        for _ in range(rounds):
            seen, inside = _look(greys, moves)
            error = seen - still
            spread = 1.48 * np.median(np.abs(error - np.median(error, axis=1, keepdims=True)), axis=1, keepdims=True)
            weight = (inside / (1 + (error / (2 * spread + 2)) ** 2)).astype(np.float32)
            left = (weight @ products).reshape(count, 6, 6) + 1e-2 * np.eye(6, dtype=np.float32)
            step = np.linalg.solve(left, ((weight * error) @ slopes)[..., None])[..., 0].astype(np.float64)
            turn, shift = 1 + step[:, 0] + 1j * step[:, 1], step[:, 2] + 1j * step[:, 3]
            moves = np.stack([moves[:, 0] / turn, moves[:, 1] - moves[:, 0] * shift / turn], axis=1)
            lost |= (np.abs(moves - _STAYS) > _FARTHEST).any(axis=1)
            moves[lost] = _STAYS
            if np.abs(step[:, :4]).max() < _ENOUGH:
                break
    after, overlap = _judge(greys, moves, middle)
    before, _ = _judge(greys, np.tile(_STAYS, (count, 1)), middle)
    fits = (after < _BETTER * before) & (overlap > _OVERLAP) & (np.abs(moves - _STAYS).max(axis=1) > _LEAST)
    fits[middle] = False
    moves[~fits] = _STAYS
    return moves


def lay_over(pixels: Pixels, move: npt.NDArray[np.complex128]) -> Pixels:
    """A photo, uint8 ``(S, S, 3)``, as it looks moved; what comes in from outside shows its border."""
    side = pixels.shape[0]
    border = int(2 * _FARTHEST * side)
    wide = np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="edge")
    factor, shift = complex(move[0]), complex(move[1]) * side
    start = (1 - factor) * side / 2 * (1 + 1j) + shift + border * (1 + 1j)
    matrix = (factor.real, -factor.imag, start.real, factor.imag, factor.real, start.imag)
    moved = Image.fromarray(wide).transform((side, side), Image.Transform.AFFINE, matrix, resample=SCALING)
    return np.asarray(moved)


def _shrink(pixels: Pixels, side: int) -> Floats:
    """Grey ``(n, side, side)``."""
    small = (Image.fromarray(each).convert("L").resize((side, side), Image.Resampling.BOX) for each in pixels)
    return np.stack([np.asarray(each, dtype=np.float32) for each in small])


def _find_middle(greys: Floats) -> int:
    """The photo that differs least from all others."""
    rows = greys.reshape(len(greys), -1)
    return int(np.argmin([np.abs(rows - row).mean() for row in rows]))


def _places(side: int) -> tuple[Floats, Floats]:
    """x and y of each pixel, in units of the side."""
    along = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    return np.tile(along, side), np.repeat(along, side)


def _slopes(grey: Floats) -> Floats:
    """What each pixel changes by with zoom, turn, shift to the right and down, brightness and contrast, ``(S², 6)``."""
    side = grey.shape[0]
    x, y = _places(side)
    down, across = (each.ravel() * side for each in np.gradient(grey))
    parts = [across * x + down * y, down * x - across * y, across, down, np.ones_like(x), (grey - grey.mean()).ravel()]
    return np.stack(parts, axis=1).astype(np.float32)


def _look(greys: Floats, moves: Moves) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Moved photos, ``(n, S²)``, by bilinear interpolation; and where they are seen at all."""
    side = greys.shape[1]
    x, y = _places(side)
    places = moves[:, :1] * (x + 1j * y) + moves[:, 1:]
    right, down = ((part * side + (side - 1) / 2).astype(np.float32) for part in (places.real, places.imag))
    inside = (right >= 0) & (right <= side - 1) & (down >= 0) & (down <= side - 1)
    right, down = (np.clip(each, 0, side - 1.001) for each in (right, down))
    column, row = right.astype(np.int64), down.astype(np.int64)
    across, below = right - column, down - row
    flat = greys.ravel()
    first = (np.arange(len(greys)) * side * side)[:, None] + row * side + column
    upper = flat[first] + (flat[first + 1] - flat[first]) * across
    lower = flat[first + side] + (flat[first + side + 1] - flat[first + side]) * across
    return upper + (lower - upper) * below, inside


def _judge(greys: Floats, moves: Moves, middle: int) -> tuple[Floats, Floats]:
    """How much most pixels of moved photos differ from the middle one in light made alike, and the shared part."""
    seen, inside = _look(greys, moves)
    own = _alike(np.where(inside, seen, np.nan))
    other = _alike(np.where(inside, greys[middle].ravel(), np.nan))
    return np.nanmedian(np.abs(own - other), axis=1), inside.mean(axis=1, dtype=np.float32)


def _alike(values: Floats) -> Floats:
    mean, spread = np.nanmean(values, axis=1, keepdims=True), np.nanstd(values, axis=1, keepdims=True)
    return np.asarray((values - mean) / (spread + 1), dtype=np.float32)
