"""What `sort --sheet` and `sort --animate` do: checks before the sorting, pictures after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, repeat
from math import ceil
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from imgorder.media.photos import PhotoSet
from imgorder.names import short_names, show, word_count
from imgorder.permutations import MAX_EXACT
from imgorder.pictures import animation
from imgorder.pictures.canvas import Size, load_small, measure
from imgorder.pictures.outputs import check_ending, check_targets, name_targets, save_marked, write_all
from imgorder.pictures.sheet import choose_layout, count_pages, draw_sheet
from imgorder.sorting.sorted_set import SortedSet

DEFAULT_FPS = 3.0

SHEETS = (".png", ".jpg", ".jpeg")
# How each is written, and px of all frames together: what is above that is scaled down. A GIF or WebP of so many has
# tens of megabytes at most, and its frames are in memory all at once; those of a video are not.
ANIMATIONS: dict[str, tuple[Callable[[Iterable[Image.Image], float, BinaryIO], None], int | None]] = {
    ".gif": (animation.write_gif, 32_000_000),
    ".webp": (animation.write_webp, 64_000_000),
    ".mp4": (animation.write_mp4, None),
}

_KEPT = 8  # photos in memory: those of a small set are decoded once for all pictures of it


@dataclass(frozen=True)
class PictureJob:
    """The pictures to make.

    Attributes:
        sheet, animate: where they go; with several sets, and several pages, the names are numbered.
        fps: photos a second.
        pingpong: play forward and back.
        force: replace files that are there.
    """

    sheet: Path | None = None
    animate: Path | None = None
    fps: float = DEFAULT_FPS
    pingpong: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a file ending that is not known."""
        if self.sheet is not None:
            check_ending("--sheet", self.sheet, SHEETS)
        if self.animate is not None:
            check_ending("--animate", self.animate, tuple(ANIMATIONS))

    def check(self, sets: Sequence[PhotoSet], warn: Callable[[str], None]) -> list[list[Path]]:
        """Check before the sorting that everything can be written.

        Args:
            sets: what is to be sorted.
            warn: called with each warning.

        Returns:
            For each set, the files that `write` will make.

        Raises:
            ImgorderError: with one line that names the file and the cure.
        """
        if self.animate is not None:
            animation.check_encoder(self.animate)
        found: list[list[Path]] = [[] for _ in sets]
        for target, count in ((self.sheet, count_pages), (self.animate, lambda n: 1)):
            if target is not None:
                named = name_targets(target, [count(len(photos.files)) for photos in sets])
                check_targets(chain(*named), sets, self.force, warn)
                found = [[*of_set, *more] for of_set, more in zip(found, named, strict=True)]
        return found

    def write(self, results: Sequence[SortedSet], targets: Sequence[Sequence[Path]]) -> None:
        """Make the pictures, all or none.

        Args:
            results: the sorted sets.
            targets: from `check`.

        Raises:
            ImgorderError: if a photo or a picture fails.
        """
        write_all(self._draw(results, targets), self.force)

    def _draw(
        self, results: Sequence[SortedSet], targets: Sequence[Sequence[Path]]
    ) -> Iterator[tuple[Path, Callable[[BinaryIO], None]]]:
        for result, files in zip(results, targets, strict=True):
            # One after the other, since a single photo of 48 megapixels takes 200 MB while it is read.
            load = lru_cache(_KEPT)(load_small)
            sizes = [measure(file) for file in result.files]
            sheets = [file for file in files if file.suffix.lower() in SHEETS]
            yield from _draw_sheets(result, sheets, sizes, load)
            for file in files[len(sheets) :]:
                write, most = ANIMATIONS[file.suffix.lower()]
                shown = animation.play(result.files, self.pingpong)
                size = animation.frame_size(sizes, len(shown), most)
                frames = animation.make_frames(map(load, shown, repeat(max(size))), size)
                yield file, partial(write, frames, self.fps)


def _draw_sheets(
    result: SortedSet, pages: Sequence[Path], sizes: Sequence[Size], load: Callable[[Path, int], Image.Image]
) -> Iterator[tuple[Path, Callable[[BinaryIO], None]]]:
    if not pages:
        return
    on_page = ceil(len(result.files) / len(pages))
    layout = choose_layout(on_page, sizes)
    full = ceil(on_page / layout.columns) * layout.columns  # without a gap at the end, unless that leaves a page empty
    on_page = full if full * (len(pages) - 1) < len(sizes) else on_page
    # Not as the listing has them: a path has no room below a photo, and shows where its owner keeps it.
    names = [show(name) for name in short_names(result.files)]
    for number, page in enumerate(pages):
        first, last = number * on_page, (number + 1) * on_page
        note = _describe(result) + (f" · page {number + 1} of {len(pages)}" if len(pages) > 1 else "")
        pictures = map(load, result.files[first:last], repeat(layout.edge))
        sheet = draw_sheet(pictures, names[first:last], result.folder_name, note, layout, first + 1)
        yield page, partial(_save_sheet, sheet, page.suffix.lower())


def _save_sheet(sheet: Image.Image, suffix: str, file: BinaryIO) -> None:
    if suffix == ".png":
        save_marked(sheet, file, "PNG")
    else:
        save_marked(sheet, file, "JPEG", quality=90)


def _describe(result: SortedSet) -> str:
    n = len(result.photos.files)
    what = "confidence" if n <= MAX_EXACT else "least sure place"
    parts = [word_count(n, "photo")]
    if n > 2 or result.direction == "unknown":
        parts.append(f"{what} {result.confidence:.1%}" if n > 2 else "nothing to order")
    if result.ordering is not None and n > 2:
        parts.append(result.ordering.words)
    if result.direction == "unknown":
        parts.append("forward or backward is not known")
    return " · ".join(parts)
