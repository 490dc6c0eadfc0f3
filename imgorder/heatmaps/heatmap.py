"""From photos to heat maps: what `imgorder heatmap` does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder.errors import ImgorderError, ModelError, PhotoError, SetSizeError
from imgorder.files import atomic_write, make_folder, same_file
from imgorder.heatmaps.grid import PAGE, draw_grid
from imgorder.heatmaps.maps import Array, depend_on_listing, find_scales, last_layer, motion_maps
from imgorder.heatmaps.overlay import Look, paint, upsample_strips
from imgorder.inference.backends.triples import TripleBackend
from imgorder.inference.backends.voting import choose_listings
from imgorder.inference.options import ModelOptions
from imgorder.inference.predictor import OrderingModel
from imgorder.media.photos import PhotoSet, check_photo, find_sets, open_photo, refuse
from imgorder.media.preprocess import (
    Preprocessing,
    Tensor,
    preprocess_readable,
    preprocess_set,
    to_pixels,
    upright_rgb,
)
from imgorder.media.strays import find_strays
from imgorder.names import short_names, show
from imgorder.ordering import Ordering, canonical_ranks
from imgorder.pictures.canvas import convert_to_srgb
from imgorder.pictures.outputs import check_present, name_targets, save_marked

JPEG_QUALITY = 92
_AT_ONCE = 16  # photos whose features are in memory
LISTINGS = 24  # maps of DAB-ResNets are nearer to what moves than in one listing: docs/heatmaps.md


@dataclass(frozen=True)
class Wanted:
    """What to write.

    Attributes:
        look: of the painted maps.
        by_photo: a scale for each photo; else one for the set, so that its photos can be compared.
        raw: also the values, as float32 .npy and 16-bit PNG.
        layers: also the grid of all layers.
        decision: also which regions raised the winner's score over the runner-up's (torch only).
        force: overwrite existing files, but never photos.
    """

    look: Look = field(default_factory=Look)
    by_photo: bool = False
    raw: bool = False
    layers: bool = False
    decision: bool = False
    force: bool = False


@dataclass(frozen=True)
class SetMaps:
    """Maps of one set.

    Attributes:
        order: indices of the photos in temporal order.
        layers: layer -> ``(n, H, W)``, photo by photo as listed.
        decision: ``(n, H, W)``; None if it was not wanted.
        spec: how the photos became the network's input; it says where on a photo the maps lie.
    """

    order: tuple[int, ...]
    layers: dict[str, Array]
    decision: Array | None
    spec: Preprocessing


def write_heatmaps(
    paths: Sequence[Path],
    out: Path,
    wanted: Wanted,
    options: ModelOptions = ModelOptions(),
    written: Callable[[Path], None] = lambda path: None,
    exclude: Sequence[str] = (),
    warn: Callable[[str], None] = lambda message: None,
    apart: Callable[[ImgorderError], None] = refuse,
    keep_strays: bool = False,
) -> None:
    """Paint the maps of every set under ``paths`` into a folder; photos are only read.

    Args:
        paths: folders of photos, or photos that make a set together.
        out: folder, made if missing; each of several sets gets a folder of its own in it.
        wanted: what to write.
        options: how the model is asked for the order, and over how many listings the maps are averaged.
        written: called with each file.
        exclude: names and patterns of photos to leave out, as `find_sets` takes them.
        warn: called with each warning.
        apart: called with the error of each photo and set that cannot be sorted; the rest is painted.
        keep_strays: paint photos that look like another scene as well.

    Raises:
        ImgorderError: for photos or a model that cannot be used, a file that exists already, or a folder that
            cannot be written or holds the photos. All this is checked, and all maps are computed, before the first
            folder is made. After that only the disk can fail, or a photo that can be read small but not whole.
    """
    found = find_sets(paths, exclude, warn, apart)
    if wanted.decision and options.backend == "auto":
        options = replace(options, backend="torch")
    loaded = options.load()
    sets: list[PhotoSet] = []
    inputs: list[Tensor] = []
    for photos in found:
        try:
            if len(photos.files) == 1:
                check_photo(photos.files[0])
            _check_size(photos, loaded, wanted.decision)
            tensors, bad = preprocess_readable(photos.files, loaded.preprocessing, options.threads)
            for error in bad.values():
                apart(error)
            if bad:
                readable = (file for index, file in enumerate(photos.files) if index not in bad)
                photos = replace(photos, files=tuple(readable))
                _check_size(photos, loaded, wanted.decision)
            strays = find_strays(tensors, loaded.preprocessing)
            said = None if keep_strays else strays.warning([photos.name(file) for file in photos.files])
            if said:
                warn(f"{show(photos.folder)}: {said}")
                left = [index for index in range(len(photos.files)) if index not in strays.apart]
                photos, tensors = replace(photos, files=tuple(photos.files[index] for index in left)), tensors[left]
                _check_size(photos, loaded, wanted.decision)
        except (PhotoError, SetSizeError) as error:
            apart(error)
        else:
            sets.append(photos)
            inputs.append(tensors)
    if not sets:
        raise PhotoError("no set is left that could have heat maps; nothing was written")
    folders = [out]
    if len(sets) > 1:
        names = (os.path.basename(os.path.abspath(photos.folder)) for photos in sets)
        folders = [out / f"{number:02d}-{name}" for number, name in enumerate(names, start=1)]
    targets = [_name_targets(photos, folder, wanted) for photos, folder in zip(sets, folders, strict=True)]
    places = (each for photos in sets for file in photos.files for each in (file, Path(os.path.realpath(file))))
    photo_folders = {each.parent for each in places}
    for folder, files in zip(folders, targets, strict=True):
        _check_folder(folder, photo_folders)
        for file in chain(*files.values()):
            check_present(file, sets, wanted.force)  # links among the photos may lead there
    taken = [maps_in_order(loaded, tensors, loaded.order_tensors([tensors])[0], wanted.decision) for tensors in inputs]
    for photos, folder, files, maps in zip(sets, folders, targets, taken, strict=True):
        make_folder(folder)
        _write_set(photos, files, maps, wanted, written)


def _check_size(photos: PhotoSet, model: OrderingModel, decision: bool) -> None:
    model.check_size(len(photos.files), photos.folder)
    if len(photos.files) < 3:
        raise SetSizeError(
            f"{show(photos.folder)}: {len(photos.files)} photos; a heat map needs 3 or more: two have no middle "
            "to compare with"
        )
    if decision and len(photos.files) > (most := window_size(model, len(photos.files))):
        raise SetSizeError(
            f"{show(photos.folder)}: {len(photos.files)} photos; {model.name} has maps of a decision for at most "
            f"{most}; give fewer, or leave out --decision"
        )


def set_maps(
    model: OrderingModel, files: Sequence[Path], decision: bool = False, threads: int | None = None
) -> SetMaps:
    """Order a set of 3 photos or more and compute its maps; raises as `maps_in_order` does."""
    tensors = preprocess_set(files, model.preprocessing, threads)
    return maps_in_order(model, tensors, model.order_tensors([tensors])[0], decision)


def maps_in_order(model: OrderingModel, tensors: Tensor, ordering: Ordering, decision: bool = False) -> SetMaps:
    """Maps of a set that is ordered already.

    A DAB-ResNet's maps depend on the listing: the last image in it shows its own features, and each other one its
    differences from those ahead (Eq. 2). So they are the mean over the listings that the model was asked to vote in,
    or else over `LISTINGS`, less those in which the image is the last one, if it is not last in all.

    Of more photos than a network is made for, neighbours in the order are shown together, and a photo's map comes of
    its features and those of its two neighbours. A TriDAB's maps need no more than these, and it sees each photo once;
    other networks see windows of the order, each with both neighbours of the photos that it is asked for. Only the
    features of a few photos are in memory.

    Args:
        tensors: the set, preprocessed for the model, ``(n, 3, crop, crop)``; 3 photos or more.

    Raises:
        ModelError: if the model has no maps, or none of a decision.
        SetSizeError: if those of a decision are wanted of more photos than a network is made for.
    """
    order, n, size = list(ordering.order), len(tensors), window_size(model, len(tensors))
    if decision and size < n:
        raise SetSizeError(f"{n} photos; {model.name} has maps of a decision for at most {size}; give fewer")
    if size == n:
        shown = [each for each, _ in ordering.ranking()[:2]] if decision else [ordering.order]
        layers, contrast = _maps_of_window(model, tensors, shown)
        return SetMaps(ordering.order, layers, contrast, model.preprocessing)
    if isinstance(model.networks[size].backend, TripleBackend):
        return SetMaps(ordering.order, _maps_along(model, size, tensors, order), None, model.preprocessing)
    layers, done = {}, 0
    for first in (*range(0, n - size, size - 2), n - size):
        end = n if first == n - size else first + size - 1  # the next window has the last one's neighbours
        window = order[first : first + size]
        maps, _ = _maps_of_window(model, tensors[window], [range(size)])
        for name, each in maps.items():
            layers.setdefault(name, np.empty((n, *each.shape[1:]), np.float32))[order[done:end]] = each[
                done - first : end - first
            ]
        done = end
    return SetMaps(ordering.order, layers, None, model.preprocessing)


def window_size(model: OrderingModel, n: int) -> int:
    """How many of n photos the model's network is shown at once: all, or as many as it is made for."""
    return max(size for size in model.sizes if size <= n)


def _maps_along(model: OrderingModel, size: int, tensors: Tensor, order: Sequence[int]) -> dict[str, Array]:
    """`SetMaps`' layers by a network that sees each photo by itself, some of them at a time."""
    layers: dict[str, Array] = {}
    kept: dict[str, Array] = {}  # features of the last two photos before
    for first in range(0, len(order), _AT_ONCE):
        images = order[first : first + _AT_ONCE]
        features = {name: each[0] for name, each in _activations(model, size, tensors[images]).items()}
        features = {name: np.concatenate([kept[name], each]) if kept else each for name, each in features.items()}
        kept = {name: each[-2:] for name, each in features.items()}
        # The last photo's map waits for its second neighbour, or is made again.
        near = order[max(0, first - 2) : first + _AT_ONCE]
        skipped = 1 if first else 0
        for name, each in features.items():
            maps = motion_maps(name, each, range(len(near)))
            layers.setdefault(name, np.empty((len(order), *maps.shape[1:]), np.float32))
            layers[name][near[skipped:]] = maps[skipped:]
    return layers


def _maps_of_window(
    model: OrderingModel, tensors: Tensor, orders: Sequence[Sequence[int]]
) -> tuple[dict[str, Array], Array | None]:
    """`SetMaps`' layers of photos that a network takes at once, and with a second order the decision against it."""
    # Shown as `order_tensors` shows them, so that the maps do not depend on names either.
    listings = np.argsort(canonical_ranks(tensors))[np.array(choose_listings(len(tensors), model.listings or LISTINGS))]
    found: list[tuple[dict[str, Array], Array | None]] = []
    for listing in listings:
        found.append(_maps_in_listing(model, tensors, orders, listing))
        if not depend_on_listing(found[0][0]):
            break  # features of one image each are the same in every listing
    # A listing's last photo shows no differences in it, so its map is the mean over the others, where there are some.
    counts = np.arange(len(tensors)) != listings[: len(found), -1:]
    counts[:, ~counts.any(axis=0)] = True
    layers = {
        name: np.mean([each[name] for each, _ in found], axis=0, where=counts[..., None, None]) for name in found[0][0]
    }
    contrasts = [each for _, each in found if each is not None]
    return layers, np.mean(contrasts, axis=0) if contrasts else None


def _maps_in_listing(
    model: OrderingModel, tensors: Tensor, orders: Sequence[Sequence[int]], listing: npt.NDArray[np.intp]
) -> tuple[dict[str, Array], Array | None]:
    """The same of photos that are shown in one listing: its place i has image ``listing[i]``."""
    place = np.argsort(listing)
    network = model.networks[len(tensors)]
    activations = _activations(model, len(tensors), tensors[listing])
    in_listing = [[int(place[image]) for image in order] for order in orders]
    layers = {name: motion_maps(name, activation[0], in_listing[0])[place] for name, activation in activations.items()}
    contrast = None
    if len(in_listing) > 1:
        contrast = network.backend.decision(tensors[listing][None], in_listing[0], in_listing[1])[place]
    return layers, contrast


def _activations(model: OrderingModel, size: int, tensors: Tensor) -> dict[str, Array]:
    """Of photos that the network for sets of this size is shown: layer -> ``(1, n, C, H, W)``; raises ModelError."""
    network = model.networks[size]
    activations = network.backend.activations(tensors[None])
    if not activations:
        raise ModelError(f"{model.name}: has no heat maps; choose a TriDAB or DAB-ResNet model")
    if not all(each.ndim == 5 and each.shape[:2] == (1, len(tensors)) for each in activations.values()):
        raise ModelError(f"{show(network.file or model.name)}: has outputs that are no maps; fetch or export it again")
    if not all(np.isfinite(each).all() for each in activations.values()):
        raise ModelError(f"{show(network.file or model.name)}: its maps are not numbers; fetch or train it again")
    return activations


def _name_targets(photos: PhotoSet, folder: Path, wanted: Wanted) -> dict[str, list[Path]]:
    """Kind -> a file for each photo, in the order of the set; "layers" has one for the whole set, or several pages."""
    stems = _choose_stems(photos)
    kinds = {"map": ".heat.jpg"}
    if wanted.raw:
        kinds |= {"values": ".heat.npy", "picture": ".heat.png"}
    if wanted.decision:
        kinds |= {"decision": ".decision.jpg"}
    targets = {kind: [folder / f"{stem}{ending}" for stem in stems] for kind, ending in kinds.items()}
    if wanted.layers:
        (targets["layers"],) = name_targets(folder / "layers.png", [ceil(len(photos.files) / PAGE)])
    return targets


def _check_folder(folder: Path, of_photos: Set[Path]) -> None:
    """Check as much as possible that maps can go there, without making the folder."""
    if any(same_file(folder, each) for each in of_photos):
        raise ImgorderError(
            f"{show(folder)}: holds the photos, and their maps would be taken for photos next time; "
            "choose another --out"
        )
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        why = os.strerror(errno.EACCES if os.path.isdir(there) else errno.ENOTDIR)
        raise ImgorderError(f"{show(folder)}: cannot be a folder of maps ({why}); choose another --out")


def _write_set(
    photos: PhotoSet,
    targets: dict[str, list[Path]],
    maps: SetMaps,
    wanted: Wanted,
    written: Callable[[Path], None],
) -> None:
    heat, look, spec = last_layer(maps.layers), wanted.look, maps.spec
    painted = {"map": heat} if maps.decision is None else {"map": heat, "decision": maps.decision}
    scales = {kind: find_scales(values, wanted.by_photo) for kind, values in painted.items()}
    for index, file in enumerate(photos.files):
        for kind, values in painted.items():
            size = _paint_photo(file, values[index], scales[kind][index], look, spec, targets[kind][index])
        if wanted.raw:
            _write_values(targets["values"][index], heat[index], size, spec)
            _write_16_bit(targets["picture"][index], heat[index], scales["map"][index], size, spec)
        for kind, files in targets.items():
            if kind != "layers":
                written(files[index])
    if wanted.layers:
        for target in _draw_layers(photos, targets["layers"], maps, wanted):
            written(target)


def _draw_layers(photos: PhotoSet, pages: Sequence[Path], maps: SetMaps, wanted: Wanted) -> Iterator[Path]:
    """Write the pages of the grid; gives each that is done."""
    names = [show(name) for name in short_names([photos.files[index] for index in maps.order])]
    scales = {name: find_scales(each, wanted.by_photo) for name, each in maps.layers.items()}
    on_page = ceil(len(names) / len(pages))
    for number, page in enumerate(pages):
        first = number * on_page
        order = list(maps.order[first : first + on_page])
        squares = [Image.fromarray(to_pixels(photos.files[index], maps.spec)) for index in order]
        of_page = {name: each[order] for name, each in maps.layers.items()}
        scales_of_page = {name: [each[index] for index in order] for name, each in scales.items()}
        shown = names[first : first + on_page]
        _save(draw_grid(squares, shown, of_page, scales_of_page, wanted.look, maps.spec, first + 1), page)
        yield page


def _paint_photo(
    file: Path, heat: Array, full: float, look: Look, spec: Preprocessing, target: Path
) -> tuple[int, int]:
    """Write a photo with its map; returns the photo's width and height."""
    # A function of its own, so that only one photo is in memory.
    stored = open_photo(file)
    picture = convert_to_srgb(upright_rgb(stored), stored.info.get("icc_profile"))
    picture.info = {}  # the photo's comments do not go into the map
    paint(picture, heat, full, look, spec)
    _save(picture, target)
    return picture.size


def _write_values(path: Path, heat: Array, size: tuple[int, int], spec: Preprocessing) -> None:
    """float32 ``(H, W)`` at the photo's size, NaN where the network does not look."""
    # Not through a memory map: where the disk fills up, the system would kill the process.
    with atomic_write(path, "choose another --out") as partial, partial.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (size[1], size[0])}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for _, strip in upsample_strips(heat, size, spec):
            file.write(strip.astype("<f4").tobytes())


def _write_16_bit(path: Path, heat: Array, full: float, size: tuple[int, int], spec: Preprocessing) -> None:
    """Grey, 65535 for the brightest value of the scale; 0 where the network does not look."""
    values = np.zeros((size[1], size[0]), dtype=np.uint16)
    for first, strip in upsample_strips(heat, size, spec):
        values[first : first + len(strip)] = np.clip(np.nan_to_num(strip) / full, 0, 1) * 65535 + 0.5
    _save(Image.fromarray(values), path)


def _save(picture: Image.Image, path: Path) -> None:
    with atomic_write(path, "choose another --out") as partial:
        if path.suffix == ".jpg":
            save_marked(picture, partial, "JPEG", quality=JPEG_QUALITY)
        else:
            save_marked(picture, partial, "PNG", compress_level=1)


def _choose_stems(photos: PhotoSet) -> list[str]:
    """Names for the maps: the photos' stems, or their whole names where two photos share a stem."""
    names = [os.path.basename(photos.name(file)) for file in photos.files]
    stems = [os.path.splitext(name)[0] for name in names]
    if len({stem.casefold() for stem in stems}) == len(stems):
        return stems
    if len({name.casefold() for name in names}) == len(names):
        return names
    digits = max(2, len(str(len(names))))
    return [f"{index:0{digits}d}-{name}" for index, name in enumerate(names, start=1)]
