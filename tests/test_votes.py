"""Order averaging: several listings of one set, one answer."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import imgorder
from imgorder.cli import app
from imgorder.evaluation.evaluate import evaluate_models
from imgorder.evaluation.sets import draw_listings
from imgorder.inference import predictor
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.backends.voting import choose_listings, listings_of_views, mean_logits
from imgorder.inference.predictor import Network, OrderingModel
from imgorder.media.photos import find_sets
from imgorder.media.preprocess import preprocess_set
from imgorder.media.steady import two_views
from imgorder.model_format import ModelMetadata
from imgorder.permutations import SIZES, class_count, order_to_class, permutation_classes
from tests.conftest import APPLY
from tests.stand_in import StandIn


class ByPlace(StandIn):
    """A stand-in network whose answer depends on where in the listing an image stands."""

    name = "by place"

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def logits(self, tensors: Any) -> Any:
        self.shown.append(tensors)
        n = tensors.shape[1]
        weights = np.random.default_rng(n).normal(size=(class_count(n), n, n))
        bright = tensors.mean((2, 3, 4))
        return np.einsum("cij,bi,bj->bc", weights, bright, bright).astype(np.float32)


def stand_in(network: ByPlace) -> OrderingModel:
    each = dict.fromkeys(SIZES, Network(network, {4: 0.5}))
    return replace(imgorder.load_model("path"), name="by-place", networks=each)


@pytest.fixture
def network() -> ByPlace:
    return ByPlace()


@pytest.fixture
def by_place(network: ByPlace) -> OrderingModel:
    return stand_in(network)


def images(n: int, sets: int = 2) -> Any:
    return (
        np.random.default_rng(5).normal(size=(sets, n, 3, 4, 4)).astype(np.float32) + np.arange(n)[:, None, None, None]
    )


@pytest.mark.parametrize("n", [3, 4])
def test_with_all_listings_the_answer_does_not_depend_on_the_listing(by_place: OrderingModel, n: int) -> None:
    batch = images(n)

    def answers(model: OrderingModel) -> list[dict[tuple[int, ...], float]]:
        found = []
        for listing in permutations(range(n)):
            row = model.probabilities(batch[:1, list(listing)])[0]
            moved = ([listing[i] for i in order] for order in permutation_classes(n))
            found.append(
                {permutation_classes(n)[order_to_class(order)]: p for order, p in zip(moved, row, strict=True)}
            )
        return found

    once, all_votes = answers(by_place), answers(by_place.with_votes(factorial(n)))
    assert len({max(each, key=lambda order: each[order]) for each in once}) > 1  # else there is nothing to even out
    assert len({max(each, key=lambda order: each[order]) for each in all_votes}) == 1
    for each in all_votes:
        assert each == pytest.approx(all_votes[0], abs=1e-5)


@pytest.mark.parametrize(("n", "votes"), [(3, 2), (4, 7), (5, 4)])
def test_logits_are_the_mean_of_each_orders_over_the_listings(n: int, votes: int) -> None:
    batch, network = images(n), ByPlace()
    expected = np.zeros((2, class_count(n)))
    for listing in choose_listings(n, votes):
        logits = network.logits(batch[:, list(listing)])
        for index, order in enumerate(permutation_classes(n)):
            as_shown = [listing.index(image) for image in order]
            expected[:, index] += logits[:, order_to_class(as_shown)] / votes
    voted = mean_logits(network.logits, batch, choose_listings(n, votes))
    assert voted.dtype == np.float32
    assert np.allclose(voted, expected, atol=1e-5)
    assert not np.allclose(voted, network.logits(batch), atol=1e-2)


def test_the_mean_is_taken_before_the_temperature(by_place: OrderingModel, network: ByPlace) -> None:
    batch = images(4)
    scaled = mean_logits(network.logits, batch, choose_listings(4, 3)).astype(float) / 0.5
    expected = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    assert np.allclose(by_place.with_votes(3).probabilities(batch), expected)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_listings_are_different_and_always_the_same(n: int) -> None:
    every = choose_listings(n, factorial(n))
    assert sorted(every) == sorted(permutations(range(n)))
    assert every[0] == tuple(range(n))
    assert choose_listings(n, 10**6) == every
    for count in (1, 2, 5):
        assert choose_listings(n, count) == every[:count]
    assert every[1:] != tuple(sorted(every[1:]))  # drawn, so that a few of them are not all alike


@pytest.mark.parametrize(("n", "votes", "shared"), [(4, 1, 0), (5, 4, 0), (3, 3, 0), (3, 4, 2), (3, 6, 6)])
def test_two_views_are_shown_in_different_listings(n: int, votes: int, shared: int) -> None:
    first, second = listings_of_views(n, votes)
    assert first == choose_listings(n, votes)
    assert (len(set(second)), len(set(first) & set(second))) == (votes, shared)


def test_one_vote_is_the_model_as_it_was(by_place: OrderingModel) -> None:
    assert by_place.with_votes(1).votes(4) == by_place.votes(4) == 1
    assert by_place.with_votes(4).with_votes(1).votes(4) == 1
    assert by_place.with_votes(4).with_votes(3).votes(4) == 3
    baseline = imgorder.load_model("path")
    assert baseline.with_votes(24) is baseline
    with pytest.raises(imgorder.UsageError, match="at least 1"):
        by_place.with_votes(0)


def test_a_network_is_asked_as_often_as_it_was_released_with(by_place: OrderingModel, network: ByPlace) -> None:
    released = replace(by_place, networks=dict.fromkeys(SIZES, Network(network, {4: 0.5}, votes=3)))
    batch = images(4)
    assert [released.votes(n) for n in (2, 3, 4)] == [1, 3, 3]
    assert np.allclose(released.probabilities(batch), by_place.with_votes(3).probabilities(batch))
    assert np.allclose(released.with_votes(1).probabilities(batch), by_place.probabilities(batch))
    assert released.with_votes(99).votes(3) == 6


def test_the_file_says_how_often_a_network_is_asked(scene: list[Image.Image]) -> None:
    opened = OnnxBackend.open(Path(str(imgorder.load_model("dab-resnet18-n4", "onnx").networks[4].file)))
    again = ModelMetadata.from_properties(replace(opened.metadata, votes=5, steady=True).to_properties())
    found = predictor._network_of(replace(opened, metadata=again))
    assert found.votes == again.votes == 5
    # It is shown whole sets, and these in two views.
    spec = again.preprocessing
    batch = preprocess_set(scene[:4], spec)[None]
    shown = zip(two_views(batch[0], spec), listings_of_views(4, 1), strict=True)
    views = [mean_logits(opened.logits, view[None], listings) for view, listings in shown]
    assert np.allclose(found.backend.logits(batch), np.mean(views, axis=0), atol=1e-4)
    former = again.to_properties()
    del former["votes"]  # as files of before are
    assert ModelMetadata.from_properties(former).votes == 1
    for wrong in ("0", "-3", "2.5", "true", '"4"'):
        with pytest.raises(ValueError, match="votes"):
            ModelMetadata.from_properties({**former, "votes": wrong})


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_network_that_treats_all_listings_alike_gains_nothing(scene: list[Image.Image], n: int) -> None:
    model = imgorder.load_model()
    batch = preprocess_set(scene[:n], model.preprocessing)[None]
    once, voted = model.probabilities(batch), model.with_votes(5).probabilities(batch)
    assert once.std() > 0.01
    assert np.abs(once - voted).max() < 1e-4


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "arguments", [("sort",), ("sort", "--json"), ("rename",), ("stamp", "--start", "2024-05-01 12:00:00")]
)
def test_commands_that_sort_take_votes(
    photos: Path,
    by_place: OrderingModel,
    network: ByPlace,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setattr(predictor, "load_model", lambda *a: by_place)
    shown = network.shown
    assert command(*arguments, photos).exit_code == 0
    assert len(shown) == 1
    shown.clear()
    result = command(*arguments, photos, "--votes", "3")
    assert result.exit_code == 0, result.stderr
    assert len({each.tobytes() for each in shown}) == len(shown) == 3
    assert command(*arguments, photos, "--votes", "0").exit_code == 2


def test_the_order_of_votes_is_the_one_that_is_printed(
    photos: Path, by_place: OrderingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "load_model", lambda *a: by_place)
    files = sorted(photos.iterdir())
    for votes in (1, 24):
        expected = by_place.with_votes(votes).order(files)
        (result,) = json.loads(command("sort", "--json", photos, "--votes", str(votes)).stdout)["sets"]
        assert result["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert result["order"] == [files[index].name for index in expected.order]


@pytest.mark.parametrize(
    ("options", "told"), [((), 1), (("--votes", "3"), 3), (("--votes", "99"), 24), (("--votes", "3", "path"), 1)]
)
def test_json_tells_the_votes_that_were_had(
    photos: Path, by_place: OrderingModel, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: int
) -> None:
    if "path" not in options:
        monkeypatch.setattr(predictor, "load_model", lambda *a: by_place)
    else:
        options = (*options[:-1], "--model", "path")
    assert json.loads(command("sort", "--json", photos, *options).stdout)["sets"][0]["votes"] == told


def test_heat_maps_go_by_the_order_of_votes(
    photos: Path, tmp_path: Path, by_place: OrderingModel, network: ByPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgorder.inference.predictor.load_model", lambda *a: by_place)
    orders = []

    def maps(model: OrderingModel, tensors: Any, ordering: Any, decision: bool) -> Any:
        orders.append(tuple(ordering.order))
        raise imgorder.ImgorderError("far enough")

    monkeypatch.setattr("imgorder.heatmaps.heatmap.maps_in_order", maps)
    for votes in (1, 24):
        command("heatmap", photos, "--out", tmp_path / "maps", "--votes", str(votes))
    files = find_sets([photos])[0].files
    assert orders == [by_place.with_votes(votes).order(files).order for votes in (1, 24)]
    assert len(network.shown) == 50


def test_a_plan_is_carried_out_without_votes(photos: Path, tmp_path: Path) -> None:
    assert command("rename", photos, "--plan", tmp_path / "plan.json").exit_code == 0
    assert command("rename", "--plan", tmp_path / "plan.json", *APPLY, "--votes", "2").exit_code == 2


@pytest.fixture
def davis(tmp_path: Path, scene: list[Image.Image]) -> Path:
    """The scene as a sequence in DAVIS's layout."""
    folder = tmp_path / "JPEGImages" / "480p" / "scene"
    folder.mkdir(parents=True)
    for index, image in enumerate(scene):
        image.save(folder / f"{index:05d}.jpg")
    return tmp_path


def test_evaluated_networks_vote_and_say_how_often(
    davis: Path, by_place: OrderingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = imgorder.load_model("path")
    monkeypatch.setattr(
        "imgorder.evaluation.evaluate.load_model", lambda name, *rest: path if name == "path" else by_place
    )
    found = {}
    for votes in (1, 5):
        measured = evaluate_models([davis], models=["by-place"], seq_lens=[3, 4], spacings=[1], votes=votes)
        assert [each.row.model for each in measured[::2]] == ["path"] * 2
        found[votes] = {each.row.seq_len: each for each in measured[1::2]}
    frames = preprocess_set(sorted((davis / "JPEGImages" / "480p" / "scene").iterdir()))
    for n in (3, 4):
        once, voted = found[1][n], found[5][n]
        assert (once.row.model, voted.row.model) == ("by-place", "by-place (5 votes)")
        # What is judged is the answer of the mean, which is another than that of the network asked once.
        confidences = [
            by_place.with_votes(5).probabilities(frames[None, start : start + n][:, list(listing)]).max()
            for start in range(7 - n)
            for listing in draw_listings(n, 1, (0, start))
        ]
        assert voted.answers.table[:, 0, 3] == pytest.approx(confidences, abs=1e-6)
        assert voted.answers.table[:, 0, 3] != pytest.approx(once.answers.table[:, 0, 3], abs=1e-3)


def test_no_more_votes_are_told_than_there_are_listings(
    davis: Path, by_place: OrderingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgorder.evaluation.evaluate.load_model", lambda name, *rest: replace(by_place, name=name))
    options = ("--model", "net", "--seq-len", "3,4", "--spacing", "1", "--votes", "10", "--json")
    rows = json.loads(command("evaluate", davis, *options).stdout)["rows"]
    assert [(row["seq_len"], row["model"]) for row in rows if row["model"] != "path"] == [
        (3, "net (6 votes)"),
        (4, "net (10 votes)"),
    ]
    assert command("evaluate", davis, "--votes", "0").exit_code == 2
