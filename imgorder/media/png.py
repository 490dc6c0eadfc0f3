"""PNGs with more metadata than Pillow takes: what is not looked at must not cost the photo."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile, PngImagePlugin

# XMP and profiles of displays have a few megabytes; what is larger, or broken, is left out.
_LONGEST = 16 << 20

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_METADATA = (*_TEXTS, b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"eXIf")


class _LenientStream(PngImagePlugin.PngStream):
    """The chunks of a PNG; one with metadata that cannot be used is passed over."""

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        if cid not in _TEXTS or self.text_memory <= PngImagePlugin.MAX_TEXT_MEMORY:
            try:
                return super().call(cid, pos, length)
            except (ValueError, SyntaxError, IndexError, struct.error, zlib.error):
                if cid not in _METADATA:
                    raise
        assert self.fp is not None
        self.fp.seek(pos)
        return ImageFile._safe_read(self.fp, length)  # for its checksum


@contextmanager
def lenient_metadata() -> Iterator[None]:
    """PNGs that are opened in this block are read so. Pillow's settings are global, so only one thread may be here."""
    stream, longest = PngImagePlugin.PngStream, PngImagePlugin.MAX_TEXT_CHUNK
    PngImagePlugin.PngStream, PngImagePlugin.MAX_TEXT_CHUNK = _LenientStream, _LONGEST  # type: ignore[misc]
    try:
        yield
    finally:
        PngImagePlugin.PngStream, PngImagePlugin.MAX_TEXT_CHUNK = stream, longest  # type: ignore[misc]
