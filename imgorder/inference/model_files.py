"""A model's file for a backend: from a folder of models, or the Hub's cache, or the Hub; its hash is checked each time.

The first place that has the file decides: a damaged file is an error, not a reason to look elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from imgorder.errors import ModelError
from imgorder.inference import cards
from imgorder.inference.cards import Card, FileEntry
from imgorder.inference.checksum import verify_file
from imgorder.inference.hub import cache, importing
from imgorder.names import show

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
# Ending of a model file -> what runs it.
_BACKENDS = {ending: backend for backend, ending in cards.ENDINGS.items()}


def refuse_pickles(name: str, cure: str = "give a model's name, or an .onnx or .safetensors file") -> None:
    """Raise `ModelError` for a name with the ending of a pickle."""
    if Path(name).suffix.lower() in _PICKLES:
        raise ModelError(
            f"{show(name)}: such files can run any program when they are opened, so imgorder never reads them; {cure}"
        )


def backend_of(name: str | os.PathLike[str]) -> str | None:
    """What runs a model file of this name, in capitals or not; None for any other name."""
    return _BACKENDS.get(Path(name).suffix.lower())


def file_entry(card: Card, backend: str) -> FileEntry:
    """What a card says of its file for a backend.

    Raises:
        ModelError: if the model has none for it.
    """
    if card.members:
        raise ModelError(f"{card.name}: is several networks; name one of them: {', '.join(card.members.values())}")
    if backend not in card.files:
        raise ModelError(f"{card.name}: has no file for the {backend} backend; leave out --backend")
    return card.files[backend]


def find_file(card: Card, backend: str) -> Path | None:
    """Where a model's file is on this machine, if it is; it is not opened.

    Raises:
        ModelError: if the model has none for the backend.
    """
    name = file_entry(card, backend).file
    for folder in cards.model_folders():
        if os.path.isfile(folder / name):
            return folder / name
    cached = cache.cached_file(card, backend)
    return cached if cached is not None and os.path.isfile(cached) else None


def usable_file(card: Card, backend: str, offline: bool = False, mend: bool = False) -> Path:
    """Where `read_usable` finds the file, and the same otherwise."""
    return read_usable(card, backend, offline, mend)[0]


def read_usable(card: Card, backend: str, offline: bool = False, mend: bool = False) -> tuple[Path, bytes]:
    """A model's file whose size and SHA-256 are those of its card, and its bytes; fetched if it is not there.

    Args:
        offline: do not ask the Hub.
        mend: fetch a damaged file of the cache again.

    Raises:
        ModelError: if it is damaged, or is not there and cannot be fetched.
    """
    found = find_file(card, backend)
    cached = cache.cached_file(card, backend)
    if found is not None:
        try:
            return found, check_file(card, backend, found)
        except ModelError:
            if not mend or found != cached:
                raise
    if cached is None:
        raise ModelError(describe_missing(card, backend))
    variable = cache.offline_by_environment()
    if offline or variable:
        why = f"{variable} is set" if variable else "offline is what was asked for"
        raise ModelError(
            f"{card.name}: its {backend} file is {'damaged' if found else 'not'} in {show(cache.folder())}, and {why}; "
            f"run `imgorder models pull {card.name}` with a network"
        )
    with importing():  # only now: it is the network code
        from imgorder.inference.hub.download import fetch

    fetched = fetch(card, backend)
    return fetched, check_file(card, backend, fetched)


def present_file(card: Card, backend: str) -> Path | None:
    """A model's file where it is here and right; None where it is not here and need not be.

    Raises:
        ModelError: if it differs from its card, or is missing where it has to be.
    """
    found = find_file(card, backend)
    if found is not None:
        check_file(card, backend, found)
    elif _lost_file(card, backend):
        raise ModelError(describe_missing(card, backend))
    return found


def check_file(card: Card, backend: str, path: Path) -> bytes:
    """The bytes of a file that is as its card says; raises ModelError with the cure."""
    try:
        return verify_file(path, file_entry(card, backend))
    except ModelError as error:
        cached = path == cache.cached_file(card, backend)
        cure = f"run: imgorder models pull {card.name}" if cached else _reinstall(path)
        raise ModelError(f"{error}; {cure}") from error


def _lost_file(card: Card, backend: str) -> Path | None:
    """Where a file that is not here has to be; None if it comes from the Hub or from imgorder-models.

    A folder has all files of its cards. Only the one in the package leaves out what needs torch.
    """
    if cache.cached_file(card, backend) is None:
        for folder in cards.model_folders():
            whole = backend == "onnx" or folder != cards.PACKAGE_FOLDER
            if whole and os.path.isfile(folder / f"{card.name}.json"):
                return folder / file_entry(card, backend).file
    return None


def describe_missing(card: Card, backend: str) -> str:
    """One line for a file that is nowhere on this machine: which, and what brings it."""
    if lost := _lost_file(card, backend):
        return f"{show(lost)}: is not there; {_reinstall(lost)}"
    pull = f"run: imgorder models pull {card.name}"
    cure = pull if cache.cached_file(card, backend) else cards.INSTALL_SEPARATE
    return f"{card.name}: its {backend} file is not here; {cure}"


def _reinstall(path: Path) -> str:
    separate = path.parent.name == cards.SEPARATE_PACKAGE
    return f"install {'imgorder-models' if separate else 'imgorder'} again"
