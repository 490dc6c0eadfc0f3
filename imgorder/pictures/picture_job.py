"""What `sort --sheet` and `sort --animate` do: checks before the sorting, pictures after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from imgorder.media.photos import PhotoSet
from imgorder.names import short_names, show
from imgorder.pictures import animation
from imgorder.pictures.canvas import load_small
from imgorder.pictures.outputs import check_ending, check_targets, save_marked, write_all
from imgorder.pictures.sheet import draw_sheet
from imgorder.sorting import SortedSet

DEFAULT_FPS = 3.0

SHEETS = (".png", ".jpg", ".jpeg")
ANIMATIONS: dict[str, Callable[[Sequence[Image.Image], float, BinaryIO], None]] = {
    ".gif": animation.write_gif,
    ".webp": animation.write_webp,
    ".mp4": animation.write_mp4,
}


@dataclass(frozen=True)
class PictureJob:
    """The pictures to make.

    Attributes:
        sheet, animate: where they go; with several sets the names are numbered.
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
        wanted = [target for target in (self.sheet, self.animate) if target is not None]
        columns = [check_targets(target, sets, self.force, warn) for target in wanted]
        return [list(row) for row in zip(*columns, strict=True)]

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
            pictures = [load_small(file) for file in result.files]
            for file in files:
                suffix = file.suffix.lower()
                if suffix in SHEETS:
                    # Not as the listing has them: a path has no room below a photo, and shows where its owner keeps it.
                    names = [show(name) for name in short_names(result.files)]
                    sheet = draw_sheet(pictures, names, result.folder_name, _describe(result))
                    yield file, partial(_save_sheet, sheet, suffix)
                else:
                    yield file, partial(ANIMATIONS[suffix], animation.make_frames(pictures, self.pingpong), self.fps)


def _save_sheet(sheet: Image.Image, suffix: str, file: BinaryIO) -> None:
    if suffix == ".png":
        save_marked(sheet, file, "PNG")
    else:
        save_marked(sheet, file, "JPEG", quality=90)


def _describe(result: SortedSet) -> str:
    n = len(result.photos.files)
    parts = [f"{n} photos", f"confidence {result.confidence:.1%}" if n > 2 else "nothing to order"]
    if result.direction == "unknown":
        parts.append("forward or backward is not known")
    return " · ".join(parts)
