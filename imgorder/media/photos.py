"""Photos on disk: which files make a set, and one file's pixels.

Nothing here writes. Whatever is wrong with a file ends in a `PhotoError` that names the file and the cure.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from filecmp import cmp
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError, features

from imgorder.errors import ImgorderError, PhotoError, UsageError, is_out_of_memory
from imgorder.media import kinds
from imgorder.media.leftovers import belongs_by_name, word_leftovers
from imgorder.names import common_folder, first_line, fold_name, natural_key, show

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
HEIF = (".heic", ".heif", ".hif")
AVIF = (".avif",)
SUFFIXES = (*JPEG, ".png", ".webp", ".tif", ".tiff", ".bmp", *HEIF, *AVIF)

# What Pillow may try: photos need no PostScript, PDF or icon reader. The first three are loaded with Pillow
# itself; with these first, it need not import all its plugins for most photos.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF")

# Phones make 200-megapixel photos; a header that claims much more is more likely an attack.
MAX_MEGAPIXELS = 300

# Bytes that photos may take which are in memory at the same time, thread by thread. One photo always goes on.
MAX_DECODED = 2 << 30

HEIF_HINT = "pip install 'imgorder[heif]'"

_EXIF = 0x8769  # where the Exif directory is

_PILLOWS_LIMIT = 80_000_000  # px; a little below the size at which it warns
_LOADING = threading.Lock()


_opening = threading.Lock()
_decoding = threading.Condition()
_decoded = 0  # bytes of the photos in memory


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


def refuse(error: ImgorderError) -> None:
    """What is done with the error of a bad photo or set where nobody sets it apart: it is raised."""
    raise error


class Exclusion:
    """Which photos a person leaves out of their sets: by name, or by a pattern such as ``*_edit.jpg``.

    Case and Unicode form of the letters do not matter. What has a folder in it is compared with the whole path.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        self._globs = [(glob, fold_name(os.path.abspath(glob) if _has_folder(glob) else glob)) for glob in globs]
        self._used: set[str] = set()

    def covers(self, file: Path) -> bool:
        """Whether a photo is left out."""
        found = False
        for glob, folded in self._globs:
            name = fold_name(os.path.abspath(file) if _has_folder(glob) else file.name)
            if name == folded or fnmatchcase(name, folded):
                self._used.add(glob)
                found = True
        return found

    def check_used(self, warn: Callable[[str], None]) -> None:
        """Warn of patterns that fit no photo; raises UsageError for such a name, since it may be misspelt."""
        for glob, _ in self._globs:
            if glob not in self._used:
                if not re.search(r"[*?\[]", glob):
                    raise UsageError(f"--exclude {show(glob)}: not one of the photos; check the name")
                warn(f"--exclude {show(glob)}: fits none of the photos")


def _has_folder(glob: str) -> bool:
    return os.path.basename(glob) != glob


class NoPhotosError(PhotoError):
    """A folder that has no photos."""


def find_sets(
    paths: Sequence[Path],
    exclude: Sequence[str] = (),
    warn: Callable[[str], None] = lambda message: None,
    apart: Callable[[ImgorderError], None] = refuse,
) -> list[PhotoSet]:
    """Each folder is a set of its own; all files named one by one make a set together.

    What a folder's scan passes over is left out among named files, too: companions, videos, texts, folders without
    photos that lie beside them. A file whose content is a photo's is taken, whatever its name.

    Args:
        paths: folders and files.
        exclude: names and patterns of photos to leave out, as `Exclusion` takes them.
        warn: called with one line about named files that are no photos.
        apart: called with the error of each path, and of each photo of a folder, that cannot be read.

    Raises:
        PhotoError: for a path that does not exist or cannot be read, and for a folder without photos, unless they are
            set apart.
        UsageError: for a name to exclude that no photo has.
    """
    excluded = Exclusion(exclude)
    folders: list[Path] = []
    named: dict[str, Path] = {}  # each file once, as it was given first
    left_out: list[Path] = []
    for path in paths:
        try:
            mode = _stat(path).st_mode
            if stat.S_ISDIR(mode):
                folders.append(path)
            elif excluded.covers(path):
                left_out.append(path)
            elif stat.S_ISREG(mode):
                named.setdefault(os.path.abspath(path), path)
            else:
                raise PhotoError(f"{show(path)}: neither a file nor a folder; give photos or a folder of photos")
        except PhotoError as error:
            if excluded.covers(path):
                left_out.append(path)
            else:
                apart(error)
    photos, leftovers = sort_out(list(named.values()))
    beside = {file.parent for file in named.values()}
    sets, empty = [], []
    for folder in folders:
        try:
            sets.append(PhotoSet(folder, tuple(_list_photos(folder, excluded, apart))))
        except NoPhotosError as error:
            if photos and folder.parent in beside:  # a pattern such as raw/* gave it
                empty.append(folder)
            else:
                apart(error)
        except PhotoError as error:
            apart(error)
    if leftovers or empty:
        if photos:
            warn(word_leftovers(leftovers, empty, len(photos)))
        elif len(leftovers) == 1:
            photos = [leftovers[0][0]]  # whoever reads it says what it is
        else:
            apart(NoPhotosError(f"{word_leftovers(leftovers, empty, 0)}; give photos"))
    excluded.check_used(warn)
    if photos:
        files = sorted(photos, key=lambda file: natural_key(os.fspath(file)))
        shared = files[0].parent
        if any(file.parent != shared for file in files):
            shared = common_folder(files)
        sets.append(PhotoSet(shared, tuple(files)))
    if len(left_out) == len(paths) > 0:
        apart(PhotoError(f"{show(left_out[0])}: --exclude leaves no photo; give others"))
    return sets


def sort_out(files: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str | None]]]:
    """The photos among files that were named one by one; and the others, each with its kind.

    RAW files and other companions that are pictures by their content count only where nothing else is named.
    """
    photos: list[Path] = []
    doubtful: list[tuple[Path, str | None]] = []
    leftovers: list[tuple[Path, str | None]] = []
    for file in files:
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            photos.append(file)
            continue
        belongs = belongs_by_name(file.name)
        try:
            kind = _read_kind(file)
        except PhotoError:
            if belongs:
                leftovers.append((file, None))
            else:
                photos.append(file)  # it may be one; whoever reads it says what is wrong
            continue
        if kind in (None, kinds.VIDEO):
            leftovers.append((file, kind))
        elif belongs:
            doubtful.append((file, kind))
        else:
            photos.append(file)
    if not photos:
        return [file for file, _ in doubtful], leftovers
    return photos, leftovers + doubtful


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
    with decoded_photo(path, draft_edge) as image:
        return image


@contextmanager
def decoded_photo(path: Path, draft_edge: int | None = None) -> Iterator[Image.Image]:
    """As `open_photo`, for several threads: large photos wait until there is room for them and for an RGB copy.

    The room is given back when the block ends; other errors than those of `open_photo` pass through it.
    """
    with ExitStack() as stack:
        with _open_header(path) as image:
            # Of a progressive JPEG all coefficients are kept, at the size of the file.
            whole = 6 * image.width * image.height if image.info.get("progressive") else 0
            if draft_edge is not None:
                image.draft(None, (draft_edge, draft_edge))  # type: ignore[arg-type]
            stack.enter_context(_room_for(whole + _decoded_bytes(image)))
            # Pillow's TIFF reader asks for its limit once more; the size is within ours already.
            large = image.format == "TIFF" and image.width * image.height > _PILLOWS_LIMIT
            _scale_transparency(image)
            with _own_limits() if large else nullcontext():
                image.load()
        yield image


def read_tags(path: Path) -> list[dict[int, object]]:
    """The tags of a TIFF as Pillow reads them: of its Exif directory, and of its first; without decoding it.

    Raises:
        PhotoError: if the file cannot be read, or does not begin as a picture of a known format.
    """
    with _open_header(path) as image:
        try:
            root = image.getexif()
            return [dict(root.get_ifd(_EXIF)), dict(root)]
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
    kind = _read_kind(path)
    if kind == kinds.HEIC:
        _register_heif(path)
    elif kind == kinds.AVIF and not features.check("avif"):
        raise PhotoError(f"{show(path)}: this Pillow reads no AVIF; run: pip install --upgrade pillow")
    elif kind == kinds.VIDEO:
        raise PhotoError(f"{show(path)}: a video, not a photo; save frames of it as pictures and give those")
    try:
        with _own_limits():
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
    except Exception as error:  # decoders raise nearly anything on damaged data
        if isinstance(error, OSError) and error.errno:  # of the disk, not of the picture
            raise unreadable(path, error) from error
        raise PhotoError(f"{show(path)}: {_describe_failure(path, kind, error)}") from error


def _describe_failure(path: Path, kind: str | None, error: Exception) -> str:
    """Why Pillow does not read a file, and the cure."""
    unknown = isinstance(error, UnidentifiedImageError)
    if not unknown and is_out_of_memory(error):
        return "too large for the memory that is left; scale it down"
    if kind is None and unknown:
        return "not a photo in a format known here (JPEG, PNG, WebP, TIFF, BMP, HEIC, AVIF); leave it out"
    if kind is not None and (variant := kinds.describe_variant(path, kind, error)):
        return f"a {kind} of a kind that is not read here ({variant}); save it as an 8-bit JPEG or PNG"
    if unknown:
        return f"the picture is damaged or cut off, or an unusual {kind}; copy it again, or save it as a JPEG or PNG"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the picture is damaged or cut off ({reason}); copy it again or leave it out"


def photo_header(path: Path) -> AbstractContextManager[Image.Image]:
    """A photo whose header was read, for its size and its orientation; the picture itself is not decoded.

    Raises:
        PhotoError: as `open_photo`, as the block is entered.
    """
    return _open_header(path)


def check_photo(path: Path) -> None:
    """Raise a PhotoError, as `open_photo` does, if a file does not begin as a photo does."""
    with _open_header(path):
        pass


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes; raises PhotoError if one cannot be read."""
    try:
        return cmp(one, other, shallow=False)  # reads them only if their sizes are equal
    except OSError as error:
        raise unreadable(Path(error.filename or one), error) from error


def list_photos(folder: Path) -> list[Path]:
    """The photos of a folder by their endings, in natural order; raises PhotoError where `find_sets` does."""
    return _list_photos(folder, Exclusion(), lambda error: None)


def _list_photos(folder: Path, excluded: Exclusion, apart: Callable[[ImgorderError], None]) -> list[Path]:
    try:
        entries = sorted((entry.name for entry in os.scandir(folder)), key=natural_key)
    except OSError as error:
        raise PhotoError(f"{show(folder)}: the folder cannot be read ({error.strerror})") from error
    photos = []
    seen = folders = 0
    for name in entries:
        file = folder / name
        if name.startswith("."):
            continue
        if file.suffix.lower() in SUFFIXES:
            try:
                if excluded.covers(file):
                    seen += 1
                elif stat.S_ISREG(_stat(file).st_mode):
                    photos.append(file)
            except PhotoError as error:
                apart(error)
                seen += 1
        if os.path.isdir(file):  # unlike Path.is_dir, never an error
            folders += 1
    if not photos and not seen:
        cure = (
            f"; give {'its sub-folder' if folders == 1 else f'one of its {folders} sub-folders'}"
            if folders
            else f"; known are {', '.join(SUFFIXES)}"
        )
        raise NoPhotosError(f"{show(folder)}: no photos in this folder{cure}")
    if not photos:
        raise PhotoError(f"{show(folder)}: no photo is left in this folder; give another one")
    return photos


def check_there(path: Path) -> None:
    """Raise a PhotoError if there is nothing under a path, or it cannot be reached."""
    _stat(path)


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
        # One thread at a time: beside one whose import fails, another gets half a module.
        with _LOADING:
            import pillow_heif
    except Exception as error:  # whatever a library raises that does not load
        raise PhotoError(
            f"{show(path)}: pillow-heif, which HEIC needs, is installed but does not start ({first_line(error)}); "
            "install it again: pip install --force-reinstall pillow-heif"
        ) from error
    pillow_heif.register_heif_opener()


def _read_kind(path: Path) -> str | None:
    """By content, since phones and messengers give HEIC photos the names of JPEGs."""
    try:
        with path.open("rb") as file:
            return kinds.name_kind(file.read(kinds.HEAD))
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> PhotoError:
    """The error for a file that the disk does not give."""
    if isinstance(error, PermissionError):
        return PhotoError(f"{show(path)}: no permission to read it; change its permissions or leave it out")
    return PhotoError(f"{show(path)}: cannot be read ({error.strerror}); copy it again or leave it out")


def _decoded_bytes(image: Image.Image) -> int:
    """About how many bytes a photo takes while it is decoded and made RGB."""
    pixels = image.width * image.height
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(image.mode, 4)
    if image.format in ("WEBP", "AVIF", "HEIF"):
        stored *= 3  # these are decoded elsewhere and then copied
    return pixels * (stored + 4)


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Wait until there is room for so many bytes, or no photo in memory at all."""
    global _decoded
    with _decoding:
        _decoding.wait_for(lambda: _decoded == 0 or _decoded + size <= MAX_DECODED)
        _decoded += size
    try:
        yield
    finally:
        with _decoding:
            _decoded -= size
            _decoding.notify_all()


def _scale_transparency(image: Image.Image) -> None:
    """Give the transparent colour of a PNG in the numbers that its pixels have in Pillow."""
    hidden = image.info.get("transparency")
    if not isinstance(image, ImageFile.ImageFile) or image.format != "PNG" or hidden is None or not image.tile:
        return
    raw = image.tile[0].args
    if raw in ("L;2", "L;4"):
        image.info["transparency"] = hidden * (85 if raw == "L;2" else 17)
    elif raw == "RGB;16B":  # Pillow keeps the upper byte only
        image.info["transparency"] = tuple(each >> 8 for each in hidden)


@contextmanager
def _own_limits() -> Iterator[None]:
    # Pillow's limit is global, too low for phones with 200 megapixels, and checked before the size can be
    # read. It is lifted only while the header is read (no pixel is decoded), and `_open_header` checks; and for
    # large TIFFs whose size was found to be allowed. Its limits on a PNG's texts are those of `media/png.py`.
    from imgorder.media.png import lenient_metadata

    with _opening, lenient_metadata():
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
