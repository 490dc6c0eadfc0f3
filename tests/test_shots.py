"""Files of one shot count as one photo: a HEIC and its JPEG, edits, copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from imgorder.changes.companions import find_companions
from imgorder.media.shots import drop_versions, find_versions
from tests.test_exif import ORIGINAL, exif_segment, inserted, jpeg, standing

NOON, LATER = b"2024:05:01 12:00:00\0", b"2024:05:01 12:00:09\0"


def timed(text: bytes) -> bytes:
    return inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, text)))


@pytest.mark.parametrize(
    ("names", "versions"),
    [
        (["IMG_1.HEIC", "IMG_1.JPG"], {"IMG_1.JPG": ("IMG_1.HEIC", ".JPG")}),
        (["img_1.heic", "IMG_1.jpeg"], {"IMG_1.jpeg": ("img_1.heic", ".jpeg")}),
        (["IMG_0001.HEIC", "IMG_E0001.JPG"], {"IMG_E0001.JPG": ("IMG_0001.HEIC", "-edited.JPG")}),
        (["003_IMG_0001.HEIC", "003_IMG_E0001.JPG"], {"003_IMG_E0001.JPG": ("003_IMG_0001.HEIC", "-edited.JPG")}),
        (["a.jpg", "a-edited.jpg", "a_Edited.png"], {n: ("a.jpg", n[1:]) for n in ("a-edited.jpg", "a_Edited.png")}),
        (["a.jpg", "a (1).jpg", "a copy.jpg"], {n: ("a.jpg", n[1:]) for n in ("a (1).jpg", "a copy.jpg")}),
        (["IMG_E0001.JPG", "a-edited.jpg", "b (1).jpg"], {}),  # without the originals
        (["a.jpg", "a.png", "b.heic", "b.png"], {}),  # screenshots and drawings are photos of their own
        (["a.jpg", "a-edited.jpg", "a-edited (1).jpg"], {"a-edited.jpg": ("a.jpg", "-edited.jpg")}),
        (["a.jpg", "a-edited.txt", ".a-edited.jpg"], {}),
    ],
)  # fmt: skip
def test_versions_by_their_names(names: list[str], versions: dict[str, tuple[str, str]]) -> None:
    for listed in (names, names[::-1]):
        found = find_versions(listed, reads_heic=True)
        assert {each.name: (each.original, each.tail) for each in found} == versions


def test_the_jpeg_is_sorted_where_heic_cannot_be_read() -> None:
    (only,) = find_versions(["IMG_1.HEIC", "IMG_1.JPG"], reads_heic=False)
    assert (only.name, only.original) == ("IMG_1.HEIC", "IMG_1.JPG")
    (only,) = find_versions(["IMG_1.HEIC", "IMG_1.JPG"], ["IMG_1.JPG"], reads_heic=True)
    assert only.original == "IMG_1.JPG"


def test_a_version_has_to_show_that_it_is_one(tmp_path: Path) -> None:
    files = {
        **{"IMG_1.HEIC": timed(NOON), "IMG_1.JPG": timed(NOON)},
        **{"IMG_2.HEIC": timed(NOON), "IMG_2.JPG": timed(LATER)},  # two phones count alike
        **{"IMG_3.HEIC": timed(NOON), "IMG_3.JPG": jpeg()},
        **{"IMG_0004.JPG": timed(NOON), "IMG_E0004.JPG": jpeg()},
        **{"IMG_0005.JPG": timed(NOON), "IMG_E0005.JPG": timed(LATER)},
        **{"a.jpg": timed(NOON), "a (1).jpg": timed(NOON), "a (2).jpg": timed(LATER)},
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    left, originals = drop_versions([tmp_path / name for name in files])
    assert {(one.name, other.suffix) for one, other in originals.items() if "1.HEIC" not in one.name} >= {
        ("IMG_E0004.JPG", ".JPG"),
        ("a (1).jpg", ".jpg"),
    }
    assert len(originals) == 3
    assert len(left) == len(files) - 3
    assert sorted(each.stem for each in [*left, *originals]) == sorted(Path(name).stem for name in files)


def test_files_of_two_folders_are_not_of_one_shot(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "1.jpg", tmp_path / "b" / "1-edited.jpg"]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(jpeg())
    assert drop_versions(files) == (files, {})


def test_versions_are_companions_and_bring_their_own() -> None:
    names = ["IMG_0001.HEIC", "IMG_0001.JPG", "IMG_E0001.JPG"]
    others = ["IMG_0001.MOV", "IMG_E0001.MOV", "IMG_E0001.JPG.xmp", "IMG_0001.JPG.xmp"]
    versions = find_versions(names, reads_heic=True)
    found = find_companions(names[:1], [*names, *others], versions)
    assert {each.name: (each.photos, each.new_name("002.HEIC")) for each in found} == {
        "IMG_0001.JPG": (("IMG_0001.HEIC",), "002.JPG"),
        "IMG_0001.MOV": (("IMG_0001.HEIC",), "002.MOV"),
        "IMG_0001.JPG.xmp": (("IMG_0001.HEIC",), "002.JPG.xmp"),
        "IMG_E0001.JPG": (("IMG_0001.HEIC",), "002-edited.JPG"),
        "IMG_E0001.MOV": (("IMG_0001.HEIC",), "002-edited.MOV"),
        "IMG_E0001.JPG.xmp": (("IMG_0001.HEIC",), "002-edited.JPG.xmp"),
    }


def test_an_edit_is_not_sorted_but_renamed_and_comes_back(tmp_path: Path) -> None:
    from tests.renaming import command, done

    folder = tmp_path / "photos"
    folder.mkdir()
    for number, light in enumerate((20, 120, 220), start=1):
        Image.new("RGB", (64, 48), (light, light, 90)).save(folder / f"IMG_000{number}.JPG")
    shutil.copy(folder / "IMG_0002.JPG", folder / "IMG_0002 (1).JPG")
    Image.new("RGB", (64, 48), "red").save(folder / "IMG_E0003.JPG")
    before = sorted(each.name for each in folder.iterdir())
    plan = tmp_path / "plan.json"
    shown = command("sort", "--model", "path", folder)
    assert shown.exit_code == 0
    assert "another version of IMG_0003.JPG" in shown.stderr
    assert "IMG_E0003.JPG" not in shown.stdout
    first = ("--first", folder / "IMG_0001.JPG")
    done("rename", "--model", "path", *first, "--keep-strays", folder, "--plan", plan)
    done("rename", folder, "--plan", plan, "--apply")
    renamed = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    assert renamed == [
        "001_IMG_0001.JPG",
        "002_IMG_0002 (1).JPG",
        "002_IMG_0002.JPG",
        "003_IMG_0003-edited.JPG",
        "003_IMG_0003.JPG",
    ]
    done("undo", folder)
    assert sorted(each.name for each in folder.iterdir() if not each.name.startswith(".")) == before


def test_two_edits_of_one_photo_keep_apart(tmp_path: Path) -> None:
    from tests.renaming import done, snapshot

    folder = tmp_path / "photos"
    folder.mkdir()
    for name, shade in {
        "IMG_0001.JPG": (20, 20, 90),
        "IMG_E0001.JPG": (200, 20, 90),
        "IMG_0001-edited.JPG": (20, 200, 90),
        "IMG_0002.JPG": (30, 30, 90),
        "IMG_0003.JPG": (40, 40, 90),
    }.items():
        Image.new("RGB", (64, 48), shade).save(folder / name)
    before = {name: data for name, (data, _) in snapshot(folder).items()}
    done("rename", "--model", "path", "--first", folder / "IMG_0001.JPG", folder, "--apply", "--min-confidence", "0")
    after = {name: data for name, (data, _) in snapshot(folder).items() if not name.startswith(".")}
    assert after["001_IMG_0001-edited.JPG"] == before["IMG_0001-edited.JPG"]
    assert after["001_IMG_0001_edited.JPG"] == before["IMG_E0001.JPG"]
    assert len(after) == len(before)
    left, originals = drop_versions(sorted(folder.glob("*.JPG")))
    assert (len(left), len(originals)) == (3, 2)  # they are versions as before
    done("undo", folder)
    assert {name: data for name, (data, _) in snapshot(folder).items() if not name.startswith(".")} == before
