"""A tree of photos to its scenes: list, look, group. Memory holds one folder at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

from imgorder.errors import ImgorderError, PhotoError
from imgorder.evidence.weigh import trusted_times
from imgorder.library import looking
from imgorder.library.cache import Runs
from imgorder.library.decisions import match, read_decisions
from imgorder.library.engine import Engine
from imgorder.library.grouping import Rule, group_photos
from imgorder.library.jobs import Done, Job, LookJob, cut_photos
from imgorder.library.listing import Apart, Listed, find_roots, list_tree
from imgorder.library.parts import Parts, Record
from imgorder.library.remote import Address, is_address
from imgorder.media.photos import Exclusion, PhotoSet
from imgorder.media.shots import drop_versions
from imgorder.names import show

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Scene:
    """Photos of one folder that belong together.

    Attributes:
        photos: with the folder as it was given.
        listed: the same photos as they were found.
        ordered: whether they are in the order that a person has decided.
        decided: whether a person has decided that they belong together.
        versions: further files of the same shots, which go along.
        taken: the first and the last capture time that is trusted; empty if there is none.
    """

    photos: PhotoSet
    listed: tuple[Listed, ...]
    ordered: bool = False
    decided: bool = False
    versions: tuple[str, ...] = ()
    taken: tuple[datetime, ...] = ()


@dataclass
class Library:
    """Some folders with all that is below them, and how they are read.

    Attributes:
        roots: the folders.
        engine: what reads the photos.
        parts: where what was found is kept.
        apart: called with each error that costs no more than a photo or a folder.
        warn: called with each warning.
        exclude: names and patterns of photos to leave out.
        trust_mtime: whether a file's time of change counts where a photo has no other.
        seen: called with the number of photos that are done, each time some are.
        count: photos that were looked at, once they were.
        kept: those of them that were known from former runs.
    """

    roots: Sequence[Path]
    engine: Engine
    parts: Parts
    apart: Apart
    warn: Warn = lambda message: None
    exclude: Sequence[str] = ()
    trust_mtime: bool = False
    seen: Callable[[int], None] = lambda count: None
    kept: int = 0
    count: int = 0
    _looks: list[str] | None = field(default=None, repr=False)
    _failed: bool = False

    def look(self) -> Sequence[str]:
        """Look at all photos, once; gives the names of the parts in the order of the listing.

        Raises:
            ImgorderError: for a root that is no folder, and for a part that cannot be written.
        """
        if self._looks is not None:
            return self._looks
        excluded = Exclusion(self.exclude)
        runs = Runs(self.parts, find_roots(self.roots))
        rows: list[tuple[str, str]] = []
        firsts: list[str] = []

        def jobs() -> Iterator[Job]:
            for photos in cut_photos(list_tree(self.roots, excluded, self._set_apart)):
                firsts.append(photos[0].path)
                yield LookJob(photos, self.parts, runs.former(photos))

        for place, done in enumerate(self.engine.run(jobs())):
            self._tell(done)
            rows.append((firsts[place], done.part))
        if not rows and not self._failed:
            self._set_apart(PhotoError(f"{show(self.roots[0])}: no photos there or in folders below; check the path"))
        excluded.check_used(self.warn)
        runs.write(rows)
        self._looks = [part for _, part in rows if part]
        return self._looks

    def _tell(self, done: Done) -> None:
        for problem in done.problems:
            self._set_apart(ImgorderError(problem))
        self.count += done.count
        self.kept += done.kept
        self.seen(self.count)

    def _set_apart(self, error: ImgorderError) -> None:
        self._failed = True
        self.apart(error)

    def folders(self) -> Iterator[tuple[str, list[Record]]]:
        """Each folder with what was seen of its photos."""
        records = (record for part in self.look() for record in self.read_part(part))
        for folder, found in groupby(records, key=lambda record: str(record["folder"])):
            yield folder, list(found)

    def read_part(self, part: str) -> list[Record]:
        """What a part of this run has; raises ImgorderError if it is damaged or gone."""
        records = self.parts.read(part)
        if records is None:
            self.parts.drop(part)
            raise ImgorderError(f"{show(self.parts.path(part))}: is damaged or gone; run this again")
        return records

    def scenes(self, rule: Rule = Rule()) -> Iterator[Scene]:
        """The scenes of all folders, those of one photo as well; of each folder by their first photo."""
        for folder, records in self.folders():
            try:
                yield from self.group(folder, records, rule)
            except ImgorderError as error:  # of this folder's decisions
                self.apart(error)

    def group(self, folder: str, records: list[Record], rule: Rule) -> Iterator[Scene]:
        """The scenes of one folder, of which `folders` gave the records; raises ImgorderError for bad decisions."""
        given = Address(folder) if is_address(folder) else Path(folder)
        kept = [given / record["name"] for record in records]
        originals: dict[Path, Path] = {}
        if not is_address(folder):  # there a look into the files would cost as much as the photos
            kept, originals = drop_versions(kept)
        left = {file.name for file in kept}
        along: dict[str, list[str]] = {}
        for version, original in originals.items():
            along.setdefault(original.name, []).append(version.name)
        records = [record for record in records if record["name"] in left]
        places = {record["name"]: place for place, record in enumerate(records)}
        facts = [looking.as_facts(record) for record in records]
        versions = {one.name: places[of.name] for one, of in originals.items() if of.name in places}
        decided, ordered = self._decide(given, {**versions, **places})
        groups = group_photos(facts, looking.as_rows(records), rule, decided=decided, trust_mtime=self.trust_mtime)
        times = trusted_times(facts, trust_mtime=self.trust_mtime)
        shown = self.shown(folder)
        fixed = {tuple(sorted(group)): tuple(group) for group in decided}
        for group in groups:
            order = fixed.get(tuple(group), tuple(group))
            listed = tuple(looking.as_listed(records[place]) for place in order)
            clocks = sorted(time.clock for place in group if (time := times[place]))
            yield Scene(
                PhotoSet(shown, tuple(shown / each.name for each in listed)),
                listed,
                order in ordered,
                tuple(group) in fixed,
                tuple(version for each in listed for version in along.get(each.name, ())),
                (clocks[0], clocks[-1]) if clocks else (),
            )

    def _decide(self, folder: Path, places: dict[str, int]) -> tuple[list[list[int]], set[tuple[int, ...]]]:
        """The groups that a person has fixed, and those of them whose order is fixed, too.

        ``places`` has a version at the place of its photo, which may so be named twice; the first time counts.
        """
        if isinstance(folder, Address):
            return [], set()
        decisions = read_decisions(folder)
        now = match(folder, decisions)
        groups, ordered = [], set()
        used: set[int] = set()
        for scene in decisions.scenes:
            names = [now[photo.name] for photo in scene.photos if photo.name in now]
            there = dict.fromkeys(places[name] for name in names if name in places)
            group = [place for place in there if place not in used]
            used.update(group)
            if group:
                groups.append(group)
                if scene.ordered and len(group) > 1:
                    ordered.add(tuple(group))
        return groups, ordered

    def shown(self, folder: str) -> Path:
        """A folder as the person spells it."""
        if is_address(folder):
            return Address(folder)
        for root in self.roots:
            below = os.path.relpath(folder, os.path.abspath(root))
            if below == os.curdir:
                return root
            if below != os.pardir and not below.startswith(os.pardir + os.sep):
                return root / below
        return Path(folder)
