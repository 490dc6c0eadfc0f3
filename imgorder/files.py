"""Write a file completely or not at all and never over a photo, end in order on a signal, compare names of files."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from imgorder.errors import EXIT_INTERRUPTED, ImgorderError
from imgorder.names import show

MARK = "made by imgorder"
"""Stands near the beginning or the end of each picture that imgorder makes. Only such pictures are ever replaced."""

_NEAR = 4096  # bytes

STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",  # so are most RAW files
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x1aE\xdf\xa3": "video",  # Matroska, WebM
    b"\0\0\1\xba": "video",  # MPEG
    b"0&\xb2u\x8ef\xcf\x11": "video",  # WMV
    b"FLV\1": "video",
}
"""How pictures and films begin that are told by that alone."""

# Further ones, which are only kept: GIF, relatives of TIFF, JPEG XL, and so on; and a PNG with other line ends.
_PICTURES = (
    *(*STARTS, b"\x89PNG", b"GIF8", b"II\0*", b"MM*\0"),
    *(b"IIRO", b"IIRS", b"IIU\0", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"8BPS", b"gimp xcf"),
    *(b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # HEIC, AVIF, CR3, MP4, QuickTime


def read_lines(path: Path, cure: str, other: str) -> list[str]:
    """The lines of a text file that somebody named.

    Args:
        path: of the file.
        cure: for one that cannot be read.
        other: what to say of one that is no text.

    Raises:
        ImgorderError: for either.
    """
    try:
        return path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be read ({error.strerror}); {cure}") from error
    except UnicodeDecodeError as error:
        raise ImgorderError(f"{show(path)}: {other}") from error


def refuse_picture(path: Path) -> None:
    """Keep a photo from being replaced: raise an ImgorderError if a picture or film has this name, or a link to one.

    Its content decides, not its name. One that imgorder has made, which has its `MARK`, may be replaced.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
        with path.open("rb") as file:
            head = file.read(_NEAR)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _NEAR))
            tail = file.read()
    except FileNotFoundError:  # nothing, or a link that leads nowhere
        return
    except OSError as error:
        reason = f"cannot be looked into ({error.strerror}), so it may be a photo"
        raise ImgorderError(f"{show(path)}: {reason}; choose another place or name") from error
    if _is_picture(head) and not any(MARK.encode() in part for part in (head, tail)):
        raise ImgorderError(
            f"{show(path)}: a picture or film that is not marked as made by imgorder, so it may be a photo; remove it "
            "yourself, or choose another place or name"
        )


def _is_picture(head: bytes) -> bool:
    if head.startswith(_PICTURES) or head[4:8] in _BOXES or head[6:14] == b"HEAPCCDR":
        return True
    of_riff = head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI ")
    return of_riff or (head[:2] == b"BM" and head[6:10] == bytes(4))


@contextmanager
def atomic_write(path: Path, cure: str = "free some space, or choose another place") -> Iterator[Path]:
    """Give a hidden name beside the target; what was written there becomes the target when the block ends.

    A reader sees the old file or the new one, never a part. After an error, Ctrl-C, SIGTERM or SIGHUP the hidden file
    is removed. A photo is never replaced, see `refuse_picture`.

    Args:
        path: the target; replaced if it exists.
        cure: for the error message.

    Raises:
        ImgorderError: if it cannot be written, or may be a photo.
    """
    refuse_picture(path)
    partial = path.with_name(f".{os.urandom(8).hex()}.partial")  # short: the target's name may be as long as names go
    with orderly_end():
        try:
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            refuse_picture(path)
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
