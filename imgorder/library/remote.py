"""Photos beyond this machine's files, such as ``s3://bucket/photos``: listed and copied by fsspec, never changed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError, PhotoError
from imgorder.names import first_line, show

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)


class Address(type(Path())):  # type: ignore[misc]  # a PosixPath or a WindowsPath
    """A place that fsspec knows; as text it keeps both of its slashes."""

    def __str__(self) -> str:
        return _ADDRESS.sub(r"\1://\2", super().__str__().replace("\\", "/"), count=1)

    def __fspath__(self) -> str:
        return str(self)


def is_address(text: str) -> bool:
    """Whether a text names a place beyond this machine's files."""
    return "://" in text and _ADDRESS.match(text) is not None


def list_remote(folder: str) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """The files of a folder with their states, and its folders, by their names.

    Raises:
        PhotoError: if it cannot be listed.
    """
    files, folders = {}, []
    try:
        system, path = _open(folder)
        for entry in system.ls(path, detail=True):
            name = str(entry["name"]).rstrip("/").rpartition("/")[2]
            if entry["type"] == "directory":
                folders.append(name)
            elif name:
                files[name] = _state_of(entry)
    except ImgorderError:
        raise
    except Exception as error:  # whatever a library of a network raises
        raise PhotoError(f"{show(folder)}: cannot be listed ({first_line(error)}); check the address") from error
    return files, folders


@contextmanager
def local_copies(folder: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder of this machine with these files: the one that is meant, or one with copies, which goes at the end.

    Raises:
        PhotoError: for a file that cannot be fetched.
    """
    if not is_address(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="imgorder-") as copies:
        for name in names:
            address = f"{folder}/{name}"
            try:
                system, path = _open(address)
                system.get_file(path, os.path.join(copies, name))
            except ImgorderError:
                raise
            except Exception as error:  # whatever a library of a network raises
                raise PhotoError(f"{show(address)}: cannot be fetched ({first_line(error)}); try again") from error
        yield Path(copies)


def _open(address: str) -> tuple[Any, str]:
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        kind = address.partition(":")[0]
        cure = "pip install 'imgorder[remote]', and what fsspec needs for it"
        raise PhotoError(f"{show(address)}: {kind}:// is not read here ({first_line(error)}); run: {cure}") from error
    except Exception as error:  # an unknown protocol, or credentials that are not there
        raise PhotoError(f"{show(address)}: cannot be reached ({first_line(error)}); check the address") from error
    return system, path


def _state_of(entry: dict[str, Any]) -> tuple[int, ...]:
    """As `state_of` in listing: what a store says of a file, its tag or its times, stands for the times."""
    told = [str(entry.get(key)) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created", "updated")]
    mark = int.from_bytes(blake2b("\n".join(told).encode(), digest_size=7).digest(), "big")
    return 0, 0, int(entry.get("size") or 0), 0, mark
