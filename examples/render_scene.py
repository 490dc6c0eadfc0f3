#!/usr/bin/env python3
"""Render a photo set to try imgorder on: a hot-air balloon over a landscape, from a shaking hand.

The same seed always gives the same scene; another seed gives other hills, colours, light, balloon
and course. Nothing in the files tells the order: the names are shuffled and there is no EXIF.

    python examples/render_scene.py OUT_DIR --photos 5 --seed 7

Lengths are in picture widths, so one scene looks the same at every size: x runs from 0 (left) to 1
(right), y from 0 (top) to height/width (bottom). Colours are sRGB floats, 0 to 1. Arrays are
``(rows, columns)`` or ``(rows, columns, 3)``, float32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, cos, floor, log2, pi, radians, sin
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Array = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

MIN_PHOTOS, MAX_PHOTOS = 2, 26  # the names are photo-a.jpg to photo-z.jpg
QUALITY = 85
MARGIN = 0.04  # painted beyond each edge, so that the shaking camera never looks past the scene
STEP = 0.1  # the balloon's way between two photos
EDGE = 0.13  # the balloon's centre stays this far inside the picture
OVERLAY_SCALE = 2  # trees, fence and grass are drawn at twice the size, then reduced
FENCE = 6.8  # the fence's near end, in eye heights from the camera
BLADES = 8000  # blades of grass on each side of it, in a picture 1600 pixels wide
BALLOON_SCALE = 3  # samples per pixel side of the balloon

# One number per independent random stream: a new detail in one does not change the others.
(LOOK, NOISE, RELIEF, FIELDS, TREES, GRASS, COURSE, CAMERA, SENSOR, NAMES) = range(10)


@dataclass(frozen=True)
class Palette:
    """The light and the colours of one season and hour."""

    sky_top: Colour
    sky_low: Colour
    cloud_lit: Colour
    cloud_dark: Colour
    haze: Colour
    mountain: Colour
    forest: Colour
    fields: tuple[Colour, ...]
    grass: Colour
    grass_dry: Colour
    road: Colour
    leaf_dark: Colour
    leaf_lit: Colour
    flowers: tuple[Colour, ...]
    light: Colour


def _rgb(code: str) -> Colour:
    return int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255


def _rgbs(codes: str) -> tuple[Colour, ...]:
    return tuple(_rgb(code) for code in codes.split())


PALETTES = (
    Palette(  # a clear summer day
        sky_top=_rgb("3d78bd"),
        sky_low=_rgb("c4dcec"),
        cloud_lit=_rgb("fdfcf8"),
        cloud_dark=_rgb("a9b7c9"),
        haze=_rgb("b4cbdf"),
        mountain=_rgb("5d7696"),
        forest=_rgb("35523a"),
        fields=_rgbs("7f9a4c 93a957 b9ae62 6c8c45 a3b468 c9ba72 5f7f40 8a7f52"),
        grass=_rgb("5d7f33"),
        grass_dry=_rgb("a39b56"),
        road=_rgb("b8a684"),
        leaf_dark=_rgb("1f3618"),
        leaf_lit=_rgb("86a545"),
        flowers=_rgbs("f4f1e4 e9c83f d95b4a"),
        light=(1.0, 0.985, 0.94),
    ),
    Palette(  # a golden evening
        sky_top=_rgb("5f86b4"),
        sky_low=_rgb("f6d6a6"),
        cloud_lit=_rgb("fff0d6"),
        cloud_dark=_rgb("b79a9e"),
        haze=_rgb("e0c3a6"),
        mountain=_rgb("7d7793"),
        forest=_rgb("4a4f30"),
        fields=_rgbs("a59a4a b8a452 d0b05a 8b8a42 c2a24e d8bd6c 7c7c3e 96743f"),
        grass=_rgb("7d7c31"),
        grass_dry=_rgb("c4a552"),
        road=_rgb("c9a77c"),
        leaf_dark=_rgb("2b2f14"),
        leaf_lit=_rgb("a89a3c"),
        flowers=_rgbs("f7e8c8 efc23a c65f8a"),
        light=(1.0, 0.95, 0.84),
    ),
    Palette(  # an autumn morning
        sky_top=_rgb("5a86b8"),
        sky_low=_rgb("e2dde0"),
        cloud_lit=_rgb("fbf6f4"),
        cloud_dark=_rgb("a6a9bb"),
        haze=_rgb("c9cad4"),
        mountain=_rgb("6f7a94"),
        forest=_rgb("6b4a2c"),
        fields=_rgbs("8f8c4c a8894a 7d8a49 b59b5c 94703f c0a765 707f45 866a48"),
        grass=_rgb("6c7a36"),
        grass_dry=_rgb("b09650"),
        road=_rgb("b09a80"),
        leaf_dark=_rgb("4a2412"),
        leaf_lit=_rgb("d4883a"),
        flowers=_rgbs("efe6dc e4b64a a66ab0"),
        light=(1.0, 0.975, 0.92),
    ),
)

FABRICS = (
    _rgbs("c8322b f2efe6 e8a526"),
    _rgbs("c8322b f0c23c 23508f f2efe6"),
    _rgbs("1f4f96 f3eee2 d9452f"),
    _rgbs("7440b4 f0b53a d8432e"),
    _rgbs("0f7a75 f5ead2 e2692d"),
    _rgbs("d9432c ee8a2b f5c63c 4b9a4a 2b6cb0 6a3d95"),
)


class Noise:
    """Smooth value noise on the plane, from one random table that repeats every 256 units."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the table."""
        self._table = rng.random(256 * 256, dtype=np.float32)

    def at(self, x: Array, y: Array) -> Array:
        """Values 0 to 1 at the points, one random value per unit square, joined smoothly."""
        column, row = np.floor(x), np.floor(y)
        tx, ty = _fade(x - column), _fade(y - row)
        i, j = column.astype(np.int32), row.astype(np.int32)
        left, right, top, bottom = i & 255, (i + 1) & 255, (j & 255) << 8, ((j + 1) & 255) << 8
        a, b = self._table.take(top + left), self._table.take(top + right)
        c, d = self._table.take(bottom + left), self._table.take(bottom + right)
        upper, lower = a + (b - a) * tx, c + (d - c) * tx
        result: Array = upper + (lower - upper) * ty
        return result

    def octaves(self, x: Array, y: Array, count: int, gain: float = 0.5) -> Array:
        """The sum of ``count`` octaves, scaled to the range 0 to 1 with its mean at 0.5."""
        total = np.zeros(np.broadcast(x, y).shape, dtype=np.float32)
        weight, weights = 1.0, 0.0
        for octave in range(count):
            scale, shift = 2.0**octave, 37.7 * octave
            total += np.float32(weight) * self.at(x * scale + shift, y * scale - shift)
            weights += weight
            weight *= gain
        result: Array = total / np.float32(weights)
        return result


def _fade(t: Array) -> Array:
    result: Array = t * t * (3 - 2 * t)
    return result


def _step(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    return _fade(np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1))


def _mix(a: Array | Colour, b: Array | Colour, amount: Array) -> Array:
    """``a`` where ``amount`` (rows, columns) is 0, ``b`` where it is 1; colours (rows, columns, 3)."""
    first, second = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
    result: Array = first + (second - first) * amount[..., None]
    return result


def _blend(a: Colour, b: Colour, amount: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * amount, a[1] + (b[1] - a[1]) * amount, a[2] + (b[2] - a[2]) * amount)


def _stream(seed: int, stream: int, *index: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream, *index])


@dataclass(frozen=True)
class Canvas:
    """The painted area: the picture and a margin around it.

    Attributes:
        rows, columns: pixels of the painted area.
        margin: pixels of the margin on each side.
        pixel: the side of one pixel.
        x, y: pixel centres, ``(1, columns)`` and ``(rows, 1)``.
        bottom: the picture's height.
    """

    rows: int
    columns: int
    margin: int
    pixel: float
    x: Array
    y: Array
    bottom: float

    @classmethod
    def of(cls, width: int, height: int) -> Canvas:
        """The canvas for photos of ``width`` x ``height`` pixels."""
        margin = ceil(MARGIN * max(width, height))
        rows, columns = height + 2 * margin, width + 2 * margin
        x = (np.arange(columns, dtype=np.float32)[None, :] - margin + 0.5) / width
        y = (np.arange(rows, dtype=np.float32)[:, None] - margin + 0.5) / width
        return cls(rows, columns, margin, 1 / width, x.astype(np.float32), y.astype(np.float32), height / width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def detail(self) -> float:
        """The share of leaves and blades of grass worth drawing at this size."""
        return min(1.0, max(0.2, 1 / self.pixel / 1600))

    def above(self, y: float) -> Canvas:
        """The upper part of the canvas, down to ``y``."""
        rows = min(self.rows, round(y / self.pixel) + self.margin)
        return replace(self, rows=rows, y=self.y[:rows])

    def cover(self, edge: Array) -> Array:
        """How much of each pixel lies below the line ``edge`` (y of each column), 0 to 1."""
        result: Array = np.clip((self.y - edge) / np.float32(self.pixel) + 0.5, 0, 1).astype(np.float32)
        return result

    def octave_count(self, frequency: float, most: int) -> int:
        """Octaves from ``frequency`` (per width) on that these pixels can still show."""
        return max(1, min(most, 1 + floor(log2(0.5 / self.pixel / frequency))))


@dataclass(frozen=True)
class Look:
    """What one seed decides about the whole scene."""

    palette: Palette
    fabric: tuple[Colour, ...]
    pattern: int
    gores: int
    sun: float  # -1: the light comes from the left, 1: from the right
    wind: float  # -1: clouds and balloon move to the left, 1: to the right
    skyline: float  # y of the far hills' foot, as a share of the height
    meadow: float  # y of the meadow's far edge, as a share of the height


def _look(seed: int) -> Look:
    rng = _stream(seed, LOOK)
    return Look(
        palette=PALETTES[rng.integers(len(PALETTES))],
        fabric=FABRICS[rng.integers(len(FABRICS))],
        pattern=int(rng.integers(3)),
        gores=int(rng.choice([18, 24])),
        sun=float(rng.choice([-1, 1])),
        wind=float(rng.choice([-1, 1])),
        skyline=float(rng.uniform(0.56, 0.62)),
        meadow=float(rng.uniform(0.74, 0.78)),
    )


# --- the sky ---------------------------------------------------------------------------------


def _sky(canvas: Canvas, look: Look) -> Array:
    """The cloudless sky, brighter towards the horizon and the sun, ``(rows, columns, 3)``."""
    horizon = look.skyline * canvas.bottom
    height = np.clip(1 - canvas.y / np.float32(horizon), 0, 1.3)
    sky = _mix(look.palette.sky_low, look.palette.sky_top, np.broadcast_to(_step(-0.1, 1.15, height), canvas.shape))
    sun_x = 0.5 + 0.6 * look.sun
    distance = np.hypot(canvas.x - np.float32(sun_x), 1.3 * (canvas.y - np.float32(0.35 * horizon)))
    glow = 0.45 * np.exp(-((distance / np.float32(0.45)) ** 2))
    return _mix(sky, look.palette.cloud_lit, glow.astype(np.float32))


def _clouds(canvas: Canvas, look: Look, noise: Noise, time: float) -> tuple[Array, Array]:
    """Colour ``(rows, columns, 3)`` and cover ``(rows, columns)`` of the clouds at ``time`` (in photos)."""
    horizon = np.float32(look.skyline * canvas.bottom)
    depth = 1 / (np.maximum(horizon - canvas.y, 0) + np.float32(0.2))  # clouds get flat and small far away
    u = (canvas.x - np.float32(0.5)) * depth * np.float32(0.75) - np.float32(0.03 * look.wind * time)
    v = np.broadcast_to(depth * np.float32(1.25), u.shape)
    count = canvas.octave_count(6, 7)
    bend = noise.octaves(u * 2 + 11, v * 2 + 5, 3) - np.float32(0.5)
    u, v = u + np.float32(0.25) * bend, v + np.float32(0.25) * bend
    density = noise.octaves(u * 2.1, v * 2.1, count)
    sunward = noise.octaves(u * 2.1 + np.float32(0.12 * look.sun), v * 2.1 + np.float32(0.12), min(count, 5))
    cover = _step(0.475, 0.62, density) * _step(0.0, 0.12, horizon - canvas.y)
    lit = np.clip(np.float32(0.72) + 3.2 * (density - sunward) - 1.3 * (density - np.float32(0.55)), 0, 1)
    return _mix(look.palette.cloud_dark, look.palette.cloud_lit, lit.astype(np.float32)), cover * np.float32(0.93)


# --- the land --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Land:
    """The still part of the scene.

    Attributes:
        colour: ``(rows, columns, 3)``.
        cover: where there is land rather than sky, ``(rows, columns)``.
        front: what stands in front of land and balloon, ``(rows, columns, 3)``.
        front_cover: ``(rows, columns)``.
    """

    colour: Array
    cover: Array
    front: Array
    front_cover: Array


def _ridge(canvas: Canvas, noise: Noise, base: float, rise: float, frequency: float, row: float) -> Array:
    """A skyline, ``(1, columns)``: y between ``base - rise`` and ``base``."""
    count = canvas.octave_count(frequency, 7)
    shape = noise.octaves(canvas.x * np.float32(frequency) + 50, np.full_like(canvas.x, row), count, 0.45)
    result: Array = np.float32(base) - np.float32(rise) * (shape * 1.5 - np.float32(0.25))
    return result


def _mountains(canvas: Canvas, look: Look, noise: Noise, far: float, edge: Array) -> Array:
    """Slopes in the haze, ``(rows, columns, 3)``; ``far`` is 0 (near) to 1 (lost in the haze)."""
    x, y = np.broadcast_arrays(canvas.x, canvas.y - edge)
    u, v = x * 9 + np.float32(31 * far), y * 14
    relief = noise.octaves(u, v, canvas.octave_count(14, 6), 0.55)
    lit = relief - noise.octaves(u + np.float32(0.25 * look.sun), v - np.float32(0.1), canvas.octave_count(14, 6), 0.55)
    base = _blend(look.palette.mountain, look.palette.haze, far)
    shade = 1 + (1.1 - 0.6 * far) * lit
    foot = _step(0.0, 0.16, y) * np.float32(0.5)  # mist gathers in the valley
    return _mix(np.asarray(base, dtype=np.float32) * shade[..., None], look.palette.haze, foot)


def _forest(canvas: Canvas, look: Look, noise: Noise, edge: Array) -> Array:
    """A wooded hill: tree tops as bright blobs over dark gaps, ``(rows, columns, 3)``."""
    x, y = np.broadcast_arrays(canvas.x, canvas.y - edge)
    crowns = noise.octaves(x * 110, y * 190, canvas.octave_count(110, 3), 0.6)
    stands = noise.octaves(x * 7 + 3, y * 18, 4)
    lit = crowns - noise.octaves(x * 110 + np.float32(0.4 * look.sun), y * 190 - np.float32(0.4), 1)
    shade = np.float32(0.55) + np.float32(0.65) * crowns + np.float32(0.25) * lit + np.float32(0.5) * (stands - 0.5)
    colour = _mix(look.palette.forest, look.palette.leaf_lit, (stands * np.float32(0.45)).astype(np.float32))
    return _mix(colour * shade[..., None], look.palette.haze, np.float32(0.30) - np.float32(0.15) * _step(0, 0.1, y))


def _fields(canvas: Canvas, look: Look, noise: Noise, seed: int, edge: Array) -> Array:
    """A hillside of fields with hedges between them, ``(rows, columns, 3)``."""
    rng = _stream(seed, FIELDS)
    x, y = np.broadcast_arrays(canvas.x, canvas.y - edge)
    bend = noise.octaves(x * 5, y * 12, 2) - np.float32(0.5)
    # Rows of fields get lower towards the crest, as they do on a hill seen from the side.
    px, py = x + np.float32(0.08) * bend, np.sqrt(np.maximum(y + np.float32(0.01), 0)) + np.float32(0.05) * bend
    nearest = np.full(x.shape, 9, dtype=np.float32)
    second = np.full(x.shape, 9, dtype=np.float32)
    colour = np.zeros((*x.shape, 3), dtype=np.float32)
    for _ in range(46):
        cx, cy, turn = rng.uniform(-0.1, 1.1), rng.uniform(0.05, 0.5), rng.uniform(0, pi)
        base = np.asarray(look.palette.fields[rng.integers(len(look.palette.fields))], dtype=np.float32)
        distance = np.hypot(px - np.float32(cx), (py - np.float32(cy)) * np.float32(0.8))
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        along = px[closer] * np.float32(cos(turn)) + py[closer] * np.float32(sin(turn))
        furrows = 1 + np.float32(rng.uniform(0.02, 0.09)) * np.sin(along * np.float32(rng.uniform(300, 520)))
        colour[closer] = base * furrows[:, None]
    grain = noise.octaves(x * 60, y * 160, canvas.octave_count(60, 4), 0.6)
    hills = noise.octaves(x * 4 + 7, y * 9, 3)
    colour *= (np.float32(0.62) + np.float32(0.32) * grain + np.float32(0.42) * hills)[..., None]
    hedge = 1 - _step(0.002, 0.006, second - nearest + np.float32(0.008) * (grain - np.float32(0.5)))
    colour = _mix(colour, look.palette.forest, hedge * np.float32(0.85))
    return _mix(colour, look.palette.haze, np.float32(0.24) - np.float32(0.2) * _step(0.0, 0.16, y))


def _ground(canvas: Canvas, look: Look) -> tuple[Array, Array]:
    """Where each pixel of the meadow lies: sideways and away, in eye heights, ``(rows, columns)``."""
    drop = np.maximum(canvas.y - np.float32(_eye_level(canvas, look)), np.float32(0.02))
    side = (canvas.x - np.float32(0.5)) / drop
    return side, np.broadcast_to(1 / drop, side.shape)


def _eye_level(canvas: Canvas, look: Look) -> float:
    return look.meadow * canvas.bottom - 0.05


def _road_centre(away: Array, look: Look) -> Array:
    """The road's course over the meadow, in eye heights to the right of the middle."""
    result: Array = np.float32(-0.9 * look.sun) + np.float32(0.9 * look.sun) * np.sin(away * np.float32(0.26))
    return result


def _meadow(canvas: Canvas, look: Look, noise: Noise) -> Array:
    """Grass in perspective with a farm track through it, ``(rows, columns, 3)``."""
    palette = look.palette
    side, away = _ground(canvas, look)
    patches = noise.octaves(side * 1.1, away * 0.7, 4)
    tufts = noise.octaves(side * 9, away * 5, 4, 0.65)
    tufts = tufts + (np.float32(0.5) - tufts) * _step(7, 17, away)  # far away a pixel holds many
    x, y = np.broadcast_arrays(canvas.x, canvas.y)
    blades = noise.octaves(x * 260, y * 90, canvas.octave_count(260, 2))
    colour = _mix(palette.grass, palette.grass_dry, _step(0.36, 0.72, patches * 0.7 + tufts * np.float32(0.3)))
    colour = colour * (np.float32(0.5) + np.float32(0.55) * tufts + np.float32(0.4) * blades)[..., None]
    offset = np.abs(side - _road_centre(away, look)) + np.float32(0.22) * (tufts - np.float32(0.5))
    gravel = noise.octaves(side * 30, away * 14, 3, 0.7)
    dirt = np.asarray(palette.road, dtype=np.float32) * (np.float32(0.62) + np.float32(0.5) * gravel)[..., None]
    track = (1 - _step(0.42, 0.56, offset)) * _step(0.04, 0.16, offset)
    return _mix(colour, dirt, track * np.float32(0.92))


def _land(canvas: Canvas, look: Look, noise: Noise, seed: int) -> Land:
    """Mountains, hills, fields and meadow, from far to near, and what grows on them."""
    bottom = canvas.bottom
    sky_line, meadow_line = look.skyline * bottom, look.meadow * bottom
    row = float(_stream(seed, RELIEF).uniform(0, 200))
    far = _ridge(canvas, noise, sky_line, 0.17, 3.5, row + 0.5)
    near = _ridge(canvas, noise, sky_line + 0.015, 0.10, 4.5, row + 7.3)
    wood = _ridge(canvas, noise, sky_line + 0.035, 0.06, 3.0, row + 13.1)
    tops = noise.octaves(canvas.x * 190, np.full_like(canvas.x, row), canvas.octave_count(190, 3))
    wood = wood - np.float32(0.010) * tops
    farm = _ridge(canvas, noise, sky_line + 0.065, 0.045, 2.2, row + 19.7)
    crest = _ridge(canvas, noise, meadow_line, 0.03, 1.6, row + 29.9)
    crest = crest - np.float32(0.003) * noise.at(canvas.x * 400, np.full_like(canvas.x, row))

    cover = canvas.cover(far)
    colour = _mountains(canvas, look, noise, 0.72, far)
    colour = _mix(colour, _mountains(canvas, look, noise, 0.42, near), canvas.cover(near))
    colour = _mix(colour, _forest(canvas, look, noise, wood), canvas.cover(wood))
    colour = _mix(colour, _fields(canvas, look, noise, seed, farm), canvas.cover(farm))
    groves = _overlay(canvas, lambda pen: _draw_groves(pen, look, seed, farm, crest, canvas))
    colour = _mix(colour, groves[..., :3], groves[..., 3])
    colour = _mix(colour, _meadow(canvas, look, noise), canvas.cover(crest))
    cover = np.maximum.reduce([cover, canvas.cover(near), canvas.cover(wood), canvas.cover(farm)])
    front = _overlay(canvas, lambda pen: _draw_front(pen, look, seed, canvas))
    return Land(colour * np.asarray(look.palette.light, dtype=np.float32), cover, front[..., :3], front[..., 3])


# --- what grows and stands on the land -------------------------------------------------------


class Pen:
    """Draws in picture widths on a large transparent picture."""

    def __init__(self, canvas: Canvas) -> None:
        """Start with nothing drawn."""
        size = (canvas.columns * OVERLAY_SCALE, canvas.rows * OVERLAY_SCALE)
        self.image = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self.image)
        self._scale = OVERLAY_SCALE / canvas.pixel
        self._shift = OVERLAY_SCALE * canvas.margin

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return x * self._scale + self._shift, y * self._scale + self._shift

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A filled area."""
        self._draw.polygon([self._at(x, y) for x, y in points], fill=_bytes(colour))

    def dot(self, x: float, y: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        """An ellipse ``radius`` wide to each side and ``flat`` times as high."""
        left, top = self._at(x - radius, y - radius * flat)
        right, bottom = self._at(x + radius, y + radius * flat)
        self._draw.ellipse((left, top, right, bottom), fill=_bytes(colour))

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        """A line at least one pixel wide."""
        pixels = max(1, round(width * self._scale))
        self._draw.line([self._at(x, y) for x, y in points], fill=_bytes(colour), width=pixels)


def _bytes(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (min(255, max(0, round(255 * part))) for part in colour)
    return red, green, blue, 255


def _shaded(colour: Colour, amount: float) -> Colour:
    return colour[0] * amount, colour[1] * amount, colour[2] * amount


def _overlay(canvas: Canvas, draw: Callable[[Pen], None]) -> Array:
    """What ``draw`` draws, with smooth edges: colour and cover, ``(rows, columns, 4)``."""
    pen = Pen(canvas)
    draw(pen)
    small = pen.image.resize((canvas.columns, canvas.rows), Image.Resampling.BOX)
    result: Array = np.asarray(small, dtype=np.float32) / np.float32(255)
    return result


def _draw_groves(pen: Pen, look: Look, seed: int, farm: Array, crest: Array, canvas: Canvas) -> None:
    """Small trees in clumps between the fields, far ones first."""
    rng = _stream(seed, TREES, 0)
    spots = []
    for _ in range(26):
        x, share = rng.uniform(-0.03, 1.03), rng.uniform(0.0, 1.0) ** 1.3
        for _ in range(int(rng.integers(1, 9))):
            spots.append((share + rng.normal(0, 0.012), x + rng.normal(0, 0.018), rng.uniform(0.7, 1.25)))
    for share, x, size in sorted(spots):
        top, bottom = (float(np.interp(x, canvas.x[0], edge[0])) for edge in (farm, crest))
        near = min(1.0, max(0.0, share))
        tint = _blend(look.palette.leaf_lit, look.palette.forest, rng.uniform(0, 0.8))
        dark, lit = (_blend(look.palette.haze, leaf, 0.72 + 0.28 * near) for leaf in (look.palette.leaf_dark, tint))
        height, foot = size * (0.010 + 0.016 * near), top + near * (bottom + 0.004 - top)
        pen.dot(x - 0.2 * look.sun * height, foot, 0.4 * height, _shaded(dark, 1.1), 0.14)
        _draw_tree(
            pen, rng, x, foot, height, _shaded(dark, 1.1), _shaded(lit, 0.9), round(90 * canvas.detail), look.sun
        )


def _draw_tree(
    pen: Pen,
    rng: np.random.Generator,
    x: float,
    foot: float,
    height: float,
    dark: Colour,
    lit: Colour,
    leaves: int,
    sun: float,
) -> None:
    """A broad-leaved tree: trunk, boughs from the back to the front, each with its lit and its shaded side."""
    middle, slim = foot - 0.6 * height, 0.028 * height
    bark = _shaded(_blend(dark, (0.30, 0.24, 0.20), 0.7), 1.1)
    pen.polygon(
        [(x - 0.5 * slim, middle), (x + 0.5 * slim, middle), (x + 1.4 * slim, foot), (x - 1.4 * slim, foot)], bark
    )
    boughs = [(0.0, 0.02, 0.25)]
    for turn in np.linspace(0, 2 * pi, 11, endpoint=False) + rng.uniform(0, 2 * pi):
        reach = rng.uniform(0.17, 0.29)
        boughs.append((1.1 * reach * cos(turn), 0.9 * reach * sin(turn), float(rng.uniform(0.10, 0.17))))
    boughs += [(float(rng.normal(0, 0.12)), float(rng.normal(0, 0.12)), 0.13) for _ in range(5)]
    small = height * 0.52 / leaves**0.5
    for bx, by, radius in boughs:
        inner = _blend(dark, lit, min(0.6, max(0.0, 0.22 + 0.4 * sun * bx - 0.6 * by)))
        pen.dot(x + bx * height, middle + by * height, 0.9 * radius * height, inner)
        share = round(leaves * radius / 2.4)
        angle, reaches = rng.uniform(0, 2 * pi, share), np.sqrt(rng.uniform(0, 1.12, share))
        dx, dy = reaches * np.cos(angle), reaches * np.sin(angle)
        px, py = bx + radius * dx, by + radius * dy
        light = 0.38 + 0.20 * sun * dx - 0.30 * dy + 0.5 * sun * px - 0.75 * py + rng.normal(0, 0.10, share)
        size = small * rng.uniform(0.6, 1.3, share)
        for k in np.argsort(light):  # bright leaves lie on dark ones
            colour = _blend(dark, lit, min(1.0, max(0.0, float(light[k]))))
            pen.dot(x + float(px[k]) * height, middle + float(py[k]) * height, float(size[k]), colour, 0.75)


def _draw_front(pen: Pen, look: Look, seed: int, canvas: Canvas) -> None:
    """Two trees at the shaded edge, a fence across the meadow, and grass before and behind it."""
    eye, light = _eye_level(canvas, look), look.palette.light
    rng = _stream(seed, TREES, 1)
    dark, lit = (_product(colour, light) for colour in (look.palette.leaf_dark, look.palette.leaf_lit))
    shade = _shaded(_product(look.palette.grass, light), 0.5)
    trees = [(16.0, 0.30, rng.uniform(2.0, 2.6), 2400), (11.5, 0.435, rng.uniform(2.7, 3.2), 6000)]
    for away, edge, size, _ in trees:
        x, height = 0.5 - look.sun * edge, size / away
        pen.dot(x - 0.22 * look.sun * height, eye + 1 / away, 0.42 * height, shade, 0.1)
    _draw_grass(pen, look, seed, eye, (FENCE, 17.0), canvas.detail)
    for away, edge, size, leaves in trees:
        tint = _blend(lit, _product(look.palette.grass_dry, light), rng.uniform(0, 0.3))
        x = 0.5 - look.sun * edge
        _draw_tree(pen, rng, x, eye + 1 / away, size / away, dark, tint, round(leaves * canvas.detail), look.sun)
    _draw_fence(pen, look, seed, eye)
    _draw_grass(pen, look, seed, eye, (1 / (canvas.bottom + MARGIN - eye), FENCE), canvas.detail)


def _product(a: Colour, b: Colour) -> Colour:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def _draw_fence(pen: Pen, look: Look, seed: int, eye: float) -> None:
    """Posts and two rails, from the sunny edge of the picture into the distance."""
    rng = _stream(seed, TREES, 2)
    wood = _product((0.52, 0.46, 0.38), look.palette.light)
    ends = []
    for k in range(14):
        away = FENCE + 0.85 * k
        side = look.sun * (3.55 - 0.075 * k + 0.06 * sin(0.9 * k))
        lean = float(rng.normal(0, 0.02))
        ends.append((0.5 + side / away, eye + 1 / away, 1 / away, lean, float(rng.uniform(0.8, 1.1))))
    for (x1, y1, s1, *_), (x2, y2, s2, *_) in zip(ends[::-1][1:], ends[::-1], strict=False):
        for level, tone in ((0.24, 0.78), (0.47, 0.92)):
            top, under = level + 0.045, level - 0.035
            rail = [(x1, y1 - top * s1), (x2, y2 - top * s2), (x2, y2 - under * s2), (x1, y1 - under * s1)]
            pen.polygon(rail, _shaded(wood, tone))
            pen.line(rail[2:], 0.012 * s1, _shaded(wood, 0.55 * tone))
    for x, y, size, lean, tone in reversed(ends):
        top, half = y - 0.62 * size, 0.045 * size
        tip = x + lean * size
        pen.polygon([(tip - half, top), (tip + half, top), (x + half, y), (x - half, y)], _shaded(wood, tone))
        shade = -look.sun * half  # the side away from the sun
        face = [(tip + 0.2 * shade, top), (tip + shade, top), (x + shade, y), (x + 0.2 * shade, y)]
        pen.polygon(face, _shaded(wood, 0.6 * tone))


def _draw_grass(pen: Pen, look: Look, seed: int, eye: float, reach: tuple[float, float], detail: float) -> None:
    """Single blades and flowers between two distances (in eye heights), far ones first; none on the road."""
    rng = _stream(seed, GRASS, round(reach[1] * 10))
    count, palette = round(BLADES * detail), look.palette
    away = np.sort(rng.uniform(*reach, count))[::-1]
    x = rng.uniform(-MARGIN, 1 + MARGIN, count)
    lean, tall, tone, dry = (
        rng.normal(0, 0.3, count),
        rng.uniform(0.5, 1.5, count),
        rng.random(count),
        rng.random(count),
    )
    patches = Noise(_stream(seed, GRASS))
    side = (x - 0.5) * away
    patch = patches.octaves((side * 0.8).astype(np.float32), (away * 0.9).astype(np.float32), 3)
    from_road = np.abs(side - _road_centre(away.astype(np.float32), look))
    blossom, kind = rng.random(count), rng.integers(len(palette.flowers), size=count)
    for k in np.flatnonzero((from_road < 0.03) | (from_road > 0.55)):
        size = 1 / float(away[k])
        foot, height = eye + size, 0.13 * size * float(tall[k]) * (0.6 if from_road[k] < 0.5 else 1.0)
        half, bend, start = 0.008 * size, float(lean[k]) * height, float(x[k])
        tip, knee = (start + bend, foot - height), (start + 0.25 * bend, foot - 0.55 * height)
        sides = [(start - half, foot), (knee[0] - half, knee[1]), tip, (knee[0] + half, knee[1]), (start + half, foot)]
        straw = min(1.0, max(0.0, float(dry[k]) ** 2 + 1.6 * (float(patch[k]) - 0.5)))
        colour = _product(_blend(palette.grass, palette.grass_dry, straw), palette.light)
        pen.polygon(sides, _shaded(colour, 0.5 + 0.7 * float(tone[k])))
        if blossom[k] < 0.4 * max(0.0, float(patch[k]) - 0.5):
            pen.dot(*tip, 0.018 * size, _product(palette.flowers[kind[k]], palette.light), 0.7)


# --- the balloon -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Balloon:
    """Where the balloon is in one photo.

    Attributes:
        x, y: the middle of the envelope.
        radius: of the envelope.
        tilt: lean to the right in radians.
        turn: how far it has turned about its axis, in radians.
        shadow_x, shadow_y: the middle of its shadow on the land.
    """

    x: float
    y: float
    radius: float
    tilt: float
    turn: float
    shadow_x: float
    shadow_y: float


def _course(look: Look, seed: int, photos: int, spacing: float, bottom: float) -> list[Balloon]:
    """The balloon in each photo; the steps shrink where the way would lead out of the picture."""
    rng = _stream(seed, COURSE)
    steps = STEP * spacing * rng.uniform(0.85, 1.15, photos - 1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    way *= min(1.0, (1 - 2 * EDGE) / max(float(way[-1]), 1e-9))
    start = rng.uniform(0.2, 0.8) * (1 - 2 * EDGE - float(way[-1])) + EDGE
    climb, bow = rng.choice([-1, 1]) * rng.uniform(0.15, 0.35), rng.uniform(-0.5, 0.5)
    low, high = 0.17 * bottom, 0.48 * bottom
    middle, radius = rng.uniform(0.31, 0.37) * bottom, 0.094 * min(1.0, bottom / 0.75)
    balloons = []
    for k in range(photos):
        done = float(way[k])
        x = start + done if look.wind > 0 else 1 - start - done
        height = middle - climb * (done - float(way[-1]) / 2) - bow * (done - float(way[-1]) / 2) ** 2
        balloons.append(
            Balloon(
                x=x,
                y=min(high, max(low, height)),
                radius=radius,
                tilt=radians(1.5) * sin(1.7 * k + seed),
                turn=1.1 + 0.5 * done,
                shadow_x=x - 0.10 * look.sun,
                shadow_y=0.5 * (look.skyline + look.meadow) * bottom + 0.035 * bottom,
            )
        )
    return balloons


MOUTH = 1.36  # the envelope's opening, in radii below its middle


def _half_width(q: Array) -> Array:
    """Half the envelope's width at ``q`` radii below its middle: a sphere that tapers to the mouth."""
    below = np.maximum(q - np.float32(0.5), 0)
    cone = np.float32(0.866) - np.float32(0.577) * below - np.float32(0.243) * below**2
    result: Array = np.where(q < 0.5, np.sqrt(np.maximum(1 - q * q, 0)), np.where(q < MOUTH, cone, 0))
    return result


def _envelope(p: Array, q: Array, look: Look, turn: float) -> tuple[Array, Array]:
    """Colour ``(rows, columns, 3)`` and cover of the envelope at ``p`` radii right of, ``q`` below its middle."""
    width = _half_width(q)
    inside = (np.abs(p) < width) & (q < MOUTH)
    across = np.clip(p / np.maximum(width, np.float32(1e-3)), -1, 1)
    gore = (np.arcsin(across) + np.float32(turn)) * np.float32(look.gores / (2 * pi))
    number, share = np.floor(gore).astype(np.int64), gore - np.floor(gore)
    down = (q + 1) / np.float32(MOUTH + 1)  # 0 at the crown, 1 at the mouth
    colour = np.asarray(look.fabric, dtype=np.float32)[_pattern(number, share, down, look)]

    # The light falls from the sun's side and from above, and a little comes back from the land.
    slope = np.clip(np.where(q < 0.5, -q, -0.5 - 0.12 * (q - 0.5)), -1, 1)
    flat = np.sqrt(1 - slope**2)
    normal_x = across * flat + np.float32(0.16) * (share - np.float32(0.5)) * np.sqrt(1 - across**2)
    normal_z = np.sqrt(np.maximum(1 - across**2, 0)) * flat
    lambert = np.clip(0.62 * look.sun * normal_x + 0.52 * slope + 0.59 * normal_z, 0, 1)
    shade = np.float32(0.42) + np.float32(0.72) * lambert
    seam = np.minimum(share, 1 - share)
    shade = shade * (np.float32(0.86) + np.float32(0.14) * _step(0.0, 0.07, seam))
    panel = np.abs(down * 22 - np.round(down * 22))
    shade = shade * (np.float32(0.95) + np.float32(0.05) * _step(0.0, 0.08, panel))
    gloss = np.float32(0.22) * np.clip(lambert - np.float32(0.72), 0, 1) / np.float32(0.28)
    shaded = np.clip(colour * shade[..., None], 0, 1)
    return _mix(shaded, (1.0, 1.0, 1.0), (gloss**2).astype(np.float32)), inside.astype(np.float32)


def _pattern(number: npt.NDArray[np.int64], share: Array, down: Array, look: Look) -> npt.NDArray[np.int64]:
    """Which colour of the fabric each point has: stripes, a spiral of panels, or zigzag bands."""
    colours = len(look.fabric)
    if look.pattern == 0:
        index = (number // (1 if look.gores == 18 and colours == 3 else 2)) % colours
        index = np.where((down > 0.47) & (down < 0.56), 1 - (index % 2), index)
    elif look.pattern == 1:
        index = (number + np.floor(down * 11).astype(np.int64)) % colours
    else:
        zigzag = np.where(number % 2 == 0, share, 1 - share)
        band = np.floor((down + 0.055 * zigzag) * 9).astype(np.int64)
        index = np.where((band > 2) & (band < 7), band % colours, 0)
    crown: npt.NDArray[np.int64] = np.where(down < 0.035, colours - 1, index)
    return crown


def _basket(p: Array, q: Array, look: Look) -> tuple[Array, Array]:
    """Colour and cover of skirt, ropes, basket and two passengers, in the same coordinates."""
    shape = np.broadcast(p, q).shape
    colour, cover = np.zeros((*shape, 3), dtype=np.float32), np.zeros(shape, dtype=np.float32)

    def paint(where: npt.NDArray[np.bool_], tone: Colour | Array) -> None:
        colour[where] = np.broadcast_to(np.asarray(tone, dtype=np.float32), colour.shape)[where]
        cover[where] = 1

    light = 0.75 + 0.25 * np.clip(look.sun * p * 5, -1, 1)
    fall = (q - MOUTH) / np.float32(1.74 - MOUTH)
    for end, start in ((-0.10, -0.19), (-0.04, -0.08), (0.04, 0.08), (0.10, 0.19)):
        line = start + (end - start) * fall
        paint((np.abs(p - line) < 0.0075) & (fall > 0) & (fall < 1), (0.16, 0.14, 0.13))
    skirt = np.float32(0.205) - np.float32(0.25) * (q - MOUTH)
    paint((np.abs(p) < skirt) & (q >= MOUTH) & (q < MOUTH + 0.11), np.asarray(look.fabric[0]) * 0.6 * light[..., None])
    paint((np.abs(p) < 0.03) & (np.abs(q - 1.60) < 0.02), (0.35, 0.35, 0.37))
    for head, coat in ((-0.045, (0.18, 0.24, 0.38)), (0.05, (0.55, 0.2, 0.16))):
        paint((np.abs(p - head) < 0.033) & (q > 1.70) & (q < 1.80), coat)
        paint(np.hypot(p - head, q - 1.675) < 0.027, (0.74, 0.56, 0.45))
    weave = 0.85 + 0.15 * np.sign(np.sin(p * 150) * np.sin(q * 150))
    wicker = np.asarray((0.50, 0.34, 0.18)) * (weave * light)[..., None]
    paint((np.abs(p) < 0.118 - 0.05 * (q - 1.74)) & (q > 1.74) & (q < 1.94), wicker)
    paint((np.abs(p) < 0.126) & (np.abs(q - 1.75) < 0.016), (0.28, 0.17, 0.09))
    return colour, cover


def _paint_balloon(picture: Array, canvas: Canvas, look: Look, balloon: Balloon) -> None:
    """Composite the balloon into ``picture`` in place, many samples per pixel."""
    scale, reach = BALLOON_SCALE, balloon.radius
    rows = _span(canvas, balloon.y - 1.1 * reach, balloon.y + 2.1 * reach, canvas.rows)
    columns = _span(canvas, balloon.x - 1.25 * reach, balloon.x + 1.25 * reach, canvas.columns)
    x, y = _samples(canvas, columns, scale)[None, :], _samples(canvas, rows, scale)[:, None]
    dx, dy = (x - balloon.x) / reach, (y - balloon.y) / reach
    p = (dx * cos(balloon.tilt) + dy * sin(balloon.tilt)).astype(np.float32)
    q = (dy * cos(balloon.tilt) - dx * sin(balloon.tilt)).astype(np.float32)
    colour, cover = _envelope(p, q, look, balloon.turn)
    under, under_cover = _basket(p, q, look)
    colour = np.where(cover[..., None] > 0, colour, under) * np.asarray(look.palette.light, dtype=np.float32)
    cover = np.maximum(cover, under_cover)
    size = (rows.stop - rows.start, scale, columns.stop - columns.start, scale)
    weight = cover.reshape(size).mean(axis=(1, 3))
    paint = (colour * cover[..., None]).reshape(*size, 3).mean(axis=(1, 3))
    patch = picture[rows, columns]
    picture[rows, columns] = patch * (1 - weight[..., None]) + paint


def _span(canvas: Canvas, low: float, high: float, limit: int) -> slice:
    first, last = (round(edge / canvas.pixel) + canvas.margin for edge in (low, high))
    return slice(max(0, first), min(limit, last))


def _samples(canvas: Canvas, pixels: slice, scale: int) -> npt.NDArray[np.float64]:
    """The sample points along one side of the pixels, in picture widths."""
    count = (pixels.stop - pixels.start) * scale
    samples: npt.NDArray[np.float64] = ((np.arange(count) + 0.5) / scale + pixels.start - canvas.margin) * canvas.pixel
    return samples


def _shadow(canvas: Canvas, balloon: Balloon) -> Array:
    """How much light the balloon takes from the land, ``(rows, columns)``: soft, flattened by perspective."""
    dx = (canvas.x - np.float32(balloon.shadow_x)) / np.float32(0.78 * balloon.radius)
    dy = (canvas.y - np.float32(balloon.shadow_y)) / np.float32(0.16 * balloon.radius)
    return np.float32(0.6) * (1 - _step(0.55, 1.15, np.hypot(dx, dy)))


# --- the camera ------------------------------------------------------------------------------


def _photograph(picture: Array, canvas: Canvas, seed: int, index: int, width: int, height: int) -> Image.Image:
    """The photo that an unsteady hand takes of the painted ``picture``, ``width`` x ``height``."""
    rng = _stream(seed, CAMERA, index)
    shift_x, shift_y = rng.uniform(-0.009, 0.009, 2) * width
    angle, zoom = radians(rng.uniform(-0.7, 0.7)), 1 + rng.uniform(-0.006, 0.006)
    gain = 1 + rng.uniform(-0.035, 0.035)
    # Pillow wants the place in the painting of each photo pixel; turn and zoom about the middle.
    a, b = cos(angle) / zoom, sin(angle) / zoom
    middle_x, middle_y = canvas.columns / 2 + shift_x, canvas.rows / 2 + shift_y
    matrix = (a, b, middle_x - a * width / 2 - b * height / 2, -b, a, middle_y + b * width / 2 - a * height / 2)
    painted = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    seen = painted.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    exposed = np.asarray(seen, dtype=np.float32) * np.float32(gain)
    grain = _stream(seed, SENSOR, index).standard_normal((height, width, 1), dtype=np.float32)
    return Image.fromarray((np.clip(exposed + np.float32(1.3) * grain, 0, 255) + 0.5).clip(0, 255).astype(np.uint8))


# --- the set ---------------------------------------------------------------------------------


def render_set(photos: int, seed: int, width: int, height: int, spacing: float = 1.0) -> list[Image.Image]:
    """Render ``photos`` RGB pictures of ``width`` x ``height`` pixels, in temporal order.

    Args:
        photos: how many, 2 to 26.
        seed: decides the scene, 0 or more.
        width, height: at least 64 pixels each.
        spacing: the time between photos; at 1 the balloon moves about a tenth of the width. The
            steps shrink where the balloon would leave the picture.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check(photos, seed, width, height, spacing)
    look, canvas, noise = _look(seed), Canvas.of(width, height), Noise(_stream(seed, NOISE))
    land = _land(canvas, look, noise, seed)
    upper = canvas.above(look.skyline * canvas.bottom + 0.06)  # there is only land below
    sky, cover = _sky(upper, look), land.cover[: upper.rows]
    rendered = []
    for index, balloon in enumerate(_course(look, seed, photos, spacing, canvas.bottom)):
        picture = land.colour * (1 - _shadow(canvas, balloon))[..., None]
        cloud, cloudy = _clouds(upper, look, noise, index * spacing)
        picture[: upper.rows] = _mix(_mix(sky, cloud, cloudy), picture[: upper.rows], cover)
        _paint_balloon(picture, canvas, look, balloon)
        picture = _mix(picture, land.front, land.front_cover)
        rendered.append(_photograph(picture, canvas, seed, index, width, height))
    return rendered


def _check(photos: int, seed: int, width: int, height: int, spacing: float) -> None:
    if not MIN_PHOTOS <= photos <= MAX_PHOTOS:
        raise ValueError(f"photos must be {MIN_PHOTOS} to {MAX_PHOTOS}, not {photos}")
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, not {seed}")
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ValueError(f"width and height must be 64 to 8192, not {width} x {height}")
    if not 0 < spacing <= 10:
        raise ValueError(f"spacing must be above 0 and at most 10, not {spacing}")


def true_order(photos: int, seed: int) -> list[str]:
    """The file names in temporal order; shuffled, and never already sorted where there are 3 or more."""
    names = [f"photo-{chr(ord('a') + index)}.jpg" for index in range(photos)]
    rng = _stream(seed, NAMES)
    while True:
        order = [names[index] for index in rng.permutation(photos)]
        if photos < 3 or order not in (names, names[::-1]):
            return order


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Render photos of a moving balloon, with shuffled names.")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="folder for the photos, made if missing")
    parser.add_argument("--photos", type=int, default=5, help="how many photos (default: 5)")
    parser.add_argument("--seed", type=int, default=7, help="which scene (default: 7)")
    parser.add_argument("--width", type=int, default=1600, help="pixels (default: 1600)")
    parser.add_argument("--height", type=int, default=1200, help="pixels (default: 1200)")
    parser.add_argument("--spacing", type=float, default=1.0, help="time between photos (default: 1.0)")
    parser.add_argument("--force", action="store_true", help="overwrite photos of the same names")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the set and print the names in temporal order; 1 with a message if that cannot be done."""
    args = _arguments(argv)
    try:
        _check(args.photos, args.seed, args.width, args.height, args.spacing)
        names = true_order(args.photos, args.seed)
        taken = [args.out_dir / name for name in names if (args.out_dir / name).exists()]
        if taken and not args.force:
            raise FileExistsError(f"{min(taken)} exists already; --force overwrites it")
        args.out_dir.mkdir(parents=True, exist_ok=True)
        pictures = render_set(args.photos, args.seed, args.width, args.height, args.spacing)
        for name, picture in zip(names, pictures, strict=True):
            picture.save(args.out_dir / name, quality=QUALITY, optimize=True)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(" ".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
