"""Rendered sets in which only one thing moves, and how much of a heat map lies on it.

A striped disc crosses a still, textured ground, so that what moved is known to the pixel. The benchmark of heat
maps and its tests measure with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder.heatmaps.heatmap import maps_in_order
from imgorder.heatmaps.maps import Array
from imgorder.heatmaps.overlay import find_stride, round_box, upsample_strips
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import Preprocessing, preprocess_set, seen_box

SIZE = (480, 360)
RADIUS = 34
START, STEP = (130, 110), (55, 35)  # of the disc's centre; within the square that every network sees
NEAR = 40  # px around the disc in which the features of small cells know of it as well
COLOURS = np.array([[250, 40, 30], [250, 240, 230]], np.float32)


@dataclass(frozen=True)
class Scene:
    """A set whose motion is known.

    Attributes:
        photos: in temporal order.
        centres: of the disc, ``(n, 2)``, x and y in px.
    """

    photos: list[Image.Image]
    centres: npt.NDArray[np.float64]


def render(n: int, shake: int = 0, seed: int = 5) -> Scene:
    """A striped disc on its way over a still, textured ground.

    Args:
        n: how many photos.
        shake: with each photo the camera, and so all of the picture, moves by up to so many px each way.
        seed: of the ground, the shake, and which of four ways the disc takes.
    """
    rng = np.random.default_rng(seed)
    width, height = SIZE
    coarse = Image.fromarray(rng.integers(40, 216, (13, 17, 3), dtype=np.uint8))
    ground = np.asarray(coarse.resize((width + 40, height + 40), Image.Resampling.BICUBIC), dtype=np.float32)
    mirrored = rng.integers(0, 2, 2)
    y, x = np.mgrid[0:height, 0:width]
    photos, centres = [], []
    for t in range(n):
        dx, dy = rng.integers(-shake, shake + 1, 2) if shake else (0, 0)
        photo = ground[20 + dy : 20 + dy + height, 20 + dx : 20 + dx + width].copy()
        way = np.array(START) + np.array(STEP) * t * min(1, 4 / (n - 1))  # six photos have shorter steps
        cx, cy = np.where(mirrored, SIZE - way, way) - (dx, dy)
        inside = np.hypot(x - cx, y - cy) < RADIUS
        stripes = ((x - cx) // 8 % 2).astype(int)
        photo[inside] = COLOURS[stripes[inside]]
        photos.append(Image.fromarray(photo.astype(np.uint8)))
        centres.append((cx, cy))
    return Scene(photos, np.array(centres))


@dataclass(frozen=True)
class Light:
    """How a map lies around the disc of its photo.

    The disc's region is the disc and half a cell of the map around it: a map cannot say more exactly where a
    thing is. Nothing moves further than a cell from the disc in all photos of the set.

    Attributes:
        disc: mean value on the disc.
        still: mean value where nothing moves.
        share: of the sum of all values, in the disc's region, 0…1.
        area: share of that region in the square, which is the share of a map that knows nothing.
        best: the share of a map whose cells hold how much of each the disc covers.
    """

    disc: float
    still: float
    share: float
    area: float
    best: float


@dataclass(frozen=True)
class Seen:
    """What a model made of a scene.

    Attributes:
        right: whether it found the order.
        cells: layer -> side of a cell in px of the photo.
        lights: layer -> one `Light` for each photo.
    """

    right: bool
    cells: dict[str, float]
    lights: dict[str, list[Light]]


def look(model: OrderingModel, scene: Scene) -> Seen:
    """Order a scene and measure its maps as `imgorder heatmap` shows them.

    Raises:
        ModelError: if the model has no maps.
    """
    tensors = preprocess_set(scene.photos, model.preprocessing)
    maps = maps_in_order(model, tensors, model.order_tensors([tensors])[0])
    in_time = list(range(len(tensors)))
    cells = {name: find_stride(heat[0], maps.spec.crop) * max(_zoom(maps.spec)) for name, heat in maps.layers.items()}
    lights = {name: _lights(heat, cells[name], scene, maps.spec) for name, heat in maps.layers.items()}
    return Seen(list(maps.order) in (in_time, in_time[::-1]), cells, lights)


def ratio(lights: Iterable[Light]) -> float:
    """How many times as bright the disc is as what is still, the median; infinite where that is quite dark."""
    return float(np.median([light.disc / light.still if light.still else np.inf for light in lights]))


def _lights(maps: Array, cell: float, scene: Scene, spec: Preprocessing) -> list[Light]:
    left, top, right, bottom = round_box(seen_box(SIZE, spec))
    y, x = np.mgrid[top:bottom, left:right]
    distances = np.stack([np.hypot(x - cx, y - cy) for cx, cy in scene.centres])
    still = distances.min(axis=0) > RADIUS + max(NEAR, cell)

    def large(heat: Array) -> Array:
        rows = [strip[:, left:right] for _, strip in upsample_strips(heat, SIZE, spec)]
        return np.concatenate(rows)[top:bottom]

    found = []
    for heat, distance, centre in zip(maps, distances, scene.centres, strict=True):
        values, covered = large(heat), large(_covered(heat, centre, spec))
        region = distance < RADIUS + cell / 2
        share, best = (float(each[region].sum() / each.sum()) for each in (values, covered))
        disc, ground = float(values[distance < RADIUS].mean()), float(values[still].mean())
        found.append(Light(disc, ground, share, float(region.mean()), best))
    return found


def _covered(heat: Array, centre: npt.NDArray[np.float64], spec: Preprocessing) -> Array:
    """How much of each cell the disc covers; the i-th cell lies around pixel stride·i of the input, as maps do."""
    stride, side = find_stride(heat, spec.crop), len(heat)
    left, top, _, _ = seen_box(SIZE, spec)
    across, down = _zoom(spec)
    y, x = np.mgrid[0 : side * stride, 0 : side * stride] - stride // 2
    inside = np.hypot(left + x * across - centre[0], top + y * down - centre[1]) < RADIUS
    return np.asarray(inside.reshape(side, stride, side, stride).mean(axis=(1, 3)), dtype=np.float32)


def _zoom(spec: Preprocessing) -> tuple[float, float]:
    """Px of the photo to a px of the input, across and down."""
    left, top, right, bottom = seen_box(SIZE, spec)
    return (right - left) / spec.crop, (bottom - top) / spec.crop
