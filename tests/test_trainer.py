from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from safetensors.torch import save_file  # noqa: E402
from torch.optim.swa_utils import AveragedModel  # noqa: E402

from imgorder.cli import app  # noqa: E402
from imgorder.errors import ImgorderError, UsageError  # noqa: E402
from imgorder.fields import as_record  # noqa: E402
from imgorder.inference.cards import known_card  # noqa: E402
from imgorder.inference.predictor import load_model  # noqa: E402
from imgorder.networks.families import build_network  # noqa: E402
from imgorder.networks.weights import read_network, write_network  # noqa: E402
from imgorder.training import build as setup  # noqa: E402
from imgorder.training import train as run_module  # noqa: E402
from imgorder.training.build import make_accelerator, make_average, network_settings  # noqa: E402
from imgorder.training.calibrate import fit_temperature  # noqa: E402
from imgorder.training.checkpoint import read_config, read_ema_weights, read_step  # noqa: E402
from imgorder.training.config import TrainConfig, make_config, parse_settings, read_toml  # noqa: E402
from imgorder.training.packing import find_data, open_store  # noqa: E402
from imgorder.training.schedule import Schedule, compute_rate  # noqa: E402
from imgorder.training.sources import make_source  # noqa: E402
from imgorder.training.trainer import Trainer  # noqa: E402
from imgorder.training.warm_start import find_weights  # noqa: E402
from tests.clips import figures, write_clips, write_sets  # noqa: E402
from tests.double import double_precision  # noqa: E402

TINY = {"trunk_widths": [4, 6, 8], "trunk_blocks": [0, 1], "head_width": 8, "match_width": 4, "match_radius": 2}
LARGER = '{"trunk_widths": [4, 6, 12], "trunk_blocks": [0, 2]}'
SMALL = {
    "validation_fraction": 0.34,
    "steps": 6,
    "batch_size": 4,
    "validate_every": 3,
    "save_every": 100,
    "tensorboard": False,
    "threads": 1,
    "device": "cpu",
}
RESNET = {"backbone": "resnet18", "network": {"width": 0.0625}, "learning_rate": 0.02}
TRIDAB = {"recipe": "fast", "network": TINY, "seq_len": (3, 4), "precision": "fp32", "warmup": 2, "max_spacing": 6}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets") / "clips-n4.jsonl", clips, 4)


@pytest.fixture(scope="module")
def frames(clips: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Data -> where its frames are decoded already."""
    folders = {data: tmp_path_factory.mktemp("frames") for data in (clips, manifest)}
    for data, folder in folders.items():
        open_store(find_data([data]), folder, warn=lambda _: None)
    return folders


def make_trainer(data: Path, frames: dict[Path, Path], run: Path, **changes: object) -> Trainer:
    config = make_config(SMALL, changes)
    found = find_data([data])
    return Trainer(config, make_source(config, found, open_store(found, frames[data])), run)


def same_weights(one: Path, other: Path) -> bool:
    first, second = (read_ema_weights(run / "state.safetensors") for run in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- interrupt and resume


@pytest.mark.parametrize("kind", ["resnet", "tridab"])
def test_an_interrupted_run_ends_with_the_same_weights(
    kind: str, clips: Path, manifest: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    data, changes = (manifest, RESNET) if kind == "resnet" else (clips, TRIDAB)
    make_trainer(data, frames, tmp_path / "whole", **changes).train()
    first = make_trainer(data, frames, tmp_path / "parts", **changes)
    step = first._step

    def step_and_stop(*arguments: object) -> None:
        step(*arguments)  # type: ignore[arg-type]
        if first.progress.step == 4:  # between two validations
            first.request_stop()

    first._step = step_and_stop  # type: ignore[method-assign, assignment]
    assert not first.train()
    second = make_trainer(data, frames, tmp_path / "parts", **changes)
    second.resume()
    assert second.progress.step == 4
    assert second.train()
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    drop = {"sets_per_second"}
    whole, parts = (
        [{k: v for k, v in row.items() if k not in drop} for row in figures(tmp_path / name)]
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_a_best_loss_on_other_sets_is_no_mark_to_beat(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    first = make_trainer(clips, frames, tmp_path, **TRIDAB)
    first.train()
    best = first.progress.best_loss
    assert best is not None
    for changes, expected in (({}, best), ({"validation_sets": 1}, None), ({"validation_spacings": (3,)}, None)):
        second = make_trainer(clips, frames, tmp_path, **TRIDAB, **changes)
        second.resume()
        assert second.progress.best_loss == expected


def test_an_empty_log_of_figures_is_begun_anew(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    make_trainer(manifest, frames, tmp_path, **RESNET).train()
    (tmp_path / "metrics.csv").write_text("")
    second = make_trainer(manifest, frames, tmp_path, **{**RESNET, "steps": 9})
    second.resume()
    assert second.train()
    assert [row["step"] for row in figures(tmp_path)] == [9.0]


def test_a_requested_stop_ends_after_a_whole_step(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET)
    trainer.request_stop()
    assert not trainer.train()
    assert read_step(tmp_path / "state.safetensors") == 1


def test_ctrl_c_saves_and_resume_goes_on(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    step = Trainer._step

    def interrupted(self: Trainer, *arguments: object) -> None:
        step(self, *arguments)  # type: ignore[arg-type]
        if self.progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    stopped = train(manifest, frames, run)
    assert stopped.exit_code == 130
    assert "after step 2 of 6; --resume goes on" in stopped.stderr
    assert read_step(run / "state.safetensors") == 2
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    assert (
        CliRunner().invoke(app, ["train", "--out", str(run), "--frames", str(frames[manifest]), "--resume"]).exit_code
        == 0
    )
    assert read_step(run / "state.safetensors") == 6


# --- several processes


def test_two_processes_train_as_one_with_twice_the_batch(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    # `accelerate launch` starts several processes for GPUs and MPI only; accelerate runs in torchrun's as well.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    common = ["train", *options(manifest, frames), "--set", "validate_every=1", "--steps", "4"]
    one, two = ([*common, "--batch-size", batch, "--out", str(tmp_path / batch)] for batch in ("8", "4"))
    double = str(Path(__file__).with_name("double.py"))
    with subprocess.Popen([*launch, double, *two], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as both:
        with double_precision():
            alone = CliRunner().invoke(app, one)
        stdout, stderr = both.communicate()
    assert (alone.exit_code, both.returncode) == (0, 0), alone.stderr + stderr
    for said in (alone.stdout, stdout):
        assert said.count("model.safetensors: resnet18") == 1  # one process speaks
    curves = [figures(tmp_path / batch) for batch in ("8", "4")]
    for single, shared in zip(*curves, strict=True):
        assert shared["loss"] == pytest.approx(single["loss"], abs=1e-5)
        assert shared["val_loss"] == pytest.approx(single["val_loss"], abs=1e-5)
        assert shared["accuracy"] == single["accuracy"]
    assert curves[0][0]["loss"] != curves[0][3]["loss"]


# --- what goes wrong


@pytest.mark.parametrize(("precision", "cure"), [("no", "lower --lr"), ("fp16", "take --precision bf16 or fp32")])
def test_a_loss_that_is_no_number_stops_with_the_step(
    manifest: Path,
    frames: dict[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    cure: str,
) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET)
    monkeypatch.setattr(type(trainer.accelerator), "mixed_precision", precision)
    trainer.save()
    before = (tmp_path / "state.safetensors").read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(ImgorderError, match=f"the loss is nan at step 0; {cure}"):
        trainer.train()
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_a_gradient_that_is_no_number_is_never_saved(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET, save_every=1)
    next(trainer.model.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(ImgorderError, match="the gradient is nan at step 0"):
        trainer.train()
    assert not (tmp_path / "state.safetensors").exists()


def test_too_little_memory_names_the_flags(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(trainer, "_step", full)
    with pytest.raises(ImgorderError, match=r"step 0 with 4 sets of 4 on cpu; lower --batch-size or --width"):
        trainer.train()


@pytest.mark.parametrize("where", ["step", "validation", "preparing"])
def test_memory_may_run_out_anywhere(
    where: str, manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET, **{"validate_every": 1})

    def full(*_: object, **__: object) -> None:
        raise {"step": torch.OutOfMemoryError, "validation": RuntimeError, "preparing": MemoryError}[where](
            "CUBLAS_STATUS_ALLOC_FAILED"
        )

    if where == "step":
        monkeypatch.setattr(trainer.accelerator, "backward", full)
    elif where == "validation":
        monkeypatch.setattr(trainer, "validate", full)
    else:
        monkeypatch.setattr(trainer, "pixels", full)
    with pytest.raises(ImgorderError, match="lower --batch-size or --width"):
        trainer.train()


def test_a_validation_loss_that_is_no_number_is_never_the_best(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET)
    monkeypatch.setattr(trainer, "validate", lambda: (float("nan"), {}))
    with pytest.raises(ImgorderError, match="validation loss is nan after step 3"):
        trainer.train()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_full_disk_is_one_line_and_leaves_the_last_state(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET)
    trainer.save()
    before = (tmp_path / "state.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgorder.training.checkpoint.write_tensors", full)
    with pytest.raises(ImgorderError, match=r"state.safetensors: cannot be written \(No space left on device\)"):
        trainer.train()
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))


def test_what_was_noted_after_the_last_checkpoint_is_taken_back(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = {"validate_every": 1, "save_every": 2}
    trainer = make_trainer(manifest, frames, tmp_path, **RESNET, **often)
    step = trainer._step

    def crash(*arguments: object) -> None:
        if trainer.progress.step == 3:
            raise KeyboardInterrupt
        step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "_step", crash)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert [row["step"] for row in figures(tmp_path)] == [1, 2, 3]
    again = make_trainer(manifest, frames, tmp_path, **RESNET, **often)
    again.resume()
    assert again.progress.step == 2
    again.train()
    assert [row["step"] for row in figures(tmp_path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.997])
def test_the_running_average_leaves_indices_alone(decay: float) -> None:
    module = torch.nn.BatchNorm1d(2)
    module.register_buffer("indices", torch.arange(10_000))
    average = AveragedModel(module, multi_avg_fn=make_average(decay), use_buffers=True)

    def update(weight: float) -> float:
        with torch.no_grad():
            module.weight.fill_(weight)
        average.update_parameters(module)
        assert torch.equal(average.module.indices, torch.arange(10_000))
        return float(average.module.get_parameter("weight")[0].detach())

    assert update(2.0) == 2.0  # the first is copied
    assert update(4.0) == pytest.approx(2.0 * decay + 4.0 * (1 - decay))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet18", "seq_len": (3, 4)}, "one set size"),
        ({"backbone": "resnet18", "network": {"dab": "sideways"}}, "signed, magnitude, off"),
        ({"backbone": "resnet18", "network": {"window": 4}}, "window of 4 images"),
        ({"backbone": "opn", "network": {"dab": "off"}}, "--dab and --dab-window are for resnet18"),
        ({"backbone": "tridab", "network": {"window": 1}}, "--dab and --dab-window are for resnet18"),
        ({"backbone": "tridab", "network": {"depth": 3}}, "no setting depth; it has head_blocks, head_width"),
        ({"backbone": "resnet18", "network": {"width": float("nan")}}, "leaves no channels"),
        ({"backbone": "tridab", "network": {"width": -1}}, "leaves no channels"),
        ({"backbone": "tridab", "network": {"width": "wide"}}, "wide"),
    ],
)
def test_a_network_that_cannot_be_is_refused_at_once(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network_settings(make_config(changes))


def test_precisions_and_devices_that_are_not_there_are_refused(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="fp16"):
        make_trainer(manifest, frames, tmp_path, **RESNET, precision="fp16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU"):
        make_trainer(manifest, frames, tmp_path, **RESNET, **{"device": "cuda"})


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp32")])
def test_the_fast_recipe_takes_bf16_only_where_the_processor_has_it(
    has_bf16: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "cpu_has_bf16", lambda: has_bf16)
    fast = make_config({"recipe": "fast", "device": "cpu"})
    assert make_accelerator(fast).mixed_precision.replace("no", "fp32") == precision
    assert make_accelerator(replace(fast, precision="bf16")).mixed_precision == "bf16"


# --- learning


@pytest.mark.parametrize("kind", ["resnet", "tridab"])
def test_a_network_learns_eight_sets_by_heart(
    kind: str, manifest: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    changes = {"network": TINY, "backbone": "tridab"} if kind == "tridab" else RESNET
    changes = {**changes, "batch_size": 8, "optimizer": "adamw", "learning_rate": 5e-3, "steps": 150}
    trainer = make_trainer(manifest, frames, tmp_path, **changes)
    plan = trainer.plan(0)
    assert len(set(plan.target.tolist())) > 3
    images = trainer.pixels(plan)
    for _ in range(150):
        trainer.progress.seen = (0, 0.0, 0)
        trainer._step(plan, images)
        trainer._settle()
        if trainer.progress.seen[2] == 8:
            break
    assert trainer.progress.seen[2] == 8


def test_the_rate_falls_when_the_validation_loss_saturates_and_the_run_ends(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plateau = {"plateau_patience": 1, "min_learning_rate": 1e-3, "validate_every": 1, "steps": 50}
    trainer = make_trainer(manifest, frames, tmp_path, **{**RESNET, **plateau})
    monkeypatch.setattr(trainer, "validate", lambda: (1.0, {"n4": 10.0}))
    assert trainer.train()
    rates = [row["learning_rate"] for row in figures(tmp_path)]
    # The first loss is the best; two more that are no better bring each fall.
    assert rates == pytest.approx([0.02] * 3 + [0.002] * 2)
    assert trainer.progress.best_step == 1


def test_a_plateau_is_remembered_by_a_checkpoint() -> None:
    config = TrainConfig(plateau_patience=1)

    def schedule() -> Schedule:
        return Schedule(config, 100, torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1))

    one = schedule()
    for loss in (1.0, 1.2):
        one.after_validation(loss)
    other = schedule()
    other.load(one.state())
    for each in (one, other):
        each.after_validation(1.1)
        assert each.before(7) == pytest.approx(0.01)


def test_rates_by_the_step() -> None:
    linear = TrainConfig(schedule="linear", warmup=10, decay=20, learning_rate=1.0)
    rates = [compute_rate(linear, 100, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[10:80]) == {1.0}
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)
    cosine = TrainConfig(schedule="cosine", warmup=10, learning_rate=1.0)
    rates = [compute_rate(cosine, 110, step) for step in range(110)]
    assert rates[9] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[109] < 0.001


def test_the_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn((4000, 12), generator=generator)
    target = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(honest, target) == pytest.approx(1.0, abs=0.08)
    assert fit_temperature(3 * honest, target) == pytest.approx(3.0, abs=0.25)


def test_a_temperature_is_as_good_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two ranges of them are as good, it is in one of them, not between."""
    errors = iter([0.02 if 50 <= index < 80 or 200 <= index < 230 else 0.1 for index in range(323)])
    monkeypatch.setattr("imgorder.training.calibrate.expected_calibration_error", lambda *_: next(errors))
    fitted = fit_temperature(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
    candidates = np.geomspace(0.2, 5, 323)
    assert candidates[50] <= fitted <= candidates[79]


def grow(model: str | Path, network: str, out: Path) -> Result:
    return CliRunner().invoke(app, ["models", "grow", str(model), "--network", network, "--out", str(out)])


def test_growing_a_model_file_and_training_it(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    make_trainer(clips, frames, tmp_path / "small", **TRIDAB).train()
    said = grow(tmp_path / "small" / "model.safetensors", LARGER, tmp_path / "l.safetensors").stdout
    assert "--set 'network.trunk_widths=[4, 6, 12]' --set 'network.trunk_blocks=[0, 2]'" in said
    assert read_network(tmp_path / "l.safetensors")[1].held_out_groups == make_source_groups(clips, frames)
    flags = shlex.split(said.split("train it with ")[1])
    assert flags[:2] == ["--init", str(tmp_path / "l.safetensors")]
    assert flags[2:4] == ["--recipe", "fast"]
    plain = {name: value for name, value in TRIDAB.items() if name not in ("network", "recipe")}
    told = {**plain, **parse_settings(flags[5::2]), "recipe": flags[3], "init": flags[1]}
    assert make_trainer(clips, frames, tmp_path / "told", **told).taken == f"all weights of {flags[1]}"
    larger = {**TRIDAB, "network": {**TINY, **json.loads(LARGER)}, "init": str(tmp_path / "l.safetensors")}
    assert make_trainer(clips, frames, tmp_path / "large", **larger).taken == f"all weights of {tmp_path}/l.safetensors"
    forgotten = {**larger, "network": {**TINY, "trunk_widths": [4, 6, 12]}}
    taken = make_trainer(clips, frames, tmp_path / "forgotten", **forgotten).taken
    assert taken is not None
    assert "the file also has trunk.layers.7.conv1.0.weight" in taken


def test_growing_says_what_the_network_sees(tmp_path: Path) -> None:
    said = grow("tridab-s", '{"trunk_widths": [24, 40, 80]}', tmp_path / "l.safetensors").stdout
    assert "--set shorter_edge=128 --set image_size=128 --set squeeze=1.8" in said
    card = known_card("tridab-s")
    assert card is not None
    groups = read_network(tmp_path / "l.safetensors")[1].held_out_groups
    assert groups == tuple(card.training["settings"]["held_out_groups"])


def test_manifests_of_another_split_are_other_data(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    path = write_sets(tmp_path / "n4.jsonl", clips, 4, test_group="")
    lines = path.read_text()
    path.write_text(lines.replace('"split": "train", "group": "g1"', '"split": "validation", "group": "g1"'))
    options = ["--out", str(tmp_path / "run"), "--device", "cpu", "--no-tensorboard"]
    network = ["--backbone", "resnet18", "--width", "0.0625", "--batch-size", "2"]
    begun = CliRunner().invoke(app, ["train", str(path), *options, *network, "--steps", "1"])
    assert begun.exit_code == 0, begun.output
    path.write_text(lines.replace('"split": "train", "group": "g2"', '"split": "validation", "group": "g2"'))
    result = CliRunner().invoke(app, ["train", *options, "--resume", "--steps", "2"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "data cannot change on --resume" in result.stderr


def test_a_run_of_several_sizes_keeps_to_steps(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    sizes = [str(write_sets(tmp_path / f"n{n}.jsonl", clips, n)) for n in (3, 4)]
    options = ["--out", str(tmp_path / "run"), "--device", "cpu", "--no-tensorboard"]
    network = ["--recipe", "fast", "--seq-len", "3,4", "--batch-size", "2", "--width", "0.1"]
    begun = CliRunner().invoke(app, ["train", *sizes, *options, *network, "--steps", "1"])
    assert begun.exit_code == 0, begun.output
    result = CliRunner().invoke(app, ["train", *options, "--resume", "--set", "steps=0", "--epochs", "1"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot change between epochs and steps on --resume" in result.stderr


def test_images_of_two_sizes_are_refused() -> None:
    config = make_config(TRIDAB, {"network": {**TINY, "image_size": 96}})
    with pytest.raises(UsageError, match="give --set image_size=96 alone"):
        network_settings(config)


def test_the_commit_is_of_a_checkout_of_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    if not shutil.which("git"):
        pytest.skip("no git here")
    (tmp_path / "run.py").touch()
    git("init")
    git("commit", "--allow-empty", "-m", "somebody's own")
    monkeypatch.setattr(run_module, "__file__", str(tmp_path / "run.py"))
    assert run_module.current_commit() == "unknown"
    git("add", "run.py")
    assert re.fullmatch("[0-9a-f]{40}", run_module.current_commit())


@pytest.mark.parametrize(
    ("model", "network", "message"),
    [
        ("tridab-s", '{"match_levels": 3}', "match_levels is 1 or 2; not 3"),
        ("tridab-s", '{"trunk_widths": [24, 40]}', "--network takes a table of settings that fit"),
        ("tridab-s", '{"head_blocks": "2"}', "--network takes a table of settings that fit"),
        ("tridab-s", '{"depth": 2}', "depth"),
        ("tridab-s", "[1]", "--network takes a table of settings that fit"),
        ("tridab-s", '{"head_width": 96}', "a network cannot grow to this head_width"),
        ("dab-resnet18-n3", "{}", "a dab-resnet18 does not grow"),
        ("gone.safetensors", "{}", "gone.safetensors: no such file or model for grow"),
        ("junk.safetensors", "{}", "junk.safetensors: not a readable checkpoint of imgorder"),
        ("other.safetensors", "{}", "other.safetensors: no network family 'tridab-ensemble'"),
    ],
)
def test_what_cannot_grow_is_one_line(
    model: str,
    network: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("junk.safetensors").write_bytes(b"junk")
    released, metadata = read_network(find_weights("tridab-s"))
    write_network(released, replace(metadata, family="tridab-ensemble"), Path("other.safetensors"))
    result = grow(model, network, Path("grown.safetensors"))
    assert (result.exit_code in (1, 2), result.stdout) == (True, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("grown.safetensors").exists()


@pytest.mark.parametrize("setting", ["turn", "tilt"])
def test_a_turn_or_tilt_without_shaken_sets_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"{setting} is for .* shift is 0"):
        make_config({setting: 0.1})


# --- settings


def test_flags_win_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('recipe = "fast"\nlearning_rate = 0.5\nseq_len = 4\n[network]\nhead_width = 8\n')
    config = make_config(read_toml(file), parse_settings(["network.match_width=4", "ema=0"]), {"learning_rate": 0.25})
    assert (config.recipe, config.backbone, config.learning_rate, config.ema) == ("fast", "tridab", 0.25, 0.0)
    assert config.network == {"head_width": 8, "match_width": 4}
    assert config.seq_len == (4,)
    assert make_config(as_record(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=1", "no such setting: colour"),
        ("learning_rate=fast", "learning_rate is a number"),
        ("batch_size=1.5", "batch_size is a whole number"),
        ("light=1", "light is true or false"),
        ("optimizer=adam", "optimizer is sgd, adamw"),
        ("seq_len=7", "numbers from 3 to 6"),
        ("batch_size", "KEY=VALUE"),
        ("batch_size=0", "at least 1"),
        ("crop_min=130", "crop_min"),
        ("shares={3=1.0}", "shares"),
        ("shares={4=-1.0}", "above 0"),
        ("network=5", "network is a table"),
        ("seed=-1", "seed is at least 0"),
        ("steps=-1", "steps is at least 0"),
        ("ema=1.5", "ema is 0 to 1"),
        ("plateau_factor=1.0", "plateau_factor"),
        ("learning_rate=nan", "learning_rate"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_config(parse_settings([text]))


# --- the command


def options(data: Path, frames: dict[Path, Path]) -> list[str]:
    given = ["--frames", str(frames[data]), "--width", "0.0625", "--lr", "0.02", "--steps", "6", "--device", "cpu"]
    given += ["--batch-size", "4", "--no-tensorboard"]
    for setting in ("validation_fraction=0.34", "validate_every=3", "threads=1"):
        given += ["--set", setting]
    return [str(data), *given]


def train(data: Path, frames: dict[Path, Path], run: Path, *more: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["train", *options(data, frames), "--out", str(run), *more])


def test_the_command_trains_a_model_that_sort_takes(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, photos: Path
) -> None:
    run = tmp_path / "run"
    result = train(manifest, frames, run, "--dab", "magnitude", "--dab-window", "1", "--tensorboard")
    assert result.exit_code == 0, result.output
    assert "model.safetensors: resnet18, weights after step" in result.stdout
    assert [row["step"] for row in figures(run)] == [3, 6]
    first, *rest = result.stderr.splitlines()
    assert first == (
        "imgorder: training: 96 samples of 4 images an epoch; 4 sets held out (groups g2); 6 steps; "
        "resnet18 on cpu in fp32"
    )
    assert len(rest) == 2  # one line a validation
    assert 0 <= figures(run)[-1]["val_n4"] <= 100
    assert list((run / "tensorboard").glob("events*"))
    saved = make_config(read_toml(run / "config.toml"))
    assert saved.network == {"width": 0.0625, "dab": "magnitude", "window": 1}
    assert saved == read_config(run / "state.safetensors")
    model = load_model(run / "model.safetensors")
    assert model.sizes == (4,)
    assert sorted(model.order(sorted(photos.iterdir())).order) == [0, 1, 2, 3]


def test_clips_that_first_weights_have_not_seen_are_held_out_again(
    clips: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    store = open_store(find_data([clips]), frames[clips])
    groups = sorted({clip.group for clip in store.clips})
    make_trainer(clips, frames, tmp_path / "drawn", **TRIDAB).train()
    weights = tmp_path / "drawn" / "model.safetensors"
    other = [group for group in groups if group not in make_source_groups(clips, frames)][:1]
    (tmp_path / "drawn" / "config.toml").write_text(f"held_out_groups = {[*other, 'a group of other data']}")
    assert make_source_groups(clips, frames, init=str(weights)) == tuple(other)
    assert make_source_groups(clips, frames, init=str(weights), held_out_groups=groups[:2]) == tuple(groups[:2])


def test_groups_that_weights_have_not_seen_are_told_by_the_file_alone(
    clips: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    groups = sorted({clip.group for clip in open_store(find_data([clips]), frames[clips]).clips})
    other = next(group for group in groups if group not in make_source_groups(clips, frames))
    make_trainer(clips, frames, tmp_path / "run", **TRIDAB, held_out_groups=[other]).train()
    shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "alone.safetensors")
    assert make_source_groups(clips, frames, init=str(tmp_path / "alone.safetensors")) == (other,)
    (tmp_path / "config.toml").write_text('held_out_groups = ["of another run"]')
    assert make_source_groups(clips, frames, init=str(tmp_path / "alone.safetensors")) == (other,)


def make_source_groups(clips: Path, frames: dict[Path, Path], **changes: object) -> tuple[str, ...]:
    config = make_config(SMALL, TRIDAB, changes)
    found = find_data([clips])
    make_source(config, found, open_store(found, frames[clips]))
    return config.held_out_groups


def test_a_run_may_begin_with_the_weights_of_another(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    make_trainer(manifest, frames, tmp_path / "first", **RESNET).train()
    weights = tmp_path / "first" / "model.safetensors"
    before = read_network(weights)[0].state_dict()
    second = make_trainer(manifest, frames, tmp_path / "second", **RESNET, init=str(weights), seed=1)
    assert all(torch.equal(value, before[name]) for name, value in second.network.state_dict().items())
    wider = {"backbone": "resnet18", "network": {"width": 0.0625, "hidden": 5}}
    third = make_trainer(manifest, frames, tmp_path / "third", **wider, init=str(weights))
    state = third.network.state_dict()
    new = [name for name in state if name not in before]
    assert second.taken == f"all weights of {weights}"
    assert all(torch.equal(state[name], before[name]) for name in state if name not in new)
    sizes = {name: parameter.numel() for name, parameter in third.network.named_parameters()}
    share = 100 * (1 - sum(sizes[name] for name in new) / sum(sizes.values()))
    left = "the file also has classify.bias, classify.weight, which this network has no place for"
    assert third.taken == f"{share:.1f} % of the weights from {weights}; new: {', '.join(new)}; {left}"

    shutil.copy(weights, tmp_path / "gone.safetensors")
    begun = {**RESNET, "init": str(tmp_path / "gone.safetensors")}
    fourth = make_trainer(manifest, frames, tmp_path / "fourth", **begun)
    fourth.request_stop()
    fourth.train()
    (tmp_path / "gone.safetensors").unlink()  # a resume has no need of it
    again = make_trainer(manifest, frames, tmp_path / "fourth", **begun)
    again.resume()
    assert again.progress.step == 1


def test_weights_of_which_little_fits_are_told_in_few_words(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path
) -> None:
    tail = {
        name: value
        for name, value in make_trainer(manifest, frames, tmp_path / "a", **RESNET).network.state_dict().items()
        if name.startswith("classify.")
    }
    save_file(tail, tmp_path / "tail.safetensors")
    taken = make_trainer(manifest, frames, tmp_path / "b", **RESNET, init=str(tmp_path / "tail.safetensors")).taken
    assert len(taken.partition("; new: ")[2].split(", ")) == 5
    assert re.search(r" and \d+ more$", taken)


@pytest.mark.parametrize(
    ("init", "code", "message"),
    [
        ("no.safetensors", 1, "no.safetensors: no such file or model for --init; there are the models tridab-s"),
        ("junk.safetensors", 1, "junk.safetensors: no weights that can be read; give a safetensors file to --init"),
        ("tridab.onnx", 1, "tridab.onnx: no weights that can be read; give a safetensors file to --init"),
        ("old.pt", 1, "so imgorder never reads them; give a model's name, or a .safetensors file"),
        ("tridab-s", 2, "tridab-s.safetensors: none of its weights fits this network; give a model of its kind"),
        ("dab-resnet18", 1, "dab-resnet18: is several networks; name one of them: dab-resnet18-n3, "),
        ("path", 2, "--init path: this model has no weights to begin with; name another"),
        ("wider.safetensors", 2, "wider.safetensors: none of its weights fits this network; give a model of its kind"),
    ],
)
def test_first_weights_that_cannot_be_are_one_line_before_anything_is_decoded(
    init: str, code: int, message: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imgorder.training.packing.decode", lambda *_: pytest.fail("decoded"))
    Path("junk.safetensors").write_bytes(b"junk")
    Path("tridab.onnx").write_bytes(b"junk")
    Path("old.pt").write_bytes(b"\x80\x02")
    # Counters of its batches, and the biases of the last layer, are alike in a network of any width.
    save_file(build_network("dab-resnet18", seq_len=4, width=0.125).state_dict(), "wider.safetensors")
    result = CliRunner().invoke(
        app, ["train", str(manifest), "--out", "run", "--device", "cpu", "--width", "0.0625", "--init", init]
    )
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("run").exists()


def test_a_name_is_a_model_whatever_lies_beside(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tridab-s").mkdir()
    result = CliRunner().invoke(app, ["train", str(manifest), "--out", "run", "--init", "tridab-s"])
    assert "tridab-s.safetensors: none of its weights fits" in result.stderr


def test_frames_that_are_enlarged_are_told(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    options = ("--steps", "1", "--set", "shorter_edge=144")
    line = "imgorder: warning: frames are stored at a shorter edge of 136 px; shorter_edge enlarges them"
    assert line in train(manifest, frames, tmp_path / "large", *options).stderr.splitlines()
    assert "enlarges" not in train(manifest, frames, tmp_path / "usual", *options[:2]).stderr


def test_a_run_on_larger_images_is_a_model_for_them(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    changes = {**TRIDAB, "shorter_edge": 160, "image_size": 144, "steps": 2, "crop_max": 130}
    make_trainer(clips, frames, tmp_path, **changes).train()
    model = load_model(tmp_path / "model.safetensors")
    assert (model.preprocessing.shorter_edge, model.preprocessing.crop) == (160, 144)
    images = np.zeros((1, 4, 3, 144, 144), np.float32)
    assert model.networks[4].backend.logits(images).shape == (1, 12)


def test_a_run_is_not_started_over_another(manifest: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(manifest, frames, run, "--steps", "1").exit_code == 0
    before = (run / "state.safetensors").read_bytes()
    again = train(manifest, frames, run)
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert (run / "state.safetensors").read_bytes() == before

    def resume(*more: str):  # type: ignore[no-untyped-def]
        arguments = ["train", "--out", str(run), "--resume", "--frames", str(frames[manifest]), *more]
        return CliRunner().invoke(app, arguments)

    assert resume("--steps", "3").exit_code == 0
    assert read_step(run / "state.safetensors") == 3
    kept = (run / "state.safetensors").read_bytes(), (run / "config.toml").read_bytes()
    assert resume().exit_code == 0  # nothing is left to do
    for change in (["--width", "0.125"], ["--set", "optimizer=adamw"], ["--recipe", "fast"], ["--steps", "2"]):
        refused = resume(*change)
        assert refused.exit_code == 2, refused.output
        assert len(refused.stderr.splitlines()) == 1
    assert kept == ((run / "state.safetensors").read_bytes(), (run / "config.toml").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "opn", "--dab", "off"], "--dab and --dab-window are for resnet18"),
        (["--seq-len", "5"], "no manifest has sets of 5; give one, or --seq-len 4"),
        (["--recipe", "fast", "--width", "0.1", "--seq-len", "3-4"], "no manifest has sets of 3"),
    ],
)
def test_nothing_is_decoded_for_settings_that_do_not_fit(
    arguments: list[str], message: str, manifest: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["train", str(manifest), "--out", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_manifest_that_is_not_used_is_named(manifest: Path, clips: Path, tmp_path: Path) -> None:
    other = write_sets(tmp_path / "n5.jsonl", clips, 5)
    result = CliRunner().invoke(app, ["train", str(manifest), str(other), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "a manifest has sets of 5, which --seq-len leaves out" in result.stderr


def test_the_same_command_with_resume_goes_on(
    manifest: Path, frames: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(manifest.parent)
    relative = Path(manifest.name)
    run = tmp_path / "run"
    assert train(relative, {relative: frames[manifest]}, run, "--steps", "1").exit_code == 0
    assert train(relative, {relative: frames[manifest]}, run, "--steps", "2", "--resume").exit_code == 0
    assert read_step(run / "state.safetensors") == 2


def test_ctrl_c_before_the_first_step_says_that_nothing_is_saved(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgorder.training.packing.decode", interrupted)
    result = CliRunner().invoke(app, ["train", str(manifest), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert result.exit_code == 130
    assert "stopped: nothing is saved yet" in result.stderr
    assert not list((tmp_path / "run" / "frames").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to train on"),
        (["missing.jsonl"], 1, "missing.jsonl"),
        (["--resume"], 1, "no run to go on with"),
        (["x.jsonl", "--recipe", "slow"], 2, "recipe is paper, fast"),
        (["x.jsonl", "--config", "missing.toml"], 2, "missing.toml"),
        (["x.jsonl", "--set", "min_learning_rate=1.0"], 2, "above learning_rate"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "--out", "run", *arguments])
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_frozen_parts_stay_as_they_were(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    trainer = make_trainer(clips, frames, tmp_path / "run", **TRIDAB, frozen=("trunk",))
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.train()
    after = trainer.network.state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert "trunk" not in changed
    assert {"accumulate", "matcher", "triple_head", "pair_head"} <= changed


def test_a_part_that_is_not_there_cannot_be_frozen(clips: Path, frames: dict[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frozen: the network has no part trunck; it has trunk, accumulate"):
        make_trainer(clips, frames, tmp_path / "run", **TRIDAB, frozen=("trunck",))
