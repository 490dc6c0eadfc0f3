"""The size and the SHA-256 of a model file, compared with its card."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imgorder.errors import ModelError
from imgorder.inference.cards import FileEntry
from imgorder.names import show


def describe_file(path: Path) -> FileEntry:
    """The entry that a card has for this file; raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while part := handle.read(1 << 20):
            digest.update(part)
            size += len(part)
    return FileEntry(path.name, size, digest.hexdigest())


def verify_file(path: Path, entry: FileEntry) -> None:
    """Make sure that a file has the size and the SHA-256 of its card.

    Raises:
        ModelError: if it differs or cannot be read. Names the file; the caller, who knows where it came from, adds
            the cure.
    """
    try:
        found = describe_file(path)
    except OSError as error:
        raise ModelError(f"{show(path)}: cannot be read ({error.strerror or error})") from error
    if found.bytes != entry.bytes:
        raise ModelError(f"{show(path)}: has {found.bytes} bytes instead of {entry.bytes}")
    if found.sha256 != entry.sha256:
        raise ModelError(
            f"{show(path)}: has other bytes than its card says (SHA-256 {found.sha256[:8]}…, not {entry.sha256[:8]}…)"
        )
