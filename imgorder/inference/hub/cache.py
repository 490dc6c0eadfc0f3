"""The Hub's cache on this machine, without importing huggingface_hub.

The layout is huggingface_hub's own, so that its tools (`hf cache`) see the files. A command whose model is in the cache
starts faster this way, and works with a cache that cannot be written.
"""

from __future__ import annotations

import os
from pathlib import Path

from imgorder.files import same_file
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


def forget(place: HubPlace, path: Path) -> None:
    """Remove a file from the cache: its name in the snapshot, and the repository's blob that it links to.

    A link that leads elsewhere is removed alone: what it leads to may not even be part of the cache.

    Raises:
        OSError: if it cannot be removed.
    """
    content = Path(os.path.normpath(path.parent / path.readlink())) if path.is_symlink() else None
    path.unlink(missing_ok=True)
    if content is not None and same_file(content.parent, _repository(place) / "blobs"):
        content.unlink(missing_ok=True)


def _repository(place: HubPlace) -> Path:
    return folder() / "--".join(("models", *place.repo_id.split("/")))


def offline_by_environment() -> str | None:
    """The variable that forbids the network, if one is set."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _YES), None)
