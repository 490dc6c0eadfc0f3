"""imgorder puts a handful of photos of one moving scene into the order in which they were taken.

    >>> import imgorder
    >>> model = imgorder.load_model()
    >>> model.order(["a.jpg", "b.jpg", "c.jpg"]).order  # doctest: +SKIP
    (1, 0, 2)

Importing the package imports nothing else: names load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgorder.errors import ImgorderError, ModelError, PhotoError, SetSizeError, UsageError
    from imgorder.inference.predictor import OrderingModel, load_model
    from imgorder.media.preprocess import Preprocessing, preprocess
    from imgorder.ordering import Ordering
    from imgorder.permutations import class_to_order, order_to_class, permutation_classes

__version__ = "0.2.0"

_HOMES = {
    "ImgorderError": "errors",
    "ModelError": "errors",
    "PhotoError": "errors",
    "SetSizeError": "errors",
    "UsageError": "errors",
    "Ordering": "ordering",
    "class_to_order": "permutations",
    "order_to_class": "permutations",
    "permutation_classes": "permutations",
    "OrderingModel": "inference.predictor",
    "load_model": "inference.predictor",
    "Preprocessing": "media.preprocess",
    "preprocess": "media.preprocess",
}

__all__ = [
    "ImgorderError",
    "ModelError",
    "Ordering",
    "OrderingModel",
    "PhotoError",
    "Preprocessing",
    "SetSizeError",
    "UsageError",
    "__version__",
    "class_to_order",
    "load_model",
    "order_to_class",
    "permutation_classes",
    "preprocess",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'imgorder' has no attribute {name!r}")
    value = getattr(import_module(f"imgorder.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
