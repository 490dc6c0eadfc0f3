"""Where the Hub's cache on this machine keeps files, without a line of network code.

The layout is huggingface_hub's own, so that its tools (`hf cache`) see the files. Looking there ourselves
keeps a command whose model is cached from importing huggingface_hub, and lets it work on a cache that
cannot be written.
"""

from __future__ import annotations

import os
from pathlib import Path

from imgorder.registry import Card

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
    repository = "--".join(("models", *card.hub.repo_id.split("/")))
    return folder() / repository / "snapshots" / card.hub.revision / card.hub.files[backend]


def forget(path: Path) -> None:
    """Take a file out of the cache: the name in the snapshot and what it links to."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    content.unlink(missing_ok=True)


def offline_by_environment() -> str | None:
    """The variable that forbids the network, if one is set."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _YES), None)
