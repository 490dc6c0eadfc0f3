"""Bad input: one line on stderr that names the file and the cure, exit code 1, and nothing changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.errors import PhotoError
from imgorder.files import atomic_write
from imgorder.media import photos as photo_files
from imgorder.media.kinds import name_kind
from imgorder.media.photos import open_photo
from imgorder.media.preprocess import to_pixels
from tests.conftest import EXAMPLE, ROOT, is_one_error, open_the_way


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {f.name: (f.lstat().st_size, f.lstat().st_mtime_ns) for f in folder.iterdir()}


def fails(path: Path, *options: str) -> str:
    """Sort a path that cannot be sorted; returns the one line that it ends with."""
    folder = path if os.path.isdir(path) else path.parent
    before = snapshot(folder) if folder.is_dir() else {}
    result: Result = CliRunner().invoke(app, ["sort", str(path), *options])
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("imgorder: error: ")
    assert (snapshot(folder) if folder.is_dir() else {}) == before
    return result.stderr


def sets_apart(folder: Path) -> str:
    """Sort a folder with one bad photo: the others are sorted; returns the one line about it."""
    before = snapshot(folder)
    result: Result = CliRunner().invoke(app, ["sort", str(folder)])
    assert result.exit_code == 1, result.output
    assert re.search(r": [34] photos: img", result.stdout)
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("imgorder: error: ")
    assert snapshot(folder) == before
    return result.stderr


def names(message: str, file: Path, cure: str = "") -> bool:
    """Whether an error is about this file, and says this of what to do."""
    return message.startswith(f"imgorder: error: {file}: ") and cure in message


def test_a_missing_path(tmp_path: Path) -> None:
    assert names(fails(tmp_path / "nowhere"), tmp_path / "nowhere", "check the path")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert names(fails(tmp_path), tmp_path, "known are .jpg")


def test_a_folder_of_folders(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    assert names(fails(tmp_path), tmp_path, "give its sub-folder")


def test_a_single_photo(tmp_path: Path, scene: list[Image.Image]) -> None:
    scene[0].save(tmp_path / "only.jpg")
    assert names(fails(tmp_path), tmp_path / "only.jpg", "give 3 photos of one scene, or more")


def test_a_truncated_jpeg(photos: Path) -> None:
    cut = photos / "img2.jpg"
    cut.write_bytes(cut.read_bytes()[:4000])
    assert names(sets_apart(photos), cut, "copy it again")


def test_text_named_jpg(photos: Path) -> None:
    (photos / "img2.jpg").write_text("not a photo at all\n" * 20)
    assert names(sets_apart(photos), photos / "img2.jpg", "leave it out")


def test_an_empty_file(photos: Path) -> None:
    (photos / "img2.jpg").write_bytes(b"")
    assert names(sets_apart(photos), photos / "img2.jpg", "copy it again")


def png_header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_decompression_bomb(photos: Path) -> None:
    (photos / "bomb.png").write_bytes(png_header(20_000, 20_000) + b"\0\0\0\0IEND\xaeB`\x82")
    message = sets_apart(photos)
    assert names(message, photos / "bomb.png", "scale it down")
    assert "400 megapixels" in message


def test_a_large_tiff_is_no_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100), 90).save(tmp_path / "large.tif", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # of which Pillow takes twice as many
    monkeypatch.setattr("imgorder.media.photos._PILLOWS_LIMIT", 1000)
    assert open_photo(tmp_path / "large.tif").getpixel((0, 0)) == 90
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_200_megapixel_photo_passes(tmp_path: Path) -> None:
    Image.new("L", (16_320, 12_240), 90).save(tmp_path / "phone.jpg", quality=20)
    limit = Image.MAX_IMAGE_PIXELS
    image = photo_files.open_photo(tmp_path / "phone.jpg", 272)
    assert image.size == (16_320 // 8, 12_240 // 8)
    assert limit == Image.MAX_IMAGE_PIXELS  # Pillow's own guard is left as others rely on it


def test_two_photos_with_the_same_bytes_are_a_warning(photos: Path) -> None:
    (photos / "copy.jpg").write_bytes((photos / "img2.jpg").read_bytes())
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert result.exit_code == 0
    assert result.stderr.startswith("imgorder: warning: ")
    assert "copy.jpg" in result.stderr
    assert "img2.jpg have the same bytes" in result.stderr


def as_nobody(*arguments: str | Path) -> tuple[int, str]:
    """Run a command without root's right to read everything; exit code and stderr.

    The other user need not get into the checkout: what lies there is imported before, or copied.
    """
    root = os.geteuid() == 0
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chmod(folder, 0o755)
        for file in (ROOT / "models").glob("tridab-s.[jo]*"):
            shutil.copy(file, folder)
        patch.setattr("imgorder.inference.cards.model_folders", lambda: [Path(folder)])
        warm_up = CliRunner().invoke(app, ["sort", str(EXAMPLE), "--sheet", os.path.join(folder, "sheet.png")])
        assert warm_up.exit_code == 0, warm_up.output
        if root:
            try:
                os.seteuid(65534)
            except OSError:
                pytest.skip("no other user can be")
        try:
            result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        finally:
            if root:
                os.seteuid(0)
    return result.exit_code, result.stderr


@pytest.fixture
def open_to_all(photos: Path) -> Path:
    open_the_way(photos)
    return photos


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users to switch between")
def test_a_photo_without_permission(open_to_all: Path) -> None:
    (open_to_all / "img2.jpg").chmod(0)
    for path in (open_to_all, open_to_all / "img2.jpg"):
        code, message = as_nobody("sort", path, *sorted(open_to_all.glob("img[13]*")))
        assert code == 1
        assert "img2.jpg: no permission to read it; change its permissions" in message
        assert message.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users to switch between")
def test_a_folder_without_permission(open_to_all: Path) -> None:
    secret = open_to_all / "secret"
    secret.mkdir()
    (secret / "inside").mkdir()
    (open_to_all / "data").symlink_to(secret / "inside")
    secret.chmod(0)
    code, message = as_nobody("sort", secret)
    assert (code, message.count("\n")) == (1, 1)
    assert "secret: the folder cannot be read (Permission denied)" in message
    assert as_nobody("sort", open_to_all) == (0, "")  # a link into it beside the photos is nobody's business


@pytest.mark.parametrize("size", [(1_000_000, 1), (1, 70_000), (5000, 3), (1, 1)])
def test_strips_are_read_without_filling_the_memory(photos: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 100).save(photos / "strip.png")
    assert CliRunner().invoke(app, ["sort", str(photos)]).exit_code == 0


def test_a_long_panorama_passes_pillows_own_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (30_000, 1000), 100).save(tmp_path / "wide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    assert to_pixels(tmp_path / "wide.png").shape == (112, 112, 3)


def test_the_middle_of_a_strip_is_what_is_seen(tmp_path: Path) -> None:
    pixels = np.zeros((10, 4000, 3), np.uint8)
    pixels[:, 1990:2010] = 255
    seen = to_pixels(pixels)
    assert seen[:, 50:62].min() > 250
    assert np.array_equal(seen, to_pixels(np.ascontiguousarray(pixels[:, 1500:2500])))


def test_an_avif_of_the_wider_family_is_not_taken_for_heic(
    photos: Path, scene: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed: it reads AVIF as well
    scene[4].save(photos / "x.avif")
    content = (photos / "x.avif").read_bytes()
    assert content[8:12] == b"avif"
    (photos / "x.avif").write_bytes(content[:8] + b"mif1" + content[12:])
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert (result.exit_code, result.stderr) == (0, "")


def frame_header(bits: int, marker: bytes = b"\xc0", height: int = 48, channels: int = 3) -> bytes:
    """A JPEG cut off behind its frame header."""
    parts = b"".join(bytes([number + 1, 0x11, 0]) for number in range(channels))
    content = struct.pack(">BHHB", bits, height, 64, channels) + parts
    return (
        b"\xff\xd8\xff\xfe\0\4\xff\xc0\xff" + marker + struct.pack(">H", len(content) + 2) + content + b"\xff\xda\0\2"
    )


def make_tiff(bits: int, kind: int = 1, photometric: int = 2, compression: int = 1, order: str = "<") -> bytes:
    """A TIFF of 8×8 px; kind 3 is floats."""
    channels = 1 if photometric < 2 else 3
    tags = {256: 8, 257: 8, 258: bits, 259: compression, 262: photometric, 273: 256, 277: channels, 279: 256, 339: kind}
    entries = b""
    for tag, value in tags.items():
        wide = tag in (258, 339) and channels == 3
        field = struct.pack(order + "I", 200) if wide else struct.pack(order + "HH", value, 0)
        entries += struct.pack(order + "HHI", tag, 3, 3 if wide else 1) + field
    head = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags)) + entries
    numbers = [kind] * 3 if kind == 3 else [bits] * 3  # both tags lead there, so of floats only their kind is right
    return head.ljust(200, b"\0") + struct.pack(order + "3H", *numbers) + bytes(1000)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.jpg", frame_header(12), "a JPEG of a kind that is not read here (12 bits a colour)"),
        ("x.jpg", frame_header(8, b"\xc3"), "a JPEG of a kind that is not read here (lossless)"),
        ("x.jpg", frame_header(8, b"\xc5"), "a JPEG of a kind that is not read here (hierarchical)"),
        ("x.jpg", frame_header(8, height=0), "a JPEG of a kind that is not read here (its height stands behind"),
        ("x.jpg", frame_header(8, channels=2), "a JPEG of a kind that is not read here (2 channels)"),
        ("x.tif", make_tiff(64, 3, 1), "a TIFF of a kind that is not read here (grey in 64-bit floats)"),
        ("x.tif", make_tiff(32), "a TIFF of a kind that is not read here (RGB in 32-bit numbers)"),
        ("x.tif", make_tiff(16, 1, 8, order=">"), "a TIFF of a kind that is not read here (CIELab in 16-bit numbers)"),
        ("x.tif", make_tiff(8, compression=34712), "a TIFF of a kind that is not read here (compression 34712)"),
        ("x.tif", b"MM\0+\0\x08" + bytes(80), "a TIFF of a kind that is not read here (BigTIFF in big-endian order)"),
        ("x.bmp", b"BM" + bytes(12) + struct.pack("<IIIHHI", 40, 8, 8, 1, 64, 0) + bytes(99), "(pixel depth 64)"),
    ],
)
def test_a_picture_of_a_kind_that_is_not_read(photos: Path, name: str, content: bytes, reason: str) -> None:
    (photos / name).write_bytes(content)
    message = sets_apart(photos)
    assert names(message, photos / name, "save it as an 8-bit JPEG or PNG")
    assert reason in message


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", make_tiff(8)[:60], frame_header(8), png_header(8, 8)[:30]])
def test_a_cut_off_picture_is_called_so(photos: Path, content: bytes) -> None:
    (photos / "x.jpg").write_bytes(content)
    message = sets_apart(photos)
    assert names(message, photos / "x.jpg", "copy it again")
    assert "the picture is damaged or cut off" in message


VIDEOS = {
    "clip.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
    "clip.mov": b"\0\0\0\x14ftypqt  \0\0\2\0qt  ",
    "clip.3gp": b"\0\0\0\x14ftyp3gp5\0\0\2\x003gp5",
    "clip.avi": b"RIFF\0\0\0\0AVI LIST",
    "clip.mkv": b"\x1aE\xdf\xa3" + bytes(40),
    "clip.mpg": b"\0\0\1\xba" + bytes(40),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_called_a_video(photos: Path, name: str) -> None:
    file = photos / name
    file.write_bytes(VIDEOS[name] + bytes(40))
    assert names(fails(file), file, "a video, not a photo; save frames of it")
    for command in (["heatmap", "--out", "maps"], ["report", "--out", "x.html"], ["rename"]):
        result = CliRunner().invoke(app, [command[0], str(file), *command[1:]])
        assert (result.exit_code, "a video, not a photo" in result.stderr) == (1, True)
    file.rename(photos / "x.jpg")
    assert names(sets_apart(photos), photos / "x.jpg", "a video, not a photo; save frames of it")


def test_a_single_file_that_is_no_photo_is_called_so(photos: Path) -> None:
    (photos / "notes.txt").write_text("balloon, first of May\n")
    assert names(fails(photos / "notes.txt"), photos / "notes.txt", "not a photo in a format known here")


@pytest.mark.parametrize("with_plugin", [False, True])
def test_avif_and_heic_in_a_fresh_program(photos: Path, scene: list[Image.Image], with_plugin: bool) -> None:
    """Pillow reads AVIF by itself, and HEIC only where pillow-heif is installed."""
    heif = pytest.importorskip("pillow_heif")
    for file in photos.iterdir():
        Image.open(file).save(file.with_suffix(".avif"))
        file.unlink()
    block = "" if with_plugin else "sys.modules['pillow_heif'] = None; "
    code = f"import sys; {block}from imgorder.cli import main; main()"
    command = [sys.executable, "-c", code, "sort", "--model", "path", str(photos)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    heif.from_pillow(scene[4]).save(photos / "phone.jpg", format="HEIF", quality=90)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == (0 if with_plugin else 1)
    cure = f"{photos / 'phone.jpg'}: HEIC needs one more package; run: pip install 'imgorder[heif]'"
    assert result.stderr == ("" if with_plugin else f"imgorder: error: {cure}\n")


@pytest.mark.parametrize(
    ("major", "others", "kind"),
    [
        (b"heic", b"mif1heic", "HEIC"),
        (b"miaf", b"MiHBheic", "HEIC"),
        (b"mif1", b"mif1avifmiaf", "AVIF"),
        (b"msf1", b"msf1avis", "AVIF"),
        (b"avis", b"msf1", "AVIF"),
        (b"crx ", b"crx isom"[:4], None),
        (b"isom", b"isomavc1mp41", "video"),
    ],
)
def test_the_family_of_a_file_is_told_by_all_its_brands(major: bytes, others: bytes, kind: str | None) -> None:
    box = b"ftyp" + major + bytes(4) + others
    assert name_kind(struct.pack(">I", len(box) + 4) + box + b"\0\0\0\x08heic") == kind


def test_a_jpeg_named_avif_needs_no_avif(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgorder.media.photos.features.check", lambda name: False)
    (photos / "img1.jpg").rename(photos / "img1.avif")
    assert CliRunner().invoke(app, ["sort", str(photos)]).exit_code == 0
    (photos / "x.jpg").write_bytes(b"\0\0\0\x18ftypavif" + bytes(40))
    assert names(sets_apart(photos), photos / "x.jpg", "this Pillow reads no AVIF")


def sort_in_a_process(folder: Path) -> subprocess.CompletedProcess[str]:
    """In-process tests do not see what C libraries write to stderr."""
    command = [sys.executable, "-m", "imgorder", "sort", "--json", "--model", "path", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_libtiff_says_by_itself_is_not_passed_on(tmp_path: Path, scene: list[Image.Image]) -> None:
    for name, image in zip("abc", scene, strict=False):
        image.save(tmp_path / f"{name}.tif", compression="tiff_lzw", dpi=(72, 72))
        content = (tmp_path / f"{name}.tif").read_bytes()
        unit = struct.pack("<HHIH", 296, 3, 1, 2)
        assert content.count(unit) == 1
        (tmp_path / f"{name}.tif").write_bytes(content.replace(unit, struct.pack("<HHIH", 296, 3, 1, 0)))
    result = sort_in_a_process(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    content = (tmp_path / "a.tif").read_bytes()
    third = len(content) // 3
    (tmp_path / "a.tif").write_bytes(content[:third] + b"\xff" * third + content[2 * third :])
    result = sort_in_a_process(tmp_path)
    assert result.returncode == 1
    assert is_one_error(result.stderr, "a.tif: the picture is damaged or cut off")


def test_a_folder_named_like_a_photo(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    assert "give its sub-folder" in fails(tmp_path)


def test_photos_that_look_the_same_are_a_warning(photos: Path) -> None:
    for name, size in (("blue1.png", (200, 200)), ("blue2.png", (300, 300))):
        Image.new("RGB", size, "blue").save(photos / name)
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert result.exit_code == 0
    assert "blue2.png look the same; their order is arbitrary" in result.stderr


def test_photos_that_look_the_same_have_an_order_where_times_tell_it(photos: Path) -> None:
    for second, name in enumerate(("blue2.png", "blue1.png")):
        exif = Image.Exif()
        exif[0x8769] = {0x9003: f"2024:05:01 12:00:0{second}"}
        Image.new("RGB", (200, 200), "blue").save(photos / name, exif=exif)
    result = CliRunner().invoke(app, ["sort", str(photos), "--plain", "--keep-strays"])
    assert result.exit_code == 0
    assert "look the same" not in result.stderr
    order = [Path(line).name for line in result.stdout.splitlines()]
    assert order.index("blue2.png") < order.index("blue1.png")
    Image.new("RGB", (200, 200), "blue").save(photos / "blue3.png")  # of one in three no time is known
    result = CliRunner().invoke(app, ["sort", str(photos), "--plain", "--keep-strays"])
    assert "blue3.png look the same; their order is arbitrary" in result.stderr


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"two\nlines.jpg", r"two\nlines.jpg"),
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (b"\x1b[31mred.jpg", r"\x1b[31mred.jpg"),
        (b"[bold]name.jpg", "[bold]name.jpg"),
        (b"-dash.jpg", "-dash.jpg"),
    ],
)
def test_odd_names_are_sorted_and_shown_on_one_line(photos: Path, name: bytes, shown: str) -> None:
    try:
        os.rename(os.fsencode(photos / "img2.jpg"), os.path.join(os.fsencode(photos), name))
    except OSError:
        pytest.skip("this file system does not take such a name")
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert result.exit_code == 0, result.output
    assert shown in result.stdout
    assert "\x1b" not in result.stdout
    as_json = CliRunner().invoke(app, ["sort", "--json", str(photos)])
    import json

    order = json.loads(as_json.stdout)["sets"][0]["order"]
    assert name in [os.fsencode(each) for each in order]


def test_an_odd_name_in_an_error_is_shown_on_one_line(photos: Path) -> None:
    (photos / os.fsdecode(b"bad\n\xff.jpg")).write_bytes(b"")
    assert r"bad\n\xff.jpg: " in sets_apart(photos)


def test_heic_without_the_plugin(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert names(sets_apart(photos), photos / "phone.heic", "pip install 'imgorder[heif]'")


def test_heic_under_the_name_of_a_jpeg_is_read_as_what_it_is(photos: Path, scene: list[Image.Image]) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(scene[4]).save(photos / "other.heic", quality=90)
    (photos / "other.heic").rename(photos / "other.jpg")
    assert CliRunner().invoke(app, ["sort", str(photos)]).exit_code == 0


def test_a_loop_of_links(photos: Path) -> None:
    (photos / "a.jpg").symlink_to(photos / "b.jpg")
    (photos / "b.jpg").symlink_to(photos / "a.jpg")
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert result.exit_code == 1
    assert "4 photos: img1.jpg" in result.stdout
    lines = result.stderr.splitlines()
    assert [names(line, photos / name, "remove it") for line, name in zip(lines, ("a.jpg", "b.jpg"), strict=True)]


def test_a_link_to_nothing(photos: Path) -> None:
    (photos / "gone.jpg").symlink_to(photos / "deleted.jpg")
    assert names(sets_apart(photos), photos / "gone.jpg", "link")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    assert names(fails(tmp_path / ("x" * 300)), tmp_path / ("x" * 300))


def test_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert names(fails(tmp_path / "pipe.jpg"), tmp_path / "pipe.jpg", "give photos or a folder")


def test_a_damaged_png_is_one_line(photos: Path) -> None:
    Image.new("RGB", (300, 300), "red").save(photos / "x.png")
    content = bytearray((photos / "x.png").read_bytes())
    content[60:70] = b"\xff" * 10
    (photos / "x.png").write_bytes(content)
    assert names(sets_apart(photos), photos / "x.png", "copy it again")


def test_the_same_errors_reach_python(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        photo_files.open_photo(tmp_path / "nowhere.jpg")
    with pytest.raises(PhotoError, match="a folder, not a photo"):
        photo_files.open_photo(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ["dataset", "davis", "--root", "here", "--out", "", "--seq-len", "3"],
        ["dataset", "photos", "", "--out", "sets"],
        ["dataset", "videos", "", "--out", "sets"],
        ["dataset", "ucf101", "--videos", "", "--out", "sets"],
        ["evaluate", ""],
        ["rename", "--order", ""],
        ["rename", "here", "--plan", ""],
        ["sort", "here", "--sheet", ""],
        ["sort", "here", "--first", ""],
        ["train", ""],
        ["train", "here", "--config", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "an empty name" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_file_that_is_half_written_goes_when_the_process_is_told_to_end(tmp_path: Path, number: int) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "file") as partial:
            partial.write_bytes(b"half")
            signal.raise_signal(number)

    former = signal.signal(number, signal.SIG_DFL)  # nohup has processes ignore one of them
    try:
        with pytest.raises(SystemExit) as ended:
            write()
    finally:
        signal.signal(number, former)
    assert ended.value.code == 128 + number
    assert not list(tmp_path.iterdir())


def test_a_file_may_have_as_long_a_name_as_there_is(tmp_path: Path) -> None:
    with atomic_write(tmp_path / ("x" * 255)) as partial:
        partial.write_bytes(b"whole")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"whole"
