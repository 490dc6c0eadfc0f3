"""What is known of one set before its pictures are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from imgorder.errors import UsageError
from imgorder.evidence.facts import PhotoFacts
from imgorder.evidence.weigh import Evidence, weigh_facts
from imgorder.known import EARLIEST, Known
from imgorder.media.facts import read_all_facts
from imgorder.media.photos import PhotoSet
from imgorder.names import show
from imgorder.ordering import Pairs, first_of
from imgorder.search.constraints import agree, close_pairs


@dataclass(frozen=True)
class Told:
    """What metadata and the person say of one set.

    Attributes:
        photos: the set.
        start, end: indices of the photos that the person calls first and last, or None.
        before: pairs (a, b) of photos of which a was taken before b.
        direction: see `SortedSet`.
        reverse: whether the person wants the direction opposite to the usual one.
        complete: whether the pictures may decide nothing.
        facts: of each photo; empty where metadata does not count.
        evidence: what they say; None where metadata does not count.
        given: the photos whose order among themselves the person has fixed; those pairs are in ``before``.
        loose: such photos, too, but whether they run forward or backward has to be decided by content.
    """

    photos: PhotoSet
    start: int | None
    end: int | None
    before: Pairs
    direction: str
    reverse: bool
    complete: bool
    facts: tuple[PhotoFacts, ...] = ()
    evidence: Evidence | None = None
    given: frozenset[int] = frozenset()
    loose: tuple[tuple[int, ...], ...] = ()

    @property
    def size(self) -> int:
        """How many photos there are."""
        return len(self.photos.files)

    @property
    def named(self) -> frozenset[str]:
        """What the person calls the cameras of the set for which offsets are given."""
        return self.evidence.named if self.evidence else frozenset()


def weigh_set(
    photos: PhotoSet, start: int | None, end: int | None, known: Known, facts: Sequence[PhotoFacts] | None = None
) -> Told:
    """Put together what metadata and the person say.

    Args:
        photos: the set.
        start, end: see `Told`.
        known: all else that the person says.
        facts: of the photos; by default they are read.

    Raises:
        UsageError: if they contradict each other.
    """
    n = len(photos.files)
    said = frozenset().union(
        () if start is None else first_of(n, start), () if end is None else {(b, a) for a, b in first_of(n, end)}
    )
    evidence = None
    if known.metadata == "ignore":
        facts = ()
    else:
        facts = read_all_facts(photos.files, making=True) if facts is None else facts
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
    complete = known.metadata == "only"
    return Told(photos, start, end, before, direction, known.reverse, complete, tuple(facts), evidence, given, loose)


def _put_earliest_first(photos: PhotoSet, evidence: Evidence) -> Pairs:
    """That the photos with the earliest time come before all others; raises UsageError if that says nothing."""
    earliest = evidence.earliest
    others = [image for image in range(len(photos.files)) if image not in earliest]
    if not (earliest and others):
        what = "all photos have the same capture time" if earliest else "no photo has a capture time that is trusted"
        if not earliest and any(evidence.times):
            what = "only some capture times have a time zone, so they cannot be compared"
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
        fitting = [way for way in ways if agree(len(photos.files), before | way)]
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
