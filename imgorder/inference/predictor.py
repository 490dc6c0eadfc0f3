"""`load_model` and the object it gives: photos in, orders out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder import ordering
from imgorder.errors import ModelError, SetSizeError, UsageError
from imgorder.inference import model_files
from imgorder.inference.backends import AnySize, Backend
from imgorder.inference.backends.path import PathBackend
from imgorder.inference.backends.triples import TripleBackend
from imgorder.inference.backends.views import TwoViews, TwoViewsOfTriples
from imgorder.inference.backends.voting import choose_listings, mean_logits
from imgorder.inference.cards import (
    BASELINE,
    Card,
    find_card,
    known_card,
    member_card,
    networks,
    preprocessing_of,
    sizes_in_words,
)
from imgorder.inference.hub.cache import cached_file
from imgorder.media.preprocess import DEFAULT, ImageLike, Preprocessing, Tensor, preprocess_set
from imgorder.names import show, word_count
from imgorder.ordering import Ordering, Pairs
from imgorder.permutations import MAX_EXACT, SIZES
from imgorder.search.albums import Found, order_by_path, order_by_triples
from imgorder.search.constraints import Before, close_pairs
from imgorder.search.paths import shortest_path
from imgorder.search.table import ScoreTable
from imgorder.search.windows import improve_by_windows, softmax, temper, window_places

if TYPE_CHECKING:
    from imgorder.inference.backends.onnx import OnnxBackend
    from imgorder.inference.backends.torch import TorchBackend

BACKENDS = ("auto", "onnx", "torch")

_SETS_AT_ONCE = 32  # are in memory, so that there may be any number


@dataclass(frozen=True)
class Network:
    """What answers for sets of one size or more.

    Attributes:
        backend: computes the logits.
        temperatures: set size -> divisor of the logits; 1 for a size that has none.
        place_temperature: divisor of the log-odds of a place in a larger set.
        votes: in how many listings a set is shown where nobody asks for another number.
        file: that it was read from; None if it has none.
    """

    backend: Backend
    temperatures: Mapping[int, float] = field(default_factory=dict)
    place_temperature: float = 1.0
    votes: int = 1
    file: Path | None = None


class OpenedWhenAsked(dict[int, Network]):
    """``{n: network}`` in which each network is opened when it is asked for.

    Each is tens of megabytes, and a job rarely has sets of all sizes.
    """

    def __init__(self, open_network: Callable[[int], Network]) -> None:
        super().__init__()
        self._open = open_network

    def __missing__(self, n: int) -> Network:
        self[n] = self._open(n)
        return self[n]


@dataclass(frozen=True)
class OrderingModel:
    """A model that is ready to order sets.

    Attributes:
        name: as in `imgorder models`, or as its file says.
        backend: what runs it: ``"onnx"``, ``"torch"`` or, for the baseline, ``"numpy"``.
        sizes: set sizes that it takes; sets of two need no network.
        preprocessing: how photos become its input.
        networks: set size -> what answers for sets of that size; the same for all sizes, or one for each.
        listings: in how many listings each set is shown, at most; None where nobody asked for votes: as many as each
            network was released with.
    """

    name: str
    backend: str
    sizes: tuple[int, ...]
    preprocessing: Preprocessing
    networks: Mapping[int, Network]
    listings: int | None = None

    def order(self, images: Iterable[ImageLike], before: Collection[tuple[int, int]] = ()) -> Ordering:
        """Order one set.

        Args:
            images: paths, PIL images or uint8 ``(H, W, 3)`` arrays of one scene, in any order.
            before: pairs (a, b) of indices of images of which a is known to be before b.

        Raises:
            SetSizeError: for fewer than 2 images, or a number that the model does not take.
            PhotoError: if a path is not a readable photo.
            TypeError: for one path or picture, or a Python set, where several in a listing are meant.
            IndexError: for a pair with an image that is not there.
            ValueError: for pairs that contradict each other.
        """
        return self.order_batch([_as_listing(images)], [before])[0]

    def order_batch(
        self, sets: Iterable[Iterable[ImageLike]], before: Sequence[Collection[tuple[int, int]]] | None = None
    ) -> list[Ordering]:
        """Order several sets, of equal or different sizes; raises as `order` does, before the first is read."""
        listings = [_as_listing(images, "sets of images") for images in _as_listing(sets, "sets of images")]
        for images in listings:
            self.check_size(len(images))
        known = before or [()] * len(listings)
        orderings: list[Ordering] = []
        for first in range(0, len(listings), _SETS_AT_ONCE):
            part = slice(first, first + _SETS_AT_ONCE)
            tensors = [preprocess_set(images, self.preprocessing) for images in listings[part]]
            orderings += self.order_tensors(tensors, known[part])
        return orderings

    def order_tensors(
        self, sets: Sequence[Tensor], before: Sequence[Collection[tuple[int, int]]] | None = None
    ) -> list[Ordering]:
        """Order sets that are preprocessed already, each float32 ``(n, 3, crop, crop)``."""
        known = [frozenset(pairs) for pairs in before or [()] * len(sets)]
        results: dict[int, Ordering] = {}
        by_size: dict[int, list[int]] = {}
        for index, tensors in enumerate(sets):
            self.check_size(len(tensors))
            by_size.setdefault(len(tensors), []).append(index)
        for n, members in by_size.items():
            if not self.knows_classes(n):
                results |= {index: self._search(sets[index], known[index]) for index in members}
                continue
            ranks = [ordering.canonical_ranks(sets[index]) for index in members]
            batch = np.stack([sets[index][np.argsort(rank)] for index, rank in zip(members, ranks, strict=True)])
            rows = self.probabilities(batch) if n > 2 else np.ones((len(batch), 1))
            for index, row, rank in zip(members, rows, ranks, strict=True):
                results[index] = ordering.from_probabilities(row, rank).constrained(known[index])
        return [results[index] for index in range(len(sets))]

    def knows_classes(self, n: int) -> bool:
        """Whether the network gives the probability of each class of n images."""
        return n == 2 or n in self.sizes or (n <= MAX_EXACT and isinstance(self._network(n).backend, AnySize))

    def _network(self, n: int) -> Network:
        """What answers for sets of n, or for windows of larger sets."""
        return self.networks[n if n in self.sizes else max(self.sizes)]

    def _search(self, tensors: Tensor, before: Pairs) -> Ordering:
        """The order of a set that is larger than those of which the network knows the classes."""
        ranks = ordering.canonical_ranks(tensors)
        by_rank = tensors[np.argsort(ranks)]
        known = close_pairs(len(tensors), [(ranks[a], ranks[b]) for a, b in before])
        network = self._network(len(tensors))
        thumbnails = PathBackend(self.preprocessing).distances(by_rank)
        if isinstance(network.backend, PathBackend):
            found = order_by_path(thumbnails, known)
        elif isinstance(network.backend, TripleBackend):
            found = order_by_triples(_table_of(network, by_rank), shortest_path(thumbnails, known), known)
        else:
            found = self._search_by_windows(by_rank, shortest_path(thumbnails, known), known)
        places = temper(found.places, network.place_temperature)
        return ordering.from_search(found.order, places, ranks, before, search=found.search)

    def _search_by_windows(self, tensors: Tensor, start: Sequence[int], known: Before | None) -> Found:
        """The order by a network that only answers for whole sets."""
        width = max(self.sizes)

        def ask(windows: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
            parts = (windows[first : first + _SETS_AT_ONCE] for first in range(0, len(windows), _SETS_AT_ONCE))
            return np.concatenate([self.probabilities(tensors[np.array(part)]) for part in parts])

        order = improve_by_windows(start, width, ask, known)
        return Found(order, window_places(order, width, ask, known), "windows")

    def probabilities(self, batch: Tensor) -> npt.NDArray[np.float64]:
        """What the network says of sets just as they are listed.

        Args:
            batch: float32 ``(B, n, 3, crop, crop)``.

        Returns:
            float64 ``(B, n!/2)``, in the order of `permutation_classes`; each row adds up to one.

        Raises:
            ModelError: if the network cannot be run, or does not give that many finite numbers.
        """
        n = batch.shape[1]
        network = self._network(n)
        backend, votes = network.backend, self.votes(n)
        if isinstance(backend, TwoViews):
            logits = backend.logits(batch, votes)
        else:
            logits = mean_logits(backend.logits, batch, choose_listings(n, votes))
        scaled = logits.astype(np.float64) / network.temperatures.get(min(n, max(SIZES)), 1.0)
        return softmax(scaled)

    def with_votes(self, votes: int) -> OrderingModel:
        """The same model, which is shown each set in several listings and answers with the mean; see `mean_logits`.

        Args:
            votes: how many listings, and as many times the work, whatever they were before; 1 is a single one, and
                a set of n has n! at most. The baseline never depends on the listing, so it stays as it is.

        Raises:
            UsageError: for less than one.
        """
        if votes < 1:
            raise UsageError(f"{votes} votes: at least 1 is needed")
        return self if votes == self.listings or self.name == BASELINE else replace(self, listings=votes)

    def votes(self, n: int) -> int:
        """In how many listings a set of n is shown: there are n! at most, and two photos need but one."""
        return 1 if n == 2 else min(self.listings or self._network(n).votes, factorial(n))

    def check_size(self, n: int, folder: Path | None = None) -> None:
        """Make sure that a set of n images can be ordered; a network for this n alone is opened now.

        Args:
            n: how many there are.
            folder: where they are, for the error.

        Raises:
            SetSizeError: if n is too small, too large, or not one of the sizes.
            ModelError: if the network for n cannot be had.
        """
        what = f"a set of {n}" if folder is None else f"{show(folder)}: {word_count(n, 'photo')}"
        if n < 2:
            raise SetSizeError(f"{what}; at least 2 photos are needed, 3 for an order that says something")
        if n == 2:
            return
        if n not in self.sizes and n < max(self.sizes):  # larger sets are searched by windows
            cure = "give as many"
            if n <= max(SIZES):  # another model takes them
                cure += ", or another model" if folder is None else ", or leave out --model"
            raise SetSizeError(f"{what}; {self.name} takes {sizes_in_words(self.sizes)} or more; {cure}")
        _ = self._network(n)


def _table_of(network: Network, tensors: Tensor) -> ScoreTable:
    """Scores of the triples of one set, whose photos are encoded now and once."""
    backend = network.backend
    assert isinstance(backend, TripleBackend)
    features = backend.encode(tensors)
    return ScoreTable(
        len(tensors),
        lambda listed, triples, pairs: backend.score(features[list(listed)], triples, pairs),
        network.temperatures,
    )


def _as_listing(given: Iterable[Any], wanted: str = "images") -> list[Any]:
    """Several things in a list; raises TypeError for one, or for a Python set, where an index would mean nothing."""
    if isinstance(given, str | bytes | bytearray | os.PathLike):
        name = given if isinstance(given, bytes | bytearray) else os.fspath(given)
        cure = "for the photos of a folder: sorted(Path(folder).glob('*.jpg'))"
        raise TypeError(f"{name!r} is one path or text, not a list of {wanted}; {cure}")
    if isinstance(given, Set | Mapping):
        raise TypeError(
            f"a {type(given).__name__} has no fixed order, so no index would tell which is meant; give a list"
        )
    if isinstance(given, Image.Image) or (isinstance(given, np.ndarray) and given.ndim < 4):
        raise TypeError(f"one picture, not a list of {wanted}")
    try:
        return list(given)
    except TypeError as error:
        raise TypeError(f"{type(given).__name__}: not a list of {wanted}") from error


def load_model(
    name_or_path: str | os.PathLike[str] | Card = "default",
    backend: str = "auto",
    threads: int | None = None,
    offline: bool = False,
) -> OrderingModel:
    """Load a model: from this machine, else from the Hub.

    Args:
        name_or_path: a name from `imgorder models`, ``"default"``, or the path of an ``.onnx`` or
            ``.safetensors`` file that imgorder wrote; or the model's card, where that has been read already.
        backend: ``"onnx"`` (CPU), ``"torch"``, or ``"auto"``: torch where a GPU is in sight, torch is
            installed and the model has a file for it, else ONNX Runtime. A path decides by its ending.
        threads: how many CPU threads the network may use; all cores by default.
        offline: never ask the Hub, as with ``HF_HUB_OFFLINE=1``.

    Raises:
        ModelError: if there is no such model, its file is broken or foreign, or it cannot be fetched.
        UsageError: for an unknown backend, or less than one thread.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads: at least 1 is needed")
    if backend not in BACKENDS:
        raise UsageError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    if isinstance(name_or_path, Card):
        return _load_card(name_or_path, backend, threads, offline)
    name = os.fspath(name_or_path)
    model_files.refuse_pickles(name)
    card = known_card(name)
    if card is None and (model_files.backend_of(name) or os.path.isfile(name)):
        return _model_of(_open_file(Path(name), None, backend, threads))
    return _load_card(card or find_card(name), backend, threads, offline)


def _load_card(card: Card, backend: str, threads: int | None, offline: bool) -> OrderingModel:
    if card.name == BASELINE:
        path = PathBackend()
        return OrderingModel(BASELINE, path.name, card.sizes, DEFAULT, dict.fromkeys(card.sizes, Network(path)))
    kind = choose_backend(card) if backend == "auto" else backend

    def open_network(of: Card) -> OnnxBackend | TorchBackend:
        return _open_file(*model_files.read_usable(of, kind, offline), kind, threads)

    if not card.members:
        return _model_of(open_network(card))
    spec = preprocessing_of(card)

    def open_member(n: int) -> Network:
        member = member_card(card, n)
        opened = open_network(member)
        if opened.metadata.preprocessing != spec:
            raise ModelError(
                f"{member.name}: wants photos preprocessed in another way than {card.name}; name it by itself"
            )
        return _network_of(opened)

    return OrderingModel(card.name, kind, card.sizes, spec, OpenedWhenAsked(open_member))


def _model_of(opened: OnnxBackend | TorchBackend) -> OrderingModel:
    """A model that is one network, as its file says."""
    metadata = opened.metadata
    each = dict.fromkeys(metadata.sizes, _network_of(opened))
    return OrderingModel(metadata.name, opened.name, metadata.sizes, metadata.preprocessing, each)


def _network_of(opened: OnnxBackend | TorchBackend) -> Network:
    metadata = opened.metadata
    backend: Backend = opened
    if metadata.steady:
        spec = metadata.preprocessing
        backend = TwoViewsOfTriples(opened, spec) if isinstance(opened, TripleBackend) else TwoViews(opened, spec)
    return Network(backend, metadata.temperatures, metadata.place_temperature, metadata.votes, opened.path)


def _open_file(path: Path, content: bytes | None, backend: str, threads: int | None) -> OnnxBackend | TorchBackend:
    kind = model_files.backend_of(path)
    if kind is None:
        raise ModelError(f"{show(path)}: a model file ends in .onnx or .safetensors; `imgorder models` lists models")
    if backend not in ("auto", kind):
        raise UsageError(f"{show(path)}: this file is for --backend {kind}, not {backend}")
    if not os.path.isfile(path):
        raise ModelError(f"{show(path)}: no such model file; `imgorder models` lists what there is")
    if kind == "onnx":
        from imgorder.inference.backends.onnx import OnnxBackend

        return OnnxBackend.open(path, threads, content)
    if not _torch_is_installed():
        raise ModelError(f"{show(path)}: the torch backend is not installed; run: pip install 'imgorder[train]'")
    from imgorder.inference.backends.torch import TorchBackend

    return TorchBackend.open(path, threads, content)


def choose_backend(card: Card) -> str:
    """What runs a model by default: torch where there is a GPU, torch, and the files for it; else ONNX Runtime."""
    # Importing torch takes longer than the whole job, so a GPU is looked for without it.
    if not _gpu_in_sight() or not _torch_is_installed():
        return "onnx"
    here_or_on_the_hub = all(
        "torch" in each.files and (model_files.find_file(each, "torch") or cached_file(each, "torch"))
        for each in networks(card)
    )
    return "torch" if here_or_on_the_hub else "onnx"


def _gpu_in_sight() -> bool:
    return Path("/dev/nvidiactl").exists()


def _torch_is_installed() -> bool:
    return all(find_spec(name) is not None for name in ("torch", "safetensors"))
