from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.heatmaps.heatmap import maps_in_order
from imgorder.heatmaps.overlay import Look
from imgorder.inference.backends.path import PathBackend
from imgorder.inference.backends.views import TwoViews
from imgorder.inference.checksum import describe_file
from imgorder.inference.options import ModelOptions
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.known import Known
from imgorder.media.capture import capture_time
from imgorder.media.exif import set_capture_time
from imgorder.media.lookalikes import Lookalike, group_lookalikes
from imgorder.media.photos import find_sets
from imgorder.media.preprocess import Preprocessing, preprocess_set
from imgorder.media.time_texts import parse_offset
from imgorder.names import show
from imgorder.ordering import canonical_ranks
from imgorder.permutations import order_to_class
from imgorder.report import words
from imgorder.report.compose import make_report
from imgorder.report.embed import EDGE, MOST, choose_size, encode_picture
from imgorder.report.facts import Report
from imgorder.report.markup import Html, fill
from imgorder.report.page import make_page
from imgorder.report.times import judge
from imgorder.sorting.sort import Sorting, sort_sets
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium")
NOON = datetime(2024, 5, 1, 12)
VOID = {"meta", "link", "img", "br", "input"}


def write(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


class Page(HTMLParser):
    """What is in a page, and whether every element is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def pictures(self, kind: str) -> list[Image.Image]:
        return [Image.open(BytesIO(jpeg)) for jpeg in self.jpegs(kind)]

    def jpegs(self, kind: str) -> list[bytes]:
        return [b64decode(each["src"].split(",")[1]) for each in self.all("img") if each["class"] == kind]


def sorted_now(folder: Path, known: Known = Known(), model: str | None = None) -> Sorting:
    options = ModelOptions(backend="onnx") if model is None else ModelOptions(model)
    (sorting,) = sort_sets(find_sets([folder]), options, known)
    return sorting


@pytest.fixture
def page_of(tmp_path: Path) -> Any:
    """Writes a report and reads it."""

    def read(*arguments: str | Path) -> Page:
        out = tmp_path / "out.html"
        # What is told of times here compares them with the pictures, which they then may not decide.
        ignored = () if "--metadata" in arguments else ("--metadata", "ignore")
        result = write(*arguments, *ignored, "--out", out, "--force")
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{out}\n"
        return Page(out.read_text("utf-8"))

    return read


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, scene: list[Image.Image]) -> tuple[Path, Report]:
    """A report of six photos and what it tells."""
    folder = tmp_path_factory.mktemp("six")
    for name, image in zip("dacbfe", scene, strict=True):
        image.save(folder / f"{name}.png")
    report = make_report(sorted_now(folder), Look())
    out = tmp_path_factory.mktemp("page") / "report.html"
    out.write_text(make_page(report), "utf-8")
    return out, report


def set_times(photos: Path, names: Sequence[str], seconds: Sequence[float | None]) -> None:
    for name, offset in zip(names, seconds, strict=True):
        if offset is not None:
            file = photos / name
            file.write_bytes(set_capture_time(file.read_bytes(), NOON + timedelta(seconds=offset))[0])


IN_ORDER = ["img10.jpg", "img2.jpg", "img33.jpg", "img1.jpg"]  # of `photos`


def test_a_page_is_whole_and_needs_nothing_else(example: tuple[Path, Report]) -> None:
    text = example[0].read_text("utf-8")
    found = Page(text)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "a", "video", "audio", "source"}
    without_pictures = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", without_pictures)
    for _, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")]
    for image in found.all("img"):
        assert image["src"].startswith("data:image/jpeg;base64,")
        assert image["alt"]
        assert int(image["width"]) <= EDGE
        assert int(image["height"]) <= EDGE
    assert found.all("link") == [{"rel": "icon", "href": "data:,"}]
    policy = next(m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert {name for name, value in allowed.items() if value != "'none'"} == {"style-src", "img-src"}
    assert (allowed["style-src"], allowed["img-src"]) == ("'unsafe-inline'", "data:")
    # What a policy in a page forbids holds only from there on.
    assert text.index("Content-Security-Policy") < text.index("<link") < text.index("<style")
    assert text.startswith("<!DOCTYPE html>")
    assert found.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all("meta")
    assert len(text) < 2_000_000


def test_headings_ids_and_labels_are_in_order(example: tuple[Path, Report]) -> None:
    found = Page(example[0].read_text("utf-8"))
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    switches = found.all("input")
    assert [each["type"] for each in switches] == ["checkbox"] * 7
    assert {label["for"] for label in found.all("label")} == {each["id"] for each in switches}
    for section in found.all("section"):
        assert section["aria-labelledby"] in ids


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Preprocessing(136, 112), "scaled so that its shorter edge has 136 px; only the 112×112 px in its middle were"),
        (
            Preprocessing(128, 128, squeeze=1.8),
            "squeezed into 128×128 px, of a longer edge at most 1.8 times",
        ),
        (
            Preprocessing(144, 128, squeeze=2.0),
            "times the shorter one; only the 128×128 px in its middle were",
        ),
    ],
    ids=str,
)
def test_it_tells_what_was_looked_at(spec: Preprocessing, said: str) -> None:
    assert said in words.describe_preprocessing(spec)


def test_it_tells_what_sort_and_heatmap_tell(photos: Path, tmp_path: Path, page_of: Any) -> None:
    sorted_set = json.loads(CliRunner().invoke(app, ["sort", str(photos), "--json", "--classes", "5"]).stdout)["sets"][
        0
    ]
    found = page_of(photos)
    alts = [image["alt"] for image in found.all("img") if image["class"] == "photo"]
    assert alts == [f"Photo {number} of 4: {name}" for number, name in enumerate(sorted_set["order"], start=1)]
    shares = [words.show_percent(each["probability"]) for each in sorted_set["classes"]]
    assert re.findall(r"[\d.]+%", found.text.split("most probable orders")[1]) == [
        share.removeprefix("under ").removeprefix("over ") for share in shares
    ]
    runner_up = sorted_set["classes"][1]["order"]
    numbers = [sorted_set["order"].index(name) + 1 for name in runner_up]
    said = re.search(r"Second choice: ([\d, ]+) with (.*?%)\.", found.text)
    assert said is not None
    assert said[1] in (words.join_items(numbers), words.join_items(numbers[::-1]))
    assert said[2] == shares[1]
    model = load_model()
    file = model.networks[4].file
    assert file is not None
    assert f"SHA-256 {describe_file(file).sha256[:12]}…" in found.text
    spec = model.preprocessing
    assert f"squeezed into {spec.crop}×{spec.crop} px" in found.text
    # The maps are those of `imgorder heatmap`, of photos that are not larger than here.
    assert CliRunner().invoke(app, ["heatmap", str(photos), "--out", str(tmp_path / "maps")]).exit_code == 0
    for name, heat in zip(sorted_set["order"], found.pictures("heat"), strict=True):
        other = Image.open(tmp_path / "maps" / f"{Path(name).stem}.heat.jpg")
        assert heat.size == other.size
        assert np.abs(np.asarray(heat, float) - np.asarray(other, float)).mean() < 3
    for name, picture in zip(sorted_set["order"], found.pictures("photo"), strict=True):
        assert np.abs(np.asarray(picture, float) - np.asarray(Image.open(photos / name), float)).mean() < 4


def test_options_reach_the_maps(photos: Path, page_of: Any) -> None:
    plain, ocean, clear = page_of(photos), page_of(photos, "--colormap", "ocean"), page_of(photos, "--alpha", "0")
    assert plain.jpegs("photo") == ocean.jpegs("photo") == clear.jpegs("photo")
    assert len({page.jpegs("heat")[1] for page in (plain, ocean, clear)}) == 3
    assert plain.all("span")[-1] == ocean.all("span")[-1]
    assert [s["style"] for s in plain.all("span") if s.get("class") == "ramp"] != [
        s["style"] for s in ocean.all("span") if s.get("class") == "ramp"
    ]


def test_the_same_photos_give_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        assert write(photos, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_photos_are_only_read_and_nothing_is_left_behind(photos: Path, tmp_path: Path) -> None:
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in photos.iterdir()}
    assert write(photos, "--out", tmp_path / "report.html").exit_code == 0
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in photos.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["photos", "report.html"]


def test_a_page_does_not_tell_where_its_owner_keeps_photos(photos: Path, page_of: Any) -> None:
    hidden = photos.parent / "hidden"
    (hidden / "deep" / "one").mkdir(parents=True)
    photos.rename(hidden / "deep" / "photos")
    moved = hidden / "deep" / "photos"
    whole = page_of(moved)
    assert "Order of 4 photos photos Probability" in whole.text  # the heading is the folder's name
    (moved / "img1.jpg").rename(hidden / "deep" / "one" / "img2.jpg")
    named = [hidden / "deep" / "one" / "img2.jpg", *sorted(moved.iterdir())]
    scattered = page_of(*named)
    for text in (whole.text, scattered.text):
        assert "hidden" not in text
        assert not re.search(r"\bdeep/", text)
    assert sorted(image["alt"].split(": ")[1] for image in scattered.all("img") if image["class"] == "photo") == [
        "img10.jpg",
        "img33.jpg",
        "one/img2.jpg",
        "photos/img2.jpg",
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"<script>alert(1)&lt;.jpg",
        b'" onload="x" \'.jpg',
        b"new\nline\t.jpg",
        b"bad\xff\xfe.jpg",
        "\N{BALLOON}.jpg".encode(),
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.jpg".encode(),
        b"$title ${photos} $$ %s {0}.jpg",
        b"</style></title>".replace(b"/", b"") + b"--> .jpg",
    ],
)
def test_names_cannot_break_out(photos: Path, page_of: Any, name: bytes) -> None:
    before = [(tag, set(attributes)) for tag, attributes in page_of(photos).elements]
    try:
        os.rename(os.fsencode(photos / "img2.jpg"), os.path.join(os.fsencode(photos), name))
    except OSError:
        pytest.skip("a name that this file system does not take")
    found = page_of(photos)
    assert [(tag, set(attributes)) for tag, attributes in found.elements] == before
    shown = show(os.fsdecode(name))
    assert " ".join(shown.split()) in found.text
    assert [image["alt"] for image in found.all("img") if image["alt"].endswith(shown)]


def test_a_folder_name_cannot_break_out(photos: Path, page_of: Any) -> None:
    folder = photos.rename(photos.with_name("</title><b>&$title".replace("/", "")))
    found = page_of(folder)
    assert not found.all("b")
    assert folder.name in found.text


def test_pictures_are_upright_and_carry_no_metadata(tmp_path: Path, scene: list[Image.Image], page_of: Any) -> None:
    folder = tmp_path / "turned"
    folder.mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for index, image in enumerate(scene[:3]):
        exif = Image.Exif()
        exif[0x0112] = 6
        exif[0x010F] = "Secret Camera"
        image.transpose(Image.Transpose.ROTATE_90).save(
            folder / f"{index}.jpg", exif=exif, comment=b"Secret", icc_profile=profile, quality=92
        )
    found = page_of(folder)
    assert {picture.size for kind in ("photo", "heat") for picture in found.pictures(kind)} == {(400, 300)}
    for jpeg in [*found.jpegs("photo"), *found.jpegs("heat")]:
        assert b"Secret" not in jpeg
        assert not {"exif", "icc_profile", "comment", "xmp"} & set(Image.open(BytesIO(jpeg)).info)


def test_a_report_of_six_noisy_photos_stays_small(tmp_path: Path, page_of: Any) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    found = page_of(folder)
    assert all(len(jpeg) <= MOST for kind in ("photo", "heat") for jpeg in found.jpegs(kind))
    assert (tmp_path / "out.html").stat().st_size < 2_000_000


def test_a_photo_is_never_enlarged_and_may_be_a_strip(tmp_path: Path, page_of: Any) -> None:
    folder = tmp_path / "strips"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index, size in enumerate([(3, 2000), (2000, 3), (40, 30)]):
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(folder / f"{index}.png")
    found = page_of(folder)
    assert sorted(picture.size for picture in found.pictures("heat")) == [(1, 720), (40, 30), (720, 1)]


@pytest.mark.parametrize(
    ("seconds", "verdict", "forward"),
    [
        ([None, None, None, None], "none", None),
        ([], "none", None),
        ([5, None, None, None], "few", None),
        ([5, None, None, 7], "few", True),
        ([7, None, 5, None], "few", False),
        ([5, 5, None, None], "equal", None),
        ([5, 5, 5, 5], "equal", None),
        ([5, 5, 5, None], "equal", None),
        ([1, 2, 3, 4], "agree", True),
        ([4, 3, 2, 1], "agree", False),
        ([1, 2, None, 4], "partly", True),
        ([4, 2, 2, 1], "partly", False),
        ([1, 1, 2, 2], "partly", True),
        ([1, 2, 1, 2], "differ", None),
        ([1, 3, 2, 4], "differ", None),
        ([1, 3, None, 2], "differ", None),
        ([0, 0.5, 0.25, 1], "differ", None),
        ([0, 0.25, 0.5, 1], "agree", True),
    ],
)
def test_capture_times_are_held_against_the_order(
    seconds: list[float | None], verdict: str, forward: bool | None
) -> None:
    taken = [None if each is None else NOON + timedelta(seconds=each) for each in seconds]
    judged = judge(taken)
    assert (judged.verdict, judged.forward) == (verdict, forward)
    backward = judge(taken[::-1])
    assert (backward.verdict, backward.forward) == (verdict, None if forward is None else not forward)
    said = f"{words.describe_times(judged)} {words.judge_times(judged)}"
    assert bool(re.search(r"\bagree", said)) == (verdict == "agree")


@pytest.mark.parametrize(
    ("seconds", "clocks", "verdict", "forward"),
    [
        ([0, 60, 1, 61, 2], [(0, 2, 4), (1, 3)], "partly", True),
        ([2, 61, 1, 60, 0], [(0, 2, 4), (1, 3)], "partly", False),
        ([0, 61, 1, 60, 2], [(0, 2, 4), (1, 3)], "differ", None),  # one runs forward, the other back
        ([0, 60, 2, 61, 1], [(0, 2, 4), (1, 3)], "differ", None),
        ([0, 60, 1, 70, 80], [(0, 2), (1,), (3,), (4,)], "few", True),
        ([0, 60, None, 70, None], [(0, 2), (1,), (3, 4)], "few", None),
        ([0, 60, 1, None, 2], [(0, 2, 4), (1, 3)], "partly", True),
        ([0, None, 1, None, 2], [(0, 2, 4), (1, 3)], "partly", True),
    ],
)
def test_times_of_several_clocks_are_compared_only_within_each(
    seconds: list[float | None], clocks: list[tuple[int, ...]], verdict: str, forward: bool | None
) -> None:
    judged = judge([None if each is None else NOON + timedelta(seconds=each) for each in seconds], clocks=clocks)
    assert (judged.verdict, judged.forward) == (verdict, forward)
    assert ("of one camera" in words.describe_times(judged)) == judged.apart


def test_orders_of_several_clocks_are_told_one_by_one() -> None:
    taken = [NOON + timedelta(seconds=each) for each in (0, 60, 2, 61, 1)]
    said = words.describe_times(judge(taken, clocks=[(0, 2, 4), (1, 3)]))
    assert "contradict this order: by them it is 1, 5, 3, and of another camera 2, 4; only those of one" in said
    many = [NOON + timedelta(seconds=each) for each in (0, 90, 1, 91, 3, 93, 2, 92, 4, 94)]
    said = words.describe_times(judge(many, clocks=[range(0, 10, 2), range(1, 10, 2)]))
    assert "time runs the other way between photos 5 and 7, and 6 and 8; only those" in said
    shifts = [timedelta(0), timedelta(seconds=-89)] * 5
    assert judge(many[:4], clocks=[range(4)], shifts=shifts[:4]).verdict == "partly"  # 0, 1, 1, 2
    assert judge(many[:4], clocks=[range(4)]).verdict == "differ"


def zoned(hours: float, offset: int | None) -> datetime:
    """A time on a camera's clock so many hours after noon, with its zone in hours east of Greenwich."""
    zone = None if offset is None else timezone(timedelta(hours=offset))
    return (NOON + timedelta(hours=hours)).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("clocks", "verdict", "forward"),
    [
        ([(0, 0), (3, 2), (2, 0), (5, 2)], "agree", True),  # 12, 13, 14, 15 in Greenwich
        ([(0, 2), (1, 2), (2, 2), (3, 2)], "agree", True),
        ([(0, 0), (2, 2), (1, 0), (2, 0)], "partly", True),  # the first two at once
        ([(0, 0), (1, 2), (2, 0), (3, 2)], "differ", None),
        ([(0, 0), (1, None), (2, 0), (3, 0)], "zones", None),
        ([(0, None), (1, 2), None, None], "zones", None),
        ([(0, 2), None, None, None], "few", None),
    ],
)
def test_times_are_compared_as_moments_where_the_zones_are_known(
    clocks: list[tuple[float, int | None] | None], verdict: str, forward: bool | None
) -> None:
    judged = judge([None if each is None else zoned(*each) for each in clocks])
    assert (judged.verdict, judged.forward) == (verdict, forward)


def set_zones(photos: Path, clocks: Sequence[tuple[float, str]]) -> None:
    for name, (hours, zone) in zip(IN_ORDER, clocks, strict=True):
        exif = Image.Exif()
        exif[0x8769] = {0x9003: f"{NOON + timedelta(hours=hours):%Y:%m:%d %H:%M:%S}", 0x9011: zone}
        Image.open(photos / name).save(photos / name, exif=exif, quality=92)


def test_zones_are_read_and_shown(photos: Path, page_of: Any) -> None:
    first = ("--first", photos / "img10.jpg")
    set_zones(photos, [(0, "+00:00"), (3, "+02:00"), (-4, "-06:30"), (5, "+02:00")])
    said = page_of(photos, *first).text
    assert "The EXIF capture times agree with this order" in said
    assert "2024-05-01 08:00:00 -06:30" in said
    set_zones(photos, [(0, "+00:00"), (3, "   :  "), (2, "+00:00"), (5, "+02:00")])
    said = page_of(photos, *first).text
    assert "Only some of the EXIF capture times name their time zone, so they cannot be compared." in said
    assert "not comparable" in said
    assert "contradict" not in said


def test_times_beside_the_photos_are_read_as_well(photos: Path, page_of: Any) -> None:
    set_times(photos, IN_ORDER, [0, 1, 2, None])
    rdf, exif = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://ns.adobe.com/exif/1.0/"
    said_there = f'<rdf:Description xmlns:exif="{exif}" exif:DateTimeOriginal="2024-05-01T12:00:03"/>'
    text = f'<rdf:RDF xmlns:rdf="{rdf}">{said_there}</rdf:RDF>'
    (photos / IN_ORDER[3]).with_suffix(".xmp").write_text(text)
    said = page_of(photos, "--first", photos / IN_ORDER[0]).text
    assert "The capture times agree with this order" in said
    assert "2024-05-01 12:00:03" in said


@pytest.mark.parametrize("text", ["", "   :  ", "+24:00", "02:00", "+2:00", "+02:60", "UTC"])
def test_what_is_no_zone_is_none(text: str) -> None:
    assert parse_offset(text) is None


def test_equal_times_are_given_no_order(photos: Path, page_of: Any) -> None:
    set_times(photos, IN_ORDER, [5, 9, 0, 5])
    assert "by them it is 3, 1 = 4, 2." in page_of(photos, "--first", photos / "img10.jpg").text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ([5, 2, None, None], "If the order is right, the two times say that it runs the other way."),
        ([None, 2, 5, None], "If the order is right, the two times say that it runs forward as shown here."),
        ([5, 3, 2, None], "If the order is right, the times say that it runs the other way."),
    ],
)
def test_incomplete_times_do_not_say_which_photo_is_the_first(
    photos: Path, page_of: Any, seconds: list[float | None], said: str
) -> None:
    set_times(photos, IN_ORDER, seconds)
    text = page_of(photos, "--first", photos / "img10.jpg").text
    assert said in text
    assert "is the first." not in text


def test_times_are_read_without_decoding(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_times(photos, IN_ORDER, [0, 1, 2, 3])
    with monkeypatch.context() as patched:
        patched.setattr(ImageFile.ImageFile, "load", lambda *a: pytest.fail("decoded"))
        assert capture_time(photos / "img2.jpg").time == NOON + timedelta(seconds=1)


def test_times_that_agree_are_told_with_their_direction(photos: Path, page_of: Any) -> None:
    set_times(photos, IN_ORDER, [0, 1, 2.5, 7])
    found = page_of(photos, "--first", photos / "img10.jpg")
    assert "The direction was given" in found.text
    assert "The EXIF capture times agree with this order" in found.text
    assert "By the times it runs forward as shown here" in found.text
    assert "2024-05-01 12:00:02.5" in found.text
    other = page_of(photos, "--first", photos / "img1.jpg")
    assert "The EXIF capture times agree with this order" in other.text
    assert "the other way: photo 4 is the first" in other.text


def test_times_that_contradict_are_told_with_their_order(photos: Path, page_of: Any) -> None:
    set_times(photos, IN_ORDER, [0, 9, 2, 7])
    found = page_of(photos, "--first", photos / "img10.jpg")
    assert "The EXIF capture times contradict this order: by them it is 1, 3, 4, 2." in found.text
    assert "agree with this order" not in found.text
    assert "By the times" not in found.text


def test_missing_and_equal_times_never_agree(photos: Path, page_of: Any) -> None:
    assert "No photo has an EXIF capture time" in page_of(photos).text
    set_times(photos, IN_ORDER, [0, 2, None, 2])
    said = page_of(photos, "--first", photos / "img10.jpg").text
    assert (
        "do not contradict this order, but cannot confirm it: one photo has no capture time and some share one" in said
    )
    set_times(photos, IN_ORDER, [3, 3, 3, 3])
    assert "All photos have the same one, which says nothing" in page_of(photos).text


def test_times_that_are_not_understood_are_told_from_none(photos: Path, page_of: Any) -> None:
    def write(name: str, text: str) -> None:
        exif = Image.Exif()
        exif[0x8769] = {0x9003: text}
        Image.open(photos / name).save(photos / name, exif=exif, quality=92)

    write(IN_ORDER[1], "in May <b>")
    said = page_of(photos).text
    assert "No photo has an EXIF capture time that is understood" in said
    assert "none understood" in said
    assert "capture time not understood: in May <b>" in said
    for second, name in enumerate(IN_ORDER[1:]):
        write(name, f"2024:05:01 24:00:0{second}")
    write(IN_ORDER[2], "in June")
    said = page_of(photos, "--first", photos / "img10.jpg").text
    assert "Only two photos have an EXIF capture time that is understood: too few" in said
    write(IN_ORDER[0], "2024-05-01 00:00:00")
    write(IN_ORDER[1], "2024-05-01 00:00:01")
    said = page_of(photos, "--first", photos / "img10.jpg").text
    assert "but cannot confirm it: one photo has a capture time that is not understood." in said
    assert "2024-05-01 00:00:02" in said


@pytest.mark.parametrize(
    ("unread", "gaps"),
    [
        (["", "", "", "", ""], "2 photos have no capture time."),
        (
            ["", "", "", "", "x"],
            "one photo has no capture time and one photo has a capture time that is not understood.",
        ),
        (["", "", "", "x", "x"], "2 photos have a capture time that is not understood."),
    ],
)
def test_gaps_in_the_times_are_told_by_their_kind(unread: list[str], gaps: str) -> None:
    taken = [*(NOON + timedelta(seconds=each) for each in range(3)), None, None]
    assert words.describe_times(judge(taken, unread)).endswith(gaps)


def test_times_of_pngs_count_too(tmp_path: Path, scene: list[Image.Image], page_of: Any) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    for index, image in enumerate(scene[:3]):
        exif = Image.Exif()
        exif[0x8769] = {0x9003: f"2024:05:01 12:00:0{index}"}
        image.save(folder / f"{index}.png", exif=exif)
    assert "The EXIF capture times agree" in page_of(folder).text


def test_the_baseline_is_told_whether_it_agrees_or_not(
    photos: Path, page_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "gives the same order" in page_of(photos).text

    def other(self: PathBackend, tensors: Any) -> Any:
        logits = np.zeros((1, 12), np.float32)
        logits[0, 6] = 9
        return logits

    sorting = sorted_now(photos)
    monkeypatch.setattr(PathBackend, "logits", other)
    report = make_report(sorting, Look())
    assert report.baseline is not None
    assert not report.baseline_agrees
    told = load_model("path").order(sorting.result.photos.files).order
    place = {image: number for number, image in enumerate(sorting.ordering.order, start=1)}
    assert report.baseline in (tuple(place[i] for i in told), tuple(place[i] for i in told[::-1]))
    assert f"gives another order: {words.join_items(report.baseline)}." in Page(make_page(report)).text


def test_a_tie_of_the_baseline_is_no_agreement(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorting = sorted_now(photos)
    small = preprocess_set(sorting.result.photos.files)  # as the baseline sees them

    def tied(with_winner: bool) -> Report:
        def logits(self: PathBackend, tensors: Any) -> Any:
            order = sorting.ordering
            place = canonical_ranks(small)
            found = np.zeros((1, 12), np.float32)
            for candidate, _ in order.ranking()[0 if with_winner else 1 :][:2]:
                found[0, order_to_class([place[image] for image in candidate])] = 9
            return found

        monkeypatch.setattr(PathBackend, "logits", logits)
        return make_report(sorting, Look())

    report = tied(with_winner=True)
    assert report.baseline == (1, 2, 3, 4)
    found = Page(make_page(report))
    assert "finds several orders equally short, this one among them." in found.text
    assert "Shortest path a tie" in found.text
    assert not [each for each in found.all("li") if each.get("class") == "good"]
    report = tied(with_winner=False)
    assert report.baseline in [candidate.numbers for candidate in report.candidates[1:3]]
    text = Page(make_page(report)).text
    assert f"equally short, but not this one; one is {words.join_items(report.baseline)}." in text
    assert "Shortest path another order" in text


def test_photos_that_look_the_same_are_named(photos: Path, tmp_path: Path, page_of: Any) -> None:
    assert "look the same" not in page_of(photos).text
    for name in IN_ORDER[1:]:
        shutil.copy(photos / IN_ORDER[0], photos / name)
    found = page_of(photos)
    assert "Photos 1, 2, 3 and 4 look the same, so their order" in found.text
    assert "is arbitrary and does not count for the figures." in found.text
    assert "Probability 100.0%" in found.text
    assert "Photos that look the same are in the order of their names." in found.text
    assert "Shortest path a tie" in found.text
    assert not [each for each in found.all("li") if each.get("class") == "good"]


def test_lookalikes_are_named_by_their_numbers(photos: Path, tmp_path: Path, page_of: Any) -> None:
    shutil.copy(photos / "img2.jpg", photos / "copy.jpg")
    Image.open(photos / "img10.jpg").save(photos / "same.bmp")  # the same pixels in another file
    found = page_of(photos)
    names = [image["alt"].split(": ")[1] for image in found.all("img") if image["class"] == "photo"]
    pairs = [
        sorted(names.index(name) + 1 for name in pair) for pair in (("img2.jpg", "copy.jpg"), ("img10.jpg", "same.bmp"))
    ]
    told = re.search(r"Photos (\d) and (\d), and photos (\d) and (\d) look the same", found.text)
    assert told is not None
    assert sorted([[int(told[1]), int(told[2])], [int(told[3]), int(told[4])]]) == sorted(pairs)


def test_groups_of_lookalikes_are_merged() -> None:
    assert group_lookalikes([]) == []
    assert group_lookalikes([Lookalike(1, 2, True), Lookalike(3, 4, True), Lookalike(0, 1, False)]) == [
        {3, 4},
        {0, 1, 2},
    ]


def test_it_says_what_the_order_comes_from(photos: Path, page_of: Any) -> None:
    alone = "The order comes from the pictures alone, not from file names or capture times."
    assert alone in page_of(photos).text
    turned = page_of(photos, "--reverse").text
    assert alone in turned
    assert "The direction was given" in turned
    first = page_of(photos, "--first", photos / "img1.jpg").text
    assert "img1.jpg was given as the first photo. The rest of the order comes from the pictures, not from" in first
    assert "from the pictures alone" not in first


def set_cameras(photos: Path, clocks: Sequence[tuple[str, float] | None]) -> None:
    """Camera and capture time, in seconds after noon, of the photos in their order."""
    for name, told in zip(IN_ORDER, clocks, strict=True):
        if told is not None:
            exif = Image.Exif()
            exif[0x010F], exif[0x0110] = "Maker", told[0]
            exif[0x8769] = {0x9003: f"{NOON + timedelta(seconds=told[1]):%Y:%m:%d %H:%M:%S}"}
            Image.open(photos / name).save(photos / name, exif=exif, quality=92)


@pytest.mark.parametrize(
    ("clocks", "options", "source"),
    [
        ([("A", 0), ("A", 9), ("A", 10), ("A", 20)], (), "The order comes from capture times, not from the pictures."),
        (
            [("A", 0), ("A", 9), None, None],
            (),
            "The order comes from capture times where they tell it, and else from the pictures.",
        ),
        (
            [None, ("A", 9), None, None],
            ("--first", "exif"),
            "The order comes from capture times where they tell it, and else from the pictures.",
        ),
        (
            [("A", 0), ("A", 9), None, None],
            ("--last", "img1.jpg"),
            "img1.jpg was given as the last photo. The rest of the order comes from capture times where",
        ),
        ([None] * 4, ("--last", "img1.jpg"), "last photo. The rest of the order comes from the pictures, not from"),
        ([None] * 4, (), "The order comes from the pictures alone, not from file names or capture times."),
        (
            [("A", 0), ("A", 9), ("A", 10), ("A", 20)],
            ("--metadata", "ignore"),
            "The order comes from the pictures alone",
        ),
    ],
)
def test_it_says_what_capture_times_had_to_do_with_the_order(
    photos: Path, page_of: Any, clocks: list[Any], options: tuple[str, ...], source: str
) -> None:
    set_cameras(photos, clocks)
    text = page_of(photos, *options, *(("--metadata", "auto") if "--metadata" not in options else ())).text
    assert source in text
    assert ("Which end is the first is known from the photos' capture times" in text) == (
        "times" in source.split(",")[0] and "--last" not in options
    )


def test_it_says_that_names_told_the_order(photos: Path, page_of: Any) -> None:
    for second, name in enumerate(IN_ORDER):
        (photos / name).rename(photos / f"IMG_20240501_12000{second}.jpg")
    text = page_of(photos, "--metadata", "auto").text
    assert "The order comes from times in file names, not from the pictures." in text


def test_clocks_of_two_cameras_are_compared_as_they_are_known(photos: Path, page_of: Any) -> None:
    set_cameras(photos, [("A", 0), ("B", 187), ("A", 14), ("B", 201)])
    text = page_of(photos, "--metadata", "auto", "--offset", "Maker B=-00:03:00").text
    assert "The EXIF capture times agree with this order" in text
    assert "The order comes from capture times, not from the pictures." in text
    assert "2024-05-01 12:03:07" in text  # as it stands in the photo
    text = page_of(photos, "--metadata", "auto").text
    assert "capture times contradict" not in text
    assert "only those of one camera were compared, since how far the clocks of the cameras are apart" in text
    assert "where they tell it, and else from the pictures." in text
    # Without a look at what is known beside the pictures they are all of one clock.
    assert "contradict this order: by them it is" in page_of(photos, "--first", photos / IN_ORDER[0]).text


def test_with_a_first_photo_only_its_orders_are_possible(photos: Path, page_of: Any) -> None:
    assert "The most probable orders, 5 of 12:" in page_of(photos).text
    first = page_of(photos, "--first", photos / "img1.jpg").text
    assert "The most probable orders, 5 of 6 that begin with photo 1:" in first


def test_votes_decide_and_are_told(photos: Path, page_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    logits = TwoViews.logits

    def ask(self: TwoViews, tensors: Any, votes: int = 1) -> Any:
        asked.append(votes)
        return logits(self, tensors, votes)

    monkeypatch.setattr(TwoViews, "logits", ask)
    assert "listings" not in page_of(photos, "--backend", "onnx").text
    assert asked == [1]
    asked.clear()
    assert "It saw the photos in 3 listings" in page_of(photos, "--backend", "onnx", "--votes", "3").text
    assert asked == [3]
    assert write(photos, "--out", "votes.html", "--votes", "0").exit_code == 2


def test_a_report_by_the_baseline_says_so(photos: Path, page_of: Any) -> None:
    found = page_of(photos, "--model", "path")
    assert "The model path has no heat maps." in found.text
    assert "This order is the shortest path itself" in found.text
    assert re.search(r"\bShare \d", found.text)
    assert "The orders with the largest shares, 5 of 12:" in found.text
    assert not re.search("probab", found.text, re.IGNORECASE)
    assert not found.all("input")
    assert len(found.all("img")) == 4
    assert "SHA-256" not in found.text


def test_a_model_file_is_named_by_its_hash(photos: Path, tmp_path: Path, page_of: Any) -> None:
    model = shutil.copy(ROOT / "models" / "tridab-s.onnx", tmp_path / "mine.onnx")
    assert f"SHA-256 {describe_file(Path(model)).sha256[:12]}…" in page_of(photos, "--model", model).text


def test_first_fixes_the_direction_of_all_that_is_said(photos: Path) -> None:
    report = make_report(sorted_now(photos, Known(first=(photos / "img1.jpg",))), Look())
    assert report.photos[0].name == "img1.jpg"
    assert {candidate.numbers[0] for candidate in report.candidates} == {1}
    assert report.baseline is not None
    assert report.baseline[0] == 1
    assert all(candidate.probability > 0 for candidate in report.candidates)


def test_orders_are_shown_in_the_direction_nearer_to_the_predicted(example: tuple[Path, Report]) -> None:
    report = example[1]
    assert report.candidates[0].numbers == (1, 2, 3, 4, 5, 6)
    for candidate in report.candidates:
        swapped = sum(a > b for i, a in enumerate(candidate.numbers) for b in candidate.numbers[i:])
        assert swapped <= 7
    probabilities = [candidate.probability for candidate in report.candidates]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_photo_with_the_name_of_a_report_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    (photo, *_) = photos.glob("*.jpg")
    out.write_bytes(photo.read_bytes())
    result = write(photos, "--out", out, "--force")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "report.html: a picture or film that is not marked" in result.stderr
    assert out.read_bytes() == photo.read_bytes()


def test_nothing_is_overwritten_without_force(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    out.write_bytes(b"mine")
    with monkeypatch.context() as patched:
        patched.setattr("imgorder.report.compose.sort_sets", lambda *a, **k: pytest.fail("sorted"))
        refused = write(photos, "--out", out)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        f"imgorder: error: {out}: exists already; choose another name, or replace it with --force"
    ]
    assert out.read_bytes() == b"mine"
    assert write(photos, "--out", out, "--force").exit_code == 0
    assert out.read_bytes() != b"mine"


def test_several_sets_get_numbered_reports_all_or_none(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    out = tmp_path / "report.html"
    (tmp_path / "report-2.html").write_bytes(b"mine")
    assert write(photos, other, "--out", out).exit_code == 1
    assert not (tmp_path / "report-1.html").exists()
    result = write(photos, other, "--out", out, "--force")
    assert result.stdout.splitlines() == [str(tmp_path / "report-1.html"), str(tmp_path / "report-2.html")]
    assert "other" in Page((tmp_path / "report-2.html").read_text("utf-8")).text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "report.pdf"], 2, "must end in .html or .htm"),
        (["--out", "nowhere/report.html"], 1, "there is no folder"),
        (["--out", "r.html", "--colormap", "jet"], 2, "--colormap is ember, ocean, grey"),
        (["--out", "r.html", "--model", "nothing"], 1, "no such model"),
        (["--out", "r.html", "--reverse", "--first", "img1.jpg"], 2, "--first and --reverse"),
        (["--out", "r.html", "--first", "other.jpg"], 2, "not one of the photos"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = write(photos, *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert [file.name for file in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("command", [["report", "--out", "r.html"], ["sort"], ["heatmap", "--out", "maps"]])
def test_an_empty_name_is_not_the_current_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(photos)
    before = set(photos.iterdir())
    result = CliRunner().invoke(app, [*command, ""])
    assert result.exit_code == 2
    assert "an empty name" in result.stderr
    assert set(photos.iterdir()) == before


def test_two_photos_are_refused(photos: Path, tmp_path: Path) -> None:
    result = write(photos / "img1.jpg", photos / "img2.jpg", "--out", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "a report needs 3 of one scene, or more" in result.stderr


def test_a_damaged_photo_leaves_no_report(photos: Path, tmp_path: Path) -> None:
    (photos / "img1.jpg").write_bytes((photos / "img1.jpg").read_bytes()[:2000])
    result = write(photos, "--out", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "img1.jpg" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["photos"]


def test_help_lists_it() -> None:
    assert re.search(r"^\W*report\b", CliRunner().invoke(app, ["--help"]).stdout, re.MULTILINE)


def test_what_is_filled_in_is_escaped() -> None:
    assert fill("<b title='$a'>$b</b>", a="<&'\"", b=Html("<i>")) == "<b title='&lt;&amp;&#x27;&quot;'><i></b>"
    with pytest.raises(KeyError):
        fill("$missing")


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1, "100.0%"), (0.99996, "over 99.9%"), (0.902, "90.2%"), (0.0004, "under 0.1%"), (0, "0.0%")],
)
def test_percentages_do_not_claim_certainty(probability: float, text: str) -> None:
    assert words.show_percent(probability) == text


def test_a_picture_keeps_its_size_however_it_is_encode_picture() -> None:
    picture = encode_picture(Image.new("RGB", (300, 200), "red"))
    assert (picture.width, picture.height) == Image.open(BytesIO(picture.jpeg)).size == (300, 200)


def colours(scheme: str) -> dict[str, tuple[int, ...]]:
    """The colours of the style sheet in light, dark or print."""
    css = Path(words.__file__).with_name("report.css").read_text("utf-8")
    blocks = re.findall(r"(@media [^{]*\{\s*)?:root \{(.*?)\}", css, re.DOTALL)
    found: dict[str, tuple[int, ...]] = {}
    for media, block in blocks:
        if not media or scheme in media:
            for name, value in re.findall(r"--([\w-]+): #(\w{6})", block):
                found[name] = tuple(bytes.fromhex(value))
    return found


def luminance(colour: tuple[int, ...]) -> float:
    """Of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (each / 255 for each in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast_is_enough_to_read(scheme: str) -> None:
    palette = colours(scheme)

    def ratio(one: str, other: str) -> float:
        bright, dim = sorted((luminance(palette[one]), luminance(palette[other])), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    for text in ("ink", "pale", "good", "bad"):
        assert ratio(text, "paper") >= 4.5
        assert ratio(text, "card") >= 4.5
    assert ratio("on-accent", "accent") >= 4.5
    for control in ("accent", "off"):  # not text: 3 is enough
        assert ratio(control, "card") >= 3
        assert ratio(control, "paper") >= 3


def browse(
    frames: Sequence[tuple[Path, int, int]], folder: Path, *options: str, dark: bool = False, measure: str = ""
) -> str:
    """Open pages one below the other, in frames of so many px across and down; returns what the browser prints.

    The expression ``measure`` is evaluated for each ``page``, a document; its value goes to the title.

    The window of a headless browser is never as narrow as a phone, but a frame in it is.
    """
    assert CHROMIUM is not None
    load = f"const page = this.contentDocument; document.title += ' ' + ({measure or 0})"
    text = "<!DOCTYPE html><style>body{margin:0}iframe{display:block;border:0}</style><title></title>"
    for file, width, height in frames:
        text += f'<iframe src="{file.as_uri()}" width="{width}" height="{height}" onload="{load}"></iframe>'
    stack = folder / "frames.html"
    stack.write_text(text)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={folder / 'browser'}"]
    command += [f"--window-size=1300,{sum(height for *_, height in frames) + 100}"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", *options, stack.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def measured(frames: Sequence[tuple[Path, int, int]], folder: Path, measure: str) -> list[list[int]]:
    """The whole numbers to which the expression ``measure`` comes, for each frame."""
    title = re.search(r"<title>(.*)</title>", browse(frames, folder, "--dump-dom", measure=measure))
    assert title is not None
    return [[int(number) for number in numbers.split(",")] for numbers in title[1].split()]


def seen(frames: Sequence[tuple[Path, int, int]], folder: Path, dark: bool = False) -> list[Any]:
    """What is on the screen of each frame, ``(height, width, 3)``."""
    browse(frames, folder, f"--screenshot={folder / 'shot.png'}", dark=dark)
    pixels = np.asarray(Image.open(folder / "shot.png").convert("RGB")).astype(int)
    tops = np.cumsum([0, *(height for *_, height in frames)])
    return [pixels[top : top + height, :width] for top, (_, width, height) in zip(tops[:-1], frames, strict=True)]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_no_screen_has_to_be_moved_sideways(photos: Path, tmp_path: Path) -> None:
    (photos / "img2.jpg").rename(photos / f"{'W' * 120}.jpg")
    out = tmp_path / "long.html"
    assert write(photos, "--out", out).exit_code == 0
    widths = (320, 390, 1280)
    measure = (
        "[page.documentElement.clientWidth, page.documentElement.scrollWidth, page.body.scrollWidth,"
        "...[...page.querySelectorAll('.picture')].map(each => Math.round(each.getBoundingClientRect().width))]"
    )
    found = sorted(measured([(out, width, 900) for width in widths], tmp_path, measure))
    for width, (across, needed, body, *pictures) in zip(widths, found, strict=True):
        assert across == width
        assert needed <= width
        assert body <= width
        assert len(pictures) == 4
        assert min(pictures) >= min(280, width - 40)  # on a phone a photo is as wide as the screen


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_light_by_day_and_dark_by_night(example: tuple[Path, Report], tmp_path: Path, dark: bool) -> None:
    palette = {name: np.array(value) for name, value in colours("dark" if dark else "light").items()}
    assert (luminance(tuple(palette["paper"])) < 0.05) == dark
    assert (luminance(tuple(palette["ink"])) > 0.5) == dark
    for pixels in seen([(example[0], 390, 900), (example[0], 1280, 900)], tmp_path, dark):
        assert np.abs(pixels[:, :8] - palette["paper"]).max() <= 2  # the margins, all the way down
        assert np.abs(pixels[:, -8:] - palette["paper"]).max() <= 2
        assert (np.abs(pixels - palette["ink"]).sum(axis=2) < 12).sum() > 200
        assert (np.ptp(pixels, axis=2) > 60).sum() > 10_000  # photos are there


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_photos_of_any_shape_have_a_place_on_the_screen(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    folder.mkdir()
    rng = np.random.default_rng(1)
    sizes = {"a": (3000, 2), "b": (1, 4000), "c": (40, 30), "d": (1200, 1600)}
    for name, size in sizes.items():
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(folder / f"{name}.png")
    out = tmp_path / "shapes.html"
    assert write(folder, "--out", out).exit_code == 0
    measure = (
        "[...page.querySelectorAll('.photo')].flatMap(each => [each, each.parentElement, each.nextElementSibling]"
        ".flatMap(box => [box.getBoundingClientRect().width, box.getBoundingClientRect().height]).map(Math.round))"
    )
    names = [image["alt"][-5] for image in Page(out.read_text("utf-8")).all("img") if image["class"] == "photo"]
    for numbers in measured([(out, width, 800) for width in (320, 390, 1280)], tmp_path, measure.replace('"', "'")):
        boxes = dict(zip(names, np.reshape(numbers, (4, 3, 2)).tolist(), strict=True))
        for (across, down), place, heat in boxes.values():
            assert heat == place  # so that both pictures, which have one size, lie at one spot
            assert 280 <= place[0] < 400
            assert 48 <= place[1] == down <= 512
            assert across <= place[0]
        assert boxes["c"][0] == [64, 48]  # in which it is drawn no larger than it is
        across, down = boxes["d"][0]
        assert across / down == pytest.approx(0.75, abs=0.01)
        assert across >= 200


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_what_is_not_seen_is_neither_read_out_nor_tapped(example: tuple[Path, Report], tmp_path: Path) -> None:
    text = example[0].read_text("utf-8").replace("transition:", "x:")
    files = [tmp_path / f"{name}.html" for name in ("off", "heat-1", "heat-all")]
    for file in files:
        file.write_text(text.replace(f'id="{file.stem}"', f'id="{file.stem}" checked'), "utf-8")
    measure = (
        "[...[...page.querySelectorAll('.heat')].map(each => +(getComputedStyle(each).visibility == 'visible')),"
        "+(getComputedStyle(page.querySelector('label.picture')).pointerEvents == 'none')]"
    )
    found = [measured([(file, 1280, 700)], tmp_path, measure)[0] for file in files]
    assert found == [[0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_switches_show_heat_maps_without_script(example: tuple[Path, Report], tmp_path: Path) -> None:
    text = example[0].read_text("utf-8")
    files = [tmp_path / f"{name}.html" for name in ("off", "heat-1", "heat-all")]
    for file in files:
        file.write_text(text.replace(f'id="{file.stem}"', f'id="{file.stem}" checked'), "utf-8")
    off, *switched = seen([(file, 1280, 700) for file in files], tmp_path)
    shares = []
    for on in switched:
        changed = np.abs(on - off).sum(axis=2) > 40
        shares.append([changed[:, start : start + 400].mean() > 0.05 for start in (0, 440, 880)])
    assert shares == [[True, False, False], [True, True, True]]


def test_an_ordering_without_rivals_has_no_second_choice(example: tuple[Path, Report]) -> None:
    alone = replace(example[1], candidates=example[1].candidates[:1])
    assert words.describe_second_choice(alone) is None
    assert "Second choice" not in Page(make_page(alone)).text


def test_heat_maps_go_by_the_order_that_was_found(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorting = sorted_now(photos, Known(reverse=True))
    monkeypatch.setattr(OrderingModel, "order_tensors", lambda *a: pytest.fail("asked again"))
    maps = maps_in_order(sorting.model, sorting.tensors, sorting.ordering)
    assert maps.order == sorting.ordering.order


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of twelve photos that get brighter; the middle two look the same."""
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        level = 110 if index in (5, 6) else 20 * index
        Image.new("RGB", (64, 48), (level, 90, 120)).save(folder / f"{index}.png")
    return folder


def test_of_many_photos_the_places_are_shown_instead_of_orders(many: Path, page_of: Any) -> None:
    page = page_of(many, "--model", "path")
    assert "The least sure places between two photos, 10 of 11, with shares:" in page.text
    assert "Least sure place" in page.text
    assert "Second choice" not in page.text
    badges = [each for each in page.all("span") if each.get("class") == "order"]
    assert len(badges) == 10
    assert [each["loading"] for each in page.all("img")] == ["lazy"] * 12
    assert len(page.pictures("photo")) == 12


def test_of_many_photos_weak_places_are_marked_where_they_are(many: Path) -> None:
    report = make_report(sorted_now(many, model="path"), Look())
    report = replace(report, places=(0.99,) * 4 + (0.2,) + (0.7,) + (0.99,) * 5, words="a guess: x", baseline=(1,))
    page = Page(make_page(report))
    assert page.text.count("may not be the next after") == 1
    assert "may not be the next after 5 (20.0%)" in page.text
    assert "The order is a guess: x." in page.text
    assert [each.numbers for each in report.weakest[:2]] == [(5, 6), (6, 7)]


def test_times_of_many_photos_are_told_where_they_turn(many: Path) -> None:
    taken = [NOON + timedelta(seconds=s) for s in (0, 1, 2, 4, 3, 5, 6, 7, 8, 9)]
    said = words.describe_times(judge(taken))
    assert said == ("The EXIF capture times contradict this order: time runs the other way between photos 4 and 5.")
    assert words.describe_times(judge(taken[::-1])).endswith("between photos 6 and 7.")


@pytest.mark.parametrize("pictures", [2, 12, 75, 400, 1000])
def test_pictures_of_a_report_are_bounded_together(pictures: int) -> None:
    edge, most = choose_size(pictures)
    noise = np.random.default_rng(0).integers(0, 256, (edge * 3 // 4, edge, 3), np.uint8)
    assert pictures * len(encode_picture(Image.fromarray(noise), most).jpeg) <= 9_000_000
    assert (edge, most) == (EDGE, MOST) or edge >= 190
