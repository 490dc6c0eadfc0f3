"""`sort --thumbnails`: what terminals are sent is decoded again, and nothing else is ever sent it."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.errors import PhotoError
from imgorder.pictures import graphics as terminal
from imgorder.pictures import sixel
from imgorder.pictures.canvas import load_small
from imgorder.pictures.graphics import TILE, choose_tile, draw_strip


def sort(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["sort", *map(str, arguments)])


def decode_kitty(text: str) -> Image.Image:
    """The picture in text that holds one; checks the rules for chunks."""
    chunks = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", text)
    assert [keys for keys, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"] * (len(chunks) > 1)
    first = dict(pair.split("=") for pair in chunks[0][0].split(","))
    assert first == {"a": "T", "f": "100", "q": "2", "m": "1" if len(chunks) > 1 else "0"}
    assert all(len(data) <= 4096 for _, data in chunks)
    assert all(len(data) % 4 == 0 for _, data in chunks[:-1])
    return Image.open(io.BytesIO(b64decode("".join(data for _, data in chunks), validate=True)))


def decode_iterm(text: str) -> Image.Image:
    (found,) = re.findall("\x1b]1337;File=inline=1;size=(\\d+):([^\x07]*)\x07", text)
    data = b64decode(found[1], validate=True)
    assert len(data) == int(found[0])
    return Image.open(io.BytesIO(data))


def decode_sixel(text: str) -> Image.Image:
    """A plain reader of what the DEC manual says of Sixel, as far as it is used."""
    (body,) = re.findall("\x1bP0;1q([^\x1b]*)\x1b\\\\", text)
    raster = re.match(r'"1;1;(\d+);(\d+)', body)
    assert raster is not None
    width, height = int(raster[1]), int(raster[2])
    pixels = np.full((height, width, 3), -1)
    registers: dict[int, list[int]] = {}
    x = y = colour = 0
    position = raster.end()
    while position < len(body):
        token = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)").match(body, position)
        assert token is not None, body[position : position + 20]
        position = token.end()
        if token[1]:
            registers[int(token[1])] = [int(token[part]) for part in (2, 3, 4)]
            assert max(registers[int(token[1])]) <= 100
        elif token[5]:
            colour = int(token[5])
        elif token[9]:
            x = 0
        elif token[10]:
            x, y = 0, y + 6
        else:
            count = int(token[6] or 1)
            bits = ord(token[7] or token[8]) - ord("?")
            for row in range(6):
                if bits >> row & 1:
                    assert (pixels[y + row, x : x + count] == -1).all()  # no pixel is drawn twice
                    pixels[y + row, x : x + count] = registers[colour]
            x += count
            assert x <= width
    assert (pixels >= 0).all()  # and all are drawn
    assert len(registers) <= 256
    return Image.fromarray(np.round(pixels * 2.55).astype(np.uint8))


DECODERS = {"kitty": decode_kitty, "iterm": decode_iterm, "sixel": decode_sixel}


@pytest.mark.parametrize("protocol", ["kitty", "iterm"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (200, 150)])
def test_pngs_arrive_as_they_were(protocol: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sent = terminal.ENCODERS[protocol](Image.fromarray(noise))
    assert sent.isascii()
    assert "\n" not in sent
    got = DECODERS[protocol](sent)
    assert got.format == "PNG"
    assert np.array_equal(np.asarray(got), noise)


@pytest.mark.parametrize("size", [(1, 1), (7, 6), (5, 13), (300, 8)])
def test_sixels_of_few_colours_arrive_as_they_were(size: tuple[int, int]) -> None:
    exact = np.array(
        [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 51, 204], [102, 153, 51]], np.uint8
    )  # whole percents
    chosen = np.random.default_rng(1).integers(0, len(exact), (size[1], size[0]))
    chosen[: size[1] // 2, size[0] // 4 : size[0] // 2] = 3  # runs
    picture = Image.fromarray(exact[chosen])
    assert np.array_equal(np.asarray(decode_sixel(sixel.encode(picture))), np.asarray(picture))


def test_sixels_of_a_photo_are_its_reduced_colours(scene: list[Image.Image]) -> None:
    photo = scene[0].resize((160, 121))
    sent = sixel.encode(photo)
    assert sent.isascii()
    assert "\n" not in sent
    got, reduced = decode_sixel(sent), photo.quantize(256).convert("RGB")
    difference = np.abs(np.asarray(got, int) - np.asarray(reduced, int))
    assert difference.max() <= 2  # percents
    assert np.abs(np.asarray(got, int) - np.asarray(photo, int)).mean() < 4
    assert len(sixel.encode(Image.new("RGB", (300, 60), "red"))) < 150  # runs are cut short


@pytest.mark.parametrize(("n", "width"), [(2, 1280), (3, 640), (6, 640), (6, 80), (6, 1)])
@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (1000, 100)])
def test_a_strip_fits_and_shows_photos_from_left_to_right(n: int, width: int, shape: tuple[int, int]) -> None:
    pictures = [Image.new("RGB", shape, (40 * place + 30, 90, 200)) for place in range(n)]
    strip = draw_strip(pictures, choose_tile([shape] * n, n, width))
    assert strip.width <= max(width, n * 5)
    assert strip.height <= TILE[1]
    if width > 100:
        centres = [strip.getpixel(((2 * place + 1) * strip.width // (2 * n), strip.height // 2)) for place in range(n)]
        assert centres == [picture.getpixel((0, 0)) for picture in pictures]
    assert choose_tile([(40, 30)] * 3, 3, 1280) == (40, 30)  # never enlarged


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "xterm", "TERM_PROGRAM": "mintty"}, "sixel"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "foot", "KITTY_WINDOW_ID": "1"}, "sixel"),  # started from kitty
        ({"TERM": "xterm-sixel"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, None),
        ({}, None),
    ],
)
def test_terminals_are_known_by_the_environment(environment: dict[str, str], protocol: str | None) -> None:
    assert terminal.detect(environment) == protocol


def test_nothing_of_it_goes_into_a_pipe(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sort(photos)
    monkeypatch.setenv("TERM", "xterm-kitty")
    for options in ((), ("--graphics", "sixel"), ("--graphics", "auto")):
        result = sort(photos, "--thumbnails", *options)
        assert (result.exit_code, result.stdout) == (0, plain.stdout)
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("imgorder: warning: --thumbnails: the output is no terminal")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--thumbnails", "--json"), "give one of them"),
        (("--graphics", "kitty"), "add --thumbnails"),
        (("--thumbnails", "--graphics", "ascii"), "--graphics is auto, kitty, iterm, sixel; not 'ascii'"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(
    photos: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("imgorder.sorting.sort.sort_sets", lambda *a, **k: pytest.fail("sorted"))
    result = sort(photos, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def in_a_terminal(*arguments: str | Path, pixels: int = 0, **environment: str) -> tuple[int, str, str]:
    """Run `imgorder` with stdout in a terminal of 80 columns; gives the exit code, stdout and stderr."""
    pty = pytest.importorskip("pty")
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, pixels, 480))
    left_out = ("TMUX", "STY", "ZELLIJ", "KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL")
    known = {name: value for name, value in os.environ.items() if name not in left_out}
    code = (
        "import sys, imgorder.inference.predictor; imgorder.inference.predictor._gpu_in_sight = lambda: False\n"
        "from imgorder.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'torch', 'torchvision', 'cv2', 'onnx', 'scipy'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env={**known, **environment}) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so at the end
                break
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.stderr is not None
        told = process.stderr.read().decode()
    return process.returncode, shown.decode().replace("\r\n", "\n"), told


@pytest.mark.parametrize(
    ("protocol", "options", "environment", "pixels", "width"),
    [
        ("kitty", (), {"TERM": "xterm-kitty"}, 800, 800),
        ("iterm", (), {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, 0, 640),
        ("sixel", ("--graphics", "sixel"), {"TERM": "xterm-256color"}, 4000, 1280),
    ],
)
def test_a_terminal_shows_the_photos_in_order(
    photos: Path, protocol: str, options: tuple[str, ...], environment: dict[str, str], pixels: int, width: int
) -> None:
    code, shown, told = in_a_terminal("sort", photos, "--thumbnails", *options, pixels=pixels, **environment)
    assert (code, told) == (0, "")
    order = json.loads(sort(photos, "--json").stdout)["sets"][0]["order"]
    pictures = [load_small(photos / name, max(TILE)) for name in order]
    strip = draw_strip(pictures, choose_tile([picture.size for picture in pictures], len(pictures), width))
    assert width - 4 * 4 <= strip.width <= width or strip.height == TILE[1]
    assert terminal.ENCODERS[protocol](strip) in shown
    assert DECODERS[protocol](shown).size == strip.size  # one picture, by the protocol's rules
    assert shown.index("runner-up") < re.search("\x1b(_G|]1337|P0)", shown).start()  # type: ignore[union-attr]


def test_without_being_asked_a_terminal_is_sent_no_picture(photos: Path) -> None:
    _, shown, told = in_a_terminal("sort", photos, TERM="xterm-kitty")
    assert not re.search("\x1b[^[]", shown)
    assert told == ""


def test_an_unknown_terminal_is_sent_no_picture_but_told_how(photos: Path) -> None:
    code, shown, told = in_a_terminal("sort", photos, "--thumbnails", TERM="xterm-256color")
    assert code == 0
    assert not re.search("\x1b[^[]", shown)
    assert told.count("\n") == 1
    assert "this terminal is not known to show pictures" in told
    assert "add --graphics kitty, iterm or sixel" in told


def test_each_set_has_its_strip(photos: Path, tmp_path: Path, scene: list[Image.Image]) -> None:
    pair = tmp_path / "pair"
    pair.mkdir()
    for name, image in zip("ab", scene, strict=False):
        image.save(pair / f"{name}.png")
    _, shown, _ = in_a_terminal("sort", photos, pair, "--thumbnails", "--graphics", "iterm", TERM="xterm")
    first, second = shown.split("\x07")[:2]
    assert decode_iterm(f"{first}\x07").width > 600
    assert decode_iterm(f"{second}\x07").size == (2 * 318 + 4, 238)
    assert "nothing to order" in second


def test_a_photo_that_fails_on_the_way_to_the_terminal_leaves_no_sheet(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> str:
        raise PhotoError("img1.jpg: gone")

    monkeypatch.setattr("imgorder.cli._show_order.choose_protocol", lambda *a: "kitty")
    monkeypatch.setattr("imgorder.pictures.graphics.draw_thumbnails", fail)
    result = CliRunner().invoke(app, ["sort", str(photos), "--thumbnails", "--sheet", str(tmp_path / "sheet.png")])
    assert result.exit_code == 1
    assert "img1.jpg: gone" in result.stderr
    assert not (tmp_path / "sheet.png").exists()


def test_many_thumbnails_stand_in_rows_after_their_numbers(tmp_path: Path) -> None:
    files = []
    for index in range(30):
        files.append(tmp_path / f"{index}.png")
        Image.new("RGB", (400, 300), (8 * index, 90, 200)).save(files[-1])
    lines = terminal.draw_thumbnails(files, "kitty", 640).split("\n")
    assert lines[::2] == ["1 to 6", "7 to 12", "13 to 18", "19 to 24", "25 to 30"]
    rows = [np.asarray(decode_kitty(line).convert("RGB")) for line in lines[1::2]]
    assert {row.shape for row in rows} == {(77, 6 * 103 + 5 * 4, 3)}  # large enough to see something
    assert [row[40, 50 + 107 * place, 0] for row in rows for place in range(6)] == [8 * index for index in range(30)]
    assert terminal.draw_thumbnails(files[:13], "kitty", 640).split("\n")[::2] == ["1 to 6", "7 to 12", "13"]
    assert "\n" not in terminal.draw_thumbnails(files[:8], "kitty", 640)
