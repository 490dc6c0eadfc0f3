"""A model's file for a backend: out of the package, or the Hub's cache, or the Hub; its hash is checked each time.

No step stands in for another that failed: a damaged file is an error, not a reason to look elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgorder.errors import ModelError
from imgorder.inference import cards as registry
from imgorder.inference.card_fields import ENDINGS
from imgorder.inference.cards import Card
from imgorder.inference.hub import cache
from imgorder.names import show

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
# Ending of a model file -> what runs it.
_BACKENDS = {ending: backend for backend, ending in ENDINGS.items()}


@dataclass(frozen=True)
class Found:
    """A file that is there.

    Attributes:
        path: where.
        place: ``"package"`` or ``"cache"``.
    """

    path: Path
    place: str


def refuse_pickles(name: str, cure: str = "give a model's name, or an .onnx or .safetensors file") -> None:
    """Raise `ModelError` for a name with the ending of a pickle."""
    if Path(name).suffix.lower() in _PICKLES:
        raise ModelError(
            f"{show(name)}: such files can run any program when they are opened, so imgorder never reads them; {cure}"
        )


def backend_of(name: str | os.PathLike[str]) -> str | None:
    """What runs a model file of this name, in capitals or not; None for any other name."""
    return _BACKENDS.get(Path(name).suffix.lower())


def find_file(card: Card, backend: str) -> Found | None:
    """Where a model's file is on this machine, if it is; it is not opened.

    Raises:
        ModelError: if the model has none for the backend.
    """
    in_package = registry.model_file(card, backend)
    if os.path.isfile(in_package):
        return Found(in_package, "package")
    cached = cache.cached_file(card, backend)
    return Found(cached, "cache") if cached is not None and os.path.isfile(cached) else None


def usable_file(card: Card, backend: str, offline: bool = False, mend: bool = False) -> Path:
    """A model's file whose size and SHA-256 are those of its card; fetched if it is not there.

    Args:
        offline: do not ask the Hub.
        mend: fetch a damaged file of the cache again.

    Raises:
        ModelError: if it is damaged, or is not there and cannot be had.
    """
    found = find_file(card, backend)
    wrong = found and fault(found.path, card.files[backend])
    if found and not wrong:
        return found.path
    if found and not (mend and found.place == "cache"):
        raise ModelError(damage(card, found, str(wrong)))
    if only_in_package(card, backend):
        raise ModelError(missing(card, backend))
    variable = cache.offline_by_environment()
    if offline or variable:
        why = f"{variable} is set" if variable else "offline is what was asked for"
        raise ModelError(
            f"{card.name}: its {backend} file is {'damaged' if found else 'not'} in {show(cache.folder())}, and {why}; "
            f"run `imgorder models pull {card.name}` with a network"
        )
    from imgorder.inference.hub.library import importing

    with importing():  # only now: it is the network code
        from imgorder.inference.hub.download import fetch

    return fetch(card, backend, replace=found is not None)


def only_in_package(card: Card, backend: str) -> bool:
    """Whether the package is the only place that a model's file can come from."""
    return cache.cached_file(card, backend) is None


def missing(card: Card, backend: str) -> str:
    """One line for a file that is nowhere on this machine."""
    if only_in_package(card, backend):
        return f"{show(registry.model_file(card, backend))}: is not there; install imgorder again"
    return f"{card.name}: its {backend} file is not here; run: imgorder models pull {card.name}"


def damage(card: Card, found: Found, wrong: str) -> str:
    """One line for a file that is not as its card says."""
    cure = "install imgorder again" if found.place == "package" else f"run: imgorder models pull {card.name}"
    return f"{show(found.path)}: {wrong}; {cure}"


def fault(path: Path, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a file, against the size and the SHA-256 of its card; None if nothing is."""
    try:
        digest, size = digest_and_size(path)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if size != entry["bytes"]:
        return f"has {size} bytes instead of {entry['bytes']}"
    if digest != entry["sha256"]:
        return f"has other bytes than its card says (SHA-256 {digest[:8]}…, not {entry['sha256'][:8]}…)"
    return None


def digest_and_size(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file in hexadecimal digits, and its bytes; raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while part := handle.read(1 << 20):
            digest.update(part)
            size += len(part)
    return digest.hexdigest(), size
