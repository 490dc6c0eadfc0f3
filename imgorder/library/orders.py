"""The scenes of a tree, each in its order: everything that sorting one set knows, in pieces of a few scenes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import cache, cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from imgorder import __version__
from imgorder.errors import ImgorderError, ModelError
from imgorder.evidence.offsets import Offset
from imgorder.fields import as_json, read_value
from imgorder.inference.options import ModelOptions
from imgorder.known import EARLIEST, Kept, Known
from imgorder.library.jobs import Done, Job
from imgorder.library.listing import Listed
from imgorder.library.parts import Parts, Record, cut, digest_of
from imgorder.library.remote import is_address, local_copies
from imgorder.library.scenes import Library, Scene
from imgorder.media.photos import PhotoSet
from imgorder.names import first_line, show
from imgorder.ordering import Ordering
from imgorder.sorting.sort import sort_sets
from imgorder.sorting.sorted_set import SortedSet

LEAST, MOST = 4, 16  # scenes of a piece


@dataclass(frozen=True)
class OrderJob:
    """Some scenes to be ordered. All paths are absolute: a process may work in another folder.

    Attributes:
        scenes: the photos of each, two or more.
        options: how the model is asked.
        known: what a person says of the orders of just these scenes.
        parts: where its part belongs.
        model: what tells this program with this model from any other.
        classes: how many orders of a scene are kept; all if None.
    """

    scenes: tuple[tuple[Listed, ...], ...]
    options: ModelOptions
    known: Known
    parts: Parts
    model: str
    classes: int | None

    @property
    def size(self) -> int:
        """How many scenes."""
        return len(self.scenes)

    @cached_property
    def digest(self) -> str:
        """Of all that the orders depend on."""
        photos = [[[each.folder, each.name, each.state, each.beside] for each in photos] for photos in self.scenes]
        asked = [self.model, self.options.backend, self.options.votes, self.options.threads, self.classes]
        return digest_of("order", asked, as_json(self.known), photos)

    def done(self) -> Done | None:
        """See `Job`."""
        name = f"part-{self.digest}"
        photos = sum(map(len, self.scenes))
        return Done(name, photos, kept=photos) if self.parts.has(name) else None

    def run(self, deadly: Sequence[int] = ()) -> Done:
        """See `Job`."""
        problems = [
            f"{show(self.scenes[place][0].folder)}: the process that ordered photos here was killed" for place in deadly
        ]
        scenes = [photos for place, photos in enumerate(self.scenes) if place not in deadly]
        try:
            records, more = self._sort(scenes)
        except ModelError:  # of all
            raise
        except Exception:  # of one of them, so that each is asked alone
            records, more = [], []
            for photos in scenes:
                try:
                    found, own = self._sort([photos])
                except ImgorderError as error:
                    found, own = [], [str(error)]
                except Exception as error:  # one scene must not cost the others
                    found, own = [], [f"{show(photos[0].folder)}: cannot be ordered ({first_line(error)})"]
                records += found
                more += own
        problems += more
        name = f"{'partly' if problems else 'part'}-{self.digest}"
        self.parts.write(name, records)
        return Done(name, sum(map(len, self.scenes)), tuple(problems))

    def probe(self, item: int) -> None:
        """See `Job`."""
        try:
            self._sort([self.scenes[item]])
        except Exception:  # what only fails is told by `run`
            return

    def _sort(self, scenes: Sequence[Sequence[Listed]]) -> tuple[list[Record], list[str]]:
        warnings: list[str] = []
        problems: list[str] = []
        records = []
        with ExitStack() as stack:
            sets, known = [], self.known
            for photos in scenes:
                names = [each.name for each in photos] + [name for each in photos for name, _ in each.beside]
                folder = stack.enter_context(local_copies(photos[0].folder, names))
                sets.append(PhotoSet(folder, tuple(folder / each.name for each in photos)))
            if any(is_address(photos[0].folder) for photos in scenes):
                moved = {
                    Path(each.path): file
                    for photos, own in zip(scenes, sets, strict=True)
                    for each, file in zip(photos, own.files, strict=True)
                }
                known = _move(known, moved)
            places = {own.files[0].parent: photos[0].folder for own, photos in zip(sets, scenes, strict=True)}
            known = _restrict(known, {file for own in sets for file in own.files})
            for sorting in sort_sets(
                sets,
                self.options,
                known,
                warnings.append,
                lambda error: problems.append(str(error)),
                all_cameras=False,
            ):
                folder_ = places[sorting.result.photos.folder]
                records.append({**_as_record(sorting.result, folder_, self.classes), "warnings": warnings.copy()})
                warnings.clear()
        return records, problems


def _move(known: Known, moved: Mapping[Path, Path]) -> Known:
    """What is known of photos, said of their copies."""
    return replace(
        known,
        first=tuple(moved.get(file, file) for file in known.first),
        last=tuple(moved.get(file, file) for file in known.last),
        kept=tuple(replace(kept, files=tuple(moved.get(file, file) for file in kept.files)) for kept in known.kept),
    )


def _restrict(known: Known, files: set[Path]) -> Known:
    """What is known of just these photos."""
    return replace(
        known,
        first=tuple(file for file in known.first if file in files or file == EARLIEST),
        last=tuple(file for file in known.last if file in files),
        kept=tuple(kept for kept in known.kept if files.intersection(kept.files)),
    )


def order_scenes(
    library: Library,
    scenes: Iterable[Scene],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    classes: int | None = 2,
) -> Iterator[SortedSet]:
    """The scenes of two photos and more, one after the other, each in its order.

    A network runs in one thread for each process, so that the answer does not depend on how many there are.

    Args:
        library: how photos are read, and who is told of errors and warnings.
        scenes: as `Library.scenes` gives them.
        options: how the model is asked.
        known: what is known of the orders; ``first`` and ``last`` name photos of these scenes.
        classes: how many orders of each scene, at most, the results list; all if None.

    Raises:
        ImgorderError: for a model that cannot be used, and for photos of ``known`` that are in no scene.
    """
    options = replace(options, threads=options.threads or 1)
    model = _identify(options)
    listed = (scene for scene in scenes if len(scene.listed) > 1)
    if known.first or known.last:  # each has to be in one of them
        all_scenes = list(listed)
        files = [scene.photos.files for scene in all_scenes]
        earliest = (EARLIEST,) if known.earliest_first else ()
        first = (*earliest, *_pick(files, known.starts(files)))
        known = replace(known, first=first, last=_pick(files, known.ends(files)))
        listed = (scene for scene in all_scenes)
    known = replace(known, kept=tuple(replace(kept, files=_absolute(kept.files)) for kept in known.kept))

    def jobs() -> Iterator[Job]:
        pieces = cut(listed, lambda scene: scene.listed[0].path, LEAST, MOST)
        alike = (tuple(own) for piece in pieces for _, own in groupby(piece, key=lambda scene: scene.decided))
        for piece in alike:
            photos = tuple(scene.listed for scene in piece)
            here = _restrict(known, {Path(each.path) for listed in photos for each in listed})
            decided = (Kept(tuple(Path(each.path) for each in scene.listed)) for scene in piece if scene.ordered)
            # Nobody has to be told that what a person has put together looks like several scenes.
            strays = known.keep_strays or piece[0].decided
            here = replace(here, kept=(*decided, *here.kept), keep_strays=strays)
            yield OrderJob(photos, options, here, library.parts, model, classes)

    shifted = False
    for done in library.engine.run(jobs()):
        for problem in done.problems:
            library.apart(ImgorderError(problem))
        for record in library.read_part(done.part) if done.part else ():
            for warning in record["warnings"]:
                library.warn(warning)
            result = _as_sorted(record, library.shown(record["folder"]))
            shifted = shifted or any(clock.given for clock in result.clocks)
            yield result
        library.seen(done.count)
    if known.offsets and not shifted:
        library.warn("--offset: no scene has photos of such a camera and of another one")


def _pick(files: Sequence[Sequence[Path]], places: Sequence[int | None]) -> tuple[Path, ...]:
    return _absolute([own[place] for own, place in zip(files, places, strict=True) if place is not None])


def _absolute(files: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(Path(file) if is_address(str(file)) else Path(os.path.abspath(file)) for file in files)


def join_folders(results: Sequence[SortedSet]) -> list[SortedSet]:
    """One set for each folder: its scenes one after the other. It is as sure as the least sure of them."""
    folders: dict[Path, list[SortedSet]] = {}
    for result in results:
        folders.setdefault(result.photos.folder, []).append(result)
    joined = []
    for folder, scenes in folders.items():
        files = tuple(file for scene in scenes for file in scene.files)
        directions = [scene.direction for scene in scenes]
        joined.append(
            replace(
                scenes[0],
                photos=PhotoSet(folder, files),
                order=tuple(range(len(files))),
                confidence=min(scene.confidence for scene in scenes),
                direction="unknown" if "unknown" in directions else directions[0],
                ordering=None,
                reasons=tuple(reason for scene in scenes for reason in scene.reasons),
                given=(),
                scene=None,
                apart=tuple(file for scene in scenes for file in scene.apart),
                doubt=next((scene.doubt for scene in scenes if scene.doubt), ""),
                clocks=(),
            )
        )
    return joined


@cache
def _program() -> str:
    """What tells this version of the program from any other: its sources, since versions have numbers only at times."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return digest_of(__version__, [sha256(source.read_bytes()).hexdigest() for source in sources])


def _identify(options: ModelOptions) -> str:
    """The program, the model's name and what its files have to be; the model is not loaded."""
    from imgorder.inference.cards import known_card

    card = known_card(options.model)
    if card is not None:
        return f"{_program()} {card.name} {digest_of(as_json(card.files), as_json(card.members))}"
    try:
        return f"{_program()} {sha256(Path(options.model).read_bytes()).hexdigest()}"
    except OSError:
        options.load()  # which says what is wrong
        return options.model


_OWN = ("photos", "ordering", "apart", "clocks")  # fields that have a form of their own here


_SPANS = ("shift", "low", "high")  # of an Offset


def _as_record(result: SortedSet, folder: str, classes: int | None) -> Record:
    plain = {each.name: as_json(getattr(result, each.name)) for each in fields(result) if each.name not in _OWN}
    return {
        "folder": folder,
        "name": result.photos.files[0].name,
        "files": [file.name for file in result.photos.files],
        "result": plain,
        "apart": [file.name for file in result.apart],
        "clocks": [_write_clock(clock) for clock in result.clocks],
        "ordering": None if result.ordering is None else _write_ordering(result.ordering, classes),
    }


def _as_sorted(record: Record, folder: Path) -> SortedSet:
    hints = get_type_hints(SortedSet, include_extras=True)
    plain: dict[str, Any] = {name: read_value(hints[name], value, name) for name, value in record["result"].items()}
    photos = PhotoSet(folder, tuple(folder / name for name in record["files"]))
    ordering = None if record["ordering"] is None else _read_ordering(record["ordering"])
    apart = tuple(folder / name for name in record["apart"])
    clocks = tuple(_read_clock(clock) for clock in record["clocks"])
    return SortedSet(photos=photos, ordering=ordering, apart=apart, clocks=clocks, **plain)


def _write_clock(clock: Offset) -> Record:
    return {
        each.name: value.total_seconds() if isinstance(value := getattr(clock, each.name), timedelta) else value
        for each in fields(clock)
    }


def _read_clock(record: Record) -> Offset:
    spans = {name: None if record[name] is None else timedelta(seconds=record[name]) for name in _SPANS}
    return Offset(**{**record, **spans})


def _write_ordering(ordering: Ordering, classes: int | None) -> Record:
    rows = ordering.ranking()[:classes] if ordering.classes else []
    return {
        "order": ordering.order,
        "confidence": ordering.confidence,
        "places": ordering.places,
        "ranks": ordering.ranks,
        "classes": [[order[::-1] if ordering.backwards else order, probability] for order, probability in rows],
        "before": sorted(ordering.before)[:1],  # one pair tells the direction
        "backwards": ordering.backwards,
        "search": ordering.search,
        "proven": ordering.proven,
    }


def _read_ordering(record: Record) -> Ordering:
    return Ordering(
        tuple(record["order"]),
        record["confidence"],
        tuple(record["places"]),
        tuple(record["ranks"]),
        np.array([probability for _, probability in record["classes"]], dtype=np.float64),
        tuple(tuple(order) for order, _ in record["classes"]),
        frozenset((a, b) for a, b in record["before"]),
        record["backwards"],
        record["search"],
        record["proven"],
    )
