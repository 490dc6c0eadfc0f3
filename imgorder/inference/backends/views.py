"""A backend that shows each set twice and answers with the mean: as it is, and steadied and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imgorder.inference.backends import Backend
from imgorder.inference.backends.triples import Array, Scores, TripleBackend
from imgorder.inference.backends.voting import Ask, choose_listings, listings_of_views, mean_logits
from imgorder.media.preprocess import Preprocessing
from imgorder.media.steady import two_views
from imgorder.permutations import Order


class TripleNetwork(Backend, Protocol):
    """A backend in two parts, which also gives logits; see `TripleBackend`."""

    def encode(self, images: Array) -> Array:
        """``(N, 3, H, W) -> (N, F)``."""
        ...

    def score(self, features: Array, triples: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]) -> Scores:
        """Of triples and pairs of the images with these features."""
        ...


def mean_over_views(ask: Ask, tensors: Array, spec: Preprocessing, listings: Sequence[Sequence[Order]]) -> Array:
    """The mean of a network's logits over both views of each set, and the listings of each view; see `mean_logits`.

    Args:
        ask, tensors: as `mean_logits` takes them.
        spec: of the network's input.
        listings: in which the first view is shown, and in which the second.
    """
    views = zip(*(two_views(images, spec) for images in tensors), strict=True)
    asked = zip(views, listings, strict=True)
    plain, steadied = (mean_logits(ask, np.stack(view), chosen) for view, chosen in asked)
    return np.asarray((plain + steadied) / 2, dtype=np.float32)


class TwoViews:
    """For a network that is shown whole sets; see `imgorder.media.steady`. Heat maps are of the set as it is.

    Args:
        backend: what is shown the views.
        spec: of its input.
    """

    def __init__(self, backend: Backend, spec: Preprocessing) -> None:
        self._whole = backend
        self._spec = spec
        self.name = backend.name

    def logits(self, tensors: Array, votes: int = 1) -> Array:
        """See `Backend`; each view in so many listings, see `mean_logits`. A set is steadied once for all of them."""
        return mean_over_views(self._whole.logits, tensors, self._spec, self._listings(tensors.shape[1], votes))

    def _listings(self, n: int, votes: int) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
        return listings_of_views(n, votes)

    def activations(self, tensors: Array) -> dict[str, Array]:
        """See `Backend`."""
        return self._whole.activations(tensors)

    def decision(self, tensors: Array, winner: Sequence[int], other: Sequence[int]) -> Array:
        """See `Backend`."""
        return self._whole.decision(tensors, winner, other)


class TwoViewsOfTriples(TwoViews, TripleBackend):
    """The same for a network that scores triples."""

    def __init__(self, backend: TripleNetwork, spec: Preprocessing) -> None:
        super().__init__(backend, spec)
        self._parts = backend

    def _listings(self, n: int, votes: int) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
        return (choose_listings(n, votes),) * 2  # it says the same in all of them

    def encode(self, images: Array) -> Array:
        """Features of both views of one set, side by side, ``(n, 2 · F)``."""
        return np.concatenate([self._parts.encode(view) for view in two_views(images, self._spec)], axis=1)

    def score(self, features: Array, triples: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]) -> Scores:
        """See `TripleBackend`."""
        views = np.split(features, 2, axis=1)
        plain, steadied = (self._parts.score(np.ascontiguousarray(view), triples, pairs) for view in views)
        t_adj, t_all, p = (
            np.asarray((one + other) / 2, dtype=np.float32) for one, other in zip(plain, steadied, strict=True)
        )
        return t_adj, t_all, p
