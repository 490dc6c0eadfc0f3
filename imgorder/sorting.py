"""The main job: photos to ordered sets."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np

from imgorder.errors import ImgorderError, PhotoError, SetSizeError, UsageError
from imgorder.evidence.cameras import UNKNOWN, Camera, part_by_file
from imgorder.evidence.facts import PhotoFacts
from imgorder.evidence.offsets import Chances, Offset, estimate_offsets, find_odd_clock
from imgorder.evidence.weigh import Evidence, weigh_facts
from imgorder.inference.options import ModelOptions
from imgorder.known import EARLIEST, Known
from imgorder.media.casts import even_casts, part_by_cast
from imgorder.media.facts import read_all_facts
from imgorder.media.lookalikes import Lookalike, find_lookalikes, group_lookalikes, word_warnings
from imgorder.media.photos import PhotoSet, check_photo, find_sets, refuse
from imgorder.media.preprocess import DEFAULT, preprocess_readable
from imgorder.media.shots import drop_versions
from imgorder.media.strays import MIXED, NO_SCENE, Strays, find_strays
from imgorder.names import show
from imgorder.ordering import Ordering, Pairs, first_of
from imgorder.permutations import SIZES
from imgorder.search.constraints import close_pairs

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel
    from imgorder.media.preprocess import Tensor

P = ParamSpec("P")
Warn = Callable[[str], None]
Apart = Callable[[ImgorderError], None]

_TWO_CAMERAS = 4  # photos with a time; of fewer none says that they are of two cameras


@dataclass(frozen=True)
class SortedSet:
    """A set of photos and its order: sorted now, or read from a file.

    Attributes:
        photos: the set, as it was found.
        order: indices into ``photos.files``, in temporal order.
        confidence: as in `Ordering`, rounded as it is shown and compared.
        direction: ``"given"`` by the user, ``"known"`` from what is known beside the pictures, or ``"unknown"``.
        model, backend: what gave the order.
        votes: in how many listings the network saw the set.
        ordering: all that the model said, with indices into ``photos.files``; None for an order from a file.
        reasons: what fixes the place of each photo, in temporal order: such as ``"DateTimeOriginal"``, or
            ``"content"``; empty for an order from a file.
        given: indices of the photos whose order among themselves a person has fixed.
        scene: what the photos are, as `Strays` has it; None where that was not asked.
        apart: photos of the set that belong to another scene, and have no place in the order.
        doubt: why the order is no more than a guess, though the model may be sure: the photos are not of one scene, or
            a camera is one only by the pictures. The confidence is 0 then. Empty if there is no such reason.
        clocks: how far the clocks of several cameras are apart.
    """

    photos: PhotoSet
    order: tuple[int, ...]
    confidence: float
    direction: str
    model: str
    backend: str
    votes: int = 1
    ordering: Ordering | None = None
    reasons: tuple[str, ...] = ()
    given: tuple[int, ...] = ()
    scene: str | None = None
    apart: tuple[Path, ...] = ()
    doubt: str = ""
    clocks: tuple[Offset, ...] = ()

    @property
    def words(self) -> str:
        """How sure the order is, for people; empty for an order from a file."""
        return f"a guess: {self.doubt}" if self.doubt else self.ordering.words if self.ordering else ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The photos in temporal order."""
        return tuple(self.photos.files[index] for index in self.order)

    @property
    def title(self) -> str:
        """The folder, for people."""
        return show(self.photos.folder)

    @property
    def folder_name(self) -> str:
        """The folder's own name, for what is passed on: it does not show where its owner keeps photos."""
        folder = Path(os.path.abspath(self.photos.folder))
        return show(folder.name or folder)

    def names(self, order: Sequence[int]) -> list[str]:
        """File names in an order."""
        return [self.photos.name(self.photos.files[i]) for i in order]


@dataclass(frozen=True)
class Sorting:
    """One sorted set, and what its order was made from.

    Attributes:
        result: the set in its order.
        ordering: all that the model said.
        model: what gave the order.
        tensors: the set, preprocessed for the model, ``(n, 3, crop, crop)``.
        start: index of the photo that is known to be first, or None.
        lookalikes: photos that the model cannot tell apart.
        found: the set as it was given; that of ``result`` has the same photos without those that were set apart.
        evidence: what is known beside the pictures; None where that does not count.
    """

    result: SortedSet
    ordering: Ordering
    model: OrderingModel
    tensors: Tensor
    start: int | None
    lookalikes: list[Lookalike]
    found: PhotoSet
    evidence: Evidence | None = None


def sort_photos(
    paths: Sequence[Path],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
    exclude: Sequence[str] = (),
    apart: Apart = refuse,
) -> list[SortedSet]:
    """Find the sets under ``paths`` and order each. Reads only.

    Args:
        options: how the model is asked.
        known: what is known of the orders.
        warn: called with each warning.
        exclude: names and patterns of photos to leave out, as `find_sets` takes them.
        apart: called with the error of each photo and set that cannot be sorted; the rest is.

    Raises:
        ImgorderError: with one line that names the file and the cure, for what is not set apart.
    """
    sets = find_sets(paths, exclude, warn, apart)
    return [sorting.result for sorting in sort_sets(sets, options, known, warn, apart)]


def sort_sets(
    sets: Sequence[PhotoSet],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
    apart: Apart = refuse,
    *,
    all_cameras: bool = True,
) -> Iterator[Sorting]:
    """As `sort_photos`, for sets that are found already, one after the other.

    Before the first set, everything is checked that can be checked without decoding a photo.

    Args:
        all_cameras: whether these are all sets, so that each camera of an offset has to be in one of them.
    """
    from imgorder.inference.cards import known_card, preprocessing_of

    left = [_leave_originals(photos, warn) for photos in sets]
    kept = [pair for pair in zip(sets, left, strict=True) if _passes(apart, _check_size, pair[1])]
    files = [photos.files for _, photos in kept]
    ends = zip(known.starts(files), known.ends(files), strict=True)
    entries = [
        _Entry(found, photos, *each, _weigh(photos, *each, known))
        for (found, photos), each in zip(kept, ends, strict=True)
    ]
    if not entries:
        return
    missing = _find_missing_cameras(entries, known) if all_cameras else set()
    cameras: dict[str, None] = {}  # of all sets, by name
    with ThreadPoolExecutor(1) as pool:
        # Photos are decoded while the model's runtime is imported, and the next set while one is sorted.
        card = known_card(options.model)
        likely = preprocessing_of(card) if card else DEFAULT  # as the file will say, unless it is foreign
        ahead = pool.submit(preprocess_readable, entries[0].photos.files, likely, options.threads)
        model = options.load(card)
        listed = [each for each in entries if _passes(apart, model.check_size, each.size, each.photos.folder)]
        spec = model.preprocessing
        if listed and (spec != likely or listed[0] is not entries[0]):
            ahead = pool.submit(preprocess_readable, listed[0].photos.files, spec, options.threads)
        for entry, after in zip(listed, (*listed[1:], None), strict=True):
            tensors, bad = ahead.result()
            if after is not None:
                ahead = pool.submit(preprocess_readable, after.photos.files, spec, options.threads)
            for error in bad.values() if len(bad) < entry.size else [_none_is_readable(bad)]:
                apart(error)
            readable = _leave_out(entry, bad, model, known, apart)
            if readable is None:
                continue
            strays = _find_strays(readable, tensors, model, known, warn)
            chosen = _leave_out(readable, strays.apart, model, known, apart)
            if chosen is not None:
                stay = [index for index in range(readable.size) if index not in strays.apart]
                files_apart = tuple(readable.photos.files[index] for index in strays.apart)
                parted = _part_cameras(chosen, tensors[stay], model, known)
                sorting = _sort_set(chosen, tensors[stay], model, strays, parted, warn)
                if sorting.evidence:
                    missing -= sorting.evidence.named
                    cameras |= dict.fromkeys(camera.name for camera in sorting.evidence.cameras)
                yield replace(sorting, result=replace(sorting.result, apart=files_apart))
        for text in missing:
            there = ", ".join(cameras)
            raise UsageError(f"--offset {show(text)}: {_NO_CAMERA}, nor do the pictures show one; there are {there}")


@dataclass(frozen=True)
class _Entry:
    """A set to sort: as it was given, and what is left of it; the photos that the person calls first and last."""

    found: PhotoSet
    photos: PhotoSet
    start: int | None
    end: int | None
    told: _Told

    @property
    def size(self) -> int:
        return len(self.photos.files)


def _leave_out(entry: _Entry, gone: Collection[int], model: OrderingModel, known: Known, apart: Apart) -> _Entry | None:
    """A set without some of its photos; None if it cannot be sorted then, which has been told."""
    if not gone:
        return entry
    left = [index for index in range(entry.size) if index not in gone]
    if len(left) < 2 or not _passes(apart, model.check_size, len(left), entry.photos.folder):
        return None
    photos = replace(entry.photos, files=tuple(entry.photos.files[index] for index in left))
    start, end = (left.index(each) if each in left else None for each in (entry.start, entry.end))
    return _Entry(entry.found, photos, start, end, _weigh(photos, start, end, known))


def _none_is_readable(bad: Mapping[int, PhotoError]) -> PhotoError:
    """One error for a whole set: mostly all its photos have the same one."""
    return PhotoError(
        f"{bad[0]}; none of the {len(bad)} photos of this set can be read" if len(bad) > 1 else str(bad[0])
    )


def _passes(apart: Apart, check: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> bool:
    """Whether a set passes a check; if not, it is set apart."""
    try:
        check(*arguments, **named)
    except (PhotoError, SetSizeError) as error:
        apart(error)
        return False
    return True


@dataclass(frozen=True)
class _Told:
    """What is known of one set before its pictures are looked at.

    Attributes:
        before: pairs (a, b) of photos of which a was taken before b.
        direction: see `SortedSet`.
        reverse: whether the person wants the direction opposite to the usual one.
        evidence: where metadata counts.
        complete: whether the pictures may decide nothing.
        given: the photos whose order among themselves the person has fixed; those pairs are in ``before``.
        loose: such photos, too, but whether they run forward or backward has to be decided by content.
    """

    before: Pairs
    direction: str
    reverse: bool
    evidence: Evidence | None
    complete: bool
    given: frozenset[int] = frozenset()
    loose: tuple[tuple[int, ...], ...] = ()


def _weigh(
    photos: PhotoSet, start: int | None, end: int | None, known: Known, facts: Sequence[PhotoFacts] | None = None
) -> _Told:
    """Put together what metadata and the person say; the facts of the photos are read if they are not given.

    Raises:
        UsageError: if they contradict each other.
    """
    n = len(photos.files)
    said = frozenset().union(
        () if start is None else first_of(n, start), () if end is None else {(b, a) for a, b in first_of(n, end)}
    )
    evidence = None
    if known.metadata != "ignore":
        facts = facts or read_all_facts(photos.files)
        evidence = weigh_facts(facts, trust_mtime=known.trust_mtime, offsets=known.shifts)
    if known.earliest_first and start is None and evidence:
        said |= _put_earliest_first(photos, evidence)
    before = said | (evidence.before if evidence else frozenset())
    cure = "the capture times say otherwise; add --metadata ignore, or leave it out"
    if known.reverse and evidence and evidence.directed:
        raise UsageError(f"--reverse: {show(photos.folder)}: {cure}")
    try:
        close_pairs(n, before)
    except ValueError as error:
        if start is not None and start == end:
            raise UsageError(f"{show(photos.files[start])}: cannot be both first and last") from error
        if start is end is None:
            raise UsageError(
                f"--first {EARLIEST}: {show(photos.folder)}: counters say otherwise; leave it out"
            ) from error
        named = "--last" if start is None else "--first"
        photo = photos.files[end if start is None else start]  # type: ignore[index]
        raise UsageError(f"{named} {show(photo)}: {cure}") from error
    direction = "given" if known.earliest_first else known.direction(start, end)
    if direction == "unknown" and evidence and evidence.directed:
        direction = "known"
    chains = known.kept_in(photos.files)
    if any(directed for _, directed in chains):
        direction = "given"
    before, loose = _keep(photos, chains, before, known.reverse)
    given = frozenset(image for chain, _ in chains for image in chain)
    return _Told(before, direction, known.reverse, evidence, known.metadata == "only", given, loose)


def _put_earliest_first(photos: PhotoSet, evidence: Evidence) -> Pairs:
    """That the photos with the earliest time come before all others; raises UsageError if that says nothing."""
    earliest = evidence.earliest
    others = [image for image in range(len(photos.files)) if image not in earliest]
    if not (earliest and others):
        what = "all photos have the same capture time" if earliest else "no photo has a capture time that is trusted"
        raise UsageError(f"--first {EARLIEST}: {show(photos.folder)}: {what}; give the first photo instead")
    return frozenset((one, other) for one in earliest for other in others)


def _keep(
    photos: PhotoSet, chains: Sequence[tuple[list[int], bool]], before: Pairs, reverse: bool
) -> tuple[Pairs, tuple[tuple[int, ...], ...]]:
    """What is known with the order that is to be kept; and the chains whose direction that does not tell.

    Raises:
        UsageError: if the order to keep contradicts what is known.
    """
    loose: list[tuple[int, ...]] = []
    for chain, directed in sorted(chains, key=lambda each: not each[1]):
        ways = [frozenset(combinations(way, 2)) for way in ([chain] if directed else [chain, chain[::-1]])]
        fitting = [way for way in ways if _agree(len(photos.files), before | way)]
        if not fitting or (directed and reverse):
            said = "--reverse says" if directed and reverse else "--first, --last or the capture times say"
            raise UsageError(
                f"{show(photos.files[chain[0]])}: first of the photos to keep in order, but {said} otherwise; "
                "leave one of them out"
            )
        if len(fitting) == 2 and before:
            loose.append(tuple(chain))
        else:
            before = before | fitting[0]
    return before, tuple(loose)


def _agree(n: int, pairs: Pairs) -> bool:
    try:
        close_pairs(n, pairs)
    except ValueError:
        return False
    return True


def _find_strays(entry: _Entry, tensors: Tensor, model: OrderingModel, known: Known, warn: Warn) -> Strays:
    """The photos to set apart, and whether the others are of one scene; of what is not, a warning tells.

    A photo stays whose place is known among most of those of the scene: nothing has to be guessed for it.
    """
    told, n = entry.told, entry.size
    if known.keep_strays or told.complete or n < SIZES[0]:
        return Strays((), (tuple(range(n)),), "")
    strays = find_strays(tensors, model.preprocessing)
    names = [entry.photos.name(file) for file in entry.photos.files]
    before = close_pairs(n, told.before)
    fixed = np.zeros((n, n), dtype=bool) if before is None else before | before.T
    scene = list(strays.scenes[0])
    stay = {*told.given, entry.start, entry.end, *np.flatnonzero(2 * fixed[:, scene].sum(axis=1) > len(scene)).tolist()}
    found = replace(strays, apart=tuple(image for image in strays.apart if image not in stay))
    if found.apart and n - len(found.apart) < SIZES[0]:  # two photos have no order, so all are kept, as a guess
        found = replace(found, apart=(), kind=NO_SCENE)
    where = show(entry.photos.folder)
    for stray in strays.apart:
        if stray in stay:
            warn(f"{where}: {replace(strays, apart=(stray,)).word(names)}; it stays, since its place is known")
    if (found.apart or found.kind in MIXED) and (said := found.warning(names)):
        warn(f"{where}: {said}")
    return found


def _part_cameras(entry: _Entry, tensors: Tensor, model: OrderingModel, known: Known) -> tuple[_Told, Tensor] | None:
    """What is known of a set if photos of one unknown camera are of several, as size and coding hint, or else colours;
    and the photos, with even colours in the second case. None if nothing hints at it.

    Who gives an offset for a camera says that it is one.
    """
    evidence = entry.told.evidence
    if not evidence or entry.told.complete:
        return None
    hints: list[Sequence[int]] = []
    facts: list[PhotoFacts] = []
    for index, camera in enumerate(evidence.cameras):
        timed = [image for image in camera.photos if evidence.times[image]]
        if camera.known or index in evidence.shifts or len(timed) < _TWO_CAMERAS:
            continue
        facts = facts or read_all_facts(entry.photos.files)
        groups = part_by_file(facts, camera.photos, evidence.times)
        if len(groups) < 2 and (found := part_by_cast(tensors[timed], model.preprocessing)):
            groups = [[timed[place] for place in places] for places in found]
            tensors = even_casts(tensors, groups)
        hints += groups if len(groups) > 1 else []
    for look, group in enumerate(hints, 1):
        for image in group:
            facts[image] = replace(facts[image], look=look)
    part = _weigh(entry.photos, entry.start, entry.end, known, facts) if hints else None
    if part and part.evidence and part.evidence.named >= evidence.named and part.evidence.cameras != evidence.cameras:
        return part, tensors
    return None


def _sort_set(
    entry: _Entry,
    tensors: Tensor,
    model: OrderingModel,
    strays: Strays,
    parted: tuple[_Told, Tensor] | None,
    warn: Warn,
) -> Sorting:
    photos, told = entry.photos, entry.told
    lookalikes = find_lookalikes(photos.files, tensors)
    for warning in word_warnings(lookalikes, photos.files):
        warn(warning)
    for conflict in told.evidence.conflicts if told.evidence else ():
        warn(f"{show(photos.folder)}: {conflict}")
    ordering, clocks, before, _ = _find_order(told, tensors, model)
    odd: Camera | None = None
    if parted and told.evidence:
        part, even = parted
        other = _find_order(part, even, model)
        found = _find_odd_camera(told.evidence, part.evidence, other[3]) if part.evidence else None
        alone = len(told.evidence.cameras) == 1
        if found or _named(part) > _named(told):
            told, (ordering, clocks, before, _) = part, other
        if found:
            warn(f"{show(photos.folder)}: {_tell_of(*found, alone)}")
            odd = found[1]
    if told.reverse:
        ordering = ordering.reversed()
    ordering = ordering.merged(group_lookalikes(lookalikes))
    if told.complete:
        _require_known(photos, ordering, before)
    reasons = [text or "content" for text in told.evidence.reasons] if told.evidence else ["content"] * len(tensors)
    for image in told.given:
        reasons[image] = "given"
    doubt = strays.word([photos.name(file) for file in photos.files]) if strays.kind in MIXED else None
    if doubt and _is_known(ordering.order, before):
        doubt = None  # nothing was guessed
    if odd:
        doubt = "; ".join([*([doubt] if doubt else []), f"{odd.name} is only by the pictures a camera of its own"])
    result = SortedSet(
        photos,
        ordering.order,
        0.0 if doubt else round(ordering.confidence, 6),
        told.direction,
        model.name,
        model.backend,
        model.votes(len(photos.files)),
        ordering,
        tuple(reasons[image] for image in ordering.order),
        tuple(image for image in ordering.order if image in told.given),
        strays.kind or None,
        doubt=doubt or "",
        clocks=clocks,
    )
    return Sorting(result, ordering, model, tensors, entry.start, lookalikes, entry.found, told.evidence)


def _find_odd_camera(one: Evidence, parted: Evidence, chances: Chances) -> tuple[Camera, Camera] | None:
    """A camera that was parted, and the part of it whose clock is another one; None if there is none."""
    for whole in one.cameras:
        parts = [index for index, each in enumerate(parted.cameras) if {*each.photos} < {*whole.photos}]
        given = {place: parted.shifts[index] for place, index in enumerate(parts) if index in parted.shifts}
        odd = parts and find_odd_clock([parted.cameras[index] for index in parts], parted.times, chances, given)
        if odd:
            return whole, odd
    return None


def _named(told: _Told) -> frozenset[str]:
    return told.evidence.named if told.evidence else frozenset()


def _find_order(
    told: _Told, tensors: Tensor, model: OrderingModel
) -> tuple[Ordering, tuple[Offset, ...], Pairs, Chances]:
    """The order that fits the pictures and all that is known, how far clocks are apart, what is known, and how probable
    it is by both that one photo was taken before another, ``(n, n)``.
    """
    before = told.before
    for chain in told.loose:
        order = model.order_tensors([tensors], [before])[0].order
        falls = sum(order.index(a) > order.index(b) for a, b in combinations(chain, 2))
        backward = falls * 4 > len(chain) * (len(chain) - 1)
        before |= frozenset(combinations(chain[::-1] if backward else chain, 2))
    ordering = model.order_tensors([tensors], [before])[0]
    chances = ordering.chances() if before else np.full((len(tensors),) * 2, 0.5)
    clocks: tuple[Offset, ...] = ()
    if told.evidence and not told.complete:
        ordering, clocks = _heed_clocks(ordering, tensors, model, told.evidence, before, chances)
    return ordering, clocks, before, chances


def _heed_clocks(
    ordering: Ordering, tensors: Tensor, model: OrderingModel, evidence: Evidence, before: Pairs, chances: Chances
) -> tuple[Ordering, tuple[Offset, ...]]:
    """An order that fits the clocks of several cameras as well, and how far these are apart."""
    guidance = estimate_offsets(evidence.cameras, evidence.times, chances, evidence.shifts)
    wanted = before | guidance.pairs
    if wanted > before and _agree(len(tensors), wanted):
        place = {image: index for index, image in enumerate(ordering.order)}
        if ordering.classes:
            ordering = ordering.constrained(wanted)
        elif any(place[a] > place[b] for a, b in wanted):
            ordering = model.order_tensors([tensors], [wanted])[0]
    return ordering, guidance.offsets


def _tell_of(whole: Camera, odd: Camera, alone: bool) -> str:
    """A warning; where there are further cameras, saying that this one is one takes an offset to their clock."""
    option = f"--offset {shlex.quote(whole.name + ('=+00:00:00' if alone else '=TIME'))}"
    return (
        f"{odd.name} counts as a camera of its own, since its photos look different, and the pictures contradict its "
        f"times; if it is none, add {option}"
    )


_NO_CAMERA = "no photo is of that camera"


def _find_missing_cameras(entries: Sequence[_Entry], known: Known) -> set[str]:
    """The cameras for which an offset is given that are in no set, but may be found by the pictures.

    Raises:
        UsageError: if they cannot show one of that name.
    """
    weighed = [entry.told.evidence for entry in entries if entry.told.evidence]
    files = {show(file.name).casefold() for entry in entries for file in entry.photos.files}
    missing = {text for text in known.shifts if not any(text in evidence.named for evidence in weighed)}
    for text in missing:
        first, _, name = text.casefold().partition(", ")
        if known.metadata == "only" or not (first.startswith(UNKNOWN) and (name in files or first != UNKNOWN)):
            names = dict.fromkeys(camera.name for evidence in weighed for camera in evidence.cameras)
            raise UsageError(f"--offset {show(text)}: {_NO_CAMERA}; there are {', '.join(names)}")
    return missing


def _is_known(order: Sequence[int], before: Pairs) -> bool:
    """Whether nothing of an order comes from the pictures."""
    return all(pair in before for pair in pairwise(order))


def _require_known(photos: PhotoSet, ordering: Ordering, before: Pairs) -> None:
    """Raise UsageError unless metadata alone fixes the whole order."""
    for one, other in pairwise(ordering.order):
        if (one, other) not in before:
            names = " and ".join(show(photos.files[image]) for image in (one, other))
            raise UsageError(f"--metadata only: nothing but the pictures says which of {names} was first; leave it out")


def _leave_originals(photos: PhotoSet, warn: Warn) -> PhotoSet:
    """A set without further versions of its photos, each of which is named."""
    files, originals = drop_versions(photos.files)
    for version, original in originals.items():
        warn(f"{show(version)}: another version of {show(original.name)}, not sorted; rename lets it go along")
    return replace(photos, files=tuple(files)) if originals else photos


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        check_photo(photos.files[0])  # a video, or a text, is not even that
        raise SetSizeError(
            f"{show(photos.files[0])}: a single photo has no order; give {SIZES[0]} photos of one scene, or more"
        )
