"""The images of a manifest's sets."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.datasets.manifest import Manifest, SetEntry
from imgorder.errors import ImgorderError
from imgorder.media.photos import find_sets
from imgorder.media.video import VideoError, open_video
from imgorder.names import show, word_count

Frame = npt.NDArray[np.uint8]

CACHE_BYTES = 256 * 2**20

_threads = threading.local()


def read_set(manifest: Manifest, entry: SetEntry) -> list[Frame] | list[Path]:
    """The images of one set, in temporal order; see `read_images`."""
    return read_images(manifest.root / entry.video, entry.frames)


def read_images(source: Path, places: Sequence[int]) -> list[Frame] | list[Path]:
    """Images of a video or of a folder of photos, as `imgorder.media.preprocess.preprocess` takes them.

    The video read last stays open, one for each thread: sets in the order of the manifest are read
    without decoding a frame twice; going back in a video decodes it again from its first frame.

    Returns:
        Frames of a video, uint8 RGB ``(H, W, 3)`` each, not to be written to; or paths of photos.

    Raises:
        ImgorderError: if the file or folder is missing or has fewer frames than the manifest says.
    """
    if os.path.isdir(source):
        return _photos(source, places)
    reader: VideoReader | None = getattr(_threads, "reader", None)
    if reader is None or reader.path != source:
        if reader is not None:
            reader.close()
        _threads.reader = None
        reader = _threads.reader = VideoReader(source)
    return reader.frames(places)


class VideoReader:
    """Frames of one video by index; the frames given last are kept, up to 256 MiB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._video = open_video(path)
        self._next = 0
        self._kept: OrderedDict[int, Frame] = OrderedDict()
        self._bytes = 0

    def frames(self, indices: Sequence[int]) -> list[Frame]:
        """uint8 RGB ``(H, W, 3)`` each, in the order of the indices.

        Raises:
            VideoError: if the video has no such frame.
        """
        found = {index: self._kept[index] for index in indices if index in self._kept}
        for index in sorted(set(indices) - set(found)):
            found[index] = self._decode(index)
        return [found[index] for index in indices]

    def close(self) -> None:
        """Close the file; the reader is of no use afterwards."""
        self._video.release()
        self._kept.clear()

    def _decode(self, index: int) -> Frame:
        if index < self._next:
            # Seeking is not exact in every format; decoding from the first frame is.
            self._video.release()
            self._video = open_video(self.path)
            self._next = 0
        ok = index >= 0
        while ok and self._next <= index:
            ok = self._video.grab()
            self._next += 1
        picture: Any = None
        if ok:
            ok, picture = self._video.retrieve()
        if not ok:
            raise VideoError(self.path, f"has no frame {index}; the manifest was made from another file")
        frame: Frame = np.ascontiguousarray(picture[:, :, ::-1])
        frame.flags.writeable = False
        self._keep(index, frame)
        return frame

    def _keep(self, index: int, frame: Frame) -> None:
        self._kept[index] = frame
        self._bytes += frame.nbytes
        while self._bytes > CACHE_BYTES and self._kept:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


def _photos(folder: Path, places: Sequence[int]) -> list[Path]:
    files = find_sets([folder])[0].files
    if not all(0 <= place < len(files) for place in places):
        raise ImgorderError(
            f"{show(folder)}: has {word_count(len(files), 'photo')}, the manifest names number {max(places)}; "
            "make it anew"
        )
    return [files[place] for place in places]
