from __future__ import annotations

import importlib
import json
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from imgorder.media.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    normalise,
    preprocess,
    preprocess_set,
    to_pixels,
    to_rgb,
)
from tests.conftest import EXAMPLE

preprocess_module = importlib.import_module("imgorder.media.preprocess")


def picture(width: int = 240, height: int = 180) -> Image.Image:
    """Smooth, colourful, different in every corner."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    bands = [x, y, 0.5 + 0.4 * np.sin(5 * x + 3 * y)]
    return Image.fromarray(np.uint8(np.stack(bands, -1) * 230 + 10))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_path_picture_and_array_give_the_same_tensor(tmp_path: Path) -> None:
    image = picture()
    image.save(tmp_path / "a.png")
    tensor = preprocess(tmp_path / "a.png")
    assert tensor.shape == (3, 112, 112)
    assert tensor.dtype == np.float32
    assert np.array_equal(tensor, preprocess(image))
    assert np.array_equal(tensor, preprocess(np.asarray(image)))
    assert np.array_equal(tensor, preprocess(str(tmp_path / "a.png")))


def test_the_centre_of_the_scaled_picture_is_taken_and_normalised() -> None:
    pixels = np.zeros((136, 200, 3), np.uint8)
    pixels[12:124, 44:156] = (255, 128, 0)  # exactly the centre 112×112
    tensor = preprocess(pixels)
    for channel, value in enumerate((255, 128, 0)):
        expected = (value / 255 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        assert np.allclose(tensor[channel], expected, atol=1e-6)


@given(st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_any_size_gives_the_same_shape(width: int, height: int) -> None:
    assert to_pixels(np.full((height, width, 3), 77, np.uint8)).shape == (112, 112, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = picture()
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert distance(to_pixels(tmp_path / "turned.png"), to_pixels(upright)) < 0.6


def test_a_broken_exif_block_does_not_cost_the_photo(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage that is no TIFF header")
    assert distance(to_pixels(tmp_path / "a.jpg"), to_pixels(picture())) < 3


def test_large_jpegs_are_decoded_small_and_come_out_alike(tmp_path: Path) -> None:
    large = picture(2400, 1800)
    large.save(tmp_path / "a.jpg", quality=95)
    large.save(tmp_path / "a.png")
    assert distance(to_pixels(tmp_path / "a.jpg"), to_pixels(tmp_path / "a.png")) < 1.5


def test_a_given_picture_is_left_as_it_was(tmp_path: Path) -> None:
    picture(2400, 1800).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        to_pixels(image)
        assert image.size == (2400, 1800)


def grey() -> np.ndarray:
    return np.asarray(picture().convert("L"))


def overshot(values: np.ndarray, value: float) -> np.ndarray:
    values[0, 0] = value
    return values


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("grey.png", lambda: Image.fromarray(grey())),
        ("grey.jpg", lambda: Image.fromarray(grey())),
        ("deep.png", lambda: Image.fromarray(grey().astype(np.uint16) * 257)),
        ("deep.tif", lambda: Image.fromarray(grey().astype(np.uint16) * 257)),
        ("float.tif", lambda: Image.fromarray(grey().astype(np.float32) / 255)),
        ("float255.tif", lambda: Image.fromarray(grey().astype(np.float32))),
        ("float65535.tif", lambda: Image.fromarray(grey().astype(np.float32) * 257)),
        ("overshoot.tif", lambda: Image.fromarray(overshot(grey().astype(np.float32) / 255, 1.003))),
        ("infinite.tif", lambda: Image.fromarray(overshot(grey().astype(np.float32) / 255, np.inf))),
        ("grey-alpha.png", lambda: Image.merge("LA", [Image.fromarray(grey()), Image.new("L", (240, 180), 255)])),
    ],
)
def test_grey_of_any_depth_is_that_grey(tmp_path: Path, name: str, make) -> None:  # type: ignore[no-untyped-def]
    make().save(tmp_path / name)
    pixels = to_pixels(tmp_path / name)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert distance(pixels, to_pixels(Image.fromarray(grey()))) < 1.2


@pytest.mark.parametrize(
    ("factor", "shown"),
    [
        (1, lambda grey: grey),  # 8-bit values in 32 bits
        (257, lambda grey: grey),  # 16-bit values
        (1 << 23, lambda grey: grey // 2),  # more: counted from 0 to 2^32, of which a TIFF's lower half is read
    ],
)
def test_grey_of_32_bits_is_shown_by_the_range_it_uses(tmp_path: Path, factor: int, shown) -> None:  # type: ignore[no-untyped-def]
    Image.fromarray(grey().astype(np.int32) * np.int32(factor)).save(tmp_path / "grey.tif")
    with Image.open(tmp_path / "grey.tif") as stored:
        assert stored.mode == "I"
    pixels = to_pixels(tmp_path / "grey.tif")
    assert distance(pixels, to_pixels(Image.fromarray(shown(grey())))) < 1.2


def test_dark_grey_of_16_bits_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(grey().astype(np.uint16)).save(tmp_path / "dark.png")
    assert to_pixels(tmp_path / "dark.png").max() == 0


@pytest.mark.parametrize(
    ("name", "mode", "tolerance"),
    [
        ("a.png", "RGB", 0.0),
        ("a.bmp", "RGB", 0.0),
        ("a.tif", "RGB", 0.0),
        ("a.tiff", "CMYK", 0.5),
        ("a.jpg", "CMYK", 3.0),
        ("a.jpg", "RGB", 3.0),
        ("a.webp", "RGB", 4.0),
        ("a.avif", "RGB", 4.0),
        ("b.png", "P", 12.0),
        ("b.png", "RGBA", 0.5),
    ],
)
def test_every_format_and_mode_looks_like_the_original(tmp_path: Path, name: str, mode: str, tolerance: float) -> None:
    picture().convert(mode).save(tmp_path / name)
    assert distance(to_pixels(tmp_path / name), to_pixels(picture())) <= tolerance


def test_heic_is_read_with_the_extra(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(picture()).save(tmp_path / "a.heic", quality=90)
    assert distance(to_pixels(tmp_path / "a.heic"), to_pixels(picture())) < 4


def test_colours_hidden_under_transparency_do_not_show(tmp_path: Path) -> None:
    hidden = Image.new("RGBA", (200, 200), (255, 0, 0, 0))
    hidden.save(tmp_path / "clear.png")
    assert (to_pixels(tmp_path / "clear.png") == 255).all()
    palette = Image.new("P", (200, 200), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert (to_pixels(tmp_path / "palette.png") == 255).all()
    Image.new("RGB", (200, 200), (255, 0, 255)).save(tmp_path / "one.png", transparency=(255, 0, 255))
    assert (to_pixels(tmp_path / "one.png") == 255).all()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def make_png(bits: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG of 16×16 px; each of the rows begins with a zero."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, bits, colour, 0, 0, 0))
    end = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + end


@pytest.mark.parametrize(
    ("bits", "channels", "hidden", "shown", "grey"),
    [
        (1, 1, 0, 1, 255),
        (2, 1, 2, 1, 85),
        (4, 1, 5, 3, 51),
        (8, 1, 9, 77, 77),
        (8, 3, 9, 77, 77),
        (16, 1, 0x1234, 0x4D4D, 0x4D),
        (16, 1, 0x1234, 0x1235, 0x12),  # not the transparent one, but its neighbour
        (16, 3, 0x1234, 0x4D4D, 0x4D),
    ],
)
def test_a_transparent_colour_of_any_depth_does_not_show(
    tmp_path: Path, bits: int, channels: int, hidden: int, shown: int, grey: int
) -> None:
    left, right = (f"{value:0{bits}b}" * channels * 8 for value in (hidden, shown))
    row = b"\0" + int(left + right, 2).to_bytes(16 * bits * channels // 8, "big")
    named = png_chunk(b"tRNS", struct.pack(">H", hidden) * channels)
    (tmp_path / "a.png").write_bytes(make_png(bits, 2 if channels == 3 else 0, row * 16, named))
    pixels = to_pixels(tmp_path / "a.png")
    assert (pixels[:, :40] == 255).all()
    assert (pixels[:, -40:] == grey).all()


@pytest.mark.parametrize(
    "chunks",
    [
        [png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_200_000)))],
        [png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 1_200_000))],
        [png_chunk(b"iCCP", b"display\0\0" + zlib.compress(bytes(1_200_000)))],
        [png_chunk(b"zTXt", b"%d\0\0" % number + zlib.compress(bytes(1_000_000))) for number in range(80)],
        [png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(20_000_000)))],
        [png_chunk(b"zTXt", b"odd\0\7" + b"nonsense")],
        [png_chunk(b"iCCP", b"odd\0\7" + b"nonsense")],
        [png_chunk(b"pHYs", b"cut")],
        [png_chunk(b"gAMA", b"")],
    ],
    ids=["text", "XMP", "profile", "many texts", "huge text", "odd text", "odd profile", "short size", "short gamma"],
)
def test_metadata_of_a_png_does_not_cost_the_photo(tmp_path: Path, chunks: list[bytes]) -> None:
    grey = make_png(8, 0, (b"\0" + bytes([90] * 16)) * 16, *chunks)
    (tmp_path / "a.png").write_bytes(grey)
    assert (to_pixels(tmp_path / "a.png") == 90).all()
    behind = grey.replace(b"".join(chunks), b"")  # some programs write it behind the picture
    (tmp_path / "b.png").write_bytes(behind[:-12] + b"".join(chunks) + behind[-12:])
    assert (to_pixels(tmp_path / "b.png") == 90).all()


def test_pillows_own_limits_are_left_as_they_were(tmp_path: Path) -> None:
    long = png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_200_000)))
    (tmp_path / "a.png").write_bytes(make_png(8, 0, (b"\0" + bytes(16)) * 16, long))
    to_pixels(tmp_path / "a.png")
    with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"):
        Image.open(tmp_path / "a.png")


def test_floats_that_are_no_numbers_are_no_warning(tmp_path: Path) -> None:
    values = grey().astype(np.float32) * np.float32(1e-38)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"])
def test_a_picture_is_made_rgb_in_strips_as_at_once(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    whole = Image.fromarray(grey().astype(np.uint16) * 257) if mode == "I;16" else picture().convert("RGB")
    stored = whole if mode == "I;16" else Image.new("LAB", (240, 180), (99, 9, 9)) if mode == "LAB" else None
    stored = stored or (whole.convert("L").convert(mode) if mode in ("I", "F") else whole.convert(mode))
    if mode == "P":
        stored.info["transparency"] = 3
    at_once = np.asarray(to_rgb(stored))
    monkeypatch.setattr(preprocess_module, "_STRIP", 7 * 240)
    assert np.array_equal(np.asarray(to_rgb(stored)), at_once)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says so how much memory was used")
def test_a_large_picture_with_transparency_is_in_memory_twice_at_most(tmp_path: Path) -> None:
    stored = Image.new("P", (6000, 4000), 1)
    stored.putpalette([0, 0, 0, 255, 0, 0])
    stored.save(tmp_path / "a.png", transparency=1, compress_level=1)
    code = (
        "import re, sys; from imgorder.media.preprocess import to_pixels\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) >> 10\n"
        "before = peak(); assert (to_pixels(sys.argv[1]) == 255).all(); print(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], check=True, capture_output=True, text=True)
    assert int(run.stdout) < 200  # MiB; 24 as stored and 96 as RGB


@pytest.mark.parametrize(("limit", "together"), [(1, 1), (1 << 30, 2)])
def test_large_photos_wait_for_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, together: int
) -> None:
    files = [tmp_path / f"{name}.png" for name in "abcdef"]
    for file in files:
        picture().save(file)
    expected = preprocess_set(files)
    monkeypatch.setattr("imgorder.media.photos.MAX_DECODED", limit)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    real, inside, most = ImageFile.ImageFile.load, 0, 0
    both = threading.Barrier(together)

    def load(self: ImageFile.ImageFile) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if self.tile:
            both.wait(timeout=20)
        result = real(self)
        inside -= 1
        return result

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert np.array_equal(preprocess_set(files, threads=2), expected)
    assert most == together


def test_arrays_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="uint8"):
        preprocess(np.zeros((20, 20, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="height, width, 3"):
        preprocess(np.zeros((20, 20), np.uint8))


def test_parameters_travel_as_json() -> None:
    spec = Preprocessing(shorter_edge=160, crop=128, mean=(0.5, 0.5, 0.5), squeeze=1.5)
    assert Preprocessing.from_json(spec.to_json()) == spec
    assert preprocess(picture(), spec).shape == (3, 128, 128)


def test_a_longer_edge_is_squeezed_as_far_as_is_asked_for() -> None:
    wide = picture(300, 180)
    whole = to_pixels(wide, Preprocessing(128, 128, squeeze=1.8))
    assert np.array_equal(whole, np.asarray(wide.resize((128, 128), Image.Resampling.BICUBIC)))
    part = to_pixels(wide, Preprocessing(128, 128, squeeze=1.5))
    middle = to_pixels(wide.crop((15, 0, 285, 180)), Preprocessing(128, 128, squeeze=1.5))
    assert np.array_equal(part[:, 3:-3], middle[:, 3:-3])  # scaling looks a little beyond what is cut
    assert distance(part, whole) > 2
    tall = to_pixels(wide.transpose(Image.Transpose.TRANSPOSE), Preprocessing(128, 128, squeeze=1.5))
    assert np.array_equal(tall, part.transpose(1, 0, 2))
    square = picture(180, 180)
    assert np.array_equal(to_pixels(square, Preprocessing(squeeze=1.8)), to_pixels(square))


@pytest.mark.parametrize("squeeze", [0.5, 9.0, float("nan")])
def test_an_absurd_squeeze_is_refused(squeeze: float) -> None:
    with pytest.raises(ValueError, match="squeezed"):
        Preprocessing(squeeze=squeeze)


def test_golden_values() -> None:
    """A picture that needs no decoder, against values worked out once: the preprocessing must not drift.

    Half a grey level is 0.009; another filter or a shifted crop changes far more on this pattern.
    """
    golden = json.loads((Path(__file__).parent / "golden" / "preprocess.json").read_text("utf-8"))
    y, x = np.mgrid[0:300, 0:400]
    pixels = np.stack([(x * 7 + y * 3) % 256, (x * y) % 251, ((x + y) * 11) % 256], -1).astype(np.uint8)
    tensor = preprocess(pixels)
    assert np.allclose(tensor[:, 5::20, 5::20], golden["every_20th_from_5"], atol=0.009)
    assert tensor.mean() == pytest.approx(golden["mean"], abs=1e-3)


def test_jpegs_are_decoded_at_no_less_than_twice_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(2400, 1800).save(tmp_path / "a.jpg")
    sizes = []
    real = preprocess_module.decoded_photo

    @contextmanager
    def watched(path: Path, draft_edge: int | None = None) -> Iterator[Image.Image]:
        with real(path, draft_edge) as image:
            sizes.append(image.size)
            yield image

    monkeypatch.setattr(preprocess_module, "decoded_photo", watched)
    to_pixels(tmp_path / "a.jpg")
    assert sizes == [(600, 450)]  # a quarter; an eighth would be 225 px, less than 2·136
    to_pixels(tmp_path / "a.jpg", Preprocessing(shorter_edge=112))
    assert sizes[1:] == [(300, 225)]


def test_the_package_has_the_function_whatever_is_imported() -> None:
    code = (
        "import imgorder, importlib, pkgutil\n"
        "for each in pkgutil.walk_packages(imgorder.__path__, 'imgorder.'):\n"
        "    if each.name != 'imgorder.__main__':\n"
        "        try: importlib.import_module(each.name)\n"
        "        except ModuleNotFoundError as error: assert not error.name.startswith('imgorder'), error\n"
        "assert imgorder.preprocess(sys.argv[1]).shape == (3, 112, 112)\n"
    )
    photo = next(EXAMPLE.glob("*.jpg"))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}", str(photo)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_normalise_moves_channels_first_for_any_leading_axes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 8, 3), np.uint8)
    tensor = normalise(pixels)
    assert tensor.shape == (2, 5, 3, 8, 8)
    red = (pixels[1, 4, 2, 3, 0] / 255 - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
    assert tensor[1, 4, 0, 2, 3] == pytest.approx(red, abs=1e-6)
