"""From photos to reports: what `imgorder report` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from math import factorial, isclose
from pathlib import Path
from typing import BinaryIO

from imgorder import __version__
from imgorder.errors import ImgorderError, ModelError, SetSizeError, UsageError
from imgorder.heatmaps.heatmap import maps_in_order
from imgorder.heatmaps.maps import Array, last, scales
from imgorder.heatmaps.overlay import Look, paint
from imgorder.inference import cards as registry
from imgorder.inference.checksum import describe_file
from imgorder.inference.options import ModelOptions
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.known import Known
from imgorder.media.capture import zoned_time
from imgorder.media.lookalikes import group_lookalikes
from imgorder.media.photos import PhotoSet, find_sets
from imgorder.media.preprocess import Preprocessing, preprocess_set
from imgorder.names import short_names, show
from imgorder.pictures.canvas import load_small
from imgorder.pictures.outputs import Staged, check_target, numbered
from imgorder.report.embed import EDGE, encoded
from imgorder.report.facts import Candidate, Maker, Numbers, Photo, Report, Told
from imgorder.report.page import page
from imgorder.report.times import judge
from imgorder.sorting import SortedSet, Sorting, sort_sets

SUFFIXES = (".html", ".htm")

SHOWN = 5
"""How many orders a report lists."""

_TIE = 1e-5
"""By what share the figures of two paths may differ that are equally short: lengths are sums of rounded numbers."""


def write_reports(
    paths: Sequence[Path],
    out: Path,
    look: Look,
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    *,
    force: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> list[Path]:
    """Sort every set under ``paths`` and write a report of each, all or none; photos are only read.

    Args:
        paths: folders of photos, or photos that make a set together.
        out: the file; with several sets the names are numbered.
        look: of the heat maps.
        force: replace files that are there, never photos.
        options: how the model is asked.
        known: what is known of the orders.
        warn: is told what is odd but does not stop the job.

    Returns:
        The files, one for each set.

    Raises:
        ImgorderError: for photos or a model that cannot be used, and a file that is there already or cannot be
            written. The targets are looked at before the sorting.
        UsageError: if the file's name does not end as that of a page does.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out {show(out)}: the name must end in {' or '.join(SUFFIXES)}")
    sets = find_sets(paths)
    for photos in sets:
        _check_size(photos)
    targets = numbered(out, len(sets))
    for target in targets:
        check_target(target, sets, force, warn)
    with Staged(force) as staged:
        for sorting, target in zip(sort_sets(sets, options, known, warn), targets, strict=True):
            staged.write(target, partial(_write, page(make_report(sorting, look, options.threads))))
        staged.place()
    return targets


def make_report(sorting: Sorting, look: Look, threads: int | None = None) -> Report:
    """All that a report tells about one set.

    Raises:
        PhotoError: if a photo has become unreadable since it was sorted.
    """
    result, order, start = sorting.result, sorting.ordering.order, sorting.start
    number = {image: place for place, image in enumerate(order, start=1)}
    ranking = sorting.ordering.ranking()
    baseline, tied = _baseline(sorting, number, threads)
    return Report(
        title=result.folder_name,
        photos=_photos(sorting, look),
        told=_told(result, start),
        twins=tuple(tuple(sorted(number[image] for image in group)) for group in group_lookalikes(sorting.twins)),
        candidates=tuple(
            Candidate(_numbers(candidate, number, start), probability)
            for candidate, probability in ranking[:SHOWN]
            if probability > 0  # with --first, orders that this photo does not begin are impossible
        ),
        classes=len(ranking) if start is None else factorial(len(order) - 1),
        baseline=baseline,
        baseline_tied=tied,
        times=judge([zoned_time(file) for file in result.files]),
        look=look,
        maker=_maker(sorting.model, len(order), result.votes),
    )


def _told(result: SortedSet, start: int | None) -> Told:
    if start is not None:
        return "first"
    return "nothing" if result.direction == "unknown" else "direction"


def _check_size(photos: PhotoSet) -> None:
    if len(photos.files) == 2:
        raise SetSizeError(f"{show(photos.folder)}: two photos, nothing to order; a report needs 3 to 6 of one scene")


def _photos(sorting: Sorting, look: Look) -> tuple[Photo, ...]:
    """In their order, each with its map."""
    files = sorting.result.files
    # Not as `sort` lists them: those of several folders would tell where their owner keeps them.
    names = short_names(files)
    heat = _heat(sorting)
    full = 1.0 if heat is None else scales(heat, by_photo=False)[0]
    return tuple(
        _photo(file, name, None if heat is None else heat[image], full, look, sorting.model.preprocessing)
        for image, file, name in zip(sorting.ordering.order, files, names, strict=True)
    )


def _photo(file: Path, name: str, heat: Array | None, full: float, look: Look, spec: Preprocessing) -> Photo:
    # A function of its own, so that one photo at a time is in memory.
    picture = load_small(file, EDGE)
    plain = encoded(picture)
    if heat is None:
        return Photo(show(name), plain, None)
    paint(picture, heat, full, look, spec)
    return Photo(show(name), plain, encoded(picture))


def _heat(sorting: Sorting) -> Array | None:
    """The map of each photo, as listed; None if the model has none, which does not make a report useless."""
    try:
        layers = maps_in_order(sorting.model, sorting.tensors, sorting.ordering).layers
    except ModelError:
        return None
    return layers[last(layers)]


def _baseline(sorting: Sorting, number: Mapping[int, int], threads: int | None) -> tuple[Numbers | None, bool]:
    """The shortest path, which is told what the model was told, and whether others are as short.

    Of those it is the predicted order, if that is among them. None if it is the model.
    """
    if sorting.model.name == registry.BASELINE:
        return None, False
    tensors, start = sorting.tensors, sorting.start
    path = load_model(registry.BASELINE)
    if path.preprocessing != sorting.model.preprocessing:
        tensors = preprocess_set(sorting.result.photos.files, path.preprocessing, threads)
    found = path.order_tensors([tensors])[0]
    if start is not None:
        found = found.with_end(start)
    as_short = [
        _numbers(order, number, start) for order, p in found.ranking() if isclose(p, found.confidence, rel_tol=_TIE)
    ]
    return min(as_short, key=lambda numbers: list(numbers) != sorted(numbers)), len(as_short) > 1


def _numbers(order: Sequence[int], number: Mapping[int, int], start: int | None) -> Numbers:
    """An order by the photos' numbers, in the direction that is nearer to theirs, so that what differs stands out.

    Args:
        order: as `Ordering` gives it.
        number: of each image.
        start: the image that is known to be first, if one is; then there is but one direction.
    """
    forward = tuple(number[image] for image in order)
    backward = forward[::-1]
    if start is not None:
        return forward
    return min(forward, backward, key=lambda numbers: (_swapped(numbers), numbers))


def _swapped(numbers: Numbers) -> int:
    """How many pairs stand the wrong way round."""
    return sum(before > after for before, after in combinations(numbers, 2))


def _maker(model: OrderingModel, photos: int, votes: int) -> Maker:
    file = model.networks[photos].file
    try:
        digest = "" if file is None else describe_file(file).sha256
    except OSError as error:
        raise ImgorderError(f"{show(file or '')}: cannot be read ({error.strerror})") from error
    return Maker(show(model.name), model.backend, digest, model.preprocessing, votes, __version__)


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode("utf-8"))
