"""The second view of a set, from which the camera's movement is taken out, and models that are shown it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imgorder import load_model
from imgorder.inference import predictor
from imgorder.inference.backends import views as views_module
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.backends.triples import list_rows, scores_to_logits
from imgorder.inference.backends.views import TwoViews, TwoViewsOfTriples
from imgorder.inference.backends.voting import choose_listings, mean_logits
from imgorder.media.preprocess import Preprocessing, denormalise, normalise
from imgorder.media.steady import are_of_two_cameras, find_moves, lay_over, two_views
from imgorder.model_format import ModelMetadata

SIDE = 128
SPEC = Preprocessing(SIDE, SIDE)
# Zoom, turn in degrees, shift to the right and down in px, of four photos from a hand.
HAND = ((1.0, 0.0, 0, 0), (1.03, 2.0, 4, -3), (0.98, -1.5, -5, 2), (1.01, 1.0, 2, 6))

Pixels = npt.NDArray[np.uint8]


def pattern(seed: int = 0) -> Image.Image:
    """A scene without sharp edges, larger than what is seen of it."""
    rng = np.random.default_rng(seed)
    parts = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize((256, 256), 3), float)
        for cells in (6, 13, 30)
    ]
    return Image.fromarray(np.rint(0.5 * parts[0] + 0.3 * parts[1] + 0.2 * parts[2]).astype(np.uint8))


def from_hand(scene: Image.Image, zoom: float, turn: float, right: int, down: int) -> Pixels:
    """What a camera sees of a scene that is not quite where it was."""
    turned = scene.rotate(turn, Image.Resampling.BICUBIC, center=(128, 128), translate=(right, down))
    half = SIDE / 2 / zoom
    box = (128 - half, 128 - half, 128 + half, 128 + half)
    return np.asarray(turned.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))


def shaken(light: float = 1.0, disc: bool = False) -> Pixels:
    photos = []
    for step, hand in enumerate(HAND):
        scene = pattern()
        if disc:
            scene.paste((250, 30, 30), (90 + 14 * step, 100, 114 + 14 * step, 124))
        photos.append(np.clip(from_hand(scene, *hand) * light**step, 0, 255).astype(np.uint8))
    return np.stack(photos)


def differences(photos: Pixels) -> npt.NDArray[np.float64]:
    """Of each two neighbours, the median over pixels in the middle, where no border is seen."""
    inner = photos[:, 16:-16, 16:-16].astype(float)
    return np.median(np.abs(np.diff(inner, axis=0)), axis=(1, 2, 3))


@pytest.mark.parametrize("disc", [False, True], ids=["still scene", "something moves"])
def test_the_hand_is_taken_out(disc: bool) -> None:
    photos = shaken(disc=disc)
    moves = find_moves(photos)
    steadied = np.stack([lay_over(photo, move) for photo, move in zip(photos, moves, strict=True)])
    assert (differences(photos) > 8).all()
    assert (differences(steadied) < 3).all()


def test_what_moves_in_the_scene_still_does() -> None:
    photos = shaken(disc=True)
    steadied = [lay_over(photo, move) for photo, move in zip(photos, find_moves(photos), strict=True)]
    red = [(each[..., 0] > 200) & (each[..., 1] < 90) for each in steadied]
    places = [np.argwhere(each)[:, 1].mean() for each in red]
    assert np.diff(places) == pytest.approx(14, abs=2)  # px a photo, as it was before the hand moved


def test_light_that_changes_does_not_matter() -> None:
    one, other = find_moves(shaken()), find_moves(shaken(light=0.8))
    relative = other[:, 0] / other[0, 0], one[:, 0] / one[0, 0]  # another photo may be the middle one
    assert np.abs(relative[0] - relative[1]).max() < 0.01
    assert (other != find_moves(np.repeat(shaken()[:1], 4, axis=0))).any()


@pytest.mark.parametrize("kind", ["a still camera", "strangers", "noise", "one colour", "a photo four times"])
def test_where_no_movement_fits_nothing_is_moved(kind: str) -> None:
    rng = np.random.default_rng(1)
    seen = np.asarray(pattern().crop((64, 64, 192, 192)))
    if kind == "a still camera":
        photos = np.stack([seen] * 4)
        for step in range(4):
            photos[step, 40:70, 10 + 20 * step : 40 + 20 * step] = 255
    elif kind == "strangers":
        photos = np.stack([np.asarray(pattern(seed).crop((64, 64, 192, 192))) for seed in range(4)])
    elif kind == "noise":
        photos = rng.integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    elif kind == "one colour":
        photos = np.full((4, SIDE, SIDE, 3), 90, np.uint8)
    else:
        photos = np.stack([seen] * 4)
    moves = find_moves(photos)
    assert (moves[:, 0] == 1).all()
    assert (moves[:, 1] == 0).all()


BESIDE = (1.12, 0.0, 6, -7)  # zoom, turn and shift of a second camera that stands still


def test_of_two_cameras_both_views_are_steadied() -> None:
    scenes = []
    for step in range(4):
        scene = pattern()
        scene.paste((250, 30, 30), (90 + 14 * step, 100, 114 + 14 * step, 124))
        scenes.append(scene)
    whose = ((1.0, 0.0, 0, 0), BESIDE, BESIDE, (1.0, 0.0, 0, 0))
    photos = np.stack([from_hand(scene, *camera) for scene, camera in zip(scenes, whose, strict=True)])
    found = find_moves(photos)
    assert are_of_two_cameras(np.tile(found, (2, 1)))
    assert not are_of_two_cameras(np.tile(found, (3, 1)))  # in many photos, what cannot be fitted looks like that
    first, second = two_views(normalise(photos, SPEC), SPEC)
    assert np.array_equal(first, second[..., ::-1])
    assert (differences(photos)[[0, 2]] > 8).all()
    assert (differences(denormalise(first, SPEC)) < 2).all()
    # One photo from beside may have been fitted wrongly, and a camera that moves on is one camera.
    assert not are_of_two_cameras(find_moves(photos[[0, 3, 1]]))
    moving = np.stack([from_hand(pattern(), 1 + 0.06 * step, 0.0, 3 * step, 0) for step in range(4)])
    moves = find_moves(moving)
    assert np.abs(moves - [1, 0]).max() > 0.06
    assert not are_of_two_cameras(moves)
    plain = denormalise(two_views(normalise(moving, SPEC), SPEC)[0], SPEC)
    assert any(np.array_equal(plain, each) for each in (moving, moving[:, :, ::-1]))


def test_the_second_view_of_a_still_camera_is_the_mirror_image() -> None:
    tensors = normalise(np.stack([np.asarray(pattern().crop((64, 64, 192, 192)))] * 3), SPEC)
    plain, steadied = two_views(tensors, SPEC)
    assert np.array_equal(plain, steadied[..., ::-1])
    assert np.array_equal(denormalise(tensors, SPEC), denormalise(normalise(denormalise(tensors, SPEC), SPEC), SPEC))


def test_a_very_large_set_is_mirrored_alone() -> None:
    tensors = normalise(shaken(), SPEC)
    many = np.concatenate([tensors] * (30 // len(tensors) + 1))
    plain, steadied = two_views(tensors, SPEC)
    assert not np.array_equal(plain, steadied[..., ::-1])
    plain, mirrored = two_views(many, SPEC)
    assert np.array_equal(plain, mirrored[..., ::-1])


def test_a_mirrored_set_has_the_same_views() -> None:
    tensors = normalise(shaken(), SPEC)
    for one, other in zip(two_views(tensors, SPEC), two_views(tensors[..., ::-1], SPEC), strict=True):
        assert np.array_equal(one, other)


class Seen:
    """Stands in for a network in two parts: an image's feature is its mean."""

    name = "made"

    def logits(self, tensors: Any) -> Any:
        n = tensors.shape[1]
        triples, pairs = list_rows(len(tensors), n)
        return scores_to_logits(self.score(self.encode(tensors.reshape(-1, *tensors.shape[2:])), triples, pairs), n)

    def encode(self, images: Any) -> Any:
        return images[:, 0, 30:34, 30].astype(np.float32)

    def score(self, features: Any, triples: Any, pairs: Any) -> Any:
        b, a, c = features[triples].sum(axis=2).T
        one, other = features[pairs].sum(axis=2).T
        return np.abs(a - c) - np.abs(2 * b - a - c), np.sin(b) * np.abs(a - c), -np.abs(one - other)

    def activations(self, tensors: Any) -> Any:
        return {"features.x": tensors}

    def decision(self, tensors: Any, winner: Any, other: Any) -> Any:
        return tensors[0, :, 0]


class ByPlace(Seen):
    """Logits that depend on the place of an image in its listing as well."""

    def logits(self, tensors: Any) -> Any:
        brightness = tensors.mean(axis=(2, 3, 4)) * np.arange(1, tensors.shape[1] + 1)
        return 100 * np.stack([np.sin(k * brightness).sum(axis=1) for k in range(12)], axis=1).astype(np.float32)


def test_both_ways_to_ask_give_the_mean_over_both_views() -> None:
    tensors = normalise(shaken(), SPEC)
    network = Seen()
    both = TwoViewsOfTriples(network, SPEC)
    (logits,) = both.logits(tensors[None])
    views = [network.logits(view[None])[0] for view in two_views(tensors, SPEC)]
    assert np.abs(views[0] - views[1]).max() > 0.1
    assert logits == pytest.approx((views[0] + views[1]) / 2, abs=1e-4)
    triples, pairs = list_rows(1, 4)
    assert scores_to_logits(both.score(both.encode(tensors), triples, pairs), 4)[0] == pytest.approx(logits, abs=1e-4)
    assert both.activations(tensors[None])["features.x"] is not None
    assert np.array_equal(both.decision(tensors[None], (0, 1, 2, 3), (1, 0, 2, 3)), tensors[:, 0])


def test_a_set_is_steadied_once_for_all_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = normalise(shaken(), SPEC)
    views, seen = two_views(tensors, SPEC), []
    monkeypatch.setattr(views_module, "two_views", lambda images, spec: seen.append(images) or views)
    logits = TwoViews(ByPlace(), SPEC).logits(tensors[None], votes=3)
    assert len(seen) == 1
    listings = choose_listings(4, 6)
    shown = zip(views, (listings[:3], listings[3:]), strict=True)  # others for the second view
    asked = [mean_logits(ByPlace().logits, view[None], chosen) for view, chosen in shown]
    assert np.abs(asked[1] - mean_logits(ByPlace().logits, views[1][None], listings[:3])).max() > 0.1
    assert logits == pytest.approx(np.mean(asked, axis=0), abs=1e-4)


def test_the_file_says_whether_a_model_is_shown_both_views(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_model("tridab-s", "onnx").networks[4]
    opened = OnnxBackend.open(Path(str(network.file)))
    for steady in (False, True):
        metadata = replace(opened.metadata, steady=steady)
        again = ModelMetadata.from_properties(metadata.to_properties())
        assert again.steady == steady
        found = predictor._network_of(replace(opened, metadata=again))
        assert isinstance(found.backend, TwoViewsOfTriples) == steady
    former = opened.metadata.to_properties()
    del former["steady"]  # as files of before are
    assert not ModelMetadata.from_properties(former).steady
