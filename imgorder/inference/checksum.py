"""The size and the SHA-256 of a model file, compared with its card."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from imgorder.errors import ModelError
from imgorder.inference.cards import FileEntry
from imgorder.names import show

# Far above any of imgorder's models. Model files come from anywhere, and one must not fill the memory.
MOST_BYTES = 1 << 29


def describe_file(path: Path) -> FileEntry:
    """The entry that a card has for this file; raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while part := handle.read(1 << 20):
            digest.update(part)
            size += len(part)
    return FileEntry(path.name, size, digest.hexdigest())


def read_model_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a model file: what is run is these, not what may lie there by then.

    Raises:
        OSError: if it cannot be read, or has more bytes.
    """
    with path.open("rb") as handle:
        large = os.fstat(handle.fileno()).st_size > most
        content = b"" if large else handle.read(most + 1)
    if large or len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most / 1e6:.0f} MB, which no model of imgorder has")
    return content


def verify_file(path: Path, entry: FileEntry) -> bytes:
    """Make sure that a file has the size and the SHA-256 of its card; returns the bytes that were looked at.

    Raises:
        ModelError: if it differs or cannot be read. Names the file; the caller, who knows where it came from, adds
            the cure.
    """
    try:
        size = path.stat().st_size
        content = read_model_file(path) if size == entry.bytes else b""
    except OSError as error:
        raise ModelError(f"{show(path)}: cannot be read ({error.strerror or error})") from error
    if size != entry.bytes:
        raise ModelError(f"{show(path)}: has {size} bytes instead of {entry.bytes}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise ModelError(
            f"{show(path)}: has other bytes than its card says (SHA-256 {digest[:8]}…, not {entry.sha256[:8]}…)"
        )
    return content
