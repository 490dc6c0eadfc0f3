"""What the commands for whole trees share: their options, and what these mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from imgorder.cli._terminal import counting, print_message, print_warning
from imgorder.errors import ImgorderError, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.library import use_one_thread

if TYPE_CHECKING:
    from imgorder.library.engine import Engine
    from imgorder.library.grouping import Rule
    from imgorder.library.scenes import Library, Scene
    from imgorder.media.photos import PhotoSet
    from imgorder.sorting.sorted_set import SortedSet

ENGINES = ("local", "ray")
FORMATS = ("jsonl", "parquet")

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class LibraryOptions:
    """How a tree of photos is read and grouped.

    Attributes:
        recursive: whether what is given is a tree of scenes; without it the other options have no use.
        gap, similarity: see `Rule`; those of the rule if None.
        workers: processes; all cores if None.
        engine: what runs them.
        gpus: share of a GPU that each piece of work asks Ray for.
        parts: where part files are kept; None for the cache.
        parts_format: of part files.
    """

    recursive: bool = False
    gap: str | None = None
    similarity: float | None = None
    workers: int | None = None
    engine: str = "local"
    gpus: float | None = None
    parts: Path | None = None
    parts_format: str = "jsonl"

    def __post_init__(self) -> None:
        if self.recursive:  # before a command imports NumPy
            use_one_thread()

    def check(self) -> None:
        """Raise UsageError for options that do not fit together."""
        if not self.recursive and self != LibraryOptions():
            raise UsageError("--gap, --similarity, --workers, --engine, --gpus and --parts… are for trees; add -r")
        if self.engine not in ENGINES:
            raise UsageError(f"--engine is {' or '.join(ENGINES)}; not {self.engine!r}")
        if self.parts_format not in FORMATS:
            raise UsageError(f"--parts-format is {' or '.join(FORMATS)}; not {self.parts_format!r}")
        if self.gpus is not None and self.engine != "ray":
            raise UsageError("--gpus is what pieces of work ask Ray for; add --engine ray")

    @property
    def rule(self) -> Rule:
        """What makes two photos one scene; raises UsageError."""
        from imgorder.library.grouping import Rule

        rule = Rule()
        if self.gap is not None:
            rule = replace(rule, gap=parse_gap(self.gap))
        if self.similarity is not None:
            if not 0 < self.similarity < 1:
                raise UsageError(f"--similarity is a number between 0 and 1; not {self.similarity:g}")
            rule = replace(rule, similarity=self.similarity)
        return rule

    def make_engine(self) -> Engine:
        """What runs the work."""
        if self.engine == "ray":
            from imgorder.library.ray_engine import RayEngine

            return RayEngine(self.workers, self.gpus or 0.0)
        from imgorder.library.engine import LocalEngine

        return LocalEngine(self.workers)


@dataclass(frozen=True)
class TreeOptions(LibraryOptions):
    """The same for a command that is about trees alone."""

    recursive: bool = True


def parse_gap(text: str) -> timedelta:
    """``30s``, ``2m``, ``1.5h``; raises UsageError."""
    match = _TIME.fullmatch(text.strip())
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        pass
    raise UsageError(f"--gap takes a time such as 10s, 2m or 1h; not {text!r}")


@contextmanager
def open_library(
    paths: Sequence[Path],
    options: LibraryOptions,
    apart: Callable[[ImgorderError], None],
    exclude: Sequence[str] = (),
    trust_mtime: bool = False,
) -> Iterator[Library]:
    """A tree of photos; while it is read, a terminal shows how far that is. In the end the cache is made smaller.

    Raises:
        UsageError: for options that do not fit together.
        ImgorderError: for a path that is no folder.
    """
    options.check()
    from imgorder.library.cache import usable_cache
    from imgorder.library.listing import count_photos
    from imgorder.library.parts import Parts
    from imgorder.library.scenes import Library

    with nullcontext(options.parts) if options.parts else usable_cache(print_warning) as folder:
        parts = Parts(folder, options.parts_format)
        with counting("photos", "photos/s") as shown:
            library = Library(paths, options.make_engine(), parts, apart, print_warning, exclude, trust_mtime)
            if shown is not None:
                total = count_photos(paths)
                library.seen = lambda count: shown(count, max(count, total))
            library.look()
        library.seen = lambda count: None
        yield library


def say_left_out(problems: Sequence[str]) -> None:
    """One more line where there were several errors: with thousands of photos they stand far above."""
    if len(problems) > 1:
        print_message("error", f"{len(problems)} photos or folders were left out; they are named above")


class Scenes:
    """The scenes of a tree that have two photos or more."""

    def __init__(self, library: Library, rule: Rule) -> None:
        self._library = library
        self._rule = rule
        self._listed: list[Scene] | None = None

    @property
    def sets(self) -> list[PhotoSet]:
        """All of them; from now on they are in memory."""
        if self._listed is None:
            self._listed = [scene for scene in self._library.scenes(self._rule) if len(scene.listed) > 1]
        return [scene.photos for scene in self._listed]

    def sort(self, known: Known, options: ModelOptions, classes: int | None = 2) -> Iterator[SortedSet]:
        """Each in its order, one after the other; see `order_scenes`."""
        from imgorder.library.orders import order_scenes

        library = self._library
        scenes = self._library.scenes(self._rule) if self._listed is None else self._listed
        with counting("photos", "photos/s") as shown:
            done = 0

            def count(more: int) -> None:
                nonlocal done
                done += more
                if shown is not None:
                    shown(done, max(done, library.count))

            library.seen = count
            yield from order_scenes(library, scenes, options, known, classes)


@contextmanager
def open_scenes(
    paths: Sequence[Path],
    options: LibraryOptions,
    apart: Callable[[ImgorderError], None],
    exclude: Sequence[str] = (),
    trust_mtime: bool = False,
) -> Iterator[Scenes]:
    """The scenes of some trees, after a look at all photos; raises as `open_library`."""
    rule = options.rule
    with open_library(paths, options, apart, exclude, trust_mtime) as library:
        yield Scenes(library, rule)
