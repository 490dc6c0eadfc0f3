"""Render the scenes of docs/failures.md, sort them, and show the answers beside the truth.

    python docs/render_failures.py

Each scene is drawn as photos without names or times that tell anything, and given to `imgorder sort`. The
pictures in docs/images show what it answers, and docs/results/failure-scenes.json keeps it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from imgorder.permutations import representative
from imgorder.pictures.lettering import fit_text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "docs" / "results" / "failure-scenes.json"

WIDTH, HEIGHT = 640, 480
DETAIL = 2  # drawn so many times as large, for smooth edges
TILE = (200, 150)
GAP, LINE, LETTERS = 10, 26, 17
PAPER, INK, WRONG = "#fafaf7", "#1d1d1b", "#b3402e"
QUALITY = 78


@dataclass(frozen=True)
class Scene:
    """A scene, as photos in their true order.

    Attributes:
        name: of its picture.
        about: for people, one line.
        photo: the photo at a place in time, given how many there are.
        photos: how many.
        control: photos of the same scene without what makes it hard, where there is such a thing.
    """

    name: str
    about: str
    photo: Callable[[int, int], Image.Image]
    photos: int = 5
    control: Callable[[int, int], Image.Image] | None = None


def pendulum(place: int, photos: int) -> Image.Image:
    """A weight on a rod swings to the right, and back again to where it was."""
    angle = 0.45 * cos(2 * pi * (place + 0.35) / (photos + 0.6))
    x, y = 0.5 + 0.42 * sin(angle), 0.08 + 0.5 * cos(angle)

    def draw(pen: Pen) -> None:
        pen.line((0.5, 0.08), (x, y), 0.008, "#3a2a1c")
        pen.disc((x, y), 0.1, "#b8862d", "#e9c46a")

    return photo(1, place, draw)


def half_swing(place: int, photos: int) -> Image.Image:
    """The pendulum on its way out alone."""
    return pendulum(place, 2 * photos - 1)


def behind_a_wall(place: int, photos: int, wall: bool = True) -> Image.Image:
    """A ball rolls behind a wall and comes out on the other side; meanwhile nothing is to be seen of it."""
    x = (0.27, 0.43, 0.5, 0.57, 0.73)[place]

    def draw(pen: Pen) -> None:
        pen.disc((x, 0.56), 0.06, "#a3342b", "#e07a5f")
        if wall:
            pen.box((0.35, 0.3), (0.65, 0.64), "#7d6b5d")
        for row in range(6 if wall else 0):
            pen.line((0.35, 0.3 + row * 0.057), (0.65, 0.3 + row * 0.057), 0.003, "#5f5046")

    return photo(5, place, draw)


def still(place: int, photos: int) -> Image.Image:
    """Nothing moves: what differs is the noise."""
    return photo(3, place, lambda pen: pen.disc((0.5, 0.5), 0.09, "#2f5d62", "#5e8b7e"))


def flicker(place: int, photos: int) -> Image.Image:
    """Nothing moves under a lamp that flickers."""
    bright = (1.0, 0.72, 0.93, 0.8, 0.66)[place]
    picture = photo(4, place, lambda pen: pen.disc((0.5, 0.5), 0.09, "#2f5d62", "#5e8b7e"))
    return picture.point([min(255, round(value * bright)) for value in range(256)] * 3)


def far_away(place: int, photos: int, radius: float = 0.01) -> Image.Image:
    """A ball falls so far away that little is left of it at the size that the network sees."""
    y = 0.08 + 0.56 * place / (photos - 1)
    return photo(7, place, lambda pen: pen.disc((0.4, y), radius, "#a3342b", "#e07a5f"))


SCENES = (
    Scene("pendulum", "A pendulum swings out and back", pendulum, control=half_swing),
    Scene("hidden", "A ball rolls behind a wall", behind_a_wall, control=partial(behind_a_wall, wall=False)),
    Scene("still", "Nothing moves", still),
    Scene("flicker", "Nothing moves, the light flickers", flicker),
    Scene("far", "A ball falls far away", far_away, control=partial(far_away, radius=0.06)),
)


class Pen:
    """Draws into a picture; lengths are in picture widths from its upper left corner."""

    def __init__(self, picture: Image.Image) -> None:
        """On a picture."""
        self._draw = ImageDraw.Draw(picture)
        self._unit = picture.width

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: str) -> None:
        """A straight line."""
        places = [round(each * self._unit) for each in (*start, *end)]
        self._draw.line(places, fill=colour, width=max(1, round(width * self._unit)))

    def disc(self, centre: tuple[float, float], radius: float, dark: str, lit: str) -> None:
        """A ball, lit from the upper left."""
        for share, colour in ((1.0, dark), (0.72, lit)):
            x, y = (each - (1 - share) * radius * 0.5 for each in centre)
            r = share * radius
            self._draw.ellipse([round(each * self._unit) for each in (x - r, y - r, x + r, y + r)], fill=colour)

    def box(self, corner: tuple[float, float], other: tuple[float, float], colour: str) -> None:
        """An upright rectangle."""
        self._draw.rectangle([round(each * self._unit) for each in (*corner, *other)], fill=colour)


def photo(seed: int, place: int, draw: Callable[[Pen], None]) -> Image.Image:
    """A room with a floor and a patterned wall, what ``draw`` puts into it, and a sensor's noise."""
    rng = np.random.default_rng(seed)
    small = rng.normal(0, 1, (12, 16, 1)) + rng.normal(0, 0.4, (12, 16, 3))
    size = (WIDTH * DETAIL, HEIGHT * DETAIL)
    base = np.clip(158 + 16 * small, 0, 255).astype(np.uint8)
    picture = Image.fromarray(base).resize(size, Image.Resampling.BICUBIC)
    pen = Pen(picture)
    for stripe in range(12):
        pen.line((stripe / 12, 0), (stripe / 12, 0.62), 0.004, "#8d8778")
    pen.box((0, 0.62), (1, 0.75), "#6f5b45")
    for board in range(9):
        pen.line((board / 8, 0.62), (1.6 * board / 8 - 0.3, 0.75), 0.003, "#54432f")
    draw(pen)
    picture = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.6))
    noise = np.random.default_rng((seed, place)).normal(0, 3, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise + 0.5, 0, 255).astype(np.uint8))


def answer(photos: Sequence[Image.Image], seed: int) -> dict[str, Any]:
    """What `imgorder sort` says: the model, the true places of the photos in its order, its confidence."""
    names = [f"photo-{chr(ord('a') + each)}.jpg" for each in np.random.default_rng(seed).permutation(len(photos))]
    with tempfile.TemporaryDirectory() as folder:
        for picture, name in zip(photos, names, strict=True):
            picture.save(Path(folder) / name, quality=92)
        command = [sys.executable, "-m", "imgorder", "sort", folder, "--json"]
        result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (found,) = json.loads(result.stdout)["sets"]
    order = [names.index(Path(name).name) for name in found["order"]]
    return {"model": found["model"], "order": list(representative(order)), "confidence": found["confidence"]}


def sheet(photos: Sequence[Image.Image], order: Sequence[int], confidence: float) -> Image.Image:
    """The photos in their true order, and below in the order of the answer, with their true numbers."""
    width = GAP + len(photos) * (TILE[0] + GAP)
    picture = Image.new("RGB", (width, 2 * (2 * LINE + TILE[1]) + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(picture)

    def write(left: int, top: int, text: str, ink: str) -> None:
        shown, font = fit_text(text, LETTERS, width)
        draw.text((left, top), shown, fill=ink, font=font)

    heads = ("in their true order", f"as answered: {100 * confidence:.0f} % sure")
    for row, (head, places) in enumerate(zip(heads, (range(len(photos)), order), strict=True)):
        top = row * (2 * LINE + TILE[1] + GAP)
        write(GAP, top + 4, head, INK)
        for column, place in enumerate(places):
            left = GAP + column * (TILE[0] + GAP)
            picture.paste(photos[place].resize(TILE, Image.Resampling.LANCZOS), (left, top + LINE))
            write(left, top + LINE + TILE[1] + 3, str(place + 1), INK if column == place else WRONG)
    return picture


def main() -> None:
    """Render, sort, and write pictures and results."""
    rows = []
    for seed, scene in enumerate(SCENES):
        photos = [scene.photo(place, scene.photos) for place in range(scene.photos)]
        found = answer(photos, seed)
        name = f"failure-{scene.name}.jpg"
        picture = sheet(photos, found["order"], found["confidence"])
        picture.save(IMAGES / name, quality=QUALITY, optimize=True)
        row = {"scene": scene.about, "picture": name, "photos": scene.photos, **found, "control": None}
        if scene.control:
            row["control"] = answer([scene.control(place, scene.photos) for place in range(scene.photos)], seed)
        rows.append(row)
        print(row)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
