"""Pieces of work that any process may do, here or elsewhere: each reads its inputs and leaves one part file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from imgorder.errors import ImgorderError, PhotoError
from imgorder.library import looking
from imgorder.library.listing import Listed
from imgorder.library.parts import Parts, Record, cut, digest_of
from imgorder.names import first_line, show

LEAST, MOST = 32, 128  # photos of a piece: lost at most, in each process, when a run is killed


@dataclass(frozen=True)
class Done:
    """What a piece of work has left behind.

    Attributes:
        part: the name of its part; empty where there is none.
        count: how many photos it was about.
        problems: one line for each photo that could not be read, or for what else went wrong.
        kept: how many of the photos were known from former runs.
    """

    part: str
    count: int
    problems: tuple[str, ...] = ()
    kept: int = 0


class Job(Protocol):
    """A piece of work; small, so that it can be sent to another process."""

    @property
    def size(self) -> int:
        """How many items it has."""

    def done(self) -> Done | None:
        """What there is already; None if it has to be run."""

    def run(self, deadly: Sequence[int] = ()) -> Done:
        """Do the work, without the items at which the process would die."""

    def probe(self, item: int) -> None:
        """Do what may kill the process, for one item alone."""


@dataclass(frozen=True)
class LookJob:
    """A look at some photos.

    Attributes:
        photos: as they were listed.
        parts: where its part belongs.
        former: parts of former runs that may have some of the photos.
    """

    photos: tuple[Listed, ...]
    parts: Parts
    former: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many photos."""
        return len(self.photos)

    @cached_property
    def digest(self) -> str:
        """Of the photos as they are now."""
        rows = [[each.folder, each.name, each.state, each.beside] for each in self.photos]
        return digest_of("look", looking.VERSION, rows)

    def done(self) -> Done | None:
        """See `Job`."""
        name = f"part-{self.digest}"
        return Done(name, self.size, kept=self.size) if self.parts.has(name) else None

    def run(self, deadly: Sequence[int] = ()) -> Done:
        """See `Job`."""
        known = self._read_former()
        records, problems, kept = [], [], 0
        for place, photo in enumerate(self.photos):
            record = known.get(photo)
            kept += record is not None
            try:
                if place in deadly:
                    raise PhotoError(f"{show(photo.path)}: the process that read it was killed; leave it out")
                records.append(record or looking.look_at(photo))
            except ImgorderError as error:
                problems.append(str(error))
            except Exception as error:  # one photo must not cost the others
                problems.append(f"{show(photo.path)}: cannot be looked at ({first_line(error)})")
        name = f"{'partly' if problems else 'part'}-{self.digest}"
        self.parts.write(name, records)
        return Done(name, self.size, tuple(problems), kept)

    def probe(self, item: int) -> None:
        """See `Job`."""
        try:
            looking.look_at(self.photos[item])
        except Exception:  # what only fails is told by `run`
            return

    def _read_former(self) -> dict[Listed, Record]:
        """What is known of these photos already."""
        wanted = set(self.photos)
        found = {}
        for name in (f"partly-{self.digest}", *self.former):
            for record in self.parts.read(name) or ():
                try:
                    photo = looking.as_listed(record)
                except (KeyError, TypeError, ValueError):  # a part of something else
                    break
                if photo in wanted:
                    found[photo] = record
        return found


def cut_photos(photos: Iterator[Listed]) -> Iterator[tuple[Listed, ...]]:
    """The pieces of a listing."""
    return cut(photos, lambda photo: photo.path, LEAST, MOST)
