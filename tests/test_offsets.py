"""Several cameras: how far their clocks are apart, as a person says, or as it fits the pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgorder.errors import UsageError
from imgorder.evidence.facts import PhotoFacts
from imgorder.evidence.offsets import Chances, Guidance, Offset, estimate_offsets, find_odd_clock, spell_shift
from imgorder.evidence.weigh import Evidence, weigh_facts
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.facts import read_all_facts
from imgorder.sorting.sort import sort_photos
from tests.renaming import command, done
from tests.test_evidence import NOW, in_line, photo, time
from tests.test_journeys import lay_out
from tests.test_strays import scene

MODELS = ("One", "Two", "Three")


def shots(seconds: Sequence[float], cameras: Sequence[int], clocks: Sequence[float]) -> list[PhotoFacts]:
    """Photos in temporal order, each with the time that the clock of its camera shows, which lags behind."""
    return [
        photo(f"{place}.jpg", time(round(second - clocks[camera])), model=MODELS[camera])
        for place, (second, camera) in enumerate(zip(seconds, cameras, strict=True))
    ]


def believe(n: int, order: Sequence[int] | None = None, sure: float = 0.95) -> Chances:
    chances = np.full((n, n), 0.5)
    order = range(n) if order is None else order
    for place, one in enumerate(order):
        for other in order[place + 1 :]:
            chances[one, other], chances[other, one] = sure, 1 - sure
    return chances


def guide(facts: Sequence[PhotoFacts], chances: Chances, **offsets: float) -> tuple[Evidence, Guidance]:
    shifts = {name: timedelta(seconds=seconds) for name, seconds in offsets.items()}
    evidence = weigh_facts(facts, offsets=shifts, now=NOW)
    return evidence, estimate_offsets(evidence.cameras, evidence.times, chances, evidence.shifts)


CAMERAS = (0, 1, 0, 0, 1, 1, 0, 1, 0)
SECONDS = [10 * place for place in range(len(CAMERAS))]


@pytest.mark.parametrize("lag", [0, 192, -5000, 7200])
def test_the_offset_is_found_that_fits_the_pictures(lag: float) -> None:
    facts = shots(SECONDS, CAMERAS, (0, lag))
    evidence, found = guide(facts, believe(len(facts)))
    assert not [pair for pair in evidence.before if CAMERAS[pair[0]] != CAMERAS[pair[1]]]
    (offset,) = found.offsets
    assert (offset.camera, offset.reference, offset.photos, offset.given) == ("Acme Two", "Acme One", 4, False)
    assert offset.low is not None
    assert offset.high is not None
    assert offset.shift is not None
    assert offset.low <= timedelta(seconds=lag) <= offset.high
    assert offset.high - offset.low <= timedelta(seconds=32)
    assert abs(offset.shift.total_seconds() - lag) <= 10
    assert found.pairs <= in_line(*range(len(facts)))
    assert len(found.pairs) >= 12  # of 20


def test_one_photo_that_the_pictures_put_wrong_is_outvoted() -> None:
    facts = shots(SECONDS, CAMERAS, (0, 192))
    wrong = [1, 2, 3, 0, 4, 5, 6, 7, 8]
    _, found = guide(facts, believe(len(facts), wrong))
    (offset,) = found.offsets
    assert offset.shift is not None
    assert abs(offset.shift.total_seconds() - 192) <= 20


def test_clocks_that_may_agree_are_left_as_they_are() -> None:
    _, found = guide(shots(SECONDS, CAMERAS, (0, 4)), believe(len(CAMERAS)))
    assert [offset.shift for offset in found.offsets] == [timedelta(0)]


def test_where_the_pictures_say_nothing_no_offset_is_made_up() -> None:
    facts = shots(SECONDS, CAMERAS, (0, 192))
    for sure in (0.5, 0.7):
        _, found = guide(facts, believe(len(facts), sure=sure))
        assert [offset.shift for offset in found.offsets] == [None]
        assert found.pairs == frozenset()
        assert "is not known; --offset 'Acme Two=+00:00:00' tells" in found.offsets[0].words


def test_one_after_the_other_has_one_limit() -> None:
    _, found = guide(shots((0, 10, 15, 20, 30), (0, 0, 0, 1, 1), (0, 500)), believe(5))
    (offset,) = found.offsets
    assert offset.low is not None
    assert timedelta(seconds=480) <= offset.low <= timedelta(seconds=500)
    assert offset.high is None
    assert "(at least +00:08:" in offset.words


def test_one_camera_or_no_times_need_no_offset() -> None:
    assert guide(shots((0, 10), (0, 0), (0,)), believe(2))[1].offsets == ()
    assert guide([photo("a.jpg"), photo("b.jpg", model="Two")], believe(2))[1].offsets == ()
    timed = [photo("a.jpg", time(0)), photo("b.jpg", time(9)), photo("c.jpg", model="Two")]
    assert guide(timed, believe(3))[1].offsets == ()


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_given_offset_makes_the_merged_order_known(seed: int) -> None:
    rng = Random(seed)
    n = rng.randint(2, 9)
    seconds = sorted(rng.sample(range(0, 1000, 2), n))
    cameras = [rng.randrange(3) for _ in range(n)]
    clocks = [rng.randrange(-5000, 5000) for _ in MODELS]
    facts = shots(seconds, cameras, clocks)
    given = {MODELS[camera]: float(clocks[camera]) for camera in set(cameras)}
    evidence, found = guide(facts, believe(n), **given)
    assert evidence.before == in_line(*range(n))
    assert all(offset.given for offset in found.offsets)
    assert evidence.earliest == (0,)


def test_with_one_offset_given_the_third_camera_is_estimated() -> None:
    cameras = (0, 1, 2, 0, 1, 2, 0, 1, 2, 0)
    facts = shots([10 * place for place in range(10)], cameras, (0, 100, 3000))
    evidence, found = guide(facts, believe(10), Two=100)
    both = {pair for pair in in_line(*range(10)) if 2 not in (cameras[pair[0]], cameras[pair[1]])}
    assert evidence.before == both | in_line(2, 5, 8)
    assert [(offset.camera, offset.given) for offset in found.offsets] == [("Acme Two", True), ("Acme Three", False)]
    third = found.offsets[1]
    assert third.shift is not None
    assert abs(third.shift.total_seconds() - 3000) <= 10


def test_a_camera_is_named_in_several_ways() -> None:
    facts = [
        photo("a.jpg", time(0), model="One", folder="/x/left"),
        photo("b.jpg", time(5), model="One", serial="77", folder="/x/right"),
        photo("c.jpg", time(5), model="Two", folder="/x/right"),
    ]
    facts[0] = photo("a.jpg", time(0), model="One", serial="66", folder="/x/left")
    for name in ("Acme One, serial number 66", "66", "left", "/x/left"):
        assert weigh_facts(facts, offsets={name: timedelta(0)}, now=NOW).named == {name}
    assert weigh_facts(facts, offsets={"two": timedelta(0)}, now=NOW).named == {"two"}
    assert weigh_facts(facts, offsets={"three": timedelta(0)}, now=NOW).named == frozenset()
    for name in ("one", "right"):
        with pytest.raises(UsageError, match="several cameras are called so; give 'Acme "):
            weigh_facts(facts, offsets={name: timedelta(0)}, now=NOW)
    with pytest.raises(UsageError, match="has two; give one of them"):
        weigh_facts(facts, offsets={"66": timedelta(0), "left": timedelta(1)}, now=NOW)


@pytest.mark.parametrize("seconds", [0, 192, -192, 360000.25, -0.5, 59.999999])
def test_an_offset_is_spelled_as_it_is_read(seconds: float) -> None:
    shift = timedelta(seconds=seconds)
    assert Known(offsets=(f"A = B={spell_shift(shift)}",)).shifts == {"A = B": shift}


BAD = ("Pixel 7", "=+00:00:01", "A=", "A=00:00:01", "A=+1", "A=+00:60:00", "A=+00:00:61", "A=+0:0:1", "A=+nan", "")
ODD = ("A=+1:00:00.1234567", "A=+9999999:00:00", "A=+\u0660\u0660:00:01", "A=+00:00:01x")


@pytest.mark.parametrize("text", BAD + ODD)
def test_an_offset_that_is_not_understood_is_one_line(tmp_path: Path, text: str) -> None:
    result = command("sort", tmp_path, "--offset", text)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "--offset takes" in line]
    assert "as 'Pixel 7=+00:03:12'; not " in line


def test_an_offset_is_for_a_camera_that_is_there(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    lay_out(tmp_path, [Image.fromarray(each) for each in scene(1, 3)], names, ["12:00:01", "12:00:02", "12:00:03"])
    result = command("sort", tmp_path, "--offset", "Pixel 7=+00:00:01")
    assert result.exit_code == 2
    assert "--offset Pixel 7: no photo is of that camera; there are Maker Camera" in result.stderr
    assert json.loads(done("sort", tmp_path, "--json", "--offset", "camera=+00:00:01"))["sets"][0]["clocks"] == []
    for options, word in (
        (("--metadata", "ignore", "--offset", "camera=+00:00:01"), "--offset needs the capture times"),
        (("--offset", "camera=+00:00:01", "--offset", "camera=+00:00:02"), "has two; give one of them"),
        (("--metadata", "ignore", "--first", "exif"), "--first exif needs the capture times"),
    ):
        result = command("sort", tmp_path, *options)
        assert (result.exit_code, word in result.stderr) == (2, True)


@pytest.mark.parametrize("seed", range(12))
def test_no_order_breaks_what_is_known_of_the_cameras(tmp_path: Path, seed: int) -> None:
    """Whatever the pictures say, which here is nothing."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 12))
    pictures = [Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)) for _ in range(n)]
    times = [None if rng.random() < 0.3 else f"12:{rng.integers(3):02}:{rng.integers(60):02}" for _ in range(n)]
    models = [MODELS[rng.integers(3)] for _ in range(n)]
    lay_out(tmp_path / "photos", pictures, [f"{place}.jpg" for place in range(n)], times, models)
    options = ModelOptions(model="path")
    for said in (
        (),
        ("Two=+00:01:00",) if "Two" in {one for one, when in zip(models, times, strict=True) if when} else (),
    ):
        (found,) = sort_photos([tmp_path / "photos"], options, Known(keep_strays=True, offsets=said))
        facts = read_all_facts(found.photos.files, making=True)
        evidence = weigh_facts(facts, offsets=Known(offsets=said).shifts)
        place = {image: index for index, image in enumerate(found.order)}
        assert all(place[a] < place[b] for a, b in evidence.before)
        assert len(place) == n


def as_record(**fields: Any) -> dict[str, object]:
    return Offset("Two", "One", 3, **fields).as_record()


def test_an_offset_in_json_has_seconds() -> None:
    found = as_record(shift=timedelta(seconds=-3), low=timedelta(seconds=-9.5))
    expected = {
        "camera": "Two",
        "reference": "One",
        "photos": 3,
        "offset": -3,
        "from": -9.5,
        "to": None,
        "given": False,
    }
    assert found == expected


@pytest.mark.parametrize(
    ("cameras", "clocks", "order", "odd"),
    [
        (CAMERAS, (0, 600), None, True),
        (CAMERAS, (0, 0), None, False),
        # Halves, of which the pictures take the second one for the first: a camera that was set otherwise in between.
        ((0,) * 4 + (1,) * 4, (0, 0), [4, 5, 6, 7, 0, 1, 2, 3], False),
        # One photo that the pictures put elsewhere is no plain contradiction.
        (CAMERAS, (0, 0), [0, 2, 1, 3, 4, 5, 6, 7, 8], False),
    ],
)
def test_a_clock_is_odd_where_the_pictures_say_so_plainly(
    cameras: Sequence[int], clocks: Sequence[float], order: Sequence[int] | None, odd: bool
) -> None:
    n = len(cameras)
    evidence = weigh_facts(shots([10 * place for place in range(n)], cameras, clocks), now=NOW)
    found = find_odd_clock(evidence.cameras, evidence.times, believe(n, order), {})
    assert (found is not None) is odd
    if found:
        given = {evidence.cameras.index(found): timedelta(seconds=600)}
        assert find_odd_clock(evidence.cameras, evidence.times, believe(n, order), given) is None
