"""Draw the picture at the top of the README: the example photos as listed, and as `imgorder sort` orders them.

python docs/render_sorted.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "examples" / "balloon"
PICTURE = ROOT / "docs" / "images" / "balloon-sorted.jpg"

TILE = (168, 126)  # px, as all lengths here
GAP, HEAD, CAPTION, LETTERS = 8, 28, 22, 15
PAPER, INK, PALE_INK = "#fafaf7", "#1d1d1b", "#5c5c57"
QUALITY = 82


def sorted_photos() -> tuple[list[Path], float]:
    """The photos in the order that `imgorder sort` answers, and its confidence."""
    command = [sys.executable, "-m", "imgorder", "sort", str(PHOTOS), "--json"]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (found,) = json.loads(result.stdout)["sets"]
    return [PHOTOS / Path(name).name for name in found["order"]], found["confidence"]


def draw_rows(rows: Sequence[tuple[str, Sequence[Path]]]) -> Image.Image:
    """Rows of photos, each with a line above it, the photos' names below them."""
    columns = max(len(photos) for _, photos in rows)
    height = HEAD + TILE[1] + CAPTION
    picture = Image.new("RGB", (GAP + columns * (TILE[0] + GAP), len(rows) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(LETTERS)
    for row, (title, photos) in enumerate(rows):
        top = row * height
        draw.text((GAP, top + 5), title, INK, font)
        for column, photo in enumerate(photos):
            left = GAP + column * (TILE[0] + GAP)
            with Image.open(photo) as opened:
                picture.paste(opened.convert("RGB").resize(TILE, Image.Resampling.LANCZOS), (left, top + HEAD))
            draw.text((left, top + HEAD + TILE[1] + 1), photo.name, PALE_INK, font)
    return picture


def main() -> None:
    """Sort the example photos and write the picture."""
    order, confidence = sorted_photos()
    rows = [("before: by name", sorted(PHOTOS.glob("*.jpg"))), (f"after: imgorder, {confidence:.1%} sure", order)]
    draw_rows(rows).save(PICTURE, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
