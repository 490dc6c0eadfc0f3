from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import imgorder
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.backends.path import PathBackend
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import preprocess_set
from imgorder.ordering import canonical_ranks, from_probabilities
from imgorder.permutations import order_to_class, permutation_classes
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def model() -> OrderingModel:
    return imgorder.load_model()


def test_importing_the_package_is_light() -> None:
    code = "import sys, imgorder; assert not {'numpy', 'PIL', 'onnxruntime', 'typer', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in imgorder.__all__:
        assert getattr(imgorder, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        _ = imgorder.nonsense


def test_an_ordering_has_the_documented_parts(model: OrderingModel, scene: list[Image.Image]) -> None:
    ordering = model.order(scene[:4])
    assert sorted(ordering.order) == [0, 1, 2, 3]
    assert ordering.classes == permutation_classes(4)
    assert ordering.probabilities.shape == (12,)
    assert ordering.probabilities.sum() == pytest.approx(1)
    assert ordering.confidence == ordering.probabilities.max()
    assert int(ordering.probabilities.argmax()) == order_to_class(ordering.order)


def test_paths_pictures_and_arrays_may_be_given(model: OrderingModel, scene: list[Image.Image], tmp_path: Path) -> None:
    paths = []
    for index, image in enumerate(scene[:4]):
        paths.append(tmp_path / f"{index}.png")
        image.save(paths[-1])
    expected = model.order(scene[:4])
    for images in (paths, [str(path) for path in paths], [np.asarray(image) for image in scene[:4]]):
        assert np.array_equal(model.order(images).probabilities, expected.probabilities)


def test_the_answer_follows_the_images_wherever_they_stand(model: OrderingModel, scene: list[Image.Image]) -> None:
    expected = model.order(scene[:5])
    for listing in ([4, 2, 0, 3, 1], [1, 0, 4, 3, 2]):
        ordering = model.order([scene[i] for i in listing])
        assert tuple(listing[i] for i in ordering.order) == expected.order
        assert ordering.confidence == expected.confidence  # to the last bit
        moved = {tuple(listing[i] for i in order): p for order, p in ordering.ranking()}
        assert moved == dict(expected.ranking())


def test_a_batch_of_mixed_sizes_is_what_each_set_is_alone(model: OrderingModel, scene: list[Image.Image]) -> None:
    sets = [scene[:4], scene[1:4], scene[:2], scene[2:6], scene]
    for together, images in zip(model.order_batch(sets), sets, strict=True):
        alone = model.order(images)
        assert together.order == alone.order
        assert np.allclose(together.probabilities, alone.probabilities, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1])
def test_sets_of_other_sizes_are_refused(model: OrderingModel, scene: list[Image.Image], n: int) -> None:
    with pytest.raises(imgorder.SetSizeError, match=f"a set of {n}"):
        model.order([*scene, *scene][:n])


def test_iterators_of_sets_and_of_images_may_be_given(model: OrderingModel, scene: list[Image.Image]) -> None:
    expected = [model.order(scene[:3]).order, model.order(scene[3:]).order]
    given = (iter(images) for images in (scene[:3], scene[3:]))
    assert [each.order for each in model.order_batch(given)] == expected
    assert model.order(image for image in scene[:3]).order == expected[0]
    assert model.order(np.stack([np.asarray(image) for image in scene[:3]])).order == expected[0]


@pytest.mark.parametrize(
    ("images", "meant"),
    [
        ("photos", "'photos' is one path or text, not a list of images; for the photos of a folder: sorted"),
        (Path("photos"), "'photos' is one path or text"),
        (b"photos", "b'photos' is one path or text"),
        ({"a.jpg", "b.jpg", "c.jpg"}, "a set has no fixed order, .*give a list"),
        (frozenset("abc"), "a frozenset has no fixed order"),
        ({"a.jpg": 1, "b.jpg": 2}, "a dict has no fixed order"),
        (Image.new("RGB", (9, 9)), "one picture, not a list of images"),
        (np.zeros((9, 9, 3), np.uint8), "one picture, not a list of images"),
        (3, "int: not a list of images"),
        (None, "NoneType: not a list of images"),
    ],
)
def test_what_is_no_list_of_images_is_refused(model: OrderingModel, images: Any, meant: str) -> None:
    with pytest.raises(TypeError, match=meant):
        model.order(images)
    with pytest.raises(TypeError, match=meant.replace("list of images", "list of sets of images")):
        model.order_batch(images)
    with pytest.raises(TypeError):
        model.order_batch([images])


def test_one_set_where_several_are_meant_is_refused(model: OrderingModel) -> None:
    with pytest.raises(TypeError, match=r"'a\.jpg' is one path or text, not a list of sets of images"):
        model.order_batch(["a.jpg", "b.jpg", "c.jpg"])


@pytest.mark.parametrize("image", [9, 3, -1])
def test_a_first_image_that_is_not_there_is_an_index_error(image: int) -> None:
    with pytest.raises(IndexError, match=f"no image {image} in a set of 3"):
        from_probabilities(np.array([1, 2, 5]) / 8, (0, 1, 2)).with_end(image)


def test_any_number_of_sets_takes_the_memory_of_a_few() -> None:
    """No network sees more than a few images at once, and nothing is kept for each shape that it has seen."""
    backend = OnnxBackend.open(ROOT / "models" / "tridab-s.onnx")
    options = backend.session.get_session_options()
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern

    class Session:
        shapes: ClassVar[list[tuple[int, ...]]] = []

        def run(self, names: list[str], inputs: dict[str, Any], options: Any) -> list[Any]:
            self.shapes.append(inputs["images"].shape)
            values = inputs["images"][:, 0, 0, 0]
            triples, pairs = inputs["triples"], inputs["pairs"]
            return [values[triples[:, 0]], values[triples[:, 1]], values[pairs[:, 0]]]

    watched = replace(backend, session=Session())  # type: ignore[arg-type]
    sets = np.random.default_rng(0).random((40, 6, 3, 2, 2), dtype=np.float32)
    logits = watched.logits(sets)
    assert sum(shape[0] for shape in Session.shapes) == 40 * 6
    assert max(shape[0] for shape in Session.shapes) <= 16
    assert np.allclose(logits, np.concatenate([watched.logits(each[None]) for each in sets]))
    watched.logits(sets[:, :3])
    assert Session.shapes[-1][1:] == (3, 2, 2)


def test_an_unknown_model_or_backend_is_refused() -> None:
    with pytest.raises(imgorder.ModelError, match="no such model"):
        imgorder.load_model("nothing")
    with pytest.raises(imgorder.UsageError, match="no backend"):
        imgorder.load_model(backend="tpu")


def test_probabilities_by_rank_become_those_of_the_listed_classes() -> None:
    by_rank = np.array([1, 2, 5]) / 8  # classes 012, 021, 102 of the images as ranked
    ranks = (2, 0, 1)  # the image listed first has the highest rank, ...
    ordering = from_probabilities(by_rank, ranks)
    by_class = dict(zip(ordering.classes, ordering.probabilities, strict=True))
    # Ranked order 1, 0, 2 is images 2, 1, 0; ranked 0, 2, 1 is images 1, 0, 2; ranked 0, 1, 2 is 1, 2, 0.
    assert by_class[0, 1, 2] == pytest.approx(5 / 8)
    assert by_class[1, 0, 2] == pytest.approx(2 / 8)
    assert by_class[0, 2, 1] == pytest.approx(1 / 8)
    assert ordering.order == (2, 1, 0)  # rank 1 comes before rank 2


def test_a_known_first_image_leaves_only_its_orders() -> None:
    ordering = from_probabilities(np.array([1, 2, 5]) / 8, (0, 1, 2))
    assert ordering.order == (1, 0, 2)
    known = ordering.with_end(0)
    assert known.order == (0, 2, 1)
    assert known.confidence == pytest.approx(2 / 3)
    assert ordering.with_end(2).order == (2, 0, 1)
    assert ordering.reversed().order == (2, 0, 1)


@pytest.mark.parametrize("ranks", list(itertools.permutations(range(3))))
def test_of_equal_classes_the_winner_leads_the_ranking_whatever_is_known(ranks: tuple[int, ...]) -> None:
    tied = from_probabilities(np.array([0.4, 0.4, 0.2]), ranks)
    for known in itertools.permutations(range(3), 2):
        constrained = tied.constrained([known])
        assert constrained.ranking()[0] == (constrained.order, constrained.confidence)
        assert "could be" in constrained.words


def test_the_reverse_is_the_reverse_where_classes_tie() -> None:
    tied = from_probabilities(np.array([4, 1, 4, 1, 1, 4, 1, 1, 1, 2, 2, 2]) / 24, (2, 0, 3, 1))
    backwards = tied.reversed()
    assert backwards.order == tied.order[::-1]
    assert backwards.ranking() == [(order[::-1], p) for order, p in tied.ranking()]
    assert backwards.ranking()[0] == (backwards.order, backwards.confidence)
    assert backwards.reversed().ranking() == tied.ranking()


def test_ranks_depend_on_pixels_alone() -> None:
    tensors = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    ranks = canonical_ranks(tensors)
    shuffled = [3, 0, 4, 1, 2]
    assert canonical_ranks(tensors[shuffled]) == tuple(ranks[i] for i in shuffled)


def test_the_baseline_takes_the_shortest_path() -> None:
    values = [0.1, 0.9, 0.3, 0.6]  # flat images whose brightness rises with time
    tensors = np.stack([np.full((3, 112, 112), value, np.float32) for value in values])
    logits = PathBackend().logits(tensors[None])
    assert permutation_classes(4)[int(logits[0].argmax())] == (0, 2, 3, 1)
    # A second set in the batch changes nothing.
    both = PathBackend().logits(np.stack([tensors, tensors[::-1]]))
    assert np.allclose(both[0], logits[0])


def test_the_baseline_is_brute_force_written_out(scene: list[Image.Image]) -> None:
    tensors = preprocess_set(scene[:4])
    std = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    small = [(t * std).reshape(3, 14, 8, 14, 8).mean((2, 4)) for t in tensors]

    def length(order: tuple[int, ...]) -> float:
        return sum(float(np.linalg.norm(small[a] - small[b])) for a, b in itertools.pairwise(order))

    best = min(permutation_classes(4), key=length)
    assert permutation_classes(4)[int(PathBackend().logits(tensors[None])[0].argmax())] == best


def test_a_temperature_flattens_the_probabilities(model: OrderingModel, scene: list[Image.Image]) -> None:
    batch = preprocess_set(scene[:4], model.preprocessing)[None]
    network = model.networks[4]
    hot = replace(model, networks={4: replace(network, temperatures={4: 2 * network.temperatures[4]})})
    logs, flat = np.log(model.probabilities(batch)[0]), np.log(hot.probabilities(batch)[0])
    assert np.allclose(flat - flat[0], (logs - logs[0]) / 2)
