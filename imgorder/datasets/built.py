"""What making a data set gives: its manifests, and what had to be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgorder.datasets.manifest import Manifest, SetEntry

# Called with how many videos are done, and how many there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Skipped:
    """A file or folder that is not in the data set, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Built:
    """A data set ready to be written.

    Attributes:
        manifests: one for each number of images in a set.
        sources: how many videos, frame folders or photo folders were read.
        skipped: what was left out.
    """

    manifests: tuple[Manifest, ...]
    sources: int
    skipped: tuple[Skipped, ...] = ()


def even_set(
    video: str, start: int, n: int, spacing: int, split: str, group: str, flow: float | None = None
) -> SetEntry:
    """A set of n frames that lie ``spacing`` apart."""
    frames = tuple(start + spacing * place for place in range(n))
    return SetEntry(video, frames, split, group, float(spacing), flow)
