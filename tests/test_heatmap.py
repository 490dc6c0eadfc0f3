from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.heatmaps.colormap import PATHS, make_colours
from imgorder.heatmaps.grid import LABEL, MARGIN, TILE
from imgorder.heatmaps.heatmap import SetMaps, maps_in_order, set_maps
from imgorder.heatmaps.maps import motion_maps
from imgorder.heatmaps.overlay import upsample
from imgorder.inference import cards as registry
from imgorder.inference.backends.triples import TripleBackend
from imgorder.inference.predictor import Network, OrderingModel, load_model
from imgorder.media.preprocess import DEFAULT, Preprocessing, seen_box, to_pixels
from imgorder.ordering import Ordering, from_search
from imgorder.permutations import SIZES
from tests.conftest import ROOT, is_one_error, load_script
from tests.stand_in import StandIn

disc = load_script(ROOT / "benchmarks" / "disc.py")
SIZE, RADIUS = disc.SIZE, disc.RADIUS

CARDS = [card for card in registry.cards() if card.files]

# Layer -> how bright and how dense, for a still camera and for one that shakes.
Margins = dict[str, tuple[tuple[float, float], tuple[float, float]]]

# Family -> layer -> at least how many times as bright the disc is as what is still, and how many times its region's
# share of the map is that of the square; for a still camera, and for one that shakes. A family that is new here needs
# its own. Of dab-resnet18 only conv1 tells much, of dab-resnet50 the first three: docs/heatmaps.md says more.
MARGINS: dict[str, Margins] = {
    "tridab": {"features.stride8": ((10.0, 3.0), (3.0, 2.0))},
    "dab-resnet18": {
        "dab.conv1": ((10.0, 5.0), (10.0, 3.0)),
        "dab.layer4": ((1.5, 1.1), (1.5, 1.1)),
    },
    "dab-resnet50": {
        "dab.conv1": ((10.0, 5.0), (8.0, 4.0)),
        "dab.layer1": ((10.0, 5.0), (8.0, 4.0)),
        "dab.layer2": ((4.0, 2.5), (1.4, 1.2)),
    },
}

# Of DAB-ResNets that have learned nothing, by accumulator; their later stages tell more than those of the released
# ones. With the paper's sum the last photo shows its own features.
UNTRAINED: dict[str, Margins] = {
    "signed": {
        "dab.conv1": ((10.0, 5.0), (7.0, 3.0)),
        "dab.layer1": ((8.0, 3.5), (5.0, 3.0)),
        "dab.layer2": ((2.5, 1.8), (2.0, 1.4)),
        "dab.layer3": ((1.5, 1.3), (1.5, 1.2)),
        "dab.layer4": ((1.1, 1.05), (1.0, 1.0)),
    },
    "symmetric": {
        "dab.conv1": ((10.0, 5.0), (10.0, 3.0)),
        "dab.layer1": ((50.0, 4.0), (5.0, 3.0)),
        "dab.layer2": ((5.0, 2.0), (2.0, 1.4)),
        "dab.layer3": ((1.5, 1.3), (1.5, 1.2)),
        "dab.layer4": ((1.1, 1.05), (1.0, 1.0)),
    },
}


def heatmap(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["heatmap", *map(str, arguments)])


def save(photos: list[Image.Image], folder: Path, orientation: int | None = None) -> Path:
    """Photos named so that their names do not tell the order; stored turned if an orientation is given."""
    folder.mkdir()
    for index, photo in enumerate(photos):
        exif = Image.Exif()
        if orientation == 6:
            exif[0x0112] = 6
            photo = photo.transpose(Image.Transpose.ROTATE_90)
        photo.save(folder / f"p{(index * 2 + 1) % len(photos)}{index}.png", exif=exif)
    return folder


@cache
def scenes(n: int, shake: int) -> list[Any]:
    return [disc.render(n, shake, seed) for seed in range(4)]


@cache
def lights(name: str, shake: int) -> dict[str, list[Any]]:
    """Layer -> how a model's map lies around the disc, photo by photo of several sets."""
    model = load_model(name).with_votes(6)  # a quarter of the usual listings, and of the time
    n = 4 if 4 in model.sizes else max(model.sizes)
    seen = [disc.look(model, scene) for scene in scenes(n, shake)]
    return {layer: [light for each in seen for light in each.lights[layer]] for layer in seen[0].lights}


def small_dab_resnet(folder: Path, dab: str = "signed") -> Path:
    """A DAB-ResNet that has learned nothing."""
    torch = pytest.importorskip("torch")
    from imgorder.model_format import ModelMetadata
    from imgorder.networks.families import build_network
    from imgorder.networks.weights import write_network

    torch.manual_seed(0)
    settings = {"seq_len": 4, "width": 0.0625, "dab": dab}
    weights = folder / "small.safetensors"
    network = build_network("dab-resnet18", **settings)
    write_network(network, ModelMetadata("small", "dab-resnet18", settings, (4,)), weights)
    return weights


def check_margins(model: str, margins: Margins) -> None:
    for layer, by_shake in margins.items():
        for shake, (brighter, denser) in zip((0, 4), by_shake, strict=True):
            found = lights(model, shake)[layer]
            assert disc.ratio(found) > brighter, (layer, shake)
            share, area = np.mean([[light.share, light.area] for light in found], axis=0)
            assert share > denser * area, (layer, shake)


def concentrations(model: str, shake: int) -> list[float]:
    """How many times its area the disc's region has of a map, from conv1 to layer4."""
    means = [
        np.mean([[each.share, each.area] for each in layer], axis=0)
        for name, layer in lights(model, shake).items()
        if name.startswith("dab.")
    ]
    return [share / area for share, area in means]


def check_last_layer_blurs(model: str) -> None:
    """The last layer loses more than its large cells explain."""
    for shake in (0, 4):
        found = lights(model, shake)["dab.layer4"]
        share, area, best = np.mean([[each.share, each.area, each.best] for each in found], axis=0)
        assert share - area < (best - area) / 2
        assert best - share > 1 - best


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_maps_are_bright_where_the_disc_is_and_dark_where_nothing_moves(card: registry.Card) -> None:
    check_margins(card.name, MARGINS[card.family])


@pytest.mark.parametrize("card", [card for card in CARDS if card.family == "dab-resnet18"], ids=lambda card: card.name)
def test_the_first_map_of_dab_resnet18_tells_most_of_where_the_disc_is(card: registry.Card) -> None:
    for shake in (0, 4):
        first, *later = concentrations(card.name, shake)
        assert first > 3 * max(later)
    check_last_layer_blurs(card.name)


@pytest.mark.parametrize("dab", UNTRAINED)
def test_each_map_of_a_dab_resnet_that_has_learned_nothing_tells_less(tmp_path: Path, dab: str) -> None:
    model = str(small_dab_resnet(tmp_path, dab))
    check_margins(model, UNTRAINED[dab])
    for shake in (0, 4):
        assert all(later < earlier for earlier, later in pairwise(concentrations(model, shake)[1:]))
    check_last_layer_blurs(model)


def test_in_one_listing_the_last_photo_shows_its_own_features_and_with_votes_all_are_treated_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(str(small_dab_resnet(tmp_path)))
    tensors = np.random.default_rng(0).standard_normal((1, 3, 112, 112), np.float32).repeat(4, axis=0)  # one photo

    def maps(listing: list[int], votes: int) -> np.ndarray:
        monkeypatch.setattr("imgorder.heatmaps.heatmap.canonical_ranks", lambda _: listing)
        asked = model.with_votes(votes)
        return maps_in_order(asked, tensors, asked.order_tensors([tensors])[0]).layers["dab.conv1"]

    for listing in ([0, 1, 2, 3], [3, 1, 0, 2]):
        alone = maps(listing, 1)
        assert [heat.mean() > 0.1 for heat in alone] == [rank == 3 for rank in listing]
        own = alone[listing.index(3)]
        assert own.mean() > 0.1
        assert np.abs(maps(listing, 24)).max() < 1e-5  # all are alike, and none shows its own features


def test_with_all_votes_maps_do_not_depend_on_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(str(small_dab_resnet(tmp_path))).with_votes(24)
    tensors = np.random.default_rng(0).standard_normal((4, 3, 112, 112), np.float32)
    ordering = model.order_tensors([tensors])[0]
    found = []
    for listing in ([0, 1, 2, 3], [2, 0, 3, 1]):
        monkeypatch.setattr("imgorder.heatmaps.heatmap.canonical_ranks", lambda _, listing=listing: listing)
        found.append(maps_in_order(model, tensors, ordering).layers)
    for name, maps in found[0].items():
        np.testing.assert_allclose(maps, found[1][name], rtol=1e-4, atol=1e-5)


def test_a_map_that_knows_just_where_the_disc_is_would_have_the_best_share() -> None:
    scene = disc.render(4)

    class Knowing(StandIn):
        name = "knowing"

        def logits(self, tensors: np.ndarray) -> np.ndarray:
            return np.zeros((len(tensors), 12), np.float32)

        def activations(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
            # The colours of the disc have more red than any of the ground, which is at most 216.
            return {"dab.all": (tensors[:, :, :1] > (230 / 255 - 0.485) / 0.229).astype(np.float32)}

    seen = disc.look(OrderingModel("knowing", "knowing", (4,), Preprocessing(), {4: Network(Knowing())}), scene)
    assert seen.cells == {"dab.all": pytest.approx(480 / 181)}  # 480 by 360 px become 181 by 136
    for light in seen.lights["dab.all"]:
        assert light.still == 0
        assert light.disc > 0.8
        assert light.best > 0.98
        assert light.share == pytest.approx(light.best, abs=0.01)
        assert light.area == pytest.approx(np.pi * (RADIUS + 180 / 136) ** 2 / (360 * 112 / 136) ** 2, rel=0.02)
    assert disc.ratio(seen.lights["dab.all"]) == np.inf


def test_a_turned_photo_has_its_map_on_the_right_pixels(tmp_path: Path) -> None:
    scene = disc.render(4)
    plain = save(scene.photos, tmp_path / "plain")
    turned = save(scene.photos, tmp_path / "turned", orientation=6)
    assert heatmap(plain, "--out", tmp_path / "a", "--raw").exit_code == 0
    assert heatmap(turned, "--out", tmp_path / "b", "--raw").exit_code == 0
    for file in sorted((tmp_path / "a").glob("*.npy")):
        one, other = np.load(file), np.load(tmp_path / "b" / file.name)
        assert one.shape == other.shape == (SIZE[1], SIZE[0])
        assert np.nanmax(np.abs(one - other)) < 0.05 * np.nanmax(one)
        y, x = np.unravel_index(np.nanargmax(np.where(np.isnan(one), -1, one)), one.shape)
        # Of any of the photos: which of them are neighbours, the network says.
        assert min(np.hypot(*(centre - (x, y))) for centre in scene.centres) < RADIUS + 20


def test_values_lie_over_the_pixels_that_made_them() -> None:
    """The i-th value of a layer at stride s belongs to pixel s·i."""
    heat = np.zeros((14, 14), np.float32)
    heat[3, 10] = 1.0
    scaled = upsample(heat, (112, 112), (0, 112))
    assert divmod(int(scaled.argmax()), 112) == (24, 80)
    whole = upsample(heat, (560, 560), (0, 560))
    parts = np.concatenate([upsample(heat, (560, 560), (start, start + 56)) for start in range(0, 560, 56)])
    assert np.abs(whole - parts).max() < 1e-5


@pytest.mark.parametrize(("crop", "cells", "stride"), [(112, 4, 32), (144, 72, 2), (144, 18, 8), (144, 5, 32)])
def test_values_lie_over_their_pixels_in_an_input_of_any_size(crop: int, cells: int, stride: int) -> None:
    heat = np.zeros((cells, cells), np.float32)
    heat[cells - 2, 1] = 1.0
    scaled = upsample(heat, (crop, crop), (0, crop), crop)
    assert divmod(int(scaled.argmax()), crop) == (stride * (cells - 2), stride)


class Eighth(StandIn):
    """A stand-in network whose one layer is every eighth pixel of its input."""

    name = "eighth"

    def logits(self, tensors: np.ndarray) -> np.ndarray:
        return np.zeros((len(tensors), 3), np.float32)

    def activations(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
        return {"dab.eighth": tensors[..., ::8, ::8]}


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize("corner", ["first", "last"])
@pytest.mark.parametrize(
    "spec",
    [
        Preprocessing(136, 112),
        Preprocessing(144, 144),
        Preprocessing(256, 224),
        Preprocessing(144, 144, squeeze=1.2),
        Preprocessing(144, 128, squeeze=2.0),
    ],
    ids=str,
)
def test_a_marked_corner_has_its_value_whatever_the_network_looks_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Preprocessing, corner: str, orientation: int | None
) -> None:
    zoom = np.minimum(SIZE, min(SIZE) * spec.squeeze) / spec.shorter_edge  # across, down
    side = (40 * zoom).round().astype(int)  # of the mark
    middle, half = np.array(SIZE) / 2, spec.crop * zoom / 2
    x, y = (middle - half if corner == "first" else middle + half - side).round().astype(int)
    pixels = np.full((SIZE[1], SIZE[0], 3), (124, 116, 104), np.uint8)  # the mean that is subtracted
    pixels[max(0, y) : y + side[1], max(0, x) : x + side[0]] = 255
    photos = save([Image.fromarray(pixels)] * 3, tmp_path / "photos", orientation)
    model = OrderingModel("eighth", "eighth", (3,), spec, {3: Network(Eighth())})
    monkeypatch.setattr("imgorder.inference.predictor.load_model", lambda *arguments: model)
    result = heatmap(photos, "--out", tmp_path / "maps", "--raw", "--layers", "--colormap", "grey", "--alpha", "1")
    assert result.exit_code == 0, result.output
    values = np.load(next((tmp_path / "maps").glob("*.npy")))
    deep = np.asarray(Image.open(next((tmp_path / "maps").glob("*.heat.png"))))
    painted = np.asarray(Image.open(next((tmp_path / "maps").glob("*.heat.jpg")))).mean(axis=2)
    seen = ~np.isnan(values)
    assert seen.sum() == pytest.approx(np.prod(spec.crop * zoom), rel=0.02)
    row, column = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    # In px of the input, beyond the mark's rim; values are smeared over 12 at most.
    beyond = [
        np.abs(at + 0.5 - first - edge / 2) - edge / 2 for at, first, edge in ((column, x, side[0]), (row, y, side[1]))
    ]
    outside = np.maximum(beyond[0] / zoom[0], beyond[1] / zoom[1])
    inside, away = seen & (outside < -12), seen & (outside > 12)
    assert values[inside].min() > 2
    assert values[away].max() < 0.3
    assert deep[inside].min() > 0.8 * 65535
    assert deep[away].max() < 0.15 * 65535
    assert painted[inside].min() > np.percentile(painted[away], 95) + 50  # the line around the square is white
    grid = np.asarray(Image.open(tmp_path / "maps" / "layers.png")).mean(axis=2)
    photo, heat = (grid[LABEL : LABEL + TILE, left : left + TILE] for left in (MARGIN, 2 * MARGIN + TILE))
    for tile, tolerance in ((photo, 1.5), (heat, 6)):
        bright = tile[2:-2, 2:-2] > 185
        at = (np.argwhere(bright).mean(axis=0) + 2.5) / TILE * spec.crop
        expected = 20 if corner == "first" else spec.crop - 20
        assert np.abs(at - expected).max() < tolerance


@pytest.mark.parametrize("squeeze", [1.0, 1.5])
@pytest.mark.parametrize("size", [(480, 360), (360, 480), (1001, 333), (136, 136), (4000, 300)])
def test_the_seen_box_is_what_preprocessing_cuts_out(size: tuple[int, int], squeeze: float) -> None:
    spec = Preprocessing(squeeze=squeeze)
    left, top, right, bottom = seen_box(size, spec)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[round(top) : round(bottom), round(left) : round(right)] = 200
    seen = to_pixels(picture, spec)
    assert (seen[4:-4, 4:-4] > 190).all()  # all of the box
    grown = np.full((size[1], size[0], 3), 200, np.uint8)
    across, down = (max(1, round(3 * edge / 112)) for edge in (right - left, bottom - top))
    grown[round(top) + down : round(bottom) - down, round(left) + across : round(right) - across] = 0
    edge = to_pixels(grown, spec)
    assert edge[56, 1].min() > 60  # and nothing further out: the rim is at the rim
    assert edge[1, 56].min() > 60
    assert edge[56, 56].max() == 0


def test_the_middle_photo_is_compared_with_its_neighbours_in_the_order() -> None:
    features = np.arange(4, dtype=np.float32)[[2, 0, 3, 1]].reshape(4, 1, 1, 1) ** 2
    maps = motion_maps("features.stride8", features, [1, 3, 0, 2])  # values 0, 1, 4, 9 in time
    assert maps[[1, 3, 0, 2], 0, 0].tolist() == [2 * 1, 2, 2, 2 * 5]
    assert motion_maps("dab.layer4", -features, [0, 1, 2, 3])[2, 0, 0] == 9


def test_torch_and_onnx_give_the_same_maps(photos: Path) -> None:
    pytest.importorskip("torch")
    files = sorted(photos.iterdir())
    onnx, torch = (set_maps(load_model("tridab-s", backend), files) for backend in ("onnx", "torch"))
    assert onnx.order == torch.order
    assert list(onnx.layers) == list(torch.layers) == ["features.stride2", "features.stride4", "features.stride8"]
    for name, maps in onnx.layers.items():
        assert np.abs(maps - torch.layers[name]).max() < 1e-3


def test_a_dab_resnet_shows_its_accumulators(photos: Path) -> None:
    pytest.importorskip("torch")
    files = sorted(photos.iterdir())
    found = [set_maps(load_model("dab-resnet18", backend), files) for backend in ("onnx", "torch")]
    assert list(found[0].layers) == ["dab.conv1", "dab.layer1", "dab.layer2", "dab.layer3", "dab.layer4"]
    side = load_model("dab-resnet18").preprocessing.crop
    assert [maps.shape[1] for maps in found[0].layers.values()] == [ceil(side / stride) for stride in (2, 4, 8, 16, 32)]
    for name, maps in found[0].layers.items():
        assert np.abs(maps - found[1].layers[name]).max() < 1e-3


def test_everything_that_can_be_asked_for(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    before = {file.name: file.read_bytes() for file in photos.iterdir()}
    out = tmp_path / "maps"
    looks = ("--normalise", "photo", "--colormap", "ocean")
    model = small_dab_resnet(tmp_path)  # sees the square in the middle
    result = heatmap(photos, "--out", out, "--raw", "--layers", "--decision", *looks, "--model", model)
    assert result.exit_code == 0, result.output
    names = {f"{Path(name).stem}{ending}" for name in before for ending in (".heat.jpg", ".heat.npy", ".heat.png")}
    names |= {f"{Path(name).stem}.decision.jpg" for name in before} | {"layers.png"}
    assert {file.name for file in out.iterdir()} == names
    assert sorted(result.stdout.splitlines()) == sorted(str(out / name) for name in names)
    assert {file.name: file.read_bytes() for file in photos.iterdir()} == before
    painted, photo = Image.open(out / "img1.heat.jpg"), Image.open(photos / "img1.jpg")
    assert painted.size == photo.size
    corner = np.asarray(painted)[:10, :10].astype(int)  # what it does not see is grey
    assert np.abs(corner - corner.mean(axis=2, keepdims=True)).max() < 8
    deep = np.asarray(Image.open(out / "img1.heat.png"))
    assert deep.dtype in (np.uint16, np.int32)
    assert deep.max() == 65535


def test_the_grid_of_several_folders_has_names_as_short_as_tell_them_apart(
    photos: Path, tmp_path: Path, drawn: list[str]
) -> None:
    places = [photos / "a" / "1.jpg", photos / "b" / "1.jpg", photos / "b" / "2.jpg"]
    for name, place in zip(("img10.jpg", "img2.jpg", "img33.jpg"), places, strict=True):
        place.parent.mkdir(exist_ok=True)
        (photos / name).rename(place)
    result = heatmap(*places, photos / "img1.jpg", "--out", tmp_path / "maps", "--layers")
    assert result.exit_code == 0, result.output
    rows = [text.split("  ") for text in drawn if text.endswith(".jpg")]
    assert [number for number, _ in rows] == ["1", "2", "3", "4"]
    in_time = ["a/1.jpg", "b/1.jpg", "2.jpg", "img1.jpg"]
    assert [name for _, name in rows] in (in_time, in_time[::-1])


def test_nothing_is_overwritten_without_force(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    out.mkdir()
    (out / "img33.heat.jpg").write_bytes(b"mine")
    refused = heatmap(photos, "--out", out)
    assert refused.exit_code == 1
    assert "img33.heat.jpg: exists already; choose another name, or replace it with --force" in refused.stderr
    assert [file.name for file in out.iterdir()] == ["img33.heat.jpg"]
    assert (out / "img33.heat.jpg").read_bytes() == b"mine"
    assert heatmap(photos, "--out", out, "--force").exit_code == 0
    assert (out / "img33.heat.jpg").read_bytes() != b"mine"


def test_a_photo_is_not_overwritten_even_with_force(photos: Path, tmp_path: Path) -> None:
    elsewhere, linked = tmp_path / "elsewhere", tmp_path / "linked"
    elsewhere.mkdir()
    linked.mkdir()
    (photos / "img1.jpg").rename(elsewhere / "img1.heat.jpg")
    (linked / "img1.jpg").symlink_to(elsewhere / "img1.heat.jpg")
    for name in ("img2.jpg", "img10.jpg"):
        (photos / name).rename(linked / name)
    before = (elsewhere / "img1.heat.jpg").read_bytes()
    refused = heatmap(linked, "--out", elsewhere, "--force")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "elsewhere: holds the photos" in refused.stderr
    assert [file.read_bytes() for file in elsewhere.iterdir()] == [before]


def test_a_photo_outside_the_set_is_not_overwritten_and_a_map_is(photos: Path, tmp_path: Path) -> None:
    """What imgorder has painted itself can be told from photos, in every format."""
    wanted = ("--out", tmp_path / "maps", "--raw", "--layers", "--force")
    assert heatmap(photos, *wanted).exit_code == 0
    assert heatmap(photos, *wanted).exit_code == 0
    for name in ("img1.heat.jpg", "img1.heat.png", "layers.png", "img1.heat.npy"):
        kept = (tmp_path / "maps" / name).read_bytes()
        shutil.copyfile(photos / "img2.jpg", tmp_path / "maps" / name)
        result = heatmap(photos, *wanted)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert f"{name}: a picture or film that is not marked" in result.stderr
        assert (tmp_path / "maps" / name).read_bytes() == (photos / "img2.jpg").read_bytes()
        (tmp_path / "maps" / name).write_bytes(kept)


def test_maps_have_the_photos_colours_and_nothing_else_of_them(photos: Path, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    for file in photos.iterdir():
        red = Image.new("RGB", (200, 150), (220, 30, 30))
        red.paste(Image.open(file).resize((50, 50)), (75, 50))
        red.save(file, quality=95, icc_profile=swapped, comment=b"a secret")
    assert heatmap(photos, "--out", tmp_path / "maps", "--alpha", "0").exit_code == 0
    for file in (tmp_path / "maps").iterdir():
        with Image.open(file) as painted:
            red, green, blue = np.asarray(painted)[140, 100].astype(int)
        assert green > 180 > 60 > max(red, blue)
        assert b"secret" not in file.read_bytes()


def test_values_are_not_written_through_a_memory_map(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk fills up, the system kills a process that writes so, and nobody says why."""

    def refuse(*arguments: Any, **rest: Any) -> None:
        raise AssertionError("a memory map")

    monkeypatch.setattr("mmap.mmap", refuse)
    assert heatmap(photos, "--out", tmp_path / "maps", "--raw").exit_code == 0
    values = [np.load(file) for file in sorted((tmp_path / "maps").glob("*.npy"))]
    assert [(each.shape, each.dtype) for each in values] == [((300, 400), np.dtype(np.float32))] * 4


def test_a_long_name_in_the_grid_loses_its_middle(photos: Path, tmp_path: Path, drawn: list[str]) -> None:
    name = f"burst-{'0' * 60}-17.jpg"
    (photos / "img1.jpg").rename(photos / name)
    assert heatmap(photos, "--out", tmp_path / "maps", "--layers").exit_code == 0
    (text,) = (text for text in drawn if "burst" in text)
    assert "..." in text
    assert text.endswith("-17.jpg")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--colormap", "jet"], 2, "--colormap is ember, ocean, grey"),
        (["--normalise", "no"], 2, "--normalise"),
        (["--model", "path"], 1, "has no heat maps"),
        (["--decision", "--backend", "onnx"], 2, "--backend torch"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    photos: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = heatmap(photos, "--out", tmp_path / "maps", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda folder: [file.unlink() for file in sorted(folder.iterdir())[2:]], "2 photos; a heat map needs 3"),
        (lambda folder: (folder / "img2.jpg").write_bytes(b"\xff\xd8\xff" * 9), "img2.jpg: "),
        (lambda folder: (folder / "img2.jpg").write_bytes((folder / "img2.jpg").read_bytes()[:4000]), "img2.jpg: "),
    ],
    ids=["two photos", "no photo", "cut off"],
)
def test_of_several_folders_all_have_maps_or_none(
    photos: Path, tmp_path: Path, second: Callable[[Path], Any], message: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    second(other)
    result = heatmap(photos, other, "--out", tmp_path / "maps")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"imgorder: error: {other}")
    assert message in result.stderr
    assert not (tmp_path / "maps").exists()


def test_the_current_folder_has_its_name_among_several(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "other")
    monkeypatch.chdir(photos)
    assert heatmap(".", tmp_path / "other", "--out", tmp_path / "maps").exit_code == 0
    assert sorted(each.name for each in (tmp_path / "maps").iterdir()) == ["01-photos", "02-other"]
    assert heatmap(".", "--out", "").exit_code == 2


def test_maps_are_not_put_among_the_photos(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    before = sorted(photos.iterdir())
    for place in (photos, tmp_path / "link", photos / ".." / "photos"):
        result = heatmap(photos, "--out", place, "--force")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "holds the photos, and their maps would be taken for photos next time" in result.stderr
    assert heatmap(*sorted(photos.glob("*.jpg")), "--out", photos).exit_code == 1
    (tmp_path / "links").mkdir()
    for photo in photos.glob("*.jpg"):
        (tmp_path / "links" / photo.name).symlink_to(photo)
    assert heatmap(tmp_path / "links", "--out", photos).exit_code == 1
    assert sorted(photos.iterdir()) == before
    assert heatmap(photos, "--out", photos / "maps").exit_code == 0


def test_outputs_that_are_no_maps(photos: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for node, said in (
        (onnx.helper.make_node("Neg", ["p"], ["features.made"]), "has outputs that are no maps"),
        (onnx.helper.make_node("Log", ["below"], ["features.made"]), "its maps are not numbers"),
    ):
        model = onnx.load(ROOT / "models" / "tridab-s.onnx")
        below = onnx.helper.make_node("Sub", ["images", "ten"], ["below"])
        ten = onnx.helper.make_node("Constant", [], ["ten"], value_float=10.0)
        model.graph.node.extend([ten, below, node])
        model.graph.output.append(onnx.helper.make_tensor_value_info("features.made", onnx.TensorProto.FLOAT, None))
        onnx.save(model, tmp_path / "made.onnx")
        result = heatmap(photos, "--out", tmp_path / "maps", "--model", tmp_path / "made.onnx")
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{tmp_path / 'made.onnx'}: {said}" in result.stderr
        assert not (tmp_path / "maps").exists()


def test_maps_want_a_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        result = heatmap(photos, "--out", place)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{place}: cannot be a folder of maps (Not a directory); choose another --out" in result.stderr


def test_heat_maps_need_no_torch(photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from imgorder.cli import app\n"
        f"app(['heatmap', {str(photos)!r}, '--out', {str(tmp_path / 'maps')!r}, '--layers'], standalone_mode=False)\n"
        "print(sorted({'torch', 'torchvision', 'cv2'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PATHS)
def test_lightness_rises_evenly(name: str) -> None:
    table = make_colours(name).astype(float) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert (steps > -0.3).all()
    assert lightness[-1] - lightness[0] > 60
    assert np.abs(lightness - np.linspace(lightness[0], lightness[-1], 256)).max() < 12


class Windows(StandIn):
    """A network whose features are its input, and which notes how many photos it was shown at once."""

    def __init__(self) -> None:
        self.shown: set[int] = set()

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        self.shown.add(tensors.shape[1])
        return {"features.stride2": tensors}


def ordered(order: Sequence[int]) -> Ordering:
    n = len(order)
    return from_search(order, [0.9] * (n - 1), tuple(range(n)), search="path")


@pytest.mark.parametrize("sizes", [(3,), (4,), (3, 4, 5, 6)])
@pytest.mark.parametrize("n", [7, 9, 10, 31])
def test_maps_of_any_number_of_photos_come_from_their_neighbours(n: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(n)
    tensors = rng.random((n, 3, 4, 4), dtype=np.float32)
    backend = Windows()
    model = OrderingModel("m", "stand-in", sizes, DEFAULT, dict.fromkeys(sizes, Network(backend)))
    order = ordered(rng.permutation(n).tolist()).order
    maps = maps_in_order(model, tensors, ordered(order)).layers["features.stride2"]
    assert backend.shown == {max(sizes)}  # never all at once
    expected = motion_maps("features.stride2", tensors, order)
    assert np.abs(maps - expected).max() < 1e-6


class Once(StandIn, TripleBackend):
    """A network that scores triples, whose features are its input, and which notes how many photos it was shown."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def encode(self, images: Any) -> Any:
        raise AssertionError("nothing here asks for features")

    def score(self, features: Any, triples: Any, pairs: Any) -> Any:
        raise AssertionError("nothing here asks for scores")

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        self.shown.append(tensors.shape[1])
        return {"features.stride2": tensors, "features.stride4": tensors[..., :2, :2]}


@pytest.mark.parametrize("n", [7, 16, 17, 18, 33, 40])
def test_a_network_that_sees_photos_by_themselves_sees_each_once(n: int) -> None:
    rng = np.random.default_rng(n)
    tensors = rng.random((n, 3, 4, 4), dtype=np.float32)
    backend = Once()
    model = OrderingModel("m", "stand-in", SIZES, DEFAULT, dict.fromkeys(SIZES, Network(backend)))
    order = rng.permutation(n).tolist()
    maps = maps_in_order(model, tensors, ordered(order)).layers
    assert sum(backend.shown) == n
    assert max(backend.shown) <= 16  # never all at once
    for name, values in (("features.stride2", tensors), ("features.stride4", tensors[..., :2, :2])):
        assert np.abs(maps[name] - motion_maps(name, values, order)).max() < 1e-6


def test_layers_of_many_photos_are_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[str]) -> None:
    n = 25
    folder = save([Image.new("RGB", (40, 30), (9 * index, 0, 0)) for index in range(n)], tmp_path / "many")
    maps = SetMaps(tuple(range(n)), {"features.stride8": np.ones((n, 4, 4), np.float32)}, None, DEFAULT)
    monkeypatch.setattr("imgorder.heatmaps.heatmap.maps_in_order", lambda *a, **k: maps)
    out = tmp_path / "maps"
    result = heatmap(folder, "--out", out, "--layers", "--model", "path")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == [str(out / "layers-1.png"), str(out / "layers-2.png")]
    heights = [Image.open(out / f"layers-{page}.png").height for page in (1, 2)]
    assert 2000 < heights[1] < heights[0] < 5000
    assert [int(text.split()[0]) for text in drawn if text[0].isdigit()] == list(range(1, n + 1))
    assert len(list(out.glob("*.heat.jpg"))) == n


def test_a_decision_of_too_many_photos_is_one_line_before_the_sorting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save([Image.new("RGB", (40, 30), (9 * index, 0, 0)) for index in range(7)], tmp_path / "seven")
    monkeypatch.setattr("imgorder.heatmaps.heatmap.maps_in_order", lambda *a, **k: pytest.fail("sorted"))
    result = heatmap(folder, "--out", tmp_path / "maps", "--decision", "--model", "path")
    assert (result.exit_code, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "seven: 7 photos", "at most 6; give fewer, or leave out --decision")
    assert not (tmp_path / "maps").exists()
