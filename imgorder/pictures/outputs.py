"""Where pictures go: checked before any work, written beside their target, moved into place when all are complete.

A photo is never overwritten, in the set or not; another file only if the user asked for it. Pictures that are made
here bear a mark, so that they can be told from photos and replaced.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgorder.errors import ImgorderError, UsageError
from imgorder.files import MARK, orderly_end, refuse_picture, same_file
from imgorder.media.photos import SUFFIXES, PhotoSet
from imgorder.names import show

_SOFTWARE = 0x0131  # an EXIF tag


def check_ending(option: str, target: Path, endings: Sequence[str]) -> None:
    """Raise UsageError for a file whose name does not end in one of these, in capitals or not."""
    if target.suffix.lower() not in endings:
        raise UsageError(f"{option} {show(target)}: the name must end in {' or '.join(endings)}")


def name_targets(target: Path, pages: Sequence[int]) -> list[list[Path]]:
    """The files of each set: ``out.png``, with as many numbers before the ending as are needed.

    ``out-2.png`` is the second of several sets or of several pages, ``out-1-02.png`` the second page of the first of
    several sets. Pages have as many digits as their number, so that sorted names are in order.

    Args:
        target: the file as it was typed.
        pages: of each set, how many files it gets.
    """

    def number(*numbers: str) -> Path:
        return target.with_name("-".join((target.stem, *numbers)) + target.suffix)

    found = []
    for place, count in enumerate(pages, start=1):
        of_set = [str(place)] * (len(pages) > 1)
        digits = len(str(count))
        found.append([number(*of_set, *[f"{page:0{digits}d}"] * (count > 1)) for page in range(1, count + 1)])
    return found


def check_targets(targets: Iterable[Path], sets: Sequence[PhotoSet], force: bool, warn: Callable[[str], None]) -> None:
    """Check before the work that files can be written.

    Args:
        targets: the files.
        sets: the photos to sort.
        force: an existing file may be replaced, unless it is a picture that was not made here.
        warn: called if files will be taken for photos the next time.

    Raises:
        ImgorderError: naming the file and the cure.
    """
    among = [each for each in targets if _check_target(each, sets, force)]
    if among:
        which = f"{show(among[0])}: lies" if len(among) == 1 else f"{show(among[0])} and {len(among) - 1} more: lie"
        what = "it is taken for one" if len(among) == 1 else "they are taken for some"
        warn(f"{which} among the photos; the next time their folder is sorted {what}")


def _check_target(target: Path, sets: Sequence[PhotoSet], force: bool) -> bool:
    """Check one file; returns whether it will lie among the photos and be taken for one."""
    folder = target.parent
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise ImgorderError(f"{show(target)}: {show(folder)} is not a folder; choose another place")
    except FileNotFoundError as error:
        raise ImgorderError(f"{show(target)}: there is no folder {show(folder)}; make it first") from error
    except OSError as error:
        raise _not_written(target, error) from error
    check_present(target, sets, force)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImgorderError(f"{show(target)}: no permission to write into {show(folder)}; choose another place")
    return target.suffix.lower() in SUFFIXES and any(same_file(folder, photos.folder) for photos in sets)


def check_present(target: Path, sets: Sequence[PhotoSet], force: bool) -> None:
    """Check that what is under a name, if anything, may be replaced; raises as `check_targets` does."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_written(target, error) from error
    if any(same_file(target, file) for photos in sets for file in photos.files):
        raise ImgorderError(f"{show(target)}: is one of the photos; choose another place or name")
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise ImgorderError(f"{show(target)}: something other than a file is there; choose another place or name")
    refuse_picture(target)
    if not force:
        raise _exists(target)


def save_marked(picture: Image.Image, file: Path | BinaryIO, kind: str, **settings: Any) -> None:
    """Save a picture with the `MARK` of those that may be replaced.

    Args:
        kind: ``JPEG``, ``PNG``, ``GIF`` or ``WEBP``.
        settings: as Pillow's `save` takes them.
    """
    if kind == "PNG":
        settings["pnginfo"] = PngInfo()
        settings["pnginfo"].add_text("Software", MARK)
    elif kind == "WEBP":
        exif = Image.Exif()
        exif[_SOFTWARE] = MARK
        settings["exif"] = exif
    else:
        settings["comment"] = MARK.encode()
    picture.save(file, kind, **settings)


def mark_film(file: BinaryIO) -> None:
    """Add the `MARK` to the end of an MP4, in a box that players pass over."""
    box = b"free" + MARK.encode()
    file.write((4 + len(box)).to_bytes(4, "big") + box)


def write_all(files: Iterable[tuple[Path, Callable[[BinaryIO], None]]], force: bool) -> None:
    """Write files, all or none. After an error or a signal to end, no temporary file is left.

    Only what ends a process at once, such as SIGKILL, leaves some: hidden files ``.imgorder-*.part``.

    Args:
        files: each target, and what writes its content.
        force: existing files may be replaced.

    Raises:
        ImgorderError: if one cannot be written, or appeared in the meantime.
    """
    parts: list[tuple[Path, Path]] = []
    with orderly_end():
        try:
            for target, write in files:
                # In the target's folder, since only within one file system a file is moved in one step; hidden,
                # so that no photo viewer or `sort` takes it for a photo.
                part = target.with_name(f".imgorder-{secrets.token_hex(8)}.part")
                parts.append((part, target))
                try:
                    with part.open("xb") as file:
                        write(file)
                except (OSError, ValueError, MemoryError) as error:
                    raise _not_written(target, error) from error
            _place(parts, force)
        finally:
            for part, _ in parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)


def _place(parts: Sequence[tuple[Path, Path]], force: bool) -> None:
    claims: list[Path] = []
    try:
        for _, target in parts if not force else []:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # fails if another was faster
            claims.append(target)
        for part, target in parts:
            refuse_picture(target)  # the sorting took its time
            os.replace(part, target)
            claims = [claim for claim in claims if claim != target]
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        for claim in claims:
            claim.unlink(missing_ok=True)


def _exists(target: Path) -> ImgorderError:
    return ImgorderError(f"{show(target)}: exists already; choose another name, or replace it with --force")


def _not_written(target: Path, error: Exception) -> ImgorderError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return ImgorderError(f"{show(target)}: cannot be written ({reason}); choose another place or name")
