"""Fetch a model's file from the Hub, at the pinned revision, and put it into the cache once its hash is right.

A server may be anybody's. Nothing that it says becomes the name of a file: the bytes lie in a private folder until they
are known to be those of the card, and get their names from it. Nor does it decide how much is taken, or for how long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # as in client.py
    build_hf_headers,
    get_session,
)
from huggingface_hub.utils import tqdm as progress_bar  # type: ignore[attr-defined]

from imgorder import __version__
from imgorder.errors import ModelError
from imgorder.files import orderly_end
from imgorder.inference.cards import Card, FileEntry
from imgorder.inference.checksum import verify_file
from imgorder.inference.hub import LIBRARY, cache
from imgorder.inference.hub.client import endpoint, explain, is_temporary, quiet
from imgorder.names import show

ATTEMPTS = 2
RESUMPTIONS = 5  # of an attempt, without a new byte
REDIRECTS = 10

# In so many seconds a server has to answer, and then to send so many bytes each time.
PATIENCE = 60.0
LEAST = 1 << 18

T = TypeVar("T")


def fetch(card: Card, backend: str) -> Path:
    """Download a file, twice if the first attempt fails.

    Args:
        card: a card with a place on the Hub for the backend.

    Returns:
        The file in the cache, in the place of any that was there; its size and SHA-256 are those of the card.

    Raises:
        ModelError: if it cannot be fetched, or is not what the card says; then nothing is kept.
    """
    assert card.hub is not None
    place = card.hub
    url = hf_hub_url(place.repo_id, place.files[backend], revision=place.revision, endpoint=endpoint())
    target, wrong = cache.cached_file(card, backend), ""
    if target is not None and target.is_dir():
        raise ModelError(f"{card.name}: {show(target)}: a folder lies where the file has to be; remove it by hand")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with quiet(), orderly_end():
                # Asked first, because only these answers say what is wrong with the name, the revision or the token.
                _watch(lambda _: get_hf_file_metadata(url, library_name=LIBRARY, library_version=__version__))
                return _bring(url, card, backend)
        except _Stalled as error:
            raise ModelError(
                f"{card.name}: {place.repo_id} sent next to nothing for {_patience():g} s; check the network and "
                "HF_ENDPOINT, or try again later"
            ) from error
        except ModelError as error:
            wrong = str(error)
        except Exception as error:  # httpx, requests (older versions): there is no class above all of them
            if attempt == ATTEMPTS or not is_temporary(error):
                raise ModelError(f"{card.name}: {explain(error, place.repo_id)}") from error
    raise ModelError(
        f"{card.name}: what came from {place.repo_id} is wrong ({wrong}); it was fetched twice and not kept; "
        "check the network (a proxy?) and HF_ENDPOINT, or install a newer imgorder"
    )


def _bring(url: str, card: Card, backend: str) -> Path:
    """Put the file into the cache; raises `ModelError` if other bytes came than the card says."""
    entry, stored = card.files[backend], cache.stored(card, backend)
    with suppress(ModelError):  # another revision had it
        verify_file(stored, entry)
        return cache.keep(card, backend, stored)
    with cache.private_folder(card, backend) as private:
        part = private / f"{entry.file}.incomplete"
        shown: Any = progress_bar
        with shown(total=entry.bytes, unit="B", unit_scale=True, desc=entry.file) as bar:
            _watch(lambda watched: _download(url, part, entry, watched), bar.update)
        verify_file(part, entry)
        return cache.keep(card, backend, part)


class _Stalled(Exception):
    """Too few bytes came for too long."""


class _Refused(Exception):
    """An answer that has no file; its status is in ``response``, where huggingface_hub's own errors have it."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"the file was answered with {response.status_code}")
        self.response = response


@dataclass
class _Watched:
    """What the thread that asks and the one that waits know of each other."""

    show: Callable[[int], object]
    received: int = 0
    given_up: bool = False

    def add(self, count: int) -> None:
        if self.given_up:
            raise _Stalled
        self.received += count
        self.show(count)


def _patience() -> float:
    return max(PATIENCE, constants.HF_HUB_DOWNLOAD_TIMEOUT)


def _watch(work: Callable[[_Watched], T], show: Callable[[int], object] = lambda count: None) -> T:
    """Do the work in a thread, and leave it there if the network gives too little.

    No limit of an HTTP client holds a server that sends a byte from time to time, least of all in its headers.
    """
    watched, result = _Watched(show), Future[T]()

    def run() -> None:
        try:
            result.set_result(work(watched))
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        while True:
            before = watched.received
            try:
                return result.result(_patience())
            except StillRunning:
                if result.done():  # just now, or this was the work's own error
                    return result.result()
                if watched.received - before < LEAST:
                    raise _Stalled from None
    finally:
        watched.given_up = True


def _download(url: str, path: Path, entry: FileEntry, watched: _Watched) -> None:
    """Write what the URL has; goes on where a connection broke.

    Raises:
        ModelError: if there is more than the card says; the rest is not taken.
    """
    headers = build_hf_headers(library_name=LIBRARY, library_version=__version__)
    headers["Accept-Encoding"] = "identity"
    left = RESUMPTIONS
    with path.open("wb") as file:
        while True:
            before = file.tell()
            try:
                with closing(_ask(url, headers | ({"Range": f"bytes={before}-"} if before else {}))) as response:
                    if before and response.status_code != 206:
                        file.truncate(file.seek(0))
                    for piece in _pieces(response):
                        watched.add(len(piece))
                        if file.tell() + len(piece) > entry.bytes:
                            raise ModelError(f"{entry.file}: has more than {entry.bytes} bytes")
                        file.write(piece)
                return
            except (ModelError, _Stalled, _Refused):
                raise
            except Exception as error:  # as in `fetch`
                left = RESUMPTIONS if file.tell() > before else left - 1
                if not left or not is_temporary(error):
                    raise
                time.sleep(1)


def _ask(url: str, headers: dict[str, str]) -> Any:
    """The answer that has the file, its body not yet read. Tokens are for the server that was asked first."""
    session: Any = get_session()
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    for _ in range(REDIRECTS):
        if hasattr(session, "build_request"):  # httpx
            request = session.build_request("GET", url, headers=headers, timeout=timeout)
            response = session.send(request, stream=True, follow_redirects=False)
        else:  # requests, of huggingface_hub before 1.0
            response = session.get(url, headers=headers, timeout=timeout, stream=True, allow_redirects=False)
        if response.status_code in (200, 206):
            return response
        response.close()
        if not response.is_redirect:
            raise _Refused(response)
        there = urljoin(url, response.headers["Location"])
        if urlsplit(there)[:2] != urlsplit(url)[:2]:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        url = there
    raise OSError(f"more than {REDIRECTS} redirects")


def _pieces(response: Any) -> Iterator[bytes]:
    pieces: Iterator[bytes]
    pieces = response.iter_raw() if hasattr(response, "iter_raw") else response.raw.stream(1 << 16, False)
    return pieces
