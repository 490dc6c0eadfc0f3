from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO
from weakref import ref

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFont, features
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.errors import ImgorderError
from imgorder.files import atomic_write
from imgorder.inference.predictor import load_model
from imgorder.media.photos import PhotoSet
from imgorder.ordering import from_probabilities
from imgorder.permutations import class_count, order_to_class
from imgorder.pictures import animation, lettering, picture_job
from imgorder.pictures.canvas import LIMIT, canvas_size, letterbox, load_small, measure
from imgorder.pictures.outputs import name_targets, write_all
from imgorder.pictures.sheet import choose_layout, count_pages, draw_sheet
from imgorder.sorting.sort import Sorting
from imgorder.sorting.sorted_set import SortedSet
from tests.conftest import EXAMPLE, open_the_way
from tests.test_bad_input import as_nobody

COLOURS = ("#d02020", "#20a030", "#2040d0", "#e0c020", "#a030c0", "#20b0c0")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def order_of(*arguments: str | Path) -> list[str]:
    return list(json.loads(run("sort", "--json", *arguments).stdout)["sets"][0]["order"])


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def plain(colour: str, size: tuple[int, int] = (400, 300)) -> Image.Image:
    return Image.new("RGB", size, colour)


def pixel(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    colour = image.getpixel(place)
    assert isinstance(colour, tuple)
    return colour


def sheet_of(pictures: Sequence[Image.Image], name: str) -> Image.Image:
    layout = choose_layout(len(pictures), [picture.size for picture in pictures])
    return draw_sheet(pictures, [name] * len(pictures), name, "note", layout)


def frames_from(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    size = animation.frame_size([picture.size for picture in pictures], len(pictures), None)
    return list(animation.make_frames(pictures, size))


def nearest(pixel: Any) -> int:
    """Which of the colours a pixel shows."""
    palette = np.array([np.asarray(plain(colour, (1, 1)))[0, 0] for colour in COLOURS], dtype=float)
    distances = np.abs(palette - np.asarray(pixel, dtype=float)[:3]).sum(axis=1)
    assert distances.min() < 60
    return int(distances.argmin())


def middle(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB"))[image.height // 2, image.width // 2]


@pytest.fixture
def coloured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four photos of one colour each; the order is fixed: 3.png, 1.png, 4.png, 2.png."""
    folder = tmp_path / "coloured"
    folder.mkdir()
    for index in range(4):
        plain(COLOURS[index]).save(folder / f"{index + 1}.png")
    monkeypatch.setattr("imgorder.sorting.sort.sort_sets", in_fixed_order)
    return folder


def in_fixed_order(sets: Sequence[PhotoSet], *rest: Any) -> list[Sorting]:
    def known(photos: PhotoSet) -> Sorting:
        n = len(photos.files)
        order = {3: (1, 0, 2), 4: (2, 0, 3, 1)}[n]
        probabilities = np.full(class_count(n), 0.125 / (class_count(n) - 1))
        probabilities[order_to_class(order)] = 0.875
        ordering = from_probabilities(probabilities, tuple(range(n)))
        ordering = ordering if ordering.order == order else ordering.reversed()
        result = SortedSet(photos, order, 0.875, "unknown", "known", "none", ordering=ordering)
        return Sorting(result, ordering, load_model("path"), np.empty(0, np.float32), None, [], photos)

    return [known(photos) for photos in sets]


def frames_of(path: Path) -> Iterator[Image.Image]:
    if path.suffix == ".mp4":
        import cv2

        video = cv2.VideoCapture(str(path))
        while (read := video.read())[0]:
            yield Image.fromarray(read[1][..., ::-1])
        video.release()
        return
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            yield image.convert("RGB")


def test_a_sheet_shows_the_photos_in_order(coloured: Path, tmp_path: Path) -> None:
    result = run("sort", coloured, "--sheet", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"Written: {tmp_path / 'out.png'}"
    sheet = Image.open(tmp_path / "out.png")
    assert (sheet.mode, sheet.format, max(sheet.size) <= LIMIT) == ("RGB", "PNG", True)
    across, down = (sheet.width // 4, 3 * sheet.width // 4), (3 * sheet.height // 10, 3 * sheet.height // 4)
    assert [nearest(sheet.getpixel((x, y))) for y in down for x in across] == [2, 0, 3, 1]


def test_a_sheet_may_be_a_jpeg(coloured: Path, tmp_path: Path) -> None:
    assert run("sort", coloured, "--sheet", tmp_path / "out.JPG").exit_code == 0
    assert Image.open(tmp_path / "out.JPG").format == "JPEG"


def test_a_sheet_names_photos_confidence_and_the_open_direction(
    coloured: Path, tmp_path: Path, drawn: list[str]
) -> None:
    assert run("sort", coloured, "--sheet", tmp_path / "out.png").exit_code == 0
    assert drawn == [
        "coloured",
        "4 photos · confidence 87.5% · likely · forward or backward is not known",
        *("1", "3.png", "2", "1.png", "3", "4.png", "4", "2.png"),
    ]


def test_a_sheet_of_several_folders_has_names_as_short_as_tell_them_apart(
    coloured: Path, tmp_path: Path, drawn: list[str]
) -> None:
    places = [coloured / "phone" / "a" / "1.png", coloured / "phone" / "b" / "1.png", coloured / "x" / "y" / "2.png"]
    for number, place in enumerate(places, start=1):
        place.parent.mkdir(parents=True)
        (coloured / f"{number}.png").rename(place)
    assert run("sort", *places, coloured / "4.png", "--sheet", tmp_path / "out.png").exit_code == 0
    # Found by their paths, 4.png comes first.
    assert [text for text in drawn if text.endswith(".png")] == ["b/1.png", "4.png", "2.png", "a/1.png"]


@pytest.mark.parametrize("n", [2, 3, 5, 6])
@pytest.mark.parametrize("size", [(300, 400), (3000, 300), (1, 90)])
def test_sheets_stay_within_the_limit(n: int, size: tuple[int, int]) -> None:
    sheet = sheet_of([plain(COLOURS[index], size) for index in range(n)], "a")
    assert 300 < max(sheet.size) <= LIMIT


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
@pytest.mark.parametrize("pingpong", [False, True])
def test_an_animation_plays_the_order(coloured: Path, tmp_path: Path, suffix: str, pingpong: bool) -> None:
    if suffix == ".mp4":
        pytest.importorskip("cv2")
    out = tmp_path / f"out{suffix}"
    options = ("--pingpong",) if pingpong else ()
    result = run("sort", coloured, "--animate", out, "--fps", "4", *options)
    assert result.exit_code == 0, result.stderr
    frames = list(frames_of(out))
    assert [nearest(middle(frame)) for frame in frames] == ([2, 0, 3, 1, 3, 0] if pingpong else [2, 0, 3, 1])
    assert {frame.size for frame in frames} == {(400, 300)}
    if suffix != ".mp4":
        with Image.open(out) as image:
            assert image.info["loop"] == 0
            image.seek(1)
            image.load()
            assert image.info["duration"] == 250


def test_an_mp4_runs_at_its_speed(coloured: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for options, fps in (((), 3.0), (("--fps", "2.5"), 2.5)):
        assert run("sort", coloured, "--animate", tmp_path / "out.mp4", "--force", *options).exit_code == 0
        assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(fps)


def test_an_mp4_where_opencv_is_missing_is_one_line_before_the_sorting(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr("imgorder.sorting.sort.sort_sets", lambda *a, **k: pytest.fail("sorted"))
    result = run("sort", photos, "--animate", tmp_path / "out.mp4")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "out.mp4: an mp4 needs OpenCV; run: pip install 'imgorder[train]', or name" in result.stderr


def test_an_mp4_that_opencv_could_not_finish_is_an_error(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    monkeypatch.setattr(animation, "_count_frames", lambda video: 2)
    result = run("sort", coloured, "--animate", tmp_path / "out.mp4")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "OpenCV could not make the video" in result.stderr
    assert "out.mp4" not in files_in(tmp_path)


def test_photos_of_several_sizes_share_a_canvas() -> None:
    sizes = [(1280, 960), (300, 400), (641, 361)]
    assert canvas_size(sizes) == (1280, 1280)
    assert canvas_size(sizes[::2]) == (1280, 960)
    assert canvas_size([(101, 75)]) == (102, 76)  # even, for videos
    frames = frames_from([plain(colour, size) for colour, size in zip(COLOURS, sizes, strict=False)])
    assert {frame.size for frame in frames} == {(1280, 1280)}
    assert frames[1].getpixel((100, 640)) == frames[0].getpixel((640, 100)) == (16, 16, 16)  # bars
    assert nearest(frames[1].getpixel((640, 3))) == 1  # enlarged until it fits
    assert nearest(frames[0].getpixel((3, 640))) == 0


def test_bars_of_a_pixel_are_not_drawn() -> None:
    framed = np.asarray(letterbox(plain("#ffffff", (1280, 959)), (1280, 960), "#000000"))
    assert framed.min() == 255


def test_back_and_forth_shows_no_end_twice() -> None:
    def shown(n: int) -> list[int]:
        return [int(str(place)) for place in animation.play([Path(str(index)) for index in range(n)], pingpong=True)]

    assert shown(2) == [0, 1]
    assert shown(3) == [0, 1, 2, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(tmp_path: Path, orientation: int) -> None:
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the orientation undoes
    upright = plain("#ffffff", (1600, 800))
    upright.paste((208, 32, 32), (0, 0, 600, 300))
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(turned[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    small = load_small(tmp_path / "photo.jpg")
    assert small.size == (1280, 640)
    assert nearest(small.getpixel((50, 50))) == 0
    assert [pixel(small, corner)[1] > 240 for corner in ((1250, 50), (50, 600), (1250, 600))] == [True] * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (2000, 1000), (208, 32, 32, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 1000, 1000))
    options: dict[str, Any] = {}
    if mode == "RGB":
        options = {"transparency": (0, 0, 0)}
    picture.convert(mode).save(tmp_path / "photo.png", **options)
    small = load_small(tmp_path / "photo.png")
    assert (small.mode, small.size) == ("RGB", (1280, 640))
    assert small.getpixel((300, 300)) == (255, 255, 255)
    assert pixel(small, (1000, 300))[1] < 120


@pytest.mark.parametrize(("mode", "value"), [("I;16", 40_000), ("1", 1), ("L", 156), ("CMYK", (99, 99, 99, 0))])
def test_every_kind_of_picture_can_be_shown(tmp_path: Path, mode: str, value: Any) -> None:
    Image.new(mode, (2000, 1000), value).save(tmp_path / "photo.tif")
    small = load_small(tmp_path / "photo.tif")
    assert (small.mode, small.size) == ("RGB", (1280, 640))
    assert small.getpixel((5, 5)) == ((156,) * 3 if mode != "1" else (255,) * 3)


def test_deep_grey_with_a_transparent_value_is_not_white(tmp_path: Path) -> None:
    Image.new("I;16", (200, 100), 40_000).save(tmp_path / "photo.png", transparency=300)
    assert load_small(tmp_path / "photo.png").getpixel((5, 5)) == (156,) * 3


@pytest.mark.parametrize("size", [(100_000, 1), (1, 70_000), (1, 1)])
def test_strips_can_be_shown(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 100).save(tmp_path / "strip.png")
    small = load_small(tmp_path / "strip.png")
    assert max(small.size) == min(max(size), LIMIT)
    frames = frames_from([small, plain("red")])
    assert max(frames[0].size) <= LIMIT


def test_colours_are_shown_as_the_profile_says(tmp_path: Path) -> None:
    ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = ours.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    of_lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    red = (208, 32, 32)
    cases = {"none": (None, red), "ours": (ours, red), "swapped": (swapped, (32, 208, 32))}
    cases |= {"broken": (b"nonsense", red), "of-lab": (of_lab, red)}  # of no use: the colours stay
    for name, (profile, shown) in cases.items():
        plain("#d02020").save(tmp_path / f"{name}.png", icc_profile=profile)
        pixel = load_small(tmp_path / f"{name}.png").getpixel((9, 9))
        assert pixel == pytest.approx(shown, abs=2), name


def test_nothing_of_the_photos_metadata_is_passed_on(coloured: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for file in coloured.iterdir():
        Image.open(file).save(file, exif=exif, icc_profile=profile)
    assert run("sort", coloured, "--sheet", tmp_path / "o.png", "--animate", tmp_path / "o.webp").exit_code == 0
    for name in ("o.png", "o.webp"):
        written = Image.open(tmp_path / name)
        assert "icc_profile" not in written.info
        assert set(written.getexif().values()) <= {"made by imgorder"}
        assert b"secret" not in (tmp_path / name).read_bytes()


def test_odd_names_are_drawn(coloured: Path, tmp_path: Path) -> None:
    names = ("cafe\u0301.png", "\N{CAT FACE}\N{CJK UNIFIED IDEOGRAPH-732B}.png", "line\nbreak.png")
    for old, new in zip(("1.png", "2.png", "3.png"), names, strict=True):
        (coloured / old).rename(coloured / new)
    result = run("sort", coloured, "--sheet", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8_are_drawn_and_written(coloured: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (coloured / "1.png").rename(coloured / os.fsdecode(b"\xfe.png"))
    result = run("sort", coloured, "--sheet", folder / "out.png", "--animate", folder / "out.mp4")
    assert result.exit_code == 0, result.stderr
    assert files_in(folder) == {"out.png", "out.mp4"}


def test_characters_that_no_font_has_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    assert lettering.fit_text("cafe\u0301 \u732b \U0001f388.jpg", 20, 1000)[0] == r"caf\xe9 \u732b \U0001f388.jpg"
    assert lettering.fit_text("photo_1 (2)~.jpg", 20, 1000)[0] == "photo_1 (2)~.jpg"


def test_without_freetype_there_is_still_lettering(monkeypatch: pytest.MonkeyPatch) -> None:
    bitmap = getattr(ImageFont, "load_default_imagefont", None)
    if bitmap is None:
        pytest.skip("this Pillow gives no bitmap font")
    monkeypatch.setattr(lettering, "_bundled", lambda size: bitmap())
    monkeypatch.setattr("imgorder.pictures.lettering.features.check", lambda feature: False)
    assert lettering.fit_text("caf\xe9 \u732b", 20, 1000)[0] == "caf\xe9 \\u732b"
    assert sheet_of([plain("red")] * 3, "\u732b.jpg").width > 300


@pytest.mark.parametrize("width", [0, 40, 100, 300])
def test_long_names_lose_their_middle(width: int) -> None:
    name = "IMG_20240101_a_very_long_name_indeed_BURST0004.jpg"
    text, font = lettering.fit_text(name, 20, width)
    start, _, end = text.partition("...")
    assert name.startswith(start)
    assert name.endswith(end)
    assert font.getlength(text) <= max(width, 20)
    assert lettering.fit_text(name, 20, 2000)[0] == name


def test_several_sets_have_numbered_files(coloured: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for index in range(3):
        plain(COLOURS[index], (300, 500)).save(other / f"{index}.png")
    out = tmp_path / "out"
    out.mkdir()
    result = run("sort", coloured, other, "--sheet", out / "o.png", "--animate", out / "o.gif", "--pingpong")
    assert result.exit_code == 0, result.stderr
    assert files_in(out) == {"o-1.png", "o-2.png", "o-1.gif", "o-2.gif"}
    assert [line for line in result.stdout.splitlines() if "Written" in line] == [
        f"Written: {out / 'o-1.png'}, {out / 'o-1.gif'}",
        f"Written: {out / 'o-2.png'}, {out / 'o-2.gif'}",
    ]
    assert [nearest(middle(frame)) for frame in frames_of(out / "o-2.gif")] == [1, 0, 2, 0]
    (out / "o-1.png").unlink()
    assert run("sort", coloured, other, "--sheet", out / "o.png").exit_code == 1  # the second is there
    assert "o-1.png" not in files_in(out)


def test_json_stays_as_it_is(photos: Path, tmp_path: Path) -> None:
    result = run("sort", "--json", photos, "--sheet", tmp_path / "out.png")
    assert result.stdout == run("sort", "--json", photos).stdout
    assert (tmp_path / "out.png").exists()


def test_a_real_set_keeps_its_order_and_its_photos(tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in EXAMPLE.iterdir()}
    assert run("sort", EXAMPLE, "--animate", tmp_path / "out.webp").exit_code == 0
    assert {file.name: file.read_bytes() for file in EXAMPLE.iterdir()} == before
    for frame, name in zip(frames_of(tmp_path / "out.webp"), order_of(EXAMPLE), strict=True):
        photo = load_small(EXAMPLE / name)
        assert frame.size == photo.size == (1280, 960)
        assert np.abs(np.asarray(frame, float) - np.asarray(photo, float)).mean() < 8


def test_an_unsure_answer_is_drawn_all_the_same(coloured: Path, tmp_path: Path) -> None:
    assert run("sort", coloured, "--min-confidence", "0.9", "--sheet", tmp_path / "out.png").exit_code == 3
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--sheet", "out.gif"),
        ("--sheet", "out"),
        ("--sheet", ".png"),
        ("--animate", "out.png"),
        ("--animate", "out.avi"),
        ("--animate", "out.gif", "--fps", "0"),
        ("--animate", "out.gif", "--fps", "nan"),
        ("--animate", "out.gif", "--fps", "1000"),
        ("--pingpong",),
        ("--sheet", "out.png", "--pingpong"),
        ("--sheet", "out.png", "--fps", "3"),
        ("--force",),
    ],
)
def test_what_does_not_fit_is_a_usage_error_before_anything_is_sorted(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imgorder.sorting.sort.sort_sets", lambda *a, **k: pytest.fail("sorted"))
    before = files_in(tmp_path)
    result = run("sort", photos, *options)
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert files_in(tmp_path) == before


def refused(photos: Path, monkeypatch: pytest.MonkeyPatch, *options: str | Path) -> str:
    """The one line of an error that comes before the sorting and leaves everything as it was."""
    before = {path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr("imgorder.sorting.sort.sort_sets", lambda *a, **k: pytest.fail("sorted"))
        result = run("sort", photos, *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert {path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()} == before
    return result.stderr


@pytest.mark.parametrize(("option", "name"), [("--sheet", "out.png"), ("--animate", "out.gif")])
def test_an_existing_file_is_kept_unless_forced(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    (tmp_path / name).write_text("precious")
    message = refused(coloured, monkeypatch, option, tmp_path / name)
    assert f"{name}: exists already; choose another name, or replace it with --force" in message
    assert run("sort", coloured, option, tmp_path / name, "--force").exit_code == 0
    assert Image.open(tmp_path / name).width > 100


def test_a_dangling_link_exists_too(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.png").symlink_to(tmp_path / "nowhere.png")
    assert "exists already" in refused(photos, monkeypatch, "--sheet", tmp_path / "out.png")


def test_no_photo_is_ever_replaced(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.jpg").symlink_to(photos / "img1.jpg")
    for target in (photos / "img1.jpg", photos / ".." / "photos" / "img2.jpg", tmp_path / "link.jpg"):
        assert "one of the photos" in refused(photos, monkeypatch, "--sheet", target, "--force")


def pictures() -> Iterator[tuple[str, bytes]]:
    """A photo or film in each format that can be told from other files."""
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", *(["AVIF"] if features.check("avif") else [])):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(stream, kind)
        yield kind, stream.getvalue()
    yield "big TIFF", b"II+\0\x08\0\0\0"
    yield "HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    yield "MOV", b"\0\0\0\x14ftypqt  \0\0\0\0qt  "
    yield "old MOV", b"\0\0\0\x08wide\0\0\0\0mdat"
    yield "CRW", b"II\x1a\0\0\0HEAPCCDR"
    yield "RAF", b"FUJIFILMCCD-RAW 0201"
    yield "JPEG XL", b"\xff\x0a\x00"
    for kind, start in (("WMV", b"0&\xb2u\x8ef\xcf\x11"), ("MPEG", b"\0\0\1\xba"), ("FLV", b"FLV\1")):
        yield kind, start


@pytest.mark.parametrize(("option", "name"), [("--sheet", "x.png"), ("--sheet", "x.jpg"), ("--animate", "x.gif")])
def test_no_photo_outside_the_set_is_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    """A picture is known by its content: neither its name nor whether it was given counts."""
    for kind, content in pictures():
        (tmp_path / name).write_bytes(content)
        told = refused(photos, monkeypatch, option, tmp_path / name, "--force")
        assert f"{name}: a picture or film that is not marked" in told, kind
    (tmp_path / name).unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    (tmp_path / name).symlink_to("elsewhere")
    assert "a picture or film that is not marked" in refused(photos, monkeypatch, option, tmp_path / name, "--force")


def test_a_photo_of_the_folder_is_not_replaced_where_others_are_sorted(coloured: Path, tmp_path: Path) -> None:
    first, *others = sorted(coloured.iterdir())
    kept = first.read_bytes()
    result = run("sort", *others, "--sheet", first, "--force")
    assert (result.exit_code, "a picture or film that is not marked" in result.stderr) == (1, True)
    assert first.read_bytes() == kept


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.webp", "x.mp4"])
def test_what_was_drawn_before_is_replaced(coloured: Path, tmp_path: Path, name: str) -> None:
    option = "--sheet" if name in ("x.png", "x.jpg") else "--animate"
    for more in ((), ("--force",), ("--force",)):
        result = run("sort", coloured, option, tmp_path / name, *more)
        assert result.exit_code == 0, result.stderr


def test_a_photo_that_appears_while_pictures_are_made_is_not_replaced(tmp_path: Path) -> None:
    (_, photo), *_ = pictures()

    def write(file: BinaryIO) -> None:
        file.write(b"a sheet")
        (tmp_path / "x.jpg").write_bytes(photo)

    with pytest.raises(ImgorderError, match="a picture or film that is not marked"):
        write_all([(tmp_path / "x.jpg", write)], force=True)

    def paint() -> None:
        with atomic_write(tmp_path / "y.jpg") as partial:
            partial.write_bytes(b"a map")
            (tmp_path / "y.jpg").write_bytes(photo)

    with pytest.raises(ImgorderError, match="a picture or film that is not marked"):
        paint()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"x.jpg": photo, "y.jpg": photo}


def test_only_files_are_replaced(coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.png").mkdir()
    (tmp_path / "out.gif").symlink_to(tmp_path / "elsewhere.gif")
    assert "something other than a file" in refused(coloured, monkeypatch, "--sheet", tmp_path / "out.png", "--force")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.gif")
        assert "something other" in refused(coloured, monkeypatch, "--animate", tmp_path / "pipe.gif", "--force")
    assert run("sort", coloured, "--animate", tmp_path / "out.gif", "--force").exit_code == 0
    assert not (tmp_path / "out.gif").is_symlink()  # the link is replaced, not what it leads to
    assert not (tmp_path / "elsewhere.gif").exists()


def test_a_folder_that_is_not_there(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "out.png: there is no folder" in refused(photos, monkeypatch, "--sheet", tmp_path / "new" / "out.png")
    (tmp_path / "file").touch()
    assert "file is not a folder" in refused(photos, monkeypatch, "--sheet", tmp_path / "file" / "out.png")
    assert "name too long" in refused(photos, monkeypatch, "--sheet", tmp_path / f"{'x' * 300}.png")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users to switch between")
def test_a_folder_without_permission(photos: Path, tmp_path: Path) -> None:
    open_the_way(photos)
    (tmp_path / "closed").mkdir(mode=0o555)
    code, message = as_nobody("sort", photos, "--sheet", tmp_path / "closed" / "out.png")
    assert (code, message.count("\n")) == (1, 1)
    assert "closed" in message
    assert "ermission" in message


def test_in_the_photos_folder_only_when_told_and_with_a_warning(
    coloured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_in(coloured)
    monkeypatch.chdir(coloured.parent)
    assert run("sort", coloured, "--sheet", "out.png", "--animate", "out.gif").stderr == ""
    assert files_in(coloured) == before
    result = run("sort", coloured, "--sheet", coloured / "out.png", "--animate", coloured / "out.gif")
    assert result.exit_code == 0
    assert files_in(coloured) == before | {"out.png", "out.gif"}
    assert result.stderr.count("\n") == 1
    assert "out.png: lies among the photos; the next time their folder is sorted it is taken" in result.stderr


@pytest.mark.parametrize("option", ["--sheet", "--animate"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, error: BaseException
) -> None:
    def fails(self: Image.Image, file: BinaryIO, *arguments: Any, **rest: Any) -> None:
        file.write(b"half a picture")
        raise error

    name = "out.png" if option == "--sheet" else "out.gif"
    (tmp_path / name).write_text("precious")
    before = files_in(tmp_path)
    monkeypatch.setattr(Image.Image, "save", fails)
    result = run("sort", coloured, option, tmp_path / name, "--force")
    assert result.stdout == ""
    assert files_in(tmp_path) == before
    assert (tmp_path / name).read_text() == "precious"
    if not isinstance(error, KeyboardInterrupt):
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert f"{name}: cannot be written (" in result.stderr


def test_of_two_pictures_none_is_written_if_one_fails(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = animation.make_frames

    def late(pictures: Iterable[Image.Image], size: tuple[int, int]) -> Iterator[Image.Image]:
        (tmp_path / "out.gif").write_text("someone else was faster")
        return real(pictures, size)

    monkeypatch.setattr(animation, "make_frames", late)
    result = run("sort", coloured, "--sheet", tmp_path / "out.png", "--animate", tmp_path / "out.gif")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "out.gif: exists already" in result.stderr
    assert files_in(tmp_path) - files_in(coloured) == {"coloured", "out.gif"}
    assert (tmp_path / "out.gif").read_text() == "someone else was faster"


def test_files_that_cannot_be_moved_leave_nothing(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> None:
        raise OSError(5, "Input/output error")

    before = files_in(tmp_path)
    monkeypatch.setattr(os, "replace", fails)
    result = run("sort", coloured, "--sheet", tmp_path / "out.png")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert files_in(tmp_path) == before


def test_a_written_file_has_usual_permissions(coloured: Path, tmp_path: Path) -> None:
    assert run("sort", coloured, "--sheet", tmp_path / "out.png").exit_code == 0
    (tmp_path / "plain").touch()
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_photo_that_vanished_meanwhile_is_one_line(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanishing(sets: Sequence[PhotoSet], *rest: Any) -> list[Sorting]:
        results = in_fixed_order(sets)
        (coloured / "4.png").unlink()
        return results

    monkeypatch.setattr("imgorder.sorting.sort.sort_sets", vanishing)
    result = run("sort", coloured, "--sheet", tmp_path / "out.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "4.png: no such file" in result.stderr
    assert "out.png" not in files_in(tmp_path)


def test_sorting_alone_imports_no_drawing(photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from imgorder.cli import app\n"
        "import imgorder.inference.predictor; imgorder.inference.predictor._gpu_in_sight = lambda: False\n"
        "def run(*arguments):\n"
        "    try: app(['sort', sys.argv[1], *arguments])\n"
        "    except SystemExit as end: assert end.code == 0, end.code\n"
        "run()\n"
        "drawing = [name for name in sys.modules if name.startswith('imgorder.pictures')]\n"
        "assert not drawing + list({'PIL.ImageDraw', 'PIL.ImageFont', 'PIL.ImageCms'} & set(sys.modules)), drawing\n"
        "run('--sheet', sys.argv[2] + '.png', '--animate', sys.argv[2] + '.gif')\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'onnx', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code, str(photos), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_48_megapixel_photos_fit_into_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    picture = Image.linear_gradient("L").resize((8064, 6048)).convert("RGB")
    for index in range(3):
        picture.paste(COLOURS[index], (1000 * index, 2000, 1000 * index + 900, 3500))
        picture.save(folder / f"{index}.jpg", quality=80)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "imgorder",
        "sort",
        str(folder),
        "--sheet",
        f"{out}.png",
        "--animate",
        f"{out}.gif",
    ]
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there
    assert int(result.stdout) * unit < 600e6
    assert Image.open(tmp_path / "out.gif").size == (1280, 960)


def test_a_set_of_links_is_drawn(coloured: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in coloured.iterdir():
        (linked / file.name).symlink_to(file)
    assert run("sort", linked, "--animate", tmp_path / "out.gif").exit_code == 0
    assert len(list(frames_of(tmp_path / "out.gif"))) == 4


SLOW = """
import signal, sys, time
from pathlib import Path
from imgorder.pictures.outputs import write_all

if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup pass on that it is ignored

def slow(file):
    file.write(b"begun")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)

write_all([(Path(sys.argv[1]), slow)], force=False)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_behind_by_a_signal_to_end(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path / "sheet.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_signals_are_as_they_were_after_writing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is ignored stays so
    try:
        during: list[Any] = []
        write_all([(tmp_path / "a", lambda file: during.append(signal.getsignal(signal.SIGTERM)))], force=False)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        write_all([(tmp_path / "b", lambda file: during.append(signal.getsignal(signal.SIGTERM)))], force=False)
        assert during[0] is signal.SIG_IGN
        assert during[1] is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def many(folder: Path, n: int, size: tuple[int, int] = (40, 30)) -> Path:
    """A folder of photos that get brighter, so that the shortest path is their order."""
    folder.mkdir()
    for index in range(n):
        Image.new("RGB", size, (index * 250 // n, 90, 120)).save(folder / f"{index}.png")
    return folder


def test_a_sheet_of_many_photos_has_pages_whose_names_sort_right(tmp_path: Path, drawn: list[str]) -> None:
    folder = many(tmp_path / "photos", 100)
    out = tmp_path / "out"
    out.mkdir()
    result = run("sort", folder, "--model", "path", "--sheet", out / "o.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "Written: " + ", ".join(str(out / f"o-{page}.png") for page in (1, 2, 3))
    assert files_in(out) == {"o-1.png", "o-2.png", "o-3.png"}
    sizes = [Image.open(out / f"o-{page}.png").size for page in (1, 2, 3)]
    assert all(1000 < max(size) <= 2000 for size in sizes)
    assert [text.split(" · ")[-1] for text in drawn if "page" in text] == [f"page {page} of 3" for page in (1, 2, 3)]
    numbers = [text for text in drawn if text.isdigit()]  # whole, although three digits are wider than a disc
    assert numbers == [str(number) for number in range(1, 101)]


def test_names_of_pages_and_sets_are_told_apart() -> None:
    def names(*pages: int) -> list[list[str]]:
        return [[file.name for file in of_set] for of_set in name_targets(Path("o.png"), pages)]

    assert names(1) == [["o.png"]]
    assert names(1, 1) == [["o-1.png"], ["o-2.png"]]
    assert names(2) == [["o-1.png", "o-2.png"]]
    assert names(1, 3) == [["o-1.png"], ["o-2-1.png", "o-2-2.png", "o-2-3.png"]]
    assert names(11)[0][::10] == ["o-01.png", "o-11.png"]


def test_no_page_is_written_over_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = many(tmp_path / "photos", 49)
    (tmp_path / "o-2.png").write_text("precious")
    assert "o-2.png: exists already" in refused(folder, monkeypatch, "--sheet", tmp_path / "o.png")
    plain("red").save(tmp_path / "o-2.png")
    told = refused(folder, monkeypatch, "--sheet", tmp_path / "o.png", "--force")
    assert "o-2.png: a picture or film that is not marked" in told


def test_pages_among_the_photos_are_one_warning(tmp_path: Path) -> None:
    folder = many(tmp_path / "photos", 49)
    result = run("sort", folder, "--model", "path", "--keep-strays", "--sheet", folder / "o.png")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert "o-1.png and 1 more: lie among the photos" in result.stderr


@pytest.mark.parametrize("n", [7, 8, 9, 30, 97, 200, 481, 500])
@pytest.mark.parametrize("size", [(4000, 3000), (300, 400), (3000, 300), (1, 90)])
def test_sheets_of_any_number_can_be_seen(n: int, size: tuple[int, int]) -> None:
    pages = count_pages(n)
    on_page = -(-n // pages)
    layout = choose_layout(on_page, [size])
    sheet = draw_sheet([plain("red", (4, 3))] * on_page, ["a"] * on_page, "title", "note", layout)
    assert pages <= n / 40 + 1
    assert 1000 < max(sheet.size) <= (LIMIT if n <= 8 else 2000)
    assert layout.cell >= 200
    assert max(layout.tile) >= (180 if min(size) > 1 else 20)
    assert layout.edge <= LIMIT or n > 8


def test_animations_of_many_photos_are_smaller() -> None:
    def size(n: int, most: int | None) -> tuple[int, int]:
        return animation.frame_size([(1280, 960)] * 3, n, most)

    assert size(6, 32_000_000) == size(500, None) == (1280, 960)
    width, height = size(200, 32_000_000)
    assert (width % 2, height % 2) == (0, 0)
    assert 31_000_000 < 200 * width * height <= 32_000_000
    assert width / height == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_of_many_photos_shows_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setitem(picture_job.ANIMATIONS, suffix, (picture_job.ANIMATIONS[suffix][0], 60 * 20 * 14))
    folder = many(tmp_path / "photos", 60)
    assert run("sort", folder, "--model", "path", "--animate", tmp_path / f"o{suffix}").exit_code == 0
    frames = list(frames_of(tmp_path / f"o{suffix}"))
    assert (len(frames), frames[0].size) == (60, (18, 14))
    reds = [pixel(frame, (9, 7))[0] for frame in frames]
    assert abs(reds[0] - reds[-1]) > 200
    assert max(abs(a - b) for a, b in pairwise(reds)) < 20


def test_few_photos_are_in_memory_while_a_video_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    loaded: list[ref[Image.Image]] = []
    most = 0

    def watched(path: Path, limit: int) -> Image.Image:
        nonlocal most
        picture = load_small(path, limit)
        loaded.append(ref(picture))
        most = max(most, sum(each() is not None for each in loaded))
        return picture

    monkeypatch.setattr(picture_job, "load_small", watched)
    folder = many(tmp_path / "photos", 60)
    options = ("--sheet", tmp_path / "o.png", "--animate", tmp_path / "o.mp4", "--pingpong")
    assert run("sort", folder, "--model", "path", *options).exit_code == 0
    assert len(list(frames_of(tmp_path / "o.mp4"))) == 118
    assert most <= 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_measured_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, size in (("large.jpg", (3001, 1501)), ("small.jpg", (300, 200)), ("png.png", (300, 200))):
        plain("red", size).save(tmp_path / name, exif=exif)
        measured, small = measure(tmp_path / name), load_small(tmp_path / name).size
        assert measured == pytest.approx(small, abs=1)
