"""Sets of the clips that a run keeps out, for models that want other photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from imgorder.inference.predictor import Network, load_model
from imgorder.media.preprocess import DEFAULT, Preprocessing, centre, normalise
from imgorder.networks.families import build_network
from imgorder.training import batch_plan
from imgorder.training.calibrate import compute_held_out_logits
from imgorder.training.held_out import make_held_out_sets, measure_held_out
from imgorder.training.sources import find_even_windows
from imgorder.training.store import FrameStore, StoreWriter
from tests.stand_in import StandIn

LARGE = Preprocessing(144, 144)


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    """Two clips of noise, one wide and one high."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(tmp_path / "frames", "made")
    for name, size in (("wide", (136, 200)), ("high", (181, 136))):
        writer.add(name, f"group of {name}", rng.integers(0, 256, (9, *size, 3), dtype=np.uint8))
    return writer.close()


def test_frames_are_scaled_and_cropped_as_the_model_wants_them(store: FrameStore) -> None:
    usual = list(make_held_out_sets(store, [0, 1], 4, 2))
    large = list(make_held_out_sets(store, [0, 1], 4, 2, LARGE))
    assert [each.video for each in large] == [each.video for each in usual] == ["wide"] * 2 + ["high"] * 2
    numbers = find_even_windows(store, [0, 1], 4, 2)
    for one, other, chosen in zip(usual, large, numbers, strict=True):
        frames = [store.frame(number) for number in chosen.tolist()]
        assert np.array_equal(one.tensors, normalise(np.stack([centre(frame) for frame in frames])))
        height, width = frames[0].shape[:2]
        size = (round(width * 144 / 136), round(height * 144 / 136))
        grown = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)) for frame in frames]
        top, left = (size[1] - 144) // 2, (size[0] - 144) // 2
        middle = np.stack([each[top : top + 144, left : left + 144] for each in grown]).astype(np.float32)
        expected = (middle / 255 - np.array(DEFAULT.mean)) / np.array(DEFAULT.std)
        assert np.abs(other.tensors - expected.transpose(0, 3, 1, 2)).max() < 1e-5


def test_each_model_is_measured_on_its_own_photos(store: FrameStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    shapes = []

    class Watching(StandIn):
        name = "watching"

        def logits(self, tensors: np.ndarray) -> np.ndarray:
            shapes.append(tensors.shape[1:])
            return np.zeros((len(tensors), 12), np.float32)

    large = replace(load_model("path"), name="large", networks={4: Network(Watching())}, preprocessing=LARGE)
    path, other = (each.row for each in measure_held_out([load_model("path"), large], store, [0, 1], [4], [2]))
    assert (path.model, other.model, path.sets, other.sets) == ("path", "large", 4, 4)
    assert set(shapes) == {(4, 3, 144, 144)}


def test_whole_clips_are_one_set_each_and_any_size_is_measured(store: FrameStore) -> None:
    whole = list(make_held_out_sets(store, [0, 1], None, 2))
    assert [(each.video, len(each.tensors)) for each in whole] == [("wide", 5), ("high", 5)]
    middles = normalise(np.stack([centre(store.frame(number)) for number in (0, 2, 4, 6, 8)]))
    assert np.array_equal(whole[0].tensors, middles)
    assert list(make_held_out_sets(store, [0, 1], None, 8)) == []  # two frames have no order
    measured = measure_held_out([load_model("path")], store, [0, 1], [4, 9, None], [1])
    assert [(each.row.seq_len, each.row.sets) for each in measured] == [(4, 4), (9, 2), (None, 2)]


def test_temperatures_are_fitted_to_the_mean_over_the_listings(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch.manual_seed(0)
    network = build_network("dab-resnet18", seq_len=3, width=0.0625).eval()
    draw_orders = batch_plan.draw_orders

    def right_logits(votes: int, turned: int) -> np.ndarray:
        def turn(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
            return (draw_orders(rng, n, count) + turned) % n

        monkeypatch.setattr(batch_plan, "draw_orders", turn)
        spec = Preprocessing(48, 48)
        logits, target = compute_held_out_logits(network, store, [0, 1], 3, spec, (1, 2), steady=True, votes=votes)
        return logits[np.arange(len(target)), target].numpy()

    # The mean over all six listings does not depend on how the sets were listed; that of one listing does.
    assert np.abs(right_logits(9, 0) - right_logits(9, 1)).max() < 1e-4
    assert np.abs(right_logits(1, 0) - right_logits(1, 1)).max() > 1e-3
