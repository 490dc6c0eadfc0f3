"""Files that are there whole or not at all, and whether two names mean one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgorder.ending import orderly_end
from imgorder.errors import ImgorderError
from imgorder.names import show


@contextmanager
def written_whole(path: Path, cure: str = "free some space, or choose another place") -> Iterator[Path]:
    """A hidden name beside the target; what was written there becomes the target when the block ends.

    A reader sees the old file or the new one, never a part of it; after an error, Ctrl-C, SIGTERM and SIGHUP nothing
    is left behind.

    Args:
        path: the target; replaced if it is there.
        cure: for the error message.

    Raises:
        ImgorderError: if it cannot be written.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")  # short: the target's name may be as long as names go
    with orderly_end():
        try:
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(path)
        except OSError as error:
            raise ImgorderError(f"{show(path)}: cannot be written ({error.strerror or error}); {cure}") from error
        finally:
            with suppress(OSError):  # where nothing can be written there is nothing to remove
                partial.unlink(missing_ok=True)


def same_file(a: Path, b: Path) -> bool:
    """Whether both are there and are one, whatever links and capitals lead to it."""
    try:
        return a.samefile(b)
    except (OSError, ValueError):
        return False
