"""The main job: paths to ordered sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imgorder.errors import SetSizeError, UsageError
from imgorder.names import show
from imgorder.ordering import Ordering
from imgorder.photos import PhotoSet, find_sets, same_bytes


@dataclass(frozen=True)
class SortedSet:
    """A set of photos and its order.

    Attributes:
        photos: the set, as it was found.
        ordering: indices refer to ``photos.files``.
        direction: ``"given"`` by the user or ``"unknown"``.
        model, backend: what decided.
    """

    photos: PhotoSet
    ordering: Ordering
    direction: str
    model: str
    backend: str

    @property
    def title(self) -> str:
        """The folder, for people."""
        return show(self.photos.folder)

    def names(self, order: Sequence[int]) -> list[str]:
        """File names in an order."""
        return [self.photos.name(self.photos.files[i]) for i in order]


def sort_photos(
    paths: Sequence[Path],
    *,
    model: str = "default",
    backend: str = "auto",
    threads: int | None = None,
    first: Sequence[Path] = (),
    reverse: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> list[SortedSet]:
    """Find the sets under ``paths`` and order each. Reads only.

    Args:
        first: photos known to be the first of their sets.
        reverse: show every set in the direction opposite to the usual one.
        warn: is told what is odd but does not stop the job.

    Raises:
        ImgorderError: with one line that names the file and the cure.
    """
    sets = find_sets(paths)
    for photos in sets:
        _check_size(photos)
    starts = _find_starts(sets, first)
    for photos in sets:
        for one, twin in same_bytes(photos.files):
            warn(f"{show(one)} and {show(twin)} have the same bytes; their order is arbitrary")

    loaded, tensors = _load_both(sets, model, backend, threads)
    orderings = [loaded.order_tensors([each])[0] for each in tensors]
    results = []
    for photos, ordering, start in zip(sets, orderings, starts, strict=True):
        if start is not None:
            ordering = ordering.with_end(start)
        elif reverse:
            ordering = ordering.reversed()
        direction = "unknown" if start is None and not reverse else "given"
        results.append(SortedSet(photos, ordering, direction, loaded.name, loaded.backend.name))
    return results


def _load_both(sets: Sequence[PhotoSet], model: str, backend: str, threads: int | None):  # type: ignore[no-untyped-def]
    """The model and the sets' tensors; photos are decoded while the model's runtime is imported."""
    from imgorder.predictor import load_model
    from imgorder.preprocess import preprocess_set

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(lambda: [preprocess_set(photos.files) for photos in sets])
        loaded = load_model(model, backend, threads)
        tensors = ahead.result()
    return loaded, tensors


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        raise SetSizeError(f"{show(photos.files[0])}: a single photo has no order; give 3 to 6 photos of one scene")
    if n > 6:
        raise SetSizeError(f"{show(photos.folder)}: {n} photos; at most 6 can be ordered at once, give fewer of them")


def _find_starts(sets: Sequence[PhotoSet], first: Sequence[Path]) -> list[int | None]:
    """For each set, the index of the photo that is known to be first."""
    starts: list[int | None] = [None] * len(sets)
    for wanted in first:
        places = [
            (number, index)
            for number, photos in enumerate(sets)
            for index, file in enumerate(photos.files)
            if _is_same(file, wanted) or (wanted.parent == Path() and wanted.name == file.name)
        ]
        if not places:
            raise UsageError(f"--first {show(wanted)}: not one of the photos to sort")
        for number, index in places:
            if starts[number] not in (None, index):
                raise UsageError(f"--first {show(wanted)}: its set has another first photo already")
            starts[number] = index
    return starts


def _is_same(a: Path, b: Path) -> bool:
    return a.absolute() == b.absolute()
