"""Write a file completely or not at all, end in order on a signal, and compare names of files."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from imgorder.errors import EXIT_INTERRUPTED, ImgorderError
from imgorder.names import show


@contextmanager
def atomic_write(path: Path, cure: str = "free some space, or choose another place") -> Iterator[Path]:
    """Give a hidden name beside the target; what was written there becomes the target when the block ends.

    A reader sees the old file or the new one, never a part. After an error, Ctrl-C, SIGTERM or SIGHUP the hidden file
    is removed.

    Args:
        path: the target; replaced if it exists.
        cure: for the error message.

    Raises:
        ImgorderError: if it cannot be written.
    """
    partial = path.with_name(f".{os.urandom(8).hex()}.partial")  # short: the target's name may be as long as names go
    with orderly_end():
        try:
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(path)
        except OSError as error:
            raise ImgorderError(f"{show(path)}: cannot be written ({error.strerror or error}); {cure}") from error
        finally:
            with suppress(OSError):  # if nothing could be written there is nothing to remove
                partial.unlink(missing_ok=True)


def make_folder(folder: Path, error: type[ImgorderError] = ImgorderError) -> None:
    """Make a folder, and those above it, where they are missing; raises ``error`` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        cure = "choose another --out"
        raise error(f"{show(folder)}: cannot be made a folder ({reason.strerror}); {cure}") from reason


def same_file(a: Path, b: Path) -> bool:
    """Whether both names lead to one existing file, through links or other capitals too."""
    try:
        return a.samefile(b)
    except (OSError, ValueError):
        return False


_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def exit_code(stop: KeyboardInterrupt | SystemExit) -> int:
    """The exit code of a command that was stopped by Ctrl-C or a signal."""
    return stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else EXIT_INTERRUPTED


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, with a shell's exit code for the signal, so that cleanup runs.

    A signal that is ignored, as under ``nohup``, or handled already stays so. Outside the main thread, which gets no
    signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:  # a second signal must not disturb the cleanup
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
