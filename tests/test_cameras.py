"""Photos of two cameras that lost make and model: told apart where the pictures contradict that they have one clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgorder.evidence.cameras import part_by_file
from imgorder.evidence.weigh import trusted_times
from imgorder.media.casts import even_casts, part_by_cast
from imgorder.media.facts import read_all_facts
from imgorder.media.preprocess import preprocess_set
from tests.conftest import ROOT, load_script
from tests.renaming import command, done

N = 8
NAMES = [f"{letter}.jpg" for letter in "hbfdacge"]
SECOND = [place % 3 == 1 for place in range(N)]  # which photos are of the second camera
EXIF, TAKEN, MODEL = 0x8769, 0x9003, 0x0110


@pytest.fixture(scope="module")
def moments() -> list[Image.Image]:
    """Photos of one scene in temporal order."""
    images: list[Image.Image] = load_script(ROOT / "examples" / "render_scene.py").render_set(N, 3, 320, 240)
    return images


def lay_out(
    folder: Path, moments: Sequence[Image.Image], late: int = 0, qualities: Sequence[int] = (92,) * N, gap: int = 10
) -> Path:
    """Photos without make and model; the second camera's clock is ``late`` seconds behind."""
    folder.mkdir()
    for place, (image, name, quality) in enumerate(zip(moments, NAMES, qualities, strict=False)):
        minutes, seconds = divmod(1800 + gap * place - late * SECOND[place], 60)
        exif = Image.Exif()
        exif.get_ifd(EXIF)[TAKEN] = f"2024:05:01 12:{minutes:02}:{seconds:02}"
        image.save(folder / name, quality=quality, exif=exif)
    return folder


def sort(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    result = command("sort", folder, *options, "--json")
    assert result.exit_code == 0, result.stderr
    (only,) = json.loads(result.stdout)["sets"]
    return only, result.stderr


def as_second(moments: Sequence[Image.Image], change: Any) -> list[Image.Image]:
    return [change(image) if second else image for image, second in zip(moments, SECOND, strict=True)]


def warm(image: Image.Image) -> Image.Image:
    """As a camera that sees more red and less blue."""
    return Image.fromarray((np.asarray(image) * np.array([0.98, 0.88, 0.78])).astype(np.uint8))


def is_one_camera(folder: Path) -> bool:
    """Whether the times alone fix the order."""
    found, _ = sort(folder)
    result = command("sort", folder, "--metadata", "only")
    return (found["order"], found["clocks"], result.exit_code) == (NAMES[: len(found["order"])], [], 0)


def parts(folder: Path) -> list[list[str]]:
    """The names of the photos in each group that size and coding make."""
    files = sorted(folder.iterdir())
    facts = read_all_facts(files, making=True)
    found = part_by_file(facts, range(len(files)), trusted_times(facts))
    return sorted(sorted(files[photo].name for photo in own) for own in found)


def test_two_sizes_are_two_cameras_with_clocks_of_their_own(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", as_second(moments, lambda image: image.resize((240, 180))), late=600)
    found, told = sort(folder)
    assert (found["order"], found["direction"], set(found["reasons"])) == (NAMES, "known", {"DateTimeOriginal"})
    (clock,) = found["clocks"]
    assert (clock["camera"], clock["reference"]) == ("unknown camera (240x180)", "unknown camera (320x240)")
    assert clock["from"] <= 600 <= clock["to"]
    assert f"{clock['camera']} counts as a camera of its own" in told
    assert sort(folder, "--offset", f"{clock['camera']}=+00:10:00")[0]["order"] == NAMES
    assert f"--offset '{clock['camera']}=+00:" in done("sort", folder)


def test_a_camera_that_only_the_pictures_show_makes_a_guess(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", as_second(moments, lambda image: image.resize((240, 180))), late=600)
    found, _ = sort(folder)
    assert "only by the pictures a camera of its own" in found["words"]
    refused = command("rename", folder, "--apply")
    assert refused.exit_code == 3
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_two_sizes_with_one_clock_are_one_camera(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", as_second(moments, lambda image: image.resize((240, 180))))
    assert is_one_camera(folder)
    assert "counts as a camera" not in sort(folder)[1]


def test_upright_and_lying_photos_are_of_one_camera(tmp_path: Path, moments: list[Image.Image]) -> None:
    upright = as_second(moments, lambda image: image.crop((70, 0, 250, 240)).resize((240, 320)))
    assert parts(lay_out(tmp_path / "photos", upright)) == [sorted(NAMES)]


def test_a_single_crop_is_of_the_camera_of_the_others(tmp_path: Path, moments: list[Image.Image]) -> None:
    cropped = [*moments[:3], moments[3].crop((10, 10, 300, 220)), *moments[4:]]
    assert parts(lay_out(tmp_path / "photos", cropped)) == [sorted(NAMES)]


def test_a_camera_that_was_set_to_another_size_stays_one(tmp_path: Path, moments: list[Image.Image]) -> None:
    # A model may think that the later half came first; the times say otherwise.
    halves = [*moments[:4], *(image.resize((240, 180)) for image in moments[3::-1])]
    folder = lay_out(tmp_path / "photos", halves)
    assert len(parts(folder)) == 2
    found, told = sort(folder, "--model", "path")
    assert (found["order"], found["clocks"], "counts as a camera" in told) == (NAMES, [], False)


def test_an_offset_for_the_whole_camera_says_that_it_is_one(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", as_second(moments, lambda image: image.resize((240, 180))), late=600)
    _, told = sort(folder)
    assert "--offset 'unknown camera=+00:00:00'" in told
    by_time = [name for second in (True, False) for name, own in zip(NAMES, SECOND, strict=True) if own is second]
    for camera in ("unknown camera", "photos"):
        found, told = sort(folder, "--offset", f"{camera}=+00:00:00")
        assert (found["order"], "counts as a camera" in told) == (by_time, False)


def test_a_part_beside_a_known_camera_is_doubted_until_it_has_an_offset(
    tmp_path: Path, moments: list[Image.Image]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for place, (image, name) in enumerate(zip(moments, NAMES, strict=True)):
        kind = place % 3
        exif = Image.Exif()
        exif.get_ifd(EXIF)[TAKEN] = f"2024:05:01 12:{30 - 10 * (kind == 2):02}:{5 * place:02}"
        if kind == 0:
            exif[MODEL] = "Canon"
        (image.resize((240, 180)) if kind == 2 else image).save(folder / name, exif=exif)
    doubted = "unknown camera (240x180) counts as a camera of its own"
    assert doubted in sort(folder)[1]
    one = ("--offset", "unknown camera (320x240)=+00:00:00")  # says nothing of the other part
    assert doubted in sort(folder, *one)[1]
    assert command("rename", folder, "--apply", *one).exit_code == 3
    found, told = sort(folder, "--offset", "unknown camera (240x180)=+00:10:00")
    assert (found["order"], "counts as a camera" in told) == (NAMES, False)
    assert "a camera of its own" not in found["words"]


def test_photos_cropped_one_by_one_tell_no_cameras(tmp_path: Path, moments: list[Image.Image]) -> None:
    edges = [2, 4, 6, 8, 2, 4, 10, 12]  # two sizes are there twice
    cropped = [image.crop((0, 0, 320 - edge, 240 - edge)) for image, edge in zip(moments, edges, strict=True)]
    assert parts(lay_out(tmp_path / "photos", cropped)) == [sorted(NAMES)]


def test_a_crop_among_two_cameras_is_of_neither(tmp_path: Path, moments: list[Image.Image]) -> None:
    sizes = as_second(moments, lambda image: image.resize((240, 180)))
    sizes[3] = sizes[3].crop((4, 4, 300, 220))
    found, _ = sort(lay_out(tmp_path / "photos", sizes, late=600))
    assert found["order"] == NAMES
    assert {each["camera"] for each in found["clocks"]} == {"unknown camera (240x180)", "unknown camera (296x216)"}


def test_ways_of_coding_are_two_cameras(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", moments, late=600, qualities=[80 if each else 92 for each in SECOND])
    found, _ = sort(folder)
    assert found["order"] == NAMES
    assert [(each["camera"], each["reference"]) for each in found["clocks"]] == [
        ("unknown camera, a.jpg", "unknown camera, c.jpg")
    ]
    # A camera that makes each photo in its own way, and an edited photo, are none of their own.
    assert len(parts(folder)) == 2
    assert len(parts(lay_out(tmp_path / "each", moments, qualities=[80, 81, 82, 83, 84, 85, 85, 80]))) == 1
    assert len(parts(lay_out(tmp_path / "edit", moments, qualities=[92] * 7 + [80]))) == 1


def test_a_photo_turned_without_loss_is_coded_alike(tmp_path: Path, moments: list[Image.Image]) -> None:
    table = np.arange(1, 65).reshape(8, 8)
    for name, image, each in (
        ("lying.jpg", moments[0], table),
        ("upright.jpg", moments[0].transpose(Image.Transpose.ROTATE_90), table.T),
        ("other.jpg", moments[0], table[::-1]),
    ):
        image.save(tmp_path / name, qtables=[each.ravel().tolist()] * 2)
    lying, upright, other = read_all_facts(
        [tmp_path / f"{name}.jpg" for name in ("lying", "upright", "other")], making=True
    )
    assert (lying.edges, lying.coding) == (upright.edges, upright.coding) == ((240, 320), lying.coding)
    assert lying.coding != other.coding


def test_other_colours_and_a_wrong_clock_are_another_camera(tmp_path: Path, moments: list[Image.Image]) -> None:
    folder = lay_out(tmp_path / "photos", as_second(moments, warm), late=600)
    found, told = sort(folder)
    assert (found["order"], len(found["clocks"])) == (NAMES, 1)
    camera = found["clocks"][0]["camera"]
    assert camera == "unknown camera, a.jpg"
    assert f"{camera} counts as a camera of its own, since its photos look different" in told
    # The person knows better, either way.
    given, told = sort(folder, "--offset", f"{camera}=+00:10:00")
    assert (given["order"], "counts as a camera" in told, given["clocks"][0]["given"]) == (NAMES, False, True)
    given, told = sort(folder, "--offset", f"{camera}=+00:00:00")
    first, last = [[name for name, each in zip(NAMES, SECOND, strict=True) if each is other] for other in (True, False)]
    assert (given["order"], "counts as a camera" in told) == (first + last, False)
    wrong = command("sort", folder, "--offset", "unknown camera, h.jpg=+00:00:00")
    assert (wrong.exit_code, "nor do the pictures show one" in wrong.stderr) == (2, True)


def test_other_colours_alone_are_no_other_camera(tmp_path: Path, moments: list[Image.Image]) -> None:
    coloured = as_second(moments, warm)
    assert part_by_cast(preprocess_set(coloured)) is not None
    assert is_one_camera(lay_out(tmp_path / "mixed", coloured))
    halves = [*moments[:4], *map(warm, moments[4:])]
    folder = lay_out(tmp_path / "halves", halves)
    assert is_one_camera(folder)
    assert "counts as a camera" not in sort(folder)[1]


def test_a_gap_between_casts_is_wide_and_has_three_photos_on_each_side(moments: list[Image.Image]) -> None:
    assert part_by_cast(preprocess_set(moments)) is None
    assert part_by_cast(preprocess_set([*moments[:-2], *map(warm, moments[-2:])])) is None
    assert part_by_cast(preprocess_set(moments[:1])) is None
    parts = part_by_cast(preprocess_set(as_second(moments, warm)))
    assert parts is not None
    assert sorted(parts) == [[0, 2, 3, 5, 6], [1, 4, 7]]


def test_colours_are_made_even_channel_by_channel(moments: list[Image.Image]) -> None:
    tensors = preprocess_set(as_second(moments, warm))
    groups = [[0, 2, 3, 5, 6], [1, 4, 7]]
    even = even_casts(tensors, groups)
    assert np.array_equal(even[groups[0]], tensors[groups[0]])
    true = preprocess_set(moments)  # in which the balloon is elsewhere, so a little is left
    assert np.abs(even - true).mean() < np.abs(tensors - true).mean() / 3
