"""The conditions, facts and answers of the benchmarks of robustness and failures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imgorder.inference import cards as registry
from imgorder.inference.hub.model_card import make_readme
from imgorder.inference.predictor import load_model
from imgorder.media.preprocess import preprocess, preprocess_set
from tests.conftest import ROOT, load_script

Pixels = npt.NDArray[np.uint8]


def _module(name: str) -> ModuleType:
    """A module of the benchmarks; those that it imports are loaded before, as they lie in no package."""
    return sys.modules.get(name) or load_script(ROOT / "benchmarks" / f"{name}.py")


conditions, answers, facts = (_module(name) for name in ("conditions", "answers", "facts"))


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def frames(scene: list[Image.Image]) -> list[Pixels]:
    return [np.asarray(image) for image in scene]


def _condition(name: str):  # type: ignore[no-untyped-def]
    return next(each for each in conditions.CONDITIONS if each.name == name)


def test_plain_changes_nothing(frames: list[Pixels]) -> None:
    plain = conditions.PLAIN
    assert plain.places(_rng(), 4, 3) == (0, 3, 6, 9)
    assert all(a is b for a, b in zip(plain.photos(_rng(), frames), frames, strict=True))
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    assert (conditions.exposed(every, [0.0, 0.0, 0.0]) == every).all()


@pytest.mark.parametrize(("n", "spacing"), [(4, 2), (6, 2), (4, 8), (6, 8)])
def test_uneven_gaps_keep_their_mean_and_differ_within_the_factor(n: int, spacing: int) -> None:
    rng = _rng()
    drawn = [_condition("uneven").places(rng, n, spacing) for _ in range(50)]
    for places in drawn:
        gaps = np.diff(places)
        assert (places[0], gaps.mean(), len(places)) == (0, spacing, n)
        assert 1 <= gaps.min() < gaps.max() <= conditions.MOST_UNEVEN * gaps.min()
    assert len(set(drawn)) > 1


def test_frames_side_by_side_leave_no_gaps_to_draw() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        conditions.uneven_places(_rng(), 4, 1)


@pytest.mark.parametrize(
    ("name", "size"),
    [("portrait 3:4", (225, 300)), ("portrait 9:16", (169, 300)), ("landscape 16:9", (400, 225))],
)
def test_crops_have_their_shape_and_the_middle(name: str, size: tuple[int, int], frames: list[Pixels]) -> None:
    condition = _condition(name)
    crop = condition.photos(_rng(), frames[:1])[0]
    assert crop.shape[1::-1] == size
    left, top = (400 - size[0]) // 2, (300 - size[1]) // 2
    assert (crop == frames[0][top : top + size[1], left : left + size[0]]).all()
    assert condition.applies(frames[0])
    assert not condition.applies(crop)
    # The network sees another part of the photo, or the same one in another scale.
    assert np.abs(preprocess(crop) - preprocess(frames[0])).mean() > 0.01 or name == "landscape 16:9"


def test_exposure_is_a_factor_on_light_of_half_a_stop_at_most() -> None:
    grey = np.full((2, 2, 3), 118, np.uint8)
    assert abs(int(conditions.exposed(grey, [1.0] * 3)[0, 0, 0]) - 161) <= 1  # 0.181 of the light, and 0.362
    rng = _rng()
    drawn = [conditions._LINEAR[_condition("exposure").change(rng, grey)[0, 0, 0]] for _ in range(200)]
    ratios = np.log2(np.array(drawn) / conditions._LINEAR[118])
    assert np.abs(ratios).max() <= conditions.EXPOSURE + 0.02
    assert ratios.min() < -0.4 < 0.4 < ratios.max()


def test_white_balance_moves_red_against_blue_and_leaves_green() -> None:
    grey = np.full((1, 1, 3), 118, np.uint8)
    rng = _rng()
    for _ in range(20):
        red, green, blue = _condition("white balance").change(rng, grey)[0, 0].astype(int)
        assert green == 118
        assert (red - 118) * (blue - 118) <= 0


def test_pixels_change_as_each_condition_says(frames: list[Pixels]) -> None:
    frame = frames[0].astype(np.float32)

    def detail(image: Pixels) -> float:
        return float(np.abs(np.diff(image.astype(np.float32), axis=1)).mean())

    for condition in conditions.CONDITIONS:
        if condition.crop or condition.uneven or condition.second or condition is conditions.PLAIN:
            continue
        one, again = (condition.photos(_rng(), frames[:2]) for _ in range(2))
        assert all((a == b).all() for a, b in zip(one, again, strict=True)), condition.name
        assert one[0].shape == frames[0].shape
        assert one[0].dtype == np.uint8
        assert not (one[0] == frames[0]).all(), condition.name
    assert detail(_condition("blur").change(_rng(), frames[0])) < 0.7 * detail(frames[0])
    dark = _condition("low light").change(_rng(), frames[0])
    assert dark.mean() < 0.75 * frame.mean()
    noise = dark.astype(np.float32) - conditions.exposed(frames[0], [-conditions.DARKER] * 3)
    assert 5 < noise.std() < 40
    jpeg = _condition("JPEG 30").change(_rng(), frames[0])
    assert 0 < np.abs(jpeg - frame).mean() < 10


def test_of_two_cameras_each_takes_half_and_is_always_the_same_one(frames: list[Pixels]) -> None:
    two = _condition("two cameras")
    grey = np.full((240, 427, 3), 118, np.uint8)
    marked = [grey.copy() for _ in range(4)]
    for at, each in enumerate(marked):
        each[100:140, 200:220] = 20 * at
    whose = set()
    for seed in range(12):
        photos = two.photos(np.random.default_rng(seed), marked)
        second = [photo.shape != grey.shape for photo in photos]
        whose.add(tuple(second))
        assert sum(second) == 2
        colours = {tuple(photo[0, 0]) for photo, other in zip(photos, second, strict=True) if other}
        assert len(colours) == 1 != len({*colours, tuple(grey[0, 0])})
        first = [at for at, other in enumerate(second) if not other]
        assert all((photos[at] == marked[at]).all() for at in first)
        # The same place of the scene is at the same place of both, near to where the first camera has it.
        middle = [
            np.argwhere(np.abs(photo[..., 1].astype(int) - int(photo[0, 0, 1])) > 15).mean(0) / photo.shape[0] * 240
            for photo, other in zip(photos, second, strict=True)
            if other
        ]
        assert np.abs(middle[0] - middle[1]).max() < 2
        assert 3 < np.abs(middle[0] - [119.5, 209.5]).max() < 40
    assert len(whose) > 3


def test_a_shaken_camera_moves_little_and_sees_no_border() -> None:
    rng = _rng()
    white = np.full((240, 427, 3), 255, np.uint8)
    dot = np.zeros((240, 427, 3), np.uint8)
    dot[110:130, 203:223] = 255
    seen = set()
    for _ in range(40):
        assert _condition("hand-held").change(rng, white).min() > 250
        moved = _condition("hand-held").change(rng, dot).mean(axis=2)
        y, x = (float((moved.sum(axis=1 - axis) * np.arange(moved.shape[axis])).sum() / moved.sum()) for axis in (0, 1))
        assert max(abs(y - 119.5), abs(x - 212.5)) < 240 * conditions.SHIFT * conditions.MARGIN * 1.03 + 0.7
        seen.add((round(y), round(x)))
    assert len(seen) > 10


def _scene(left: list[int], brightness: list[float]) -> Pixels:
    """A bright square on a textured ground, at places in px from the left."""
    ground = np.random.default_rng(1).integers(90, 120, (14, 14, 3)).repeat(8, 0).repeat(8, 1)
    images = []
    for place, bright in zip(left, brightness, strict=True):
        image = ground.copy()
        image[40:72, place : place + 24] = 220
        images.append(image * bright)
    return np.array(images).astype(np.uint8)


def test_facts_tell_motion_that_returns_from_motion_that_goes_on() -> None:
    on = facts.facts(_scene([0, 16, 32, 48], [1.0] * 4))
    back = facts.facts(_scene([0, 32, 64, 8], [1.0] * 4))
    assert on.returning >= 0.99
    assert back.returning < 0.7
    assert on.smallest > 1.5
    motion = next(each for each in facts.PROPERTIES if each.name == "motion")
    assert [motion.bucket(each) for each in (on, back)] == ["goes on", "comes back most of the way"]


def test_facts_tell_light_from_motion_and_a_still_scene() -> None:
    still = facts.facts(_scene([16] * 3, [1.0] * 3))
    assert (still.change, still.smallest, still.shift) == (0, 0, 0)
    assert facts.facts(_scene([16] * 3, [1.0, 0.7, 0.9])).flicker > 0.9
    assert facts.facts(_scene([0, 24, 48], [1.0] * 3)).flicker < 0.2
    assert facts.facts(_scene([16] * 3, [0.2] * 3)).light < 40


@pytest.mark.parametrize("step", [0, 3, 9])
def test_facts_tell_how_far_the_camera_pans(step: int) -> None:
    wide = np.random.default_rng(2).integers(0, 255, (28, 40, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    found = facts.facts(np.stack([wide[:, place : place + 112] for place in (0, step, 2 * step)]))
    assert found.shift == step
    assert found.left < 0.1 if step else found.left == 1


def test_an_answer_is_right_in_both_directions_and_seeded(scene: list[Image.Image]) -> None:
    tensors = [preprocess_set(scene[:4]), preprocess_set(scene[2:6])]
    model = load_model("path")
    found = answers.answer(model, tensors)
    assert found == answers.answer(model, tensors)
    assert [each.right for each in found] == [True, True]
    assert not answers.Answer((0, 2, 1, 3), 0.9).right
    row = answers.exact_match([True, True, False, True], ["a", "a", "b", "b"], 4)
    assert (row["sets"], row["accuracy"], row["chance"]) == (4, 75.0, 8.33)
    assert row["accuracy_low"] <= 50
    assert row["accuracy_high"] == 100


def test_kinds_of_errors() -> None:
    pytest.importorskip("torch")
    kind = _module("failures").kind
    assert [kind(order) for order in ((1, 0, 2, 3), (2, 0, 3, 1), (1, 2, 3, 0), (0, 4, 1, 2, 3, 5))] == [
        "swap",
        "far",
        "moved",
        "moved",
    ]
    assert kind((3, 2, 0, 1)) == "swap"  # 1 0 2 3, read from its end


def test_windows_are_spread_over_sequences_and_are_those_of_the_frames(tmp_path: Path, frames: list[Pixels]) -> None:
    pytest.importorskip("torch")
    robustness = _module("robustness")
    for name in ("one", "two"):
        folder = tmp_path / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for number in range(12):
            Image.fromarray(frames[number % 6]).save(folder / f"{number:05d}.jpg")
    dataset, make = robustness.davis_windows(tmp_path, limit=6)
    windows = make(4, 2)
    assert dataset == "davis-2"
    assert [window.group for window in windows] == ["one"] * 3 + ["two"] * 3
    folder = tmp_path / "JPEGImages" / "480p" / "one"
    files = [folder / f"{number:05d}.jpg" for number in (0, 2, 4, 6)]
    (photos,) = list(robustness.photos(conditions.PLAIN, windows[:1], 4, 2))
    assert (preprocess_set(photos) == preprocess_set(files)).all()
    rows = list(robustness.measure([load_model("path")], dataset, make, 4, [2]))
    assert {row["condition"] for row in rows} == {each.name for each in conditions.CONDITIONS}
    assert all(row["change"] == 0 for row in rows if row["condition"] == "plain" and row["spacing"] is None)
    assert rows == list(robustness.measure([load_model("path")], dataset, make, 4, [2]))


def test_the_scenes_shown_as_failures_are_such_and_their_controls_are_not() -> None:
    rows = json.loads((ROOT / "docs" / "results" / "failure-scenes.json").read_text("utf-8"))
    page = (ROOT / "docs" / "failures.md").read_text("utf-8")
    for row in rows:
        true = list(range(row["photos"]))
        assert row["order"] not in (true, true[::-1])
        assert row["control"] is None or row["control"]["order"] in (true, true[::-1])
        picture = ROOT / "docs" / "images" / row["picture"]
        assert f"images/{row['picture']}" in page
        assert picture.stat().st_size <= 100_000


@pytest.mark.parametrize("card", [card for card in registry.cards() if card.files], ids=lambda card: card.name)
def test_every_model_says_what_it_fails_on(card: registry.Card) -> None:
    assert card.limits
    limits = make_readme(card).partition("## Limits")[2].partition("## ")[0]
    assert [f"- {each}" for each in card.limits] == limits.strip().splitlines()
