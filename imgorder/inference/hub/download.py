"""Fetch a model's file from the Hub into its cache, at the pinned revision, and keep it only if its hash is right."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

from imgorder import __version__
from imgorder.errors import ModelError
from imgorder.inference.cards import Card, HubPlace
from imgorder.inference.checksum import verify_file
from imgorder.inference.hub import LIBRARY, cache
from imgorder.inference.hub.client import endpoint, explain, is_temporary, quiet

ATTEMPTS = 2


def fetch(card: Card, backend: str, replace: bool = False) -> Path:
    """Download a file, twice if the first attempt fails.

    Args:
        card: a card with a place on the Hub for the backend.
        replace: download even if the cache has a file of that name.

    Returns:
        The file in the cache; its size and SHA-256 are those of the card.

    Raises:
        ModelError: if it cannot be fetched, or is not what the card says; then nothing is kept.
    """
    assert card.hub is not None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with quiet():
                path = _download(card.hub, card.hub.files[backend], replace or attempt > 1)
        except Exception as error:  # httpx, requests (older versions), xet: there is no class above all of them
            if attempt == ATTEMPTS or not is_temporary(error):
                raise ModelError(f"{card.name}: {explain(error, card.hub.repo_id)}") from error
            continue
        try:
            verify_file(path, card.files[backend])
            return path
        except ModelError as error:
            wrong = str(error)
        try:
            cache.forget(card.hub, path)
        except OSError as error:
            raise ModelError(
                f"{wrong}, and cannot be removed ({error.strerror or error}); remove it by hand"
            ) from error
    raise ModelError(
        f"{card.name}: what came from {card.hub.repo_id} is wrong ({wrong}); it was fetched twice and not kept; "
        "check the network (a proxy?) and HF_ENDPOINT, or install a newer imgorder"
    )


def _download(place: HubPlace, name: str, replace: bool) -> Path:
    # Asked first, because hf_hub_download waits half a minute for a server that does not answer.
    url = hf_hub_url(place.repo_id, name, revision=place.revision, endpoint=endpoint())
    get_hf_file_metadata(url, library_name=LIBRARY, library_version=__version__)
    path = hf_hub_download(
        place.repo_id,
        name,
        revision=place.revision,
        cache_dir=cache.folder(),
        force_download=replace,
        library_name=LIBRARY,
        library_version=__version__,
        endpoint=endpoint(),
    )
    return Path(path)
