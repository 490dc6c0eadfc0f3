"""Trees of photos: listed, looked at once, grouped and ordered; whatever is killed, changed or broken on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.errors import ImgorderError, PhotoError
from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.library import looking
from imgorder.library.cache import Runs, clear, measure, prune
from imgorder.library.engine import LocalEngine
from imgorder.library.grouping import Rule, group_photos
from imgorder.library.jobs import LookJob, cut_photos
from imgorder.library.listing import Listed, count_photos, list_tree, listing_key
from imgorder.library.parts import Parts, cut
from imgorder.library.scenes import Library
from imgorder.media.likeness import describe_pixels
from imgorder.media.photos import Exclusion, refuse
from tests.conftest import ROOT
from tests.dying import NotedJob
from tests.test_strays import Pixels, scene


def save(folder: Path, photos: dict[str, Pixels], times: dict[str, datetime] | None = None) -> None:
    """Photos as files, with capture times where there are some."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in photos.items():
        exif = Image.Exif()
        if times and name in times:
            exif.get_ifd(0x8769)[0x9003] = times[name].strftime("%Y:%m:%d %H:%M:%S")
            exif[0x010F], exif[0x0110] = "Maker", "Camera"
        Image.fromarray(pixels).save(folder / name, quality=90, exif=exif)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two scenes mixed in one folder, a photo that stands alone, and one more scene in a folder below."""
    root = tmp_path / "tree"
    one, other, third, lone = scene(1, 4), scene(2, 3), scene(3, 3), scene(9, 1)
    save(root, {"a1.jpg": one[2], "a2.jpg": other[1], "a3.jpg": one[0], "a10.jpg": lone[0]})
    save(root, {"b1.jpg": other[0], "b2.jpg": one[3], "b3.jpg": one[1], "b4.jpg": other[2]})
    save(root / "below" / "more", {f"{index}.jpg": pixels for index, pixels in enumerate(third)})
    (root / "notes.txt").write_text("no photo")
    return root


SCENES = [["a1.jpg", "a3.jpg", "b2.jpg", "b3.jpg"], ["a2.jpg", "b1.jpg", "b4.jpg"], ["a10.jpg"]]
BELOW = [["0.jpg", "1.jpg", "2.jpg"]]


def test_a_tree_without_photos_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    for command in (("group",), ("sort", "-r"), ("rename", "-r")):
        result = imgorder(*command, tmp_path / "tree", code=1)
        assert "tree: no photos there or in folders below" in result.stderr


def test_times_in_names_are_those_of_a_scene(tmp_path: Path) -> None:
    names = [f"IMG_20240501_12000{second}.jpg" for second in range(3)]
    save(tmp_path / "tree", dict(zip(names, scene(3, 3), strict=True)))
    (found,) = json.loads(imgorder("group", tmp_path / "tree", "--json").stdout)["scenes"]
    assert (found["first"], found["last"]) == ("2024-05-01T12:00:00", "2024-05-01T12:00:02")


def imgorder(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == code, done.stderr
    return done


def grouped(*arguments: str | Path, code: int = 0) -> list[list[str]]:
    found = json.loads(imgorder("group", "--json", *arguments, code=code).stdout)
    return [each["photos"] for each in found["scenes"]]


def library(root: Path, parts: Path, apart: Any = refuse) -> Library:
    return Library([root], LocalEngine(1), Parts(parts), apart)


def names(found: Library, rule: Rule = Rule()) -> list[list[str]]:
    return [[each.name for each in scene.listed] for scene in found.scenes(rule)]


# Listing


def test_a_tree_is_listed_in_one_order_without_links_and_hidden_names(tree: Path, tmp_path: Path) -> None:
    save(tree / ".hidden", {"x.jpg": scene(1, 1)[0]})
    (tree / ".y.jpg").write_bytes((tree / "a1.jpg").read_bytes())
    (tree / "loop").symlink_to(tree)
    (tree / "z.jpg").symlink_to(tree / "a1.jpg")
    (tree / "a1.xmp").write_text("facts")
    found = list(list_tree([tree], Exclusion(), refuse))
    assert [each.name for each in found[:8]] == [
        f"{name}.jpg" for name in ("a1", "a2", "a3", "a10", *("b1", "b2", "b3", "b4"))
    ]
    assert [each.name for each in found[8:]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [name for name, _ in found[0].beside] == ["a1.xmp"]
    assert found == sorted(found, key=lambda each: listing_key(each.path))
    assert list(list_tree([tree / "below", tree, tree], Exclusion(), refuse)) == found
    assert count_photos([tree]) == len(found) + 1  # a link is not looked at here
    with pytest.raises(PhotoError, match="not a folder"):
        list(list_tree([tree / "a1.jpg"], Exclusion(), refuse))


def test_pieces_stay_the_same_but_for_those_that_change() -> None:
    items = [f"photo {number}" for number in range(5000)]
    before = set(cut(iter(items), str, 32, 128))
    after = set(cut(iter([*items[:700], "one more", *items[700:]]), str, 32, 128))
    assert sum(map(len, before)) == 5000
    assert {len(piece) for piece in before} <= set(range(1, 129))
    assert len(after - before) <= 3
    assert len(before) > 50


# Grouping


def rows_of(photos: Sequence[Pixels]) -> tuple[Any, Any, Any]:
    colours, edges, greys = zip(*map(describe_pixels, photos), strict=True)
    return np.stack(colours), np.stack(edges), np.stack(greys)


def facts_of(seconds: Sequence[float | None], camera: str = "Camera") -> list[PhotoFacts]:
    start = datetime(2024, 5, 1, 12)
    times = [() if each is None else (Taken(start + timedelta(seconds=each), "EXIF"),) for each in seconds]
    return [PhotoFacts(f"{place}.jpg", times=own, make="M", model=camera) for place, own in enumerate(times)]


def test_scenes_are_told_apart_by_their_looks_where_no_time_is_known() -> None:
    photos = [each for seed in (1, 2, 3) for each in scene(seed, 3)]
    photos = [photos[place] for place in (0, 3, 6, 1, 4, 7, 2, 5, 8)]
    assert group_photos(facts_of([None] * 9), rows_of(photos)) == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_one_look_at_two_times_is_two_scenes() -> None:
    photos = scene(1, 6)
    assert group_photos(facts_of([0, 2, 4, 3600, 3602, 3604]), rows_of(photos)) == [[0, 1, 2], [3, 4, 5]]
    assert group_photos(facts_of([0, 2, 4, 13, 15, 17]), rows_of(photos)) == [[0, 1, 2, 3, 4, 5]]
    wide = Rule(gap=timedelta(hours=2))
    assert group_photos(facts_of([0, 2, 4, 3600, 3602, 3604]), rows_of(photos), wide) == [[0, 1, 2, 3, 4, 5]]


def test_two_looks_at_one_time_are_two_scenes() -> None:
    photos = [*scene(1, 3), *scene(2, 3)]
    assert group_photos(facts_of([0, 1, 2, 3, 4, 5]), rows_of(photos)) == [[0, 1, 2], [3, 4, 5]]


def test_photos_without_a_time_join_what_they_look_like_but_never_join_two_times() -> None:
    photos = scene(1, 7)
    found = group_photos(facts_of([0, 2, 4, 3600, 3602, 3604, None]), rows_of(photos))
    assert sorted(map(len, found)) == [3, 4]
    assert [0, 1, 2] in [group[:3] for group in found]


def test_two_cameras_at_one_scene_are_one_scene_but_not_on_two_days() -> None:
    photos = scene(1, 4)
    for apart, count in ((7, 1), (3 * 86400, 2)):
        facts = facts_of([0, 2], "One") + facts_of([apart, apart + 2], "Two")
        assert len(group_photos(facts, rows_of(photos))) == count


def test_a_decided_group_is_neither_parted_nor_joined() -> None:
    photos = [*scene(1, 3), *scene(2, 2)]
    found = group_photos(facts_of([None] * 5), rows_of(photos), decided=[[0, 3]])
    assert found == [[0, 3], [1, 2], [4]]


def test_the_default_thresholds_are_those_that_were_chosen_and_measured() -> None:
    measured = json.loads((ROOT / "docs" / "results" / "groups.json").read_text("utf-8"))
    rule = Rule()
    assert measured["default"] == {"gap_s": rule.gap.total_seconds(), "similarity": rule.similarity}
    rows = [row for row in measured["rows"] if row["how"] == "default"]
    assert {row["times"] for row in rows} == {"all", "half", "none"}
    assert min(row["precision"] for row in rows if row["data"] == "chosen on") >= 0.98


# Looking, and what is kept of it


def test_a_look_read_back_is_what_was_seen(tree: Path) -> None:
    (listed, *_) = list_tree([tree], Exclusion(), refuse)
    record = json.loads(json.dumps(looking.look_at(listed)))
    assert looking.as_listed(record) == listed
    (rows,) = zip(*looking.as_rows([record]), strict=True)
    seen = describe_pixels(np.asarray(Image.open(listed.path)))
    for kept, real in zip(rows, seen, strict=True):
        assert float(kept @ real) == pytest.approx(1, abs=0.02)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that are looked at, one after the other."""
    seen: list[str] = []
    real = looking.look_at

    def watched(photo: Listed) -> looking.Record:
        seen.append(photo.name)
        return real(photo)

    monkeypatch.setattr(looking, "look_at", watched)
    return seen


def test_a_second_run_reads_only_what_changed(tree: Path, tmp_path: Path, looks: list[str]) -> None:
    parts = tmp_path / "parts"
    assert names(library(tree, parts)) == SCENES + BELOW
    assert len(looks) == 11
    looks.clear()
    again = library(tree, parts)
    assert names(again) == SCENES + BELOW
    assert (looks, again.kept, again.count) == ([], 11, 11)
    save(tree, {"a2.jpg": scene(5, 1)[0], "new.jpg": scene(2, 3)[1]})
    (tree / "b3.jpg").unlink()
    changed = [["a1.jpg", "a3.jpg", "b2.jpg"], ["a2.jpg"], ["a10.jpg"], ["b1.jpg", "b4.jpg", "new.jpg"], *BELOW]
    assert names(library(tree, parts)) == changed
    assert looks == ["a2.jpg", "new.jpg"]


def test_a_photo_that_was_changed_with_its_old_time_and_size_is_read_again(
    tree: Path, tmp_path: Path, looks: list[str]
) -> None:
    parts, photo = tmp_path / "parts", tree / "a1.jpg"
    names(library(tree, parts))
    looks.clear()
    before = photo.stat()
    with photo.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\xff\xd9")
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    names(library(tree, parts))
    assert looks == ["a1.jpg"]


def test_a_photo_that_cannot_be_read_costs_no_other_and_is_tried_again(
    tree: Path, tmp_path: Path, looks: list[str]
) -> None:
    parts, broken = tmp_path / "parts", tree / "b1.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:300])
    errors: list[ImgorderError] = []
    found = names(library(tree, parts, errors.append))
    assert found == [SCENES[0], ["a2.jpg", "b4.jpg"], SCENES[2], *BELOW]
    assert [str(broken) in str(each) for each in errors] == [True]
    looks.clear()
    names(library(tree, parts, errors.append))
    assert (looks, len(errors)) == (["b1.jpg"], 2)
    broken.write_bytes(whole)
    assert names(library(tree, parts)) == SCENES + BELOW


@pytest.mark.parametrize("damage", [b"", b"{", b'{"part":1,"lines":9}\n', b"\xff\x00"])
def test_a_part_that_is_damaged_or_deleted_is_made_again(tree: Path, tmp_path: Path, damage: bytes) -> None:
    parts = tmp_path / "parts"
    names(library(tree, parts))
    (part,) = parts.glob("part-*")
    before = part.read_bytes()
    part.write_bytes(damage)
    with pytest.raises(ImgorderError, match="run this again"):
        names(library(tree, parts))
    assert names(library(tree, parts)) == SCENES + BELOW
    assert part.read_bytes() == before
    shutil.rmtree(parts)
    assert names(library(tree, parts)) == SCENES + BELOW


def test_former_parts_are_found_by_the_place_of_a_photo_in_the_listing(tmp_path: Path) -> None:
    listed = [Listed(f"/r/{folder}", f"{number}.jpg", (0,)) for folder in "abc" for number in range(100)]
    parts = Parts(tmp_path)
    pieces = list(cut_photos(iter(listed)))
    Runs(parts, ["/r"]).write([(piece[0].path, f"part-{place}") for place, piece in enumerate(pieces)])
    runs = Runs(parts, ["/r"])
    for place, piece in enumerate(pieces):
        assert f"part-{place}" in runs.former(piece)
        assert len(runs.former(piece[:1])) == 1
    assert Runs(parts, ["/other"]).former(pieces[0]) == ()


def test_the_cache_keeps_what_was_used_last_and_can_be_emptied(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "cache")
    for number in range(5):
        parts.write(f"part-{number:032x}", [{"name": "x" * 1000}])
        os.utime(parts.path(f"part-{number:032x}"), ns=(number, number))
    mine = [".imgorder-20240501-120000-abcdef.jsonl", "mine.txt", "order.parquet", "part-one.jsonl"]
    for name in mine:
        (tmp_path / "cache" / name).write_text("not ours")
    assert parts.has(f"part-{0:032x}")
    size = measure(parts.folder).bytes // 5
    prune(parts.folder, 2 * size)
    assert sorted(each.name for each in parts.folder.glob("part-*")) == [
        f"part-{0:032x}.jsonl",
        f"part-{4:032x}.jsonl",
        "part-one.jsonl",
    ]
    assert clear(parts.folder).files == 2
    assert sorted(each.name for each in parts.folder.iterdir()) == mine
    assert measure(tmp_path / "none").files == 0


def test_parts_may_be_parquet(tree: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    parts = Parts(tmp_path / "parts", "parquet")
    found = Library([tree], LocalEngine(1), parts, refuse)
    assert names(found) == SCENES + BELOW
    (part,) = parts.folder.glob("part-*.parquet")
    assert parquet.read_table(part)["name"].to_pylist()[:2] == ["a1.jpg", "a2.jpg"]
    (listed, *_) = cut_photos(list_tree([tree], Exclusion(), refuse))
    assert LookJob(listed, parts).done() is not None
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(ImgorderError, match="run this again"):
        names(Library([tree], LocalEngine(1), parts, refuse))


def test_photos_beyond_this_machine_are_grouped_and_ordered(tree: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.put(str(tree), "/photos", recursive=True)
    try:
        found = json.loads(imgorder("group", "--json", "memory://photos").stdout)["scenes"]
        assert [each["photos"] for each in found] == SCENES + BELOW
        assert found[-1]["folder"] == "memory://photos/below/more"
        options = ("--json", "--model", "path", "--first", "memory://photos/b4.jpg")
        ordered = json.loads(imgorder("sort", "-r", *options, "memory://photos").stdout)["sets"]
        here = json.loads(imgorder("sort", "-r", *options[:3], "--first", tree / "b4.jpg", tree).stdout)["sets"]
        assert [each["order"] for each in ordered] == [each["order"] for each in here]
        assert ordered[0]["folder"] == "memory://photos"
        assert "only read" in imgorder("rename", "-r", "memory://photos", code=2).stderr
        assert "cannot be" in imgorder("group", "memory://nowhere", code=1).stderr
        assert "check the address" in imgorder("group", "nonsense://x", code=1).stderr
    finally:
        store.rm("/photos", recursive=True)


# Engines


def test_a_process_that_dies_costs_no_more_than_the_item_at_which_it_dies(tmp_path: Path) -> None:
    jobs = [NotedJob(tmp_path, (number, number + 10), (13,) if number == 3 else ()) for number in range(5)]
    jobs.append(NotedJob(tmp_path, (99,), once=True))
    done = list(LocalEngine(2).run(jobs))
    assert [each.part for each in done] == [job.name for job in jobs]
    assert [each.problems for each in done] == [(), (), (), ("13 is deadly",), (), ()]
    again = list(LocalEngine(2).run(jobs))
    assert all(each.kept for each in again)


def test_ray_leaves_the_same_parts_also_where_a_worker_is_killed(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from imgorder.library.ray_engine import RayEngine

    for folder in ("local", "ray"):
        (tmp_path / folder).mkdir()
    try:
        for engine, folder in ((LocalEngine(1), "local"), (RayEngine(2), "ray")):
            killed = folder == "ray"
            jobs = [NotedJob(tmp_path / folder, (place,), once=killed and place == 3) for place in range(6)]
            assert [each.part for each in engine.run(jobs)] == [job.name for job in jobs]
    finally:
        ray.shutdown()
    assert (tmp_path / "ray" / "begun-part-3").exists()
    local, ray = (
        {each.name: each.read_bytes() for each in (tmp_path / name).glob("part-*")} for name in ("local", "ray")
    )
    assert local == ray


# Commands


def test_the_answer_is_the_same_to_the_byte_for_any_number_of_processes_and_kills(tree: Path, tmp_path: Path) -> None:
    looks = [scene(seed, 1)[0][:48, :48] for seed in range(7)]
    for number in range(150):  # two pieces of work or more
        save(tree / f"{number % 4}", {f"{number}.jpg": looks[number % 7] // 2 + np.uint8(number)})
    command = [sys.executable, "-m", "imgorder", "group", "--json", str(tree), "--workers", "2", "--parts"]
    command.append(str(tmp_path / "two"))
    for parts in (0, 1):  # killed as soon as so many are there
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
            while run.poll() is None and len(list((tmp_path / "two").glob("part-*"))) <= parts:
                with suppress(subprocess.TimeoutExpired):
                    run.wait(0.01)
            run.send_signal(signal.SIGKILL)
    one = imgorder("group", "--json", "--workers", "1", "--parts", tmp_path / "one", tree).stdout
    assert subprocess.run(command, capture_output=True, text=True).stdout == one
    kept = [{each.name: each.read_bytes() for each in (tmp_path / name).glob("part-*")} for name in ("one", "two")]
    assert kept[0] == kept[1]
    assert len(kept[0]) > 1


def test_group_shows_scenes_and_what_other_thresholds_would_make(tree: Path) -> None:
    assert grouped(tree) == SCENES + BELOW
    shown = imgorder("group", tree).stdout
    assert "4 photos: a1.jpg, a3.jpg, b2.jpg, b3.jpg" in shown
    assert shown.endswith("11 photos: 3 scenes, and 1 photo that stands alone\n")
    preview = imgorder("group", "--preview", "--gap", "7s", tree).stdout
    assert "3 + 1" in preview
    assert " 7s " in preview
    (tree / "b2.jpg").write_bytes(b"no photo")
    done = imgorder("group", tree, code=1)
    assert "b2.jpg" in done.stderr
    assert "10 photos: 3 scenes" in done.stdout
    (tree / "b3.jpg").write_bytes(b"no photo")
    told = imgorder("group", tree, code=1).stderr.splitlines()
    assert len(told) == 3
    assert "2 photos or folders were left out" in told[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gap", "soon"], "--gap takes a time"),
        (["--similarity", "1"], "--similarity is a number between 0 and 1"),
        (["--engine", "spark"], "--engine is local or ray"),
        (["--gpus", "1"], "add --engine ray"),
        (["--parts-format", "csv"], "--parts-format is"),
        (["--preview", "--json"], "--preview is for people"),
    ],
)
def test_options_that_make_no_sense_are_refused(tree: Path, options: list[str], message: str) -> None:
    assert message in imgorder("group", *options, tree, code=2).stderr


def test_sort_takes_a_tree_and_says_of_each_scene_what_it_says_of_one_set(tree: Path, tmp_path: Path) -> None:
    save(tree, {"lone.jpg": scene(8, 1)[0]})
    found = json.loads(imgorder("sort", "-r", "--json", "--model", "path", tree).stdout)
    assert [sorted(each["order"]) for each in found["sets"]] == [sorted(each) for each in SCENES[:2] + BELOW]
    alone = json.loads(imgorder("sort", "--json", "--model", "path", tree / "below" / "more").stdout)
    assert found["sets"][2] == alone["sets"][0]
    tables = imgorder("sort", "-r", "--model", "path", tree / "below").stdout
    assert tables == imgorder("sort", "--model", "path", tree / "below" / "more").stdout
    first = imgorder("sort", "-r", "--json", "--model", "path", "--first", tree / "b4.jpg", tree).stdout
    assert json.loads(first)["sets"][1]["order"][0] == "b4.jpg"
    assert "not one of the photos" in imgorder("sort", "-r", "--first", tree / "x.jpg", tree, code=2).stderr
    assert "add -r" in imgorder("sort", "--workers", "2", tree, code=2).stderr


def test_a_sorted_tree_takes_every_form_of_output(tree: Path) -> None:
    options = ("sort", "-r", "--model", "path", tree)
    found = json.loads(imgorder(*options, "--json").stdout)["sets"]
    paths = [os.path.join(each["folder"], name) for each in found for name in each["order"]]
    assert imgorder(*options, "--plain").stdout.splitlines() == paths
    assert imgorder(*options, "--print0").stdout == "".join(f"{path}\0" for path in paths)
    lines = [json.loads(line) for line in imgorder(*options, "--jsonl").stdout.splitlines()]
    assert [each["order"] for each in lines] == [each["order"] for each in found]
    (tree / "b4.jpg").rename(tree / "b\n4.jpg")
    assert "line break" in imgorder(*options, "--plain", code=2).stderr


def test_rename_takes_a_tree_folder_by_folder_and_undo_takes_it_back(tree: Path) -> None:
    before = sorted(each.name for each in tree.iterdir())
    options = ("--model", "path", "--either-direction", "--min-confidence", "0")
    shown = imgorder("rename", "-r", *options, tree).stdout
    assert "Nothing was changed" in shown
    imgorder("rename", "-r", "--apply", *options, tree)
    after = sorted(each.name for each in tree.iterdir() if not each.name.startswith("."))
    assert after[:7] == [f"{number:03d}_{after[number - 1][4:]}" for number in range(1, 8)]
    assert {each[4:] for each in after[:4]} == set(SCENES[0])
    assert "a10.jpg" in after  # it stands alone
    imgorder("undo", tree)
    assert sorted(each.name for each in tree.iterdir() if not each.name.startswith(".")) == before


def test_stamp_takes_a_tree_and_fills_each_scene(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    photos = dict(zip(("a.jpg", "b.jpg", "c.jpg"), scene(1, 3), strict=True))
    for place, folder in enumerate(("one", "two")):
        start = datetime(2024, 5, 1 + place, 12)
        save(root / folder, photos, {"a.jpg": start, "c.jpg": start + timedelta(seconds=9)})
    options = ("--fill", "--model", "path", "--min-confidence", "0")
    imgorder("stamp", "-r", "--apply", *options, root)
    for place, folder in enumerate(("one", "two")):
        taken = Image.open(root / folder / "b.jpg").getexif().get_ifd(0x8769)[0x9003]
        assert taken.startswith(f"2024:05:0{1 + place} 12:00:0")
    assert (
        "--start is the time of one scene"
        in imgorder("stamp", "-r", "--start", "2024-05-01 12:00", root, code=2).stderr
    )


def test_a_scene_without_times_does_not_keep_the_others_from_being_stamped(tmp_path: Path) -> None:
    start = datetime(2024, 5, 1, 12)
    save(tmp_path / "one", {f"{index}.jpg": pixels for index, pixels in enumerate(scene(1, 3))}, {"0.jpg": start})
    save(tmp_path / "two", {f"{index}.jpg": pixels for index, pixels in enumerate(scene(2, 3))})
    options = ("stamp", "-r", "--fill", "--apply", "--model", "path", "--min-confidence", "0", "--either-direction")
    refused = imgorder(*options, tmp_path, code=1).stderr
    assert "two: no photo has a time that can be trusted" in refused
    assert "--skip-bad" in refused
    assert not [*tmp_path.rglob(".imgorder-*")]
    assert "left out: " in imgorder(*options, "--skip-bad", tmp_path).stderr
    assert Image.open(tmp_path / "one" / "1.jpg").getexif().get_ifd(0x8769)[0x9003].startswith("2024:05:01")
    for more in ((), ("--skip-bad",)):  # where no scene is left, that is no cure
        line = imgorder(*options, *more, tmp_path / "two", code=1).stderr
        assert line.endswith(
            "two: no photo has a time that can be trusted; stamp this scene alone, with --start instead of --fill\n"
        )
    alone = [each for each in options if each not in ("-r", "--fill")]
    imgorder(*alone, "--start", "2024-05-02 12:00:00", tmp_path / "two")
    assert "with -r keep times" in imgorder("stamp", "-r", tmp_path, code=2).stderr


def test_what_a_person_knows_of_times_is_heeded_in_a_tree(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    start = datetime(2024, 5, 1, 12)
    photos = dict(zip(("a.jpg", "b.jpg", "c.jpg"), scene(1, 3), strict=True))
    save(root / "one", photos, {"c.jpg": start, "a.jpg": start + timedelta(seconds=9)})
    options = ("sort", "-r", "--json", "--model", "path", root)
    (found,) = json.loads(imgorder(*options, "--first", "exif").stdout)["sets"]
    assert (found["order"][0], found["direction"]) == ("c.jpg", "given")
    assert "--offset: no scene has photos" in imgorder(*options, "--offset", "Nobody=+00:00:01").stderr


def test_what_a_person_decides_is_heeded_also_under_other_names(tree: Path) -> None:
    decided = tree / "imgorder-decisions.json"
    order = ["b1.jpg", "a1.jpg", "a10.jpg"]
    imgorder("decide", "--ordered", *(tree / name for name in order))
    assert "1 photo stands alone" in imgorder("decide", "--alone", tree / "a2.jpg").stdout
    content = decided.read_bytes()
    assert grouped(tree) == [order, ["a2.jpg"], ["a3.jpg", "b2.jpg", "b3.jpg"], ["b4.jpg"], *BELOW]
    found = json.loads(imgorder("sort", "-r", "--json", "--model", "path", tree).stdout)["sets"]
    assert (found[0]["order"], found[0]["direction"], found[0]["given"]) == (order, "given", order)
    (tree / "a1.jpg").rename(tree / "other.jpg")
    assert ["b1.jpg", "other.jpg", "a10.jpg"] in grouped(tree)
    assert decided.read_bytes() == content
    imgorder("decide", "--forget", *(tree / name for name in ("b1.jpg", "other.jpg", "a10.jpg", "a2.jpg")))
    assert not decided.exists()
    again = imgorder("decide", "--forget", tree / "a2.jpg")
    assert again.stdout == f"{decided}: nothing was decided of 1 photo\n"
    assert "no such folder" in imgorder("decide", "--forget", tree / "nowhere" / "a.jpg", code=2).stderr
    imgorder("decide", tree / "other.jpg", tree / "b1.jpg")
    imgorder("decide", "--forget", tree / "b1.jpg")
    assert not decided.exists()  # nobody said that the other one stands alone
    decided.write_text('{"version": 1, "scenes": [{"photos": ["b1.jpg", "b2.jpg"]}]}')  # by hand
    assert ["b1.jpg", "b2.jpg"] in grouped(tree)
    decided.write_text("{")
    assert grouped(tree, code=1) == BELOW  # one folder does not stop the others


def test_a_decision_stays_with_its_photos_where_they_change_names_among_them(tmp_path: Path) -> None:
    save(tmp_path, {f"{index}.jpg": pixels for index, pixels in enumerate(scene(1, 4), 1)})
    imgorder("decide", "--ordered", *(tmp_path / name for name in ("2.jpg", "3.jpg", "1.jpg")))
    imgorder("decide", "--alone", tmp_path / "4.jpg")
    imgorder("rename", "-r", "--apply", "--template", "{index}{ext}", tmp_path)
    assert grouped(tmp_path) == [["1.jpg", "2.jpg", "3.jpg"], ["4.jpg"]]
    (tmp_path / "2.jpg").unlink()  # called 3.jpg in the decision, as another photo is now
    imgorder("decide", "--forget", tmp_path / "4.jpg")
    (tmp_path / "3.jpg").write_bytes((tmp_path / "4.jpg").read_bytes())  # changed, and known by no more than its name
    imgorder("decide", "--forget", tmp_path / "3.jpg")
    assert not (tmp_path / "imgorder-decisions.json").exists()  # 1.jpg alone is left of the scene


@pytest.mark.parametrize("photos", ['"1.jpg"', "1", "{}", "[]"])
def test_decisions_without_a_list_of_photos_are_refused(tmp_path: Path, photos: str) -> None:
    save(tmp_path, {"1.jpg": scene(1, 1)[0]})
    (tmp_path / "imgorder-decisions.json").write_text(f'{{"version": 1, "scenes": [{{"photos": {photos}}}]}}')
    assert "not decisions of imgorder" in imgorder("group", tmp_path, code=1).stderr


def test_a_photo_that_is_given_twice_is_not_decided_on(tree: Path) -> None:
    assert "given twice" in imgorder("decide", tree / "a1.jpg", tree / "a2.jpg", tree / "a1.jpg", code=2).stderr
    assert not (tree / "imgorder-decisions.json").exists()


def test_a_decision_on_an_edit_is_one_on_its_photo(tmp_path: Path) -> None:
    photos = dict(zip(("IMG_0001.JPG", "IMG_0002.JPG", "IMG_0003.JPG"), scene(1, 3), strict=True))
    save(tmp_path, {**photos, "IMG_E0002.JPG": photos["IMG_0002.JPG"] // 2})
    imgorder("decide", "--ordered", *(tmp_path / name for name in ("IMG_E0002.JPG", "IMG_0001.JPG", "IMG_0002.JPG")))
    assert grouped(tmp_path) == [["IMG_0002.JPG", "IMG_0001.JPG"], ["IMG_0003.JPG"]]


def test_what_is_no_photo_is_not_decided_on(tree: Path) -> None:
    assert "notes.txt: no photo" in imgorder("decide", tree / "notes.txt", tree / "a1.jpg", code=2).stderr
    assert not (tree / "imgorder-decisions.json").exists()


def test_decisions_that_cannot_be_removed_are_told_in_a_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imgorder("decide", "--alone", tree / "a1.jpg")

    def refuse_removal(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse_removal)
    line = imgorder("decide", "--forget", tree / "a1.jpg", code=1).stderr
    assert "imgorder-decisions.json: cannot be removed (Permission denied)" in line


def test_the_cache_is_told_and_emptied(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGORDER_CACHE", str(tmp_path / "cache"))
    grouped(tree)
    assert "2 files" in imgorder("cache", "info").stdout
    assert "2 files removed" in imgorder("cache", "clear").stdout
    assert not (tmp_path / "cache").exists()
    assert grouped(tree) == SCENES + BELOW


def test_a_cache_that_cannot_be_written_costs_only_the_next_run(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMGORDER_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = imgorder("group", tree, "--json")
    assert len(json.loads(found.stdout)["scenes"]) == len(SCENES + BELOW)
    assert found.stderr.count("cannot be written, so the next run reads all photos again") == 1
    assert not list((tmp_path / "temporary").iterdir())
