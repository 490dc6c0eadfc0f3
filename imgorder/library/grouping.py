"""Photos of one folder to scenes: by time where times are known, by likeness where not, by both as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import heappop, heappush
from math import log

import numpy as np
import numpy.typing as npt

from imgorder.evidence.cameras import find_cameras
from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.evidence.relation import Clocks
from imgorder.evidence.weigh import trusted_times
from imgorder.media.likeness import Floats, Rows
from imgorder.media.strays import PAIR

_BACK = 4  # photos before one, in time, with which it is compared
_NEAREST = 32  # others that a photo or a group may join, of those that are most alike
_AT_ONCE = 1 << 22  # pairs that are compared at once
_DAY = timedelta(days=1)  # clocks of two cameras at one place may differ by so much
_NEARBY = 0.8  # so much more unlike may photos be that follow each other within the gap, in the unit of `PAIR`


@dataclass(frozen=True)
class Rule:
    """What makes two photos of a folder one scene.

    The defaults were chosen by benchmarks/groups.py; docs/libraries.md has what they reach.

    Attributes:
        gap: the longest time between two photos of a scene that one camera took one after the other.
        similarity: how alike photos have to be, 0…1, where no time speaks for one scene; somewhat less where one does.
    """

    gap: timedelta = timedelta(seconds=10)
    similarity: float = 0.85

    @property
    def limit(self) -> float:
        """How unlike two photos may be, in the unit of `PAIR`."""
        return log((1 - self.similarity) / self.similarity)


def group_photos(
    facts: Sequence[PhotoFacts],
    rows: Rows,
    rule: Rule = Rule(),
    *,
    decided: Sequence[Sequence[int]] = (),
    trust_mtime: bool = False,
) -> list[list[int]]:
    """The scenes of one folder.

    Two photos that one camera took one after the other, within the gap, are of one scene if they are somewhat alike. So
    a camera may walk on. All else is joined by likeness alone, group by group: the mean likeness of two groups has to
    be high. Photos of one camera that more than the gap parts are never joined.

    Args:
        facts: of n photos.
        rows: what they are compared by, as `describe` gives it.
        rule: the thresholds.
        decided: groups that a person has fixed: nothing joins them, and nothing parts them.
        trust_mtime: see `trusted_times`.

    Returns:
        Groups of indices, each ascending, by their first photo. A photo that stands alone is a group of one.
    """
    fixed = {photo for group in decided for photo in group}
    free = [photo for photo in range(len(facts)) if photo not in fixed]
    times = trusted_times(facts, trust_mtime=trust_mtime)
    groups = [sorted(group) for group in decided]
    if free:
        found = _group(
            [facts[photo] for photo in free],
            [times[photo] for photo in free],
            (rows[0][free], rows[1][free], rows[2][free]),
            rule,
        )
        groups += [[free[place] for place in group] for group in found]
    return sorted(groups)


def _group(facts: Sequence[PhotoFacts], times: Sequence[Taken | None], rows: Rows, rule: Rule) -> list[list[int]]:
    moments = _find_moments(facts, times, rule.gap)
    runs = _follow_time(moments, rows, rule)
    clusters = [_Cluster.of(run, rows, moments) for run in runs]
    axes = {axis for cluster in clusters for axis in cluster.sessions}
    if len(axes) == 1 and all(cluster.sessions for cluster in clusters):
        # One camera that knows its times: what is of two sessions is never joined, so each is looked at alone.
        parts: dict[int, list[_Cluster]] = {}
        for cluster in clusters:
            (session,) = cluster.sessions.values()
            parts.setdefault(session, []).append(cluster)
    else:
        parts = {0: clusters}
    return [sorted(each.photos) for part in parts.values() for each in _join(part, rule.limit)]


@dataclass(frozen=True)
class _Moment:
    axis: int  # on which its time can be compared
    session: int  # photos of one axis that no gap parts
    start: timedelta


def _find_moments(facts: Sequence[PhotoFacts], times: Sequence[Taken | None], gap: timedelta) -> list[_Moment | None]:
    moments: list[_Moment | None] = [None] * len(facts)
    axes = [
        (axis, clock.starts) for camera in find_cameras(facts, times)
        for clock in [Clocks(camera.photos, times)] for axis in clock.axes if axis
    ]  # fmt: skip
    for number, (axis, starts) in enumerate(axes):
        session, last = 0, starts[axis[0]]
        for photo in axis:
            session += starts[photo] - last > gap
            last = starts[photo]
            moments[photo] = _Moment(number, session, last)
    return moments


def _follow_time(moments: Sequence[_Moment | None], rows: Rows, rule: Rule) -> list[list[int]]:
    """Runs of photos that follow each other; one without a time is a run of its own."""
    axes: dict[int, list[int]] = {}
    for photo, moment in enumerate(moments):
        if moment is not None:
            axes.setdefault(moment.axis, []).append(photo)
    runs = _Runs(len(moments))
    for axis in axes.values():
        ordered = sorted(axis, key=lambda photo: (moments[photo].start, photo))  # type: ignore[union-attr]
        starts = [moments[photo].start for photo in ordered]  # type: ignore[union-attr]
        for back in range(1, min(_BACK, len(ordered) - 1) + 1):
            earlier, later = ordered[:-back], ordered[back:]
            dots = [np.einsum("nd,nd->n", each[earlier], each[later]) for each in rows]
            near = _unlike(*dots) <= rule.limit + _NEARBY
            for place in np.flatnonzero(near):
                if starts[place + back] - starts[place] <= rule.gap:
                    runs.join(earlier[place], later[place])
    return runs.listed()


class _Runs:
    """Photos that go together, also by way of others."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def _top(self, photo: int) -> int:
        while self._above[photo] != photo:
            self._above[photo] = self._above[self._above[photo]]
            photo = self._above[photo]
        return photo

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._top(one), self._top(other)))
        self._above[high] = low

    def listed(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for photo in range(len(self._above)):
            groups.setdefault(self._top(photo), []).append(photo)
        return list(groups.values())


def _unlike(colours: Floats, edges: Floats, greys: Floats) -> Floats:
    """How unlike photos are, from the products of their rows; as `imgorder.media.strays` has it."""
    apart = [np.sqrt(np.maximum(0, 1 - each)) for each in (colours, edges)]
    return np.asarray(PAIR[0] * apart[0] + PAIR[1] * apart[1] + PAIR[2] * (1 - greys) + PAIR[3], dtype=np.float32)


@dataclass
class _Cluster:
    photos: list[int]
    sums: npt.NDArray[np.float32]  # of the photos' rows, one after the other
    sessions: dict[int, int] = field(default_factory=dict)  # axis -> its session on it
    span: tuple[timedelta, timedelta] | None = None

    @classmethod
    def of(cls, photos: list[int], rows: Rows, moments: Sequence[_Moment | None]) -> _Cluster:
        own = [moment for photo in photos if (moment := moments[photo]) is not None]
        starts = [moment.start for moment in own]
        return cls(
            photos,
            np.concatenate([each[photos].sum(axis=0) for each in rows]),
            {moment.axis: moment.session for moment in own},
            (min(starts), max(starts)) if starts else None,
        )

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        return np.asarray(self.sums / len(self.photos), dtype=np.float32)

    def fits(self, other: _Cluster) -> bool:
        """Whether no time forbids that both are one scene."""
        for axis in self.sessions.keys() & other.sessions.keys():
            if self.sessions[axis] != other.sessions[axis]:
                return False
        if self.span is None or other.span is None:
            return True
        return max(self.span[0], other.span[0]) - min(self.span[1], other.span[1]) <= _DAY

    def join(self, other: _Cluster) -> _Cluster:
        ends = [end for span in (self.span, other.span) if span for end in span]
        return _Cluster(
            self.photos + other.photos,
            self.sums + other.sums,
            {**self.sessions, **other.sessions},
            (min(ends), max(ends)) if ends else None,
        )


def _join(clusters: list[_Cluster], limit: float) -> list[_Cluster]:
    """Join the two groups that are most alike, as long as they are alike enough; the likeness of groups is the mean."""
    alive = dict(enumerate(clusters))
    beside: dict[int, set[int]] = {number: set() for number in alive}
    heap: list[tuple[float, int, int]] = []
    for unlike, one, other in _nearest_pairs(clusters, limit):
        beside[one].add(other)
        beside[other].add(one)
        heap.append((unlike, one, other))
    heap.sort()
    following = len(clusters)
    while heap:
        _, one, other = heappop(heap)
        if one not in alive or other not in alive or not alive[one].fits(alive[other]):
            continue
        merged = alive.pop(one).join(alive.pop(other))
        around = sorted((beside.pop(one) | beside.pop(other)) - {one, other})
        for each in around:
            beside[each] -= {one, other}
        if around:
            means = np.stack([alive[each].mean for each in around])
            apart = _unlike(*_products(means, merged.mean))
            near = [each for each, far in zip(around, apart.tolist(), strict=True) if far <= limit]
            for each, far in zip(around, apart.tolist(), strict=True):
                if far <= limit:
                    heappush(heap, (far, each, following))
                    beside[each].add(following)
            beside[following] = set(near)
        else:
            beside[following] = set()
        alive[following] = merged
        following += 1
    return list(alive.values())


def _nearest_pairs(clusters: Sequence[_Cluster], limit: float) -> list[tuple[float, int, int]]:
    """The pairs that are alike enough, each (how unlike, one, other), of each cluster with its nearest."""
    if len(clusters) < 2:
        return []
    means = np.stack([each.mean for each in clusters])
    found: dict[tuple[int, int], float] = {}
    rows = max(1, _AT_ONCE // len(means))
    for first in range(0, len(means), rows):
        block = _unlike(*_products(means[first : first + rows], means))
        block[np.arange(len(block)), first + np.arange(len(block))] = np.inf
        count = min(_NEAREST, block.shape[1])
        nearest = np.argpartition(block, count - 1, axis=1)[:, :count]
        for row, others in enumerate(nearest):
            one = first + row
            for other in others.tolist():
                far = float(block[row, other])
                if far <= limit and clusters[one].fits(clusters[other]):
                    found[min(one, other), max(one, other)] = far
    return sorted((far, one, other) for (one, other), far in found.items())


_PARTS = (slice(0, 384), slice(384, 417), slice(417, 673))  # colours, edges and greys among the sums


def _products(some: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> list[Floats]:
    return [some[..., part] @ others[..., part].T for part in _PARTS]
