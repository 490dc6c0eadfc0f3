from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
import weakref
from dataclasses import fields, replace
from itertools import combinations, permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.datasets.manifest import Manifest, SetEntry, write_manifest
from imgorder.evaluation.measure import Row, measure_all
from imgorder.evaluation.metrics import (
    adjacency,
    bootstrap_interval,
    expected_calibration_error,
    kendall_tau,
    right_places,
)
from imgorder.evaluation.sets import DavisWindows, TimedSet, davis_tensors, draw_listings, windows
from imgorder.evaluation.tables import cell
from imgorder.inference.predictor import Network, OrderingModel, load_model
from imgorder.media.preprocess import DEFAULT, Preprocessing, preprocess, preprocess_set
from imgorder.ordering import place_probabilities
from imgorder.permutations import permutation_classes
from tests.conftest import ROOT, is_one_error, load_script
from tests.stand_in import StandIn

LARGE = Preprocessing(144, 144)


def evaluate(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in DAVIS's layout: a square that slides, and noise that has no order."""
    root = tmp_path_factory.mktemp("davis")
    rng = np.random.default_rng(0)
    for name, frames in (("slide", 12), ("noise", 9)):
        folder = root / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for index in range(frames):
            pixels = np.full((136, 240, 3), 90, np.uint8)
            if name == "slide":
                pixels[40:90, 70 + 6 * index : 110 + 6 * index] = (200, 180, 20)
            else:
                pixels = rng.integers(0, 256, pixels.shape, np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:05d}.jpg", quality=95)
    return root


def test_windows_are_all_starts_of_all_sequences(davis: Path) -> None:
    sequences = davis_tensors(davis)
    assert sequences["slide"].shape == (12, 3, 112, 112)
    sets = list(windows(sequences, 4, 2))
    assert [each.video for each in sets] == ["noise"] * 3 + ["slide"] * 6
    assert np.array_equal(sets[4].tensors, sequences["slide"][[1, 3, 5, 7]])
    assert list(windows(sequences, 6, 3)) == []


def test_with_a_stride_windows_begin_at_every_so_many_frames(davis: Path) -> None:
    sequences = davis_tensors(davis)
    sets = list(windows(sequences, 4, 2, stride=4))
    assert [each.video for each in sets] == ["noise", "slide", "slide"]
    assert np.array_equal(sets[2].tensors, sequences["slide"][[4, 6, 8, 10]])


def test_a_stride_is_named_with_the_data_and_shows_all_listings_of_fewer_sets(davis: Path) -> None:
    options = ("--spacing", 2, "--model", "path", "--permutations", "all", "--json")
    (every,), (some,) = (json.loads(evaluate(davis, *options, "--stride", stride).stdout)["rows"] for stride in (1, 4))
    assert (every["dataset"], every["sets"], every["permutations"]) == ("davis-2", 9, 24)
    assert (some["dataset"], some["sets"], some["permutations"]) == ("davis-2, stride 4", 3, 24)


def test_exact_match_is_what_five_plain_lines_count(davis: Path) -> None:
    sequences = davis_tensors(davis)
    (measured,) = measure_all([load_model("path")], "made", windows(sequences, 4, 2), 4, 2)
    hits = plain_count(sequences, 2)
    row = measured.row
    assert row.sets == 6 + 3
    assert row.accuracy == pytest.approx(100 * np.mean(hits["noise"] + hits["slide"]), abs=0.01)
    assert measured.videos == pytest.approx({name: 100 * np.mean(each) for name, each in hits.items()}, abs=0.01)
    assert 0 < row.accuracy < 100  # the slide is easy, the noise is not
    assert row.accuracy_low <= row.accuracy <= row.accuracy_high
    assert row.chance == pytest.approx(100 / 12, abs=0.01)


def test_davis_has_the_frames_that_a_listing_shows(davis: Path, tmp_path: Path) -> None:
    copy = tmp_path / "davis"
    shutil.copytree(davis, copy)
    folder = copy / "JPEGImages" / "480p"
    (folder / "slide" / "._00000.jpg").write_bytes(b"what a Mac leaves on a stick")
    (folder / "slide" / "00003.jpg").rename(folder / "slide" / "00003.JPG")
    (folder / "empty").mkdir()
    found = davis_tensors(copy)
    assert {name: len(frames) for name, frames in found.items()} == {"noise": 9, "slide": 12}
    assert np.array_equal(found["slide"], davis_tensors(davis)["slide"])


def plain_count(sequences: dict[str, np.ndarray], spacing: int) -> dict[str, list[bool]]:
    """Whether the shortest path is right, for each window of four frames of each sequence."""
    std = np.array([0.229, 0.224, 0.225])[:, None, None]
    hits: dict[str, list[bool]] = {name: [] for name in sequences}
    for name, frames in sequences.items():
        for start in range(len(frames) - 3 * spacing):
            window = frames[start : start + 3 * spacing + 1 : spacing]
            small = (window * std).reshape(4, 3, 14, 8, 14, 8).mean((3, 5)).reshape(4, -1)
            d = np.linalg.norm(small[:, None] - small, axis=-1)
            best = min(permutation_classes(4), key=lambda o: d[o[0], o[1]] + d[o[1], o[2]] + d[o[2], o[3]])
            hits[name].append(best == (0, 1, 2, 3))
    return hits


@pytest.mark.skipif("IMGORDER_DAVIS" not in os.environ, reason="IMGORDER_DAVIS names no DAVIS folder")
@pytest.mark.parametrize("spacing", [1, 4, 8])
def test_exact_match_on_davis_is_what_five_plain_lines_count(spacing: int) -> None:
    root = Path(os.environ["IMGORDER_DAVIS"])
    result = evaluate(root, "--model", "path", "--spacing", str(spacing), "--json")
    (row,) = json.loads(result.stdout)["rows"]
    hits = [hit for each in plain_count(davis_tensors(root), spacing).values() for hit in each]
    assert row["sets"] == len(hits)
    # Two paths of equal length to the last bit may go either way.
    assert row["accuracy"] == pytest.approx(100 * np.mean(hits), abs=0.3)


class Positional(StandIn):
    """A stand-in network that always answers the class of the listing as it is."""

    name = "positional"

    def logits(self, tensors: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(tensors), 12), np.float32)
        logits[:, 0] = 5.0
        return logits


def test_a_model_that_looks_at_the_listing_only_is_right_in_two_listings_of_24(davis: Path) -> None:
    blind = replace(load_model("path"), networks={4: Network(Positional())})
    (measured,) = measure_all([blind], "made", windows(davis_tensors(davis), 4, 2), 4, 2, permutations=None)
    assert measured.row.permutations == 24
    assert measured.row.accuracy == pytest.approx(100 / 12, abs=0.01)
    assert measured.row.accuracy == pytest.approx(measured.row.chance, abs=0.01)


def test_listings_are_drawn_by_seed_or_are_all() -> None:
    assert sorted(draw_listings(4, None, (0, 0))) == sorted(permutations(range(4)))
    assert draw_listings(5, 3, (1, 2)) == draw_listings(5, 3, (1, 2))
    assert len({*draw_listings(5, 50, (0, 0))}) > 20


def test_rank_correlation_and_neighbours_are_up_to_reversal() -> None:
    assert kendall_tau((0, 1, 2, 3)) == kendall_tau((3, 2, 1, 0)) == 1
    assert kendall_tau((1, 0, 2, 3)) == pytest.approx(2 * 5 / 6 - 1)
    assert adjacency((3, 2, 1, 0)) == 1
    assert adjacency((1, 0, 2, 3)) == pytest.approx(2 / 3)
    assert adjacency((1, 3, 0, 2)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_what_counting_pairs_gives(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(3 + 20 * seed).tolist()
    pairs = list(combinations(order, 2))
    rising = sum(a < b for a, b in pairs) / len(pairs)
    assert kendall_tau(order) == pytest.approx(max(rising, 1 - rising) * 2 - 1)


def test_rank_correlation_of_500_photos_takes_no_time() -> None:
    order = np.random.default_rng(0).permutation(500).tolist()
    start = time.perf_counter()
    for _ in range(10):
        kendall_tau(order)
    assert time.perf_counter() - start < 1  # counted pair by pair it would be several


def test_a_place_is_right_where_nothing_is_missing_or_swapped() -> None:
    assert right_places((0, 1, 2, 3)).tolist() == right_places((3, 2, 1, 0)).tolist() == [1, 1, 1]
    assert right_places((0, 1, 3, 4, 2, 5)).tolist() == [1, 0, 1, 0, 0]
    # The last two are neighbours, but the wrong way round in an order that rises, and so are the first in one that
    # falls.
    assert right_places((0, 1, 2, 4, 3)).tolist() == [1, 1, 0, 0]
    assert right_places((3, 4, 2, 1, 0)).tolist() == [0, 0, 1, 1]
    # Of many photos, a long part that is turned round is wrong at and beside its two ends.
    turned = [*range(10), *range(19, 9, -1), *range(20, 30)]
    assert np.flatnonzero(right_places(turned) == 0).tolist() == [9, 10, 18, 19]
    # Neither direction has more pairs: three agree with each.
    assert right_places((1, 2, 3, 0)).tolist() == [0.5, 0.5, 0]
    assert right_places((2, 3, 0, 1)).tolist() == [0, 0, 0]


def test_calibration_error() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert expected_calibration_error(np.full(10, 0.8), right) == pytest.approx(0)
    mixed = np.array([True, False, False, False])
    assert expected_calibration_error(np.array([1.0, 1.0, 0.2, 0.2]), mixed) == pytest.approx(0.35)


def test_the_interval_is_over_videos_not_over_sets() -> None:
    hits = np.repeat([1.0, 1.0, 0.0, 1.0], 100)
    low, high = bootstrap_interval(hits, np.repeat([0, 1, 2, 3], 100))
    assert low <= 0.5 < 0.9 < high  # four videos: hardly known
    low, high = bootstrap_interval(hits, np.arange(400))
    assert 0.7 < low < 0.75 < high < 0.8
    assert bootstrap_interval(hits, np.zeros(400, int)) == (0.0, 1.0)  # one source: nothing is known


def test_sets_of_any_length_and_whole_sequences_are_measured(davis: Path) -> None:
    options = ("--model", "path", "--spacing", "1,2", "--json")
    document = json.loads(evaluate(davis, "--seq-len", "4,9,all", *options).stdout)
    rows = document["rows"]
    assert [(row["seq_len"], row["spacing"], row["sets"]) for row in rows] == [
        (4, 1, 9 + 6),
        (4, 2, 6 + 3),
        (9, 1, 4 + 1),
        (None, 1, 2),
        (None, 2, 2),
    ]
    found = {(row["seq_len"], row["spacing"]): row for row in rows}
    assert found[9, 1]["chance"] == found[None, 1]["chance"] == 0
    assert found[None, 2]["chance"] == pytest.approx(100 * np.mean([2 / factorial(5), 2 / factorial(6)]), abs=0.01)
    assert all(document["videos"][index]["accuracy"]["slide"] == 100 for index in (2, 3, 4))
    assert found[9, 1]["accuracy"] == 80  # but of noise nobody knows the order
    assert 0.8 < found[9, 1]["kendall_tau"] < 1
    assert 0.8 < found[9, 1]["adjacency"] < 1
    assert all(0 <= row["place_ece"] <= 1 for row in [*rows, *document["pooled"]])
    table = evaluate(davis, "--seq-len", "all", "--model", "path", "--spacing", "2").stdout
    assert "| davis-2 | all | 2 | path | " in table


def test_places_are_calibrated_where_they_are_right_as_often_as_they_say(davis: Path) -> None:
    sure, sets = np.exp(5) / (np.exp(5) + 11), list(windows(davis_tensors(davis), 4, 2))
    blind = replace(load_model("path"), networks={4: Network(Positional())})
    (measured,) = measure_all([blind], "made", sets, 4, 2, permutations=None)
    listed = list(permutations(range(4)))
    right = np.mean([right_places(listing) for listing in listed])
    # As often as the answer's class is right, and a share of the eleven others, a place is: all have the same one.
    says = place_probabilities((0, 1, 2, 3), np.where(np.arange(12), (1 - sure) / 11, sure))
    assert measured.row.place_ece == pytest.approx(np.mean(says) - right, abs=1e-4)
    assert measured.answers.places.shape == (len(sets) * 24 * 3, 2)


def test_photos_are_told_apart_by_kind_and_pooled(davis: Path, tmp_path: Path) -> None:
    slide, noise = (f"JPEGImages/480p/{name}" for name in ("slide", "noise"))
    sets = [
        SetEntry(slide, tuple(range(12)), "test", "s", 0.5, kind="moved | by hand"),
        SetEntry(slide, (0, 4, 8, 11), "test", "t", 0.0, kind="moved | by hand"),
        SetEntry(noise, tuple(range(9)), "test", "n", 0.0, kind="still"),
        SetEntry(slide, (11, 6, 2), "test", "u", 3.0),
    ]
    write_manifest(Manifest("photos", davis, None, 0, tuple(sets)), tmp_path / "m.jsonl")
    document = json.loads(evaluate(tmp_path / "m.jsonl", "--model", "path", "--json").stdout)
    rows = [(row["kind"], row["spacing"], row["sets"], row["accuracy"]) for row in document["rows"]]
    assert rows == [(None, 3.0, 1, 100.0), ("moved | by hand", 0.5, 2, 100.0), ("still", 0.0, 1, 0.0)]
    (pooled,) = document["pooled"]
    assert (pooled["seq_len"], pooled["sets"], pooled["accuracy"]) == (None, 4, 75.0)
    assert {video["kind"] for video in document["videos"]} == {None, "still", "moved | by hand"}
    table = evaluate(tmp_path / "m.jsonl", "--model", "path").stdout
    assert "| photos | moved \\| by hand | all | 0.5 | path | 100.0 (" in table
    assert "| photos | still | all | – | path | 0.0 (" in table


def test_the_command_compares_models_with_the_baseline(davis: Path) -> None:
    options = ("--seq-len", 4, "--seq-len", 3, "--spacing", "1,2", "--json")
    result = evaluate(davis, "--model", "tridab-s", *options)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["version"] == 1
    rows = document["rows"]
    found = {(row["model"], row["seq_len"], row["spacing"]) for row in rows}
    assert found == {(m, n, s) for m in ("path", "tridab-s") for n in (3, 4) for s in (1, 2)}
    stable = (
        "model dataset seq_len spacing sets permutations accuracy accuracy_low accuracy_high kendall_tau ece chance"
    )
    assert set(stable.split()) <= set(rows[0])
    assert {row["dataset"] for row in rows} == {"davis-2"}
    assert set(document["videos"][0]["accuracy"]) == {"slide", "noise"}
    assert json.loads(evaluate(davis, "--model", "tridab-s", *options).stdout) == document


def test_tables_for_people_and_spreadsheets(davis: Path) -> None:
    table = evaluate(davis, "--model", "path", "--spacing", "2", "--per-video").stdout
    assert table.startswith("| data | n | spacing | model | exact match (95 %) |")
    assert "| slide | 4 | 2 | path | 100.0 |" in table
    (row,) = csv.DictReader(io.StringIO(evaluate(davis, "--model", "path", "--spacing", "2", "--csv").stdout))
    assert (row["model"], row["sets"]) == ("path", "9")


def test_photos_of_uneven_times_are_one_case(davis: Path, tmp_path: Path) -> None:
    folder = "JPEGImages/480p/slide"
    sets = [SetEntry(folder, (0, 2, 4), "test", "a", 0.4), SetEntry(folder, (1, 4, 9), "test", "b", 1.3)]
    write_manifest(Manifest("photos", davis, 3, 0, tuple(sets)), tmp_path / "m.jsonl")
    (row,) = json.loads(evaluate(tmp_path / "m.jsonl", "--model", "path", "--json").stdout)["rows"]
    assert (row["sets"], row["spacing"]) == (2, 0.85)


class Seeing(StandIn):
    """A stand-in network that keeps what it is shown, and is as sure of one class as of any set."""

    name = "seeing"

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def logits(self, tensors: np.ndarray) -> np.ndarray:
        self.shown += list(tensors)
        return Positional().logits(tensors)


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> dict[str, OrderingModel]:
    """Models that `evaluate` finds by name: two want photos as usual, one larger and uncropped."""
    specs = {"path": DEFAULT, "usual": DEFAULT, "large": LARGE}
    models = {name: OrderingModel(name, "seeing", (4,), spec, {4: Network(Seeing())}) for name, spec in specs.items()}
    monkeypatch.setattr("imgorder.evaluation.evaluate.load_model", lambda name, *rest: models[name])
    return models


def listings(model: OrderingModel, frames: list[Path]) -> list[list[int]]:
    """For each set that a model was shown: which frames, in the order in which they were shown."""
    known = {preprocess(file, model.preprocessing).tobytes(): index for index, file in enumerate(frames)}
    seeing = model.networks[4].backend
    return [[known[image.tobytes()] for image in images] for images in seeing.shown]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["davis", "manifest"])
def test_models_that_want_other_photos_see_the_same_sets_in_the_same_listings(
    davis: Path, tmp_path: Path, seeing: dict[str, OrderingModel], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = davis / "JPEGImages" / "480p"
    frames = [*sorted((folder / "noise").iterdir()), *sorted((folder / "slide").iterdir())]
    data, sets, reads = davis, 2 * (6 + 9) - 6, 2  # frames are read once for each preprocessing
    if kind == "manifest":
        entries = [
            SetEntry("JPEGImages/480p/slide", (i, i + s, i + 2 * s, i + 3 * s), "test", "slide", float(s))
            for i in range(3)
            for s in (1, 2)
        ]
        data, sets, reads = tmp_path / "m.jsonl", 6, 2 * 6  # and sets as well
        write_manifest(Manifest("made", davis, 4, 0, tuple(entries)), data)
    read = []
    where = "sets.davis_tensors" if kind == "davis" else "evaluate.preprocess_set"
    real = davis_tensors if kind == "davis" else preprocess_set
    counted = lambda what, spec: read.append(spec) or real(what, spec)  # noqa: E731
    monkeypatch.setattr(f"imgorder.evaluation.{where}", counted)
    rows = json.loads(evaluate(data, "--model", "large", "--model", "usual", "--spacing", "1,2", "--json").stdout)[
        "rows"
    ]
    assert [(row["spacing"], row["model"]) for row in rows] == [
        (s, m) for s in (1, 2) for m in ("path", "large", "usual")
    ]
    assert read == [DEFAULT] * (reads // 2) + [LARGE] * (reads // 2)
    seen = {name: listings(model, frames) for name, model in seeing.items()}
    assert seen["path"] == seen["usual"] == seen["large"]
    assert len(seen["path"]) == sets == sum(row["sets"] for row in rows if row["model"] == "large")
    assert len({row["accuracy"] for row in rows if row["spacing"] == 1}) == 1


def test_frames_for_one_preprocessing_are_gone_before_there_are_those_for_the_next(
    davis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = DavisWindows(davis)
    first = weakref.ref(next(iter(kept.sets(4, 1, DEFAULT))).tensors.base)
    assert first() is not None

    def read(root: Path, spec: Preprocessing) -> dict[str, np.ndarray]:
        assert first() is None
        return davis_tensors(root, spec)

    monkeypatch.setattr("imgorder.evaluation.sets.davis_tensors", read)
    assert next(iter(kept.sets(4, 2, LARGE))).tensors.shape == (4, 3, 144, 144)


def test_pooled_figures_are_over_all_sets_of_all_spacings(davis: Path, seeing: dict[str, OrderingModel]) -> None:
    document = json.loads(evaluate(davis, "--model", "large", "--spacing", "1-3", "--json").stdout)
    rows = [row for row in document["rows"] if row["model"] == "large"]
    assert [row["model"] for row in document["pooled"]] == ["path", "large"]
    pooled = document["pooled"][1]
    frames = sorted((davis / "JPEGImages" / "480p").rglob("*.jpg"))
    hits: dict[str, list[bool]] = {"noise": [], "slide": []}
    for listing in listings(seeing["large"], frames):
        video = frames[listing[0]].parent.name
        hits[video].append(listing in (sorted(listing), sorted(listing, reverse=True)))
    every = hits["noise"] + hits["slide"]
    assert (pooled["sets"], pooled["spacings"]) == (len(every), [1, 2, 3])
    assert pooled["sets"] == sum(row["sets"] for row in rows)
    assert pooled["accuracy"] == pytest.approx(100 * np.mean(every), abs=0.01)
    # Of two videos each is drawn twice, and alone, in a quarter of the draws: far more than 2.5 %.
    ends = sorted(100 * np.mean(each) for each in hits.values())
    assert [pooled["accuracy_low"], pooled["accuracy_high"]] == pytest.approx(ends, abs=0.01)
    sure = np.exp(5) / (np.exp(5) + 11)  # of every answer
    assert pooled["ece"] == pytest.approx(abs(sure - np.mean(every)), abs=1e-4)
    assert pooled["confidence"] == pytest.approx(100 * sure, abs=0.01)
    assert set(document["rows"][0]) == {field.name for field in fields(Row)}


def test_pooled_figures_are_told_to_people_where_they_ask(davis: Path) -> None:
    options = (davis, "--model", "path", "--spacing", "1,2", "--seq-len", "3,4")
    plain = evaluate(*options).stdout
    asked = evaluate(*options, "--pooled").stdout
    assert asked.startswith(plain.rstrip("\n"))
    assert "| data | n | spacings | model |" not in plain
    lines = asked[len(plain) :].strip().splitlines()
    assert [line.split(" | ")[:4] for line in lines[2:]] == [["| davis-2", n, "1, 2", "path"] for n in ("3", "4")]


def test_names_from_anywhere_are_one_cell_of_a_table() -> None:
    assert cell("a|b\n\x1b[31m") == "a\\|b\\n\\x1b[31m"


def test_files_of_one_name_are_told_apart_by_their_folders(davis: Path, tmp_path: Path) -> None:
    files = [tmp_path / folder / "same.jsonl" for folder in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        sets = (SetEntry("JPEGImages/480p/slide", (0, 1, 2), "test", "g", 1.0),)
        write_manifest(Manifest("clips", davis, 3, 0, sets), file)
    found = json.loads(evaluate(*files, "--model", "path", "--json").stdout)
    names = ["clips (one/same.jsonl)", "clips (two/same.jsonl)"]
    for part in ("rows", "pooled", "videos"):
        assert [row["dataset"] for row in found[part]] == names
    table = evaluate(*files, "--model", "path").stdout
    assert all(table.count(name) == 1 for name in names)


def test_data_of_one_name_from_two_places_are_not_pooled(davis: Path, tmp_path: Path) -> None:
    files = []
    for name, video, steps in (("one", "slide", (1, 2)), ("two", "noise", (1,))):
        folder = f"JPEGImages/480p/{video}"
        # Both call their only group g: as one group they would leave the bootstrap nothing to draw from.
        sets = [SetEntry(folder, (i, i + s, i + 2 * s), "test", "g", float(s)) for s in steps for i in range(3)]
        files.append(tmp_path / f"{name}.jsonl")
        write_manifest(Manifest("clips", davis, 3, 0, tuple(sets)), files[-1])
    pooled = json.loads(evaluate(*files, "--model", "path", "--json").stdout)["pooled"]
    assert [(row["dataset"], row["spacings"], row["sets"]) for row in pooled] == [
        ("clips (one.jsonl)", [1.0, 2.0], 6),
        ("clips (two.jsonl)", [1.0], 3),
    ]
    assert pooled[0]["accuracy"] == 100.0
    assert [row["dataset"] for row in json.loads(evaluate(files[0], "--json").stdout)["pooled"]] == ["clips"] * 2


@pytest.mark.parametrize("other", ["same", "link"])
def test_data_that_is_given_twice_is_refused(davis: Path, tmp_path: Path, other: str) -> None:
    (tmp_path / "link").symlink_to(davis)
    twin = davis if other == "same" else tmp_path / "link"
    result = evaluate(davis, twin, "--model", "path", "--spacing", "2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert is_one_error(result.stderr, f"{twin}: ", "name it once")


def test_a_split_that_is_not_there_is_named_with_those_that_are(davis: Path, tmp_path: Path) -> None:
    sets = (SetEntry("JPEGImages/480p/slide", (0, 1, 2), "train", "slide", 1.0),)
    write_manifest(Manifest("made", davis, 3, 0, sets), tmp_path / "m.jsonl")
    result = evaluate(tmp_path / "m.jsonl", "--model", "path")
    assert result.exit_code == 1
    assert "m.jsonl: has no test split; it has train, to be named with --split" in result.stderr


def test_models_are_named_apart_or_refused(davis: Path) -> None:
    twice = evaluate(davis, "--model", "default", "--model", "tridab-s", "--spacing", "1", "--json")
    assert [row["model"] for row in json.loads(twice.stdout)["rows"]] == ["path", "tridab-s"]
    file = ROOT / "models" / "tridab-s.onnx"
    refused = evaluate(davis, "--model", "default", "--model", file, "--spacing", "1")
    assert refused.exit_code == 1
    assert "both are called tridab-s" in refused.stderr


def test_a_manifest_is_evaluated_by_its_split(davis: Path, tmp_path: Path) -> None:
    folder = "JPEGImages/480p/slide"
    sets = [
        SetEntry(folder, (0, 2, 4, 6), "test", "slide", 2.0),
        SetEntry(folder, (9, 6, 3, 0), "test", "slide", 3.0),
        SetEntry(folder, (1, 2, 3, 4), "train", "slide", 1.0),
    ]
    write_manifest(Manifest("made", davis, 4, 0, tuple(sets)), tmp_path / "m.jsonl")
    rows = json.loads(evaluate(tmp_path / "m.jsonl", "--model", "path", "--json").stdout)["rows"]
    assert [(row["spacing"], row["sets"], row["accuracy"]) for row in rows] == [(2.0, 1, 100.0), (3.0, 1, 100.0)]
    assert evaluate(tmp_path / "m.jsonl", "--model", "path", "--split", "validation").exit_code == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--spacing", "x"), 2),
        (("--spacing", "0"), 2),
        (("--permutations", "none"), 2),
        (("--permutations", "9" * 5000), 2),
        (("--json", "--csv"), 2),
        (("--pooled", "--csv"), 2),
        (("--per-video", "--csv"), 2),
        (("--seq-len", "2"), 2),
        (("--seq-len", "every"), 2),
        (("--seq-len", "9", "--permutations", "all"), 2),
        (("--seq-len", "all", "--permutations", "all"), 2),
        (("--spacing", "50"), 1),
        (("--model", "nothing"), 1),
    ],
)
def test_what_does_not_fit_is_one_line(davis: Path, options: tuple[str, ...], code: int) -> None:
    result = evaluate(davis, *options)
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_data_that_is_none(tmp_path: Path) -> None:
    assert "neither a manifest nor the root of DAVIS" in evaluate(tmp_path).stderr
    (tmp_path / "broken.jsonl").write_text("{}\n")
    assert "line 1 is not of a manifest" in evaluate(tmp_path / "broken.jsonl").stderr
    assert "gone.jsonl: cannot be read (No such file" in evaluate(tmp_path / "gone.jsonl").stderr


def test_documents_are_filled_from_results(davis: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(evaluate(davis, "--model", "tridab-s", "--spacing", "1-2", "--json").stdout)
    update = load_script(ROOT / "docs" / "update.py")
    rows = update.read_results(tmp_path / "results.json")
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- accuracy:begin -->\nold\n<!-- accuracy:end -->\nafter\n")
    text = update.fill_place(document, "accuracy", update.accuracy_table(rows))
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    cells = " | ".join(f"{row.accuracy:.1f}" for row in rows if row.model == "path")
    assert f"| 4 | path | {cells} |" in text
    assert "paper, Table V" in text
    assert "| 4 | chance | 8.3 | 8.3 |" in text
    assert "paper" not in update.accuracy_table(rows, with_paper=False)
    with pytest.raises(ValueError, match="no place marked"):
        update.fill_place(document, "elsewhere", "x")


def test_nothing_to_measure_is_none() -> None:
    nothing: list[TimedSet] = []
    assert measure_all([load_model("path")], "made", nothing, 4, 1) == []
