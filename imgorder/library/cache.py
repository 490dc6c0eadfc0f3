"""What runs keep for the next one: part files, and which of them each tree had. All of it may be deleted."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from imgorder.errors import ImgorderError
from imgorder.library.listing import Key, Listed, listing_key
from imgorder.library.parts import FORMATS, Parts, digest_of
from imgorder.names import show

VARIABLE = "IMGORDER_CACHE"
MOST_BYTES = 4 << 30  # about three million photos

# No other names: whoever names a folder of their own as the cache has other files, perhaps journals of renames, in it.
_OWN = re.compile(rf"part(ly)?-[0-9a-f]{{32}}\.({'|'.join(FORMATS)})|[0-9a-f]{{32}}\.run|\.[0-9a-f]{{16}}\.partial")


def cache_folder() -> Path:
    """Where the cache is: ``IMGORDER_CACHE``, or where this system keeps caches."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    from platformdirs import user_cache_path  # only now: most commands need none

    return user_cache_path("imgorder") / "library"


@contextmanager
def usable_cache(warn: Callable[[str], None]) -> Iterator[Path]:
    """The cache for one run, made smaller at its end; where it cannot be written, a temporary folder.

    Args:
        warn: called with what that means for the next run.
    """
    folder = cache_folder()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK | os.X_OK):
        try:
            yield folder
        finally:
            prune(folder)
        return
    warn(f"{show(folder)}: cannot be written, so the next run reads all photos again; {VARIABLE} names another folder")
    with TemporaryDirectory(prefix="imgorder-") as temporary:
        yield Path(temporary)


@dataclass(frozen=True)
class Usage:
    """How much a cache holds."""

    files: int
    bytes: int


def measure(folder: Path) -> Usage:
    """How much a cache holds; nothing if it is not there."""
    sizes = [size for _, size, _ in _list(folder)]
    return Usage(len(sizes), sum(sizes))


def clear(folder: Path) -> Usage:
    """Remove what a cache holds, and the folder if nothing else is in it; raises ImgorderError."""
    usage = measure(folder)
    for _, _, path in _list(folder):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ImgorderError(f"{show(path)}: cannot be removed ({error.strerror}); remove it by hand") from error
    with suppress(OSError):
        folder.rmdir()
    return usage


def prune(folder: Path, most: int = MOST_BYTES) -> None:
    """Remove what was not used for the longest time, until no more than so many bytes are left."""
    files = sorted(_list(folder))
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= most:
            return
        with suppress(OSError):
            path.unlink()
        total -= size


class Runs:
    """Which parts the last run over the same folders had, so that what did not change is not read again."""

    def __init__(self, parts: Parts, roots: Sequence[str]) -> None:
        self._in = parts
        self._path = parts.folder / f"{digest_of('run', list(roots), parts.format)}.run"
        rows: list[tuple[Key, str]] = []
        with suppress(OSError, ValueError, TypeError, KeyError):
            rows = sorted((listing_key(first), part) for first, part in json.loads(self._path.read_bytes())["parts"])
        self._firsts = [first for first, _ in rows]
        self._parts = [part for _, part in rows]

    def former(self, photos: Sequence[Listed]) -> tuple[str, ...]:
        """The parts that may know some of these photos, which follow each other in a listing."""
        begin = bisect_right(self._firsts, listing_key(photos[0].path)) - 1
        end = bisect_right(self._firsts, listing_key(photos[-1].path))
        return tuple(self._parts[max(begin, 0) : end])

    def write(self, rows: Sequence[tuple[str, str]]) -> None:
        """Keep the first photo of each part of this run, and the part's name."""
        with self._in.writing(self._path) as partial:
            partial.write_text(json.dumps({"parts": rows}, separators=(",", ":")), "ascii")


def _list(folder: Path) -> list[tuple[int, int, Path]]:
    """Last use, size and path of each file of a cache."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _OWN.fullmatch(entry.name):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
    return found
