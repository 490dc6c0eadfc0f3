"""From photos to reports: what `imgorder report` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from math import factorial, isclose
from pathlib import Path
from typing import BinaryIO

from imgorder.errors import ImgorderError, ModelError, PhotoError, SetSizeError
from imgorder.heatmaps.heatmap import maps_in_order, window_size
from imgorder.heatmaps.maps import find_scales, last_layer
from imgorder.heatmaps.overlay import Look, paint
from imgorder.inference.cards import BASELINE
from imgorder.inference.checksum import describe_file
from imgorder.inference.options import ModelOptions
from imgorder.inference.predictor import load_model
from imgorder.known import Known
from imgorder.media.facts import read_all_facts
from imgorder.media.lookalikes import group_lookalikes
from imgorder.media.photos import find_sets, refuse
from imgorder.media.preprocess import preprocess_set
from imgorder.names import short_names, show
from imgorder.ordering import first_of
from imgorder.permutations import MAX_EXACT, SIZES
from imgorder.pictures.canvas import load_small
from imgorder.pictures.outputs import check_ending, check_targets, name_targets, write_all
from imgorder.report.embed import choose_size, encode_picture
from imgorder.report.facts import Candidate, Given, Numbers, Photo, Report
from imgorder.report.page import make_page
from imgorder.report.times import align, judge
from imgorder.sorting.sort import Apart, Sorting, is_known, sort_sets

SUFFIXES = (".html", ".htm")

SHOWN = 5
"""How many orders a report lists."""

_TIE = 1e-5
"""Two paths are equally short if their figures differ by less than this share: they are sums of rounded numbers."""


def write_reports(
    paths: Sequence[Path],
    out: Path,
    look: Look,
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    *,
    force: bool = False,
    warn: Callable[[str], None] = lambda message: None,
    exclude: Sequence[str] = (),
    apart: Apart = refuse,
) -> list[Path]:
    """Sort every set under ``paths`` and write a report of each, all or none; photos are only read.

    Args:
        paths: folders of photos, or photos that make a set together.
        out: the file; with several sets the names are numbered.
        look: of the heat maps.
        options: how the model is asked.
        known: what is known of the orders.
        force: replace existing files, but never photos.
        warn: called with each warning.
        exclude: names and patterns of photos to leave out, as `find_sets` takes them.
        apart: called with the error of each photo and set that cannot be sorted; the rest is.

    Returns:
        The files, one for each set.

    Raises:
        ImgorderError: for photos or a model that cannot be used, and a file that exists already or cannot be
            written. The files are checked before the sorting.
        UsageError: if the file's name does not end in `SUFFIXES`.
    """
    check_ending("--out", out, SUFFIXES)
    sets = []
    for photos in find_sets(paths, exclude, warn, apart):
        if len(photos.files) == 2:
            apart(
                SetSizeError(
                    f"{show(photos.folder)}: two photos, nothing to order; a report needs {SIZES[0]} of one scene, or "
                    "more"
                )
            )
        else:
            sets.append(photos)
    targets = [target for (target,) in name_targets(out, [1] * len(sets))]
    check_targets(targets, sets, force, warn)
    written: list[Path] = []

    def reports() -> Iterator[tuple[Path, Callable[[BinaryIO], None]]]:
        for sorting in sort_sets(sets, options, known, warn, apart):
            if len(sorting.result.files) == 2:  # the others were set apart
                continue
            written.append(
                next(target for target, photos in zip(targets, sets, strict=True) if photos is sorting.found)
            )
            yield written[-1], partial(_write, make_page(make_report(sorting, look, options.threads)))

    write_all(reports(), force)
    if not written:
        raise PhotoError("no set is left that could have a report; nothing was written")
    return written


def make_report(sorting: Sorting, look: Look, threads: int | None = None) -> Report:
    """Collect the facts about one set.

    Raises:
        PhotoError: if a photo has become unreadable since it was sorted.
    """
    result, order, start = sorting.result, sorting.ordering.order, sorting.start
    facts = read_all_facts(result.files)
    taken = [each.taken for each in facts]
    number = {image: place for place, image in enumerate(order, start=1)}
    ranking = sorting.ordering.ranking()
    baseline, tied = _ask_baseline(sorting, number, threads)
    groups = group_lookalikes(sorting.lookalikes)
    clocks, shifts = align(sorting.evidence, order)
    return Report(
        result=result,
        photos=_load_photos(sorting, look),
        given=_find_given(sorting),
        known=_is_known(sorting),
        lookalikes=tuple(tuple(sorted(number[image] for image in group)) for group in groups),
        candidates=tuple(
            Candidate(_number_order(candidate, number, start), probability)
            for candidate, probability in ranking[:SHOWN]
            if probability > 0 or candidate == order  # what contradicts --first is impossible
        ),
        classes=0 if len(order) > MAX_EXACT else len(ranking) if start is None else factorial(len(order) - 1),
        places=sorting.ordering.places,
        words=sorting.ordering.words,
        baseline=baseline,
        baseline_tied=tied,
        times=judge(
            [time.zoned if time else None for time in taken],
            [each.not_understood for each in facts],
            elsewhere=any(time is not None and time.source != "EXIF" for time in taken),
            clocks=clocks,
            shifts=shifts,
        ),
        look=look,
        preprocessing=sorting.model.preprocessing,
        sha256=_hash_model(sorting),
    )


def _find_given(sorting: Sorting) -> Given:
    result, first, last = sorting.result, sorting.start is not None, sorting.end is not None
    if first or last:
        return "ends" if first and last else "first" if first else "last"
    # That the first photo has the earliest time is given; which one that is, its time says.
    by_times = not result.given and result.reasons[0] != "content"
    return "nothing" if result.direction == "unknown" else "times" if by_times else "direction"


def _is_known(sorting: Sorting) -> bool:
    estimated = any(clock.shift is not None and not clock.given for clock in sorting.result.clocks)
    return not estimated and is_known(sorting.ordering.order, sorting.ordering.before)


def _load_photos(sorting: Sorting, look: Look) -> tuple[Photo, ...]:
    """The photos in their order, each with its map."""
    files, spec = sorting.result.files, sorting.model.preprocessing
    heat, full = None, 1.0
    with suppress(ModelError):  # a report without maps is still useful
        heat = last_layer(maps_in_order(sorting.model, sorting.tensors, sorting.ordering).layers)
        full = find_scales(heat, by_photo=False)[0]
    found = []
    edge, most = choose_size(len(files) * (1 if heat is None else 2))
    # Not the names that `sort` lists: those of several folders would show where their owner keeps them.
    for image, file, name in zip(sorting.ordering.order, files, short_names(files), strict=True):
        picture = load_small(file, edge)
        plain, painted = encode_picture(picture, most), None
        if heat is not None:
            paint(picture, heat[image], full, look, spec)
            painted = encode_picture(picture, most)
        found.append(Photo(show(name), plain, painted))
    return tuple(found)


def _ask_baseline(sorting: Sorting, number: Mapping[int, int], threads: int | None) -> tuple[Numbers | None, bool]:
    """The shortest path, with the same first photo, and whether others are as short.

    If the predicted order is one of the shortest, it is that one. None if the baseline is the model itself.
    """
    if sorting.model.name == BASELINE:
        return None, False
    tensors, start = sorting.tensors, sorting.start
    path = load_model(BASELINE)
    if path.preprocessing != sorting.model.preprocessing:
        tensors = preprocess_set(sorting.result.photos.files, path.preprocessing, threads)
    known = [] if start is None else first_of(len(tensors), start)
    (found,) = path.order_tensors([tensors], [known])
    shortest = [
        _number_order(order, number, start)
        for order, p in found.ranking()
        if isclose(p, found.confidence, rel_tol=_TIE)
    ]
    return min(shortest, key=lambda numbers: list(numbers) != sorted(numbers)), len(shortest) > 1


def _number_order(order: Sequence[int], number: Mapping[int, int], start: int | None) -> Numbers:
    """An order by the photos' numbers, in the direction that is nearer to theirs, which shows best what differs.

    Args:
        order: as `Ordering` gives it.
        number: of each image.
        start: the image that is known to be first, or None; with one there is only one direction.
    """
    forward = tuple(number[image] for image in order)
    if start is not None:
        return forward
    return min(forward, forward[::-1], key=lambda numbers: (sum(a > b for a, b in combinations(numbers, 2)), numbers))


def _hash_model(sorting: Sorting) -> str:
    model = sorting.model
    file = model.networks[window_size(model, len(sorting.result.files))].file
    try:
        return "" if file is None else describe_file(file).sha256
    except OSError as error:
        raise ImgorderError(f"{show(file or '')}: cannot be read ({error.strerror})") from error


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode("utf-8"))
