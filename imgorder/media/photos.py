"""Photos on disk: which files make a set, and one file's pixels.

Nothing here writes. Whatever is wrong with a file ends in a `PhotoError` that names the file and the cure.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from filecmp import cmp
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from imgorder.errors import PhotoError
from imgorder.media import exif
from imgorder.media.time_texts import Written, gather
from imgorder.names import common_folder, first_line, natural_key, show

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
HEIF = (".heic", ".heif", ".hif")
AVIF = (".avif",)
SUFFIXES = (*JPEG, ".png", ".webp", ".tif", ".tiff", ".bmp", *HEIF, *AVIF)

# What Pillow may try: photos need no PostScript, PDF or icon reader. The first three are loaded with Pillow
# itself; with these first, it need not import all its plugins for most photos.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF")

# Phones make 200-megapixel photos; a header that claims much more is more likely an attack.
MAX_MEGAPIXELS = 300

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

HEIF_HINT = "pip install 'imgorder[heif]'"

_EXIF = 0x8769  # where the Exif directory is

_PILLOWS_LIMIT = 80_000_000  # px; a little below the size at which it warns

_opening = threading.Lock()


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one moving scene, in natural order of their names.

    Attributes:
        folder: as the user gave it, or the common folder of files that were named one by one.
        files: the photos.
    """

    folder: Path
    files: tuple[Path, ...]

    def name(self, file: Path) -> str:
        """A photo's name within the set: relative to the folder where that is possible."""
        if file.parent == self.folder:
            return file.name
        return os.path.relpath(os.path.abspath(file), os.path.abspath(self.folder))


def find_sets(paths: Sequence[Path]) -> list[PhotoSet]:
    """Each folder is a set of its own; all files named one by one make a set together.

    Raises:
        PhotoError: for a path that does not exist or cannot be read, and for a folder without photos.
    """
    sets = []
    named: dict[str, Path] = {}  # each file once, as it was given first
    for path in paths:
        mode = _stat(path).st_mode
        if stat.S_ISDIR(mode):
            sets.append(PhotoSet(path, tuple(_list_photos(path))))
        elif stat.S_ISREG(mode):
            named.setdefault(os.path.abspath(path), path)
        else:
            raise PhotoError(f"{show(path)}: neither a file nor a folder; give photos or a folder of photos")
    if named:
        files = sorted(named.values(), key=lambda file: natural_key(os.fspath(file)))
        folder = files[0].parent
        if any(file.parent != folder for file in files):
            folder = common_folder(files)
        sets.append(PhotoSet(folder, tuple(files)))
    return sets


def open_photo(path: Path, draft_edge: int | None = None) -> Image.Image:
    """Decode one photo.

    Args:
        path: the file; its content decides the format, not its name.
        draft_edge: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its
            shorter edge keeps this many pixels.

    Returns:
        The loaded image, in its own mode, not yet turned by its EXIF orientation.

    Raises:
        PhotoError: if the file cannot be read or is not a whole picture of a known format.
    """
    with _open_header(path) as image:
        if draft_edge is not None:
            image.draft(None, (draft_edge, draft_edge))  # type: ignore[arg-type]
        # Pillow's TIFF reader asks for its limit once more; the size is within ours already.
        large = image.format == "TIFF" and image.width * image.height > _PILLOWS_LIMIT
        with _without_pixel_limit() if large else nullcontext():
            image.load()
        return image


def find_times(path: Path) -> list[Written]:
    """A photo's EXIF capture time wherever it stands, the usual place first, without decoding the photo.

    Raises:
        PhotoError: if the file cannot be read, or does not begin as a picture of a known format.
    """
    with _open_header(path) as image:
        if image.format in ("JPEG", "MPO"):  # as `stamp` sees it
            return exif.find_times(path.read_bytes())
        try:
            root = image.getexif()
            return gather([dict(root.get_ifd(_EXIF)), dict(root)])
        except Exception:  # readers raise nearly anything on a broken block
            return []


@contextmanager
def _open_header(path: Path) -> Iterator[Image.Image]:
    """A photo whose header was read; errors within the block become a `PhotoError`."""
    status = _stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError(f"{show(path)}: a folder, not a photo")
    if status.st_size == 0:
        raise PhotoError(f"{show(path)}: the file is empty (0 bytes); copy it again or leave it out")
    if _is_heif(path):
        _register_heif(path)
    elif path.suffix.lower() in AVIF and not features.check("avif"):
        raise PhotoError(f"{show(path)}: this Pillow reads no AVIF; run: pip install --upgrade pillow")
    try:
        with _without_pixel_limit():
            image = Image.open(path, formats=_formats())
        with image:
            megapixels = image.width * image.height / 1e6
            if megapixels > MAX_MEGAPIXELS:
                raise PhotoError(
                    f"{show(path)}: claims {megapixels:.0f} megapixels; the limit is {MAX_MEGAPIXELS} "
                    "(scale it down if it is a real photo)"
                )
            yield image
    except PhotoError:
        raise
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except UnidentifiedImageError as error:
        formats = "JPEG, PNG, WebP, TIFF, BMP, HEIC, AVIF"
        raise PhotoError(f"{show(path)}: not a photo in a format known here ({formats}); leave it out") from error
    except MemoryError as error:
        raise PhotoError(f"{show(path)}: too large for the memory that is left; scale it down") from error
    except Exception as error:  # decoders raise nearly anything on damaged data
        if isinstance(error, OSError) and error.errno:  # of the disk, not of the picture
            raise _unreadable(path, error) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PhotoError(
            f"{show(path)}: the picture is damaged or cut off ({reason}); copy it again or leave it out"
        ) from error


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes; raises PhotoError if one cannot be read."""
    try:
        return cmp(one, other, shallow=False)  # reads them only if their sizes are equal
    except OSError as error:
        raise _unreadable(Path(error.filename or one), error) from error


def _list_photos(folder: Path) -> list[Path]:
    try:
        entries = sorted((entry.name for entry in os.scandir(folder)), key=natural_key)
    except OSError as error:
        raise PhotoError(f"{show(folder)}: the folder cannot be read ({error.strerror})") from error
    photos = []
    folders = 0
    for name in entries:
        file = folder / name
        if name.startswith("."):
            continue
        if file.suffix.lower() in SUFFIXES and stat.S_ISREG(_stat(file).st_mode):
            photos.append(file)
        if os.path.isdir(file):  # unlike Path.is_dir, never an error
            folders += 1
    if not photos:
        cure = f"; give one of its {folders} sub-folders" if folders else f"; known are {', '.join(SUFFIXES)}"
        raise PhotoError(f"{show(folder)}: no photos in this folder{cure}")
    return photos


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise PhotoError(f"{show(path)}: a link to a file that is not there") from error
        raise PhotoError(f"{show(path)}: no such file or folder; check the path") from error
    except PermissionError as error:
        raise PhotoError(f"{show(path)}: no permission to reach it; check the folder's permissions") from error
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            raise PhotoError(f"{show(path)}: a symbolic link that leads back to itself; remove it") from error
        raise PhotoError(f"{show(path)}: cannot be reached ({error})") from error


def _formats() -> list[str]:
    # Pillow knows HEIF only after pillow-heif is registered, and fails on a format that it does not know.
    return [*_FORMATS, "HEIF"] if "HEIF" in Image.OPEN else [*_FORMATS]


def _register_heif(path: Path) -> None:
    if find_spec("pillow_heif") is None:
        raise PhotoError(f"{show(path)}: HEIC needs one more package; run: {HEIF_HINT}")
    try:
        import pillow_heif
    except Exception as error:  # whatever a library raises that does not load
        raise PhotoError(
            f"{show(path)}: pillow-heif, which HEIC needs, is installed but does not start ({first_line(error)}); "
            "install it again: pip install --force-reinstall pillow-heif"
        ) from error
    pillow_heif.register_heif_opener()


def _is_heif(path: Path) -> bool:
    """By content, since phones and messengers give HEIC photos the names of JPEGs."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise _unreadable(path, error) from error
    brands = [head[start : start + 4] for start in (8, *range(16, 64, 4))]
    return head[4:8] == b"ftyp" and brands[0] in _HEIF_BRANDS and b"avif" not in brands


def _unreadable(path: Path, error: OSError) -> PhotoError:
    if isinstance(error, PermissionError):
        return PhotoError(f"{show(path)}: no permission to read it; change its permissions or leave it out")
    return PhotoError(f"{show(path)}: cannot be read ({error.strerror}); copy it again or leave it out")


@contextmanager
def _without_pixel_limit() -> Iterator[None]:
    # Pillow's limit is global, too low for phones with 200 megapixels, and checked before the size can be
    # read. It is lifted only while the header is read (no pixel is decoded), and `_open_header` checks; and for
    # large TIFFs whose size was found to be allowed.
    with _opening:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
