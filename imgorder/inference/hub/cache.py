"""The Hub's cache on this machine, without importing huggingface_hub.

The layout is huggingface_hub's own, so that its tools (`hf cache`) see the files. A command whose model is in the cache
starts faster this way, and works with a cache that cannot be written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgorder.inference.cards import Card, HubPlace

_YES = ("1", "ON", "YES", "TRUE")


def folder() -> Path:
    """The cache: ``HF_HUB_CACHE``, or ``hub`` in ``HF_HOME``, or ``~/.cache/huggingface/hub``."""
    for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(name):
            return Path(os.path.expandvars(os.path.expanduser(value)), below)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expandvars(os.path.expanduser(caches)), "huggingface", "hub")


def cached_file(card: Card, backend: str) -> Path | None:
    """Where the cache keeps a model's file once it is fetched; None if the card names no place on the Hub."""
    if card.hub is None or backend not in card.hub.files:
        return None
    return _repository(card.hub) / "snapshots" / card.hub.revision / card.hub.files[backend]


def stored(card: Card, backend: str) -> Path:
    """Where the content of a model's file lies, under its SHA-256; `cached_file` is a link to it."""
    assert card.hub is not None
    return _repository(card.hub) / "blobs" / card.files[backend].sha256


@contextmanager
def private_folder(card: Card, backend: str) -> Iterator[Path]:
    """A folder in the cache that nobody else may enter, for a file that is on its way; gone with all in it at the end.

    Raises:
        OSError: if it cannot be made.
    """
    from tempfile import TemporaryDirectory  # only here: models that are on this machine are loaded faster without

    blobs = stored(card, backend).parent
    blobs.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), (folder() / "CACHEDIR.TAG").open("x") as tag:
        tag.write("Signature: 8a477f597d28d172789f06886806bc55\n")  # backups leave such folders out
    with TemporaryDirectory(prefix=".", dir=blobs, ignore_cleanup_errors=True) as private:
        yield Path(private)


def keep(card: Card, backend: str, content: Path) -> Path:
    """Give a file that is right its place in the cache; returns its name in the snapshot.

    Args:
        content: from `private_folder`, or `stored` itself.

    Raises:
        OSError: if it cannot be moved there.
    """
    name, place = cached_file(card, backend), stored(card, backend)
    assert name is not None
    name.parent.mkdir(parents=True, exist_ok=True)
    link = name.with_name(f".{os.urandom(8).hex()}.link")
    try:
        link.symlink_to(os.path.relpath(place, name.parent))
    except OSError:  # a file system without links: as huggingface_hub does it, the file itself has the name
        return content.replace(name)
    try:
        content.replace(place)
        return link.replace(name)
    finally:
        link.unlink(missing_ok=True)


def _repository(place: HubPlace) -> Path:
    return folder() / "--".join(("models", *place.repo_id.split("/")))


def offline_by_environment() -> str | None:
    """The variable that forbids the network, if one is set."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _YES), None)
