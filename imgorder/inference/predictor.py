"""`load_model` and the object it gives: photos in, orders out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgorder import ordering
from imgorder.errors import ModelError, SetSizeError, UsageError
from imgorder.inference import cards as registry
from imgorder.inference import model_files
from imgorder.inference.backends import Backend
from imgorder.inference.backends.members import Members, MemberTemperatures
from imgorder.media.preprocess import DEFAULT, ImageLike, Preprocessing, Tensor, preprocess_set
from imgorder.names import show
from imgorder.ordering import Ordering

BACKENDS = ("auto", "onnx", "torch")


@dataclass(frozen=True)
class OrderingModel:
    """A model that is ready to order sets.

    Attributes:
        name: as in `imgorder models`, or as its file says.
        backend: computes the logits.
        sizes: set sizes that the network takes; sets of two need no network.
        preprocessing: how photos become its input.
        temperatures: set size -> divisor of the logits.
        file: that it was read from; None if it has none, or several.
        members: the networks behind it where each takes one size; None if it is a single one.
    """

    name: str
    backend: Backend
    sizes: tuple[int, ...]
    preprocessing: Preprocessing
    temperatures: Mapping[int, float]
    file: Path | None = None
    members: Members | None = None

    def order(self, images: Sequence[ImageLike]) -> Ordering:
        """Order one set.

        Args:
            images: paths, PIL images or uint8 ``(H, W, 3)`` arrays of one scene, in any order.

        Raises:
            SetSizeError: for fewer than 2 images, or more than the model takes.
            PhotoError: if a path is not a readable photo.
        """
        return self.order_batch([images])[0]

    def order_batch(self, sets: Sequence[Sequence[ImageLike]]) -> list[Ordering]:
        """Order several sets, of equal or different sizes; raises as `order` does."""
        for images in sets:
            self.check_size(len(images))
        return self.order_tensors([preprocess_set(images, self.preprocessing) for images in sets])

    def order_tensors(self, sets: Sequence[Tensor]) -> list[Ordering]:
        """Order sets that are preprocessed already, each float32 ``(n, 3, crop, crop)``."""
        results: dict[int, Ordering] = {}
        by_size: dict[int, list[int]] = {}
        for index, tensors in enumerate(sets):
            self.check_size(len(tensors))
            by_size.setdefault(len(tensors), []).append(index)
        for n, members in by_size.items():
            if n == 2:
                for index in members:
                    results[index] = ordering.from_probabilities(np.ones(1), ordering.canonical_ranks(sets[index]))
                continue
            ranks = [ordering.canonical_ranks(sets[index]) for index in members]
            batch = np.stack([sets[index][np.argsort(rank)] for index, rank in zip(members, ranks, strict=True)])
            for index, row, rank in zip(members, self.probabilities(batch), ranks, strict=True):
                results[index] = ordering.from_probabilities(row, rank)
        return [results[index] for index in range(len(sets))]

    def probabilities(self, batch: Tensor) -> npt.NDArray[np.float64]:
        """What the network says of sets just as they are listed.

        Args:
            batch: float32 ``(B, n, 3, crop, crop)``.

        Returns:
            float64 ``(B, n!/2)``, in the order of `permutation_classes`; each row adds up to one.

        Raises:
            ModelError: if the network cannot be run, or does not give that many finite numbers.
        """
        scaled = self.backend.logits(batch).astype(np.float64) / self.temperatures.get(batch.shape[1], 1.0)
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def with_votes(self, votes: int) -> OrderingModel:
        """The same model, which is shown each set in several listings and answers with the mean; see `Voting`.

        Args:
            votes: how many listings, and as many times the work, whatever they were before; 1 is a single one, and
                a set of n has n! at most. The baseline never depends on the listing, so it stays as it is.

        Raises:
            UsageError: for less than one.
        """
        if votes < 1:
            raise UsageError(f"{votes} votes: at least 1 is needed")
        from imgorder.inference.backends.voting import Voting

        alone = self.backend.backend if isinstance(self.backend, Voting) else self.backend
        if self.name == registry.BASELINE or (votes == 1 and alone is self.backend):
            return self
        return replace(self, backend=alone if votes == 1 else Voting(alone, votes))

    def votes(self, n: int) -> int:
        """In how many listings a set of n is shown."""
        from imgorder.inference.backends.voting import Voting

        return self.backend.listings_of(n) if isinstance(self.backend, Voting) else 1

    def check_size(self, n: int, folder: Path | None = None) -> None:
        """Make sure that a set of n images can be ordered; a network for this n alone is opened now.

        Args:
            n: how many there are.
            folder: where they are, for the error.

        Raises:
            SetSizeError: if n is too small, too large, or not one of the sizes.
            ModelError: if the network for n cannot be had.
        """
        what = f"a set of {n}" if folder is None else f"{show(folder)}: {n} photo{'s' * (n != 1)}"
        if n < 2:
            raise SetSizeError(f"{what}; at least 2 photos are needed, 3 for an order that says something")
        if n != 2 and n not in self.sizes:
            cure = "give fewer" if n > max(self.sizes) else "give as many"
            if n <= max(registry.PATH_CARD.sizes):  # another model takes them
                cure += ", or another model" if folder is None else ", or leave out --model"
            raise SetSizeError(f"{what}; {self.name} takes {registry.sizes_in_words(self.sizes)}; {cure}")
        if n != 2:
            self.member(n)

    def member(self, n: int) -> OrderingModel:
        """The model whose network orders sets of n: this one, or the member for n, opened if it is not yet."""
        return self.members.of(n) if self.members else self


def load_model(
    name_or_path: str | os.PathLike[str] = "default",
    backend: str = "auto",
    threads: int | None = None,
    offline: bool = False,
) -> OrderingModel:
    """Load a model: from the package, else from the Hub's cache, else from the Hub.

    Args:
        name_or_path: a name from `imgorder models`, ``"default"``, or the path of an ``.onnx`` or
            ``.safetensors`` file that imgorder wrote.
        backend: ``"onnx"`` (CPU), ``"torch"``, or ``"auto"``: torch where a GPU is in sight and
            torch is installed, else ONNX Runtime. A path decides by its ending.
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
    name = os.fspath(name_or_path)
    if name == registry.BASELINE:
        from imgorder.inference.backends.path import PathBackend

        card = registry.PATH_CARD
        return OrderingModel(card.name, PathBackend(), card.sizes, DEFAULT, {})
    model_files.refuse_pickles(name)
    path = Path(name)
    known = registry.known_card(name)
    if known is None and (model_files.backend_of(path) or os.path.isfile(path)):
        file, kind = path, backend
    else:
        card = known or registry.find_card(name)
        kind = _automatic(card) if backend == "auto" else backend
        if card.members:
            return _group(card, kind, threads, offline)
        file = model_files.usable_file(card, kind, offline)
    opened = _open_file(file, kind, threads)
    metadata = opened.metadata
    return OrderingModel(metadata.name, opened, metadata.sizes, metadata.preprocessing, metadata.temperatures, file)


def preprocessing_of(card: registry.Card) -> Preprocessing:
    """How photos become a model's input, as its card says; nothing is opened.

    Raises:
        ModelError: if the card says what no preprocessing has.
    """
    try:
        return Preprocessing.from_json(json.dumps(card.preprocessing))
    except Exception as error:  # whatever nonsense in a card leads to
        raise ModelError(f"{card.name}: the preprocessing in its card is none; install imgorder again") from error


def _group(card: registry.Card, backend: str, threads: int | None, offline: bool) -> OrderingModel:
    """Several networks under one name; each is opened when the first set of its size comes."""
    spec = preprocessing_of(card)

    def opened(name: str) -> OrderingModel:
        member = load_model(name, backend, threads, offline)
        if member.preprocessing != spec:
            raise ModelError(f"{name}: wants photos preprocessed in another way than {card.name}; name it by itself")
        return member

    members = Members(backend, {n: partial(opened, name) for n, name in card.members.items()})
    temperatures = MemberTemperatures(members, card.sizes)
    return OrderingModel(card.name, members, card.sizes, spec, temperatures, members=members)


def _open_file(path: Path, backend: str, threads: int | None):  # type: ignore[no-untyped-def]
    kind = model_files.backend_of(path)
    if kind is None:
        raise ModelError(f"{show(path)}: a model file ends in .onnx or .safetensors; `imgorder models` lists models")
    if backend not in ("auto", kind):
        raise UsageError(f"{show(path)}: this file is for --backend {kind}, not {backend}")
    if kind == "onnx":
        from imgorder.inference.backends.onnx import OnnxBackend

        return OnnxBackend.open(path, threads)
    if not os.path.isfile(path):
        raise ModelError(f"{show(path)}: no such checkpoint; `imgorder models` lists what there is")
    if not _torch_is_installed():
        raise ModelError(f"{show(path)}: the torch backend is not installed; run: pip install 'imgorder[train]'")
    from imgorder.inference.backends.torch import TorchBackend

    return TorchBackend.open(path, threads)


def _automatic(card: registry.Card) -> str:
    # Importing torch takes longer than the whole job, so a GPU is looked for without it.
    has_torch = all("torch" in each.files for each in registry.networks(card))
    return "torch" if _gpu_in_sight() and has_torch and _torch_is_installed() else "onnx"


def _gpu_in_sight() -> bool:
    return Path("/dev/nvidiactl").exists()


def _torch_is_installed() -> bool:
    return all(find_spec(name) is not None for name in ("torch", "safetensors"))
