"""Part files: what a piece of work found, written whole or not at all, under a digest of all that it was made from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from imgorder.errors import ImgorderError
from imgorder.files import atomic_write
from imgorder.names import show

T = TypeVar("T")
Record = dict[str, Any]

FORMATS = ("jsonl", "parquet")
_VERSION = 1
_CURE = "free some space, or choose another place by --parts or the variable IMGORDER_CACHE"


def digest_of(*inputs: object) -> str:
    """Of values that JSON can hold: 32 hexadecimal digits."""
    canonical = json.dumps(inputs, separators=(",", ":"), sort_keys=True).encode("ascii")
    return blake2b(canonical, digest_size=16).hexdigest()


def cut(items: Iterable[T], key: Callable[[T], str], least: int, most: int) -> Iterator[tuple[T, ...]]:
    """Pieces of a row, cut where the items themselves say: after one more item all pieces but few are the same.

    Args:
        items: in their order.
        key: what an item is known by.
        least, most: items of a piece; the last one may have fewer.
    """
    piece: list[T] = []
    for item in items:
        piece.append(item)
        mark = blake2b(key(item).encode("utf-8", "surrogatepass"), digest_size=4).digest()
        if len(piece) >= most or (len(piece) >= least and int.from_bytes(mark, "big") % least == 0):
            yield tuple(piece)
            piece = []
    if piece:
        yield tuple(piece)


@dataclass(frozen=True)
class Parts:
    """A folder of part files.

    One is called ``part-<digest>`` where everything was found, and ``partly-<digest>`` where something was not: such a
    piece is done again by the next run, which takes from it what is there.

    Attributes:
        folder: where they are; it is made when the first one is written.
        format: ``"jsonl"``, or ``"parquet"``, which needs pyarrow.
    """

    folder: Path
    format: str = "jsonl"

    def path(self, name: str) -> Path:
        """Of a part."""
        return self.folder / f"{name}.{self.format}"

    def has(self, name: str) -> bool:
        """Whether a part is there; if so, it counts as used now."""
        try:
            os.utime(self.path(name))
        except OSError:
            return False
        return True

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """As `atomic_write`, for a file in this folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImgorderError(f"{show(self.folder)}: cannot be made a folder ({error.strerror}); {_CURE}") from error
        with atomic_write(path, _CURE) as partial:
            yield partial

    def write(self, name: str, records: list[Record]) -> None:
        """Write a part; raises ImgorderError."""
        with self.writing(self.path(name)) as partial:
            if self.format == "parquet":
                from imgorder.library.parquet import write_parquet

                write_parquet(partial, records)
                return
            with partial.open("w", encoding="ascii", newline="\n") as file:
                for record in ({"part": _VERSION, "lines": len(records)}, *records):
                    file.write(json.dumps(record, separators=(",", ":")) + "\n")

    def read(self, name: str) -> list[Record] | None:
        """The records of a part; None if it is not there, or damaged, and so has to be made again."""
        try:
            if self.format == "parquet":
                from imgorder.library.parquet import read_parquet

                return read_parquet(self.path(name))
            head, *records = (json.loads(line) for line in self.path(name).read_bytes().splitlines())
            whole = head == {"part": _VERSION, "lines": len(records)}
        except (OSError, ValueError, RecursionError):
            return None
        if not whole or not all(isinstance(record, dict) for record in records):
            return None
        return records

    def drop(self, name: str) -> None:
        """Remove a part, if it is there."""
        with suppress(OSError):
            self.path(name).unlink()
