"""What is known of an order from times, cameras and counters; and what is left to the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgorder.evidence.facts import PhotoFacts, Source, Taken
from imgorder.evidence.photo_names import read_name
from imgorder.evidence.weigh import Evidence, weigh_facts

NOON = datetime(2024, 5, 1, 12, 0, 0)
NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
EAST = timezone(timedelta(hours=2))


def time(seconds: float = 0, digits: str = "", source: Source = "EXIF", zone: timezone | None = None) -> Taken:
    clock = NOON + timedelta(seconds=seconds)
    return Taken(clock + timedelta(microseconds=int(digits.ljust(6, "0") or 0)), source, digits, zone)


def photo(
    name: str, *times: Taken, model: str | None = "One", serial: str | None = None, folder: str = "photos"
) -> PhotoFacts:
    make = "Acme" if model else None
    return PhotoFacts(name, folder, times, make=make, model=model, serial=serial, named=read_name(name))


def weigh(*facts: PhotoFacts, trust_mtime: bool = False) -> Evidence:
    return weigh_facts(facts, trust_mtime=trust_mtime, now=NOW)


def in_line(*photos: int) -> set[tuple[int, int]]:
    """All pairs of photos that follow one another so."""
    return {(one, other) for place, one in enumerate(photos) for other in photos[place + 1 :]}


def test_the_times_of_one_camera_fix_the_order() -> None:
    found = weigh(photo("a.jpg", time(5)), photo("b.jpg"), photo("c.jpg", time(1)), photo("d.jpg", time(3)))
    assert found.before == in_line(2, 3, 0)
    assert found.links == {(2, 3): "DateTimeOriginal", (3, 0): "DateTimeOriginal"}
    assert found.reasons == ("DateTimeOriginal", "", "DateTimeOriginal", "DateTimeOriginal")
    assert found.directed
    assert found.conflicts == ()
    assert found.counted == ()


def test_nothing_known_is_no_order() -> None:
    found = weigh(photo("a.jpg"), photo("b.jpg", model=None))
    assert (found.before, found.links, found.directed, found.reasons) == (frozenset(), {}, False, ("", ""))
    assert weigh().before == frozenset()


def test_equal_seconds_are_no_order() -> None:
    found = weigh(photo("a.jpg", time()), photo("b.jpg", time()), photo("c.jpg", time(1)))
    assert found.before == {(0, 2), (1, 2)}
    alone = weigh(photo("a.jpg", time()), photo("b.jpg", time()))
    assert (alone.before, alone.directed) == (frozenset(), False)
    assert alone.doubts == ("its time is that of others, too",) * 2


def test_a_fraction_of_the_second_decides() -> None:
    found = weigh(photo("a.jpg", time(0, "50")), photo("b.jpg", time(0, "12")), photo("c.jpg", time(0, "12")))
    assert found.before == {(1, 0), (2, 0)}
    assert found.links[1, 0] == "SubSecTime .12 before .50"
    assert found.reasons == ("SubSecTime .50", "SubSecTime .12", "SubSecTime .12")


def test_a_time_to_the_second_is_not_its_beginning() -> None:
    assert weigh(photo("a.jpg", time()), photo("b.jpg", time(0, "50"))).before == frozenset()
    assert weigh(photo("a.jpg", time(0, "1")), photo("b.jpg", time(0, "15"))).before == frozenset()
    assert weigh(photo("a.jpg", time(0, "1")), photo("b.jpg", time(0, "20"))).before == {(0, 1)}


def test_digits_whose_zeros_may_be_missing_decide_only_where_both_readings_agree() -> None:
    """Some phones write 45 for .045."""
    assert weigh(photo("a.jpg", time(0, "45")), photo("b.jpg", time(0, "120"))).before == frozenset()
    assert weigh(photo("a.jpg", time(0, "12")), photo("b.jpg", time(0, "450"))).before == {(0, 1)}
    written = [photo("a.jpg", time(0, "45")), photo("b.jpg", time(0, "120")), photo("c.jpg", time(9, "05"))]
    assert weigh(*written).before == {(1, 0), (0, 2), (1, 2)}
    assert weigh(photo("a.jpg", time(0, "045")), photo("b.jpg", time(0, "120"))).before == {(0, 1)}


def test_the_counter_of_one_camera_decides_within_a_second() -> None:
    names = ("IMG_0007.jpg", "IMG_0005.jpg", "IMG_0006.jpg", "IMG_0006(1).jpg")
    found = weigh(*(photo(name, time()) for name in names), photo("IMG_0008.jpg", time(4)))
    assert found.before == {(1, 2), (1, 3), (2, 0), (3, 0), (1, 0)} | {(each, 4) for each in range(4)}
    assert found.links[1, 2] == "counter"
    assert found.reasons[:4] == ("counter",) * 4
    assert found.conflicts == ()


def test_a_counter_turns_over() -> None:
    names = ("IMG_0001.jpg", "IMG_9998.jpg", "IMG_9999.jpg", "IMG_0002.jpg")
    assert weigh(*(photo(name, time()) for name in names)).before == in_line(1, 2, 0, 3)
    over = weigh(photo("IMG_0001.jpg", time(5)), photo("IMG_9999.jpg", time()))
    assert over.before == {(1, 0)}
    assert over.conflicts == ()


@pytest.mark.parametrize(
    "facts",
    [
        [photo("IMG_0001.jpg", time(), model=None), photo("IMG_0002.jpg", time(), model=None)],
        [photo("IMG_0001.jpg", time()), photo("DSC_0002.jpg", time())],
        [photo("IMG_0001.jpg", time()), photo("IMG_0002.jpg", time(), model="Two")],
        [photo("IMG_0001.jpg"), photo("IMG_0002.jpg")],
        [photo("IMG_0001.jpg", time()), photo("IMG_3000.jpg", time())],
        [photo(f"IMG_{number:04}.jpg", time()) for number in range(36)],  # a program has made these times
        [photo("IMG-20240501-WA0001.jpg"), photo("IMG-20240501-WA0002.jpg")],
    ],
    ids=["unknown camera", "other name", "other camera", "no time", "far apart", "too many", "messenger"],
)
def test_other_counters_are_no_more_than_a_hint(facts: list[PhotoFacts]) -> None:
    assert weigh(*facts).before == frozenset()


def test_counters_are_told_as_a_hint() -> None:
    names = ("IMG-20240502-WA0001.jpg", "IMG_0003.jpg", "IMG-20240501-WA0009.jpg", "IMG_0002.jpg", "a.jpg")
    assert weigh(*map(photo, names)).counted == ((2, 0), (3, 1))


def test_time_against_counter_is_told_and_the_time_counts() -> None:
    found = weigh(photo("IMG_0001.jpg", time(5)), photo("IMG_0002.jpg", time(3)), photo("IMG_0003.jpg", time(1)))
    assert found.before == in_line(2, 1, 0)
    assert found.conflicts == (
        "IMG_0003.jpg comes before IMG_0002.jpg by their times (2024-05-01 12:00:01, 2024-05-01 12:00:03), but after "
        "it by the counters in their names; the times count; the same with 1 more pairs of Acme One",
    )
    parts = weigh(photo("IMG_0001.jpg", time(0, "50")), photo("IMG_0002.jpg", time(0, "10")))
    assert parts.before == {(1, 0)}
    assert "12:00:00.10, 2024-05-01 12:00:00.50" in parts.conflicts[0]


def test_counters_that_contradict_the_times_make_no_circle() -> None:
    """By their counters b < c < a, by the fractions a < b; c has none."""
    found = weigh(
        photo("IMG_0003.jpg", time(0, "1")), photo("IMG_0001.jpg", time(0, "5")), photo("IMG_0002.jpg", time())
    )
    assert (0, 1) in found.before
    assert is_order(found)
    assert found.conflicts


def test_the_numbers_in_a_burst_decide_without_a_time() -> None:
    names = ("00002IMG_00002_BURST20200101120000123.jpg", "00000IMG_00000_BURST20200101120000123_COVER.jpg")
    found = weigh(*(photo(name, model=None) for name in names))
    assert found.before == {(1, 0)}
    assert found.reasons == ("number in the burst",) * 2
    other = weigh(photo(names[0], model=None), photo(names[1], model=None, folder="other"))
    assert other.before == frozenset()


def test_names_that_cameras_give_hold_times() -> None:
    names = ("IMG_20240501_120005.jpg", "IMG_20240501_120001_1.jpg", "IMG_20240501_120001.jpg", "20240501_120003.jpg")
    found = weigh(*(photo(name, model=None) for name in names))
    assert found.before == in_line(2, 1, 0)  # another program has named the last one
    assert found.reasons == ("time in the name", "number in the burst", "number in the burst", "")


@pytest.mark.parametrize(
    ("clock", "why"),
    [
        (datetime(1970, 1, 1, 0, 0, 5), "never set"),
        (datetime(1969, 12, 31, 16, 0, 0), "never set"),
        (datetime(1980, 1, 1), "never set"),
        (datetime(2000, 1, 1, 0, 3, 0), "never set"),
        (datetime(1, 1, 1), "older than photography"),
        (datetime(2025, 6, 1), "in the future"),
    ],
)
def test_impossible_times_are_not_trusted(clock: datetime, why: str) -> None:
    odd = Taken(clock, "EXIF")
    found = weigh(photo("a.jpg", odd), photo("b.jpg", time()), photo("c.jpg", time(1)))
    assert found.before == {(1, 2)}
    assert found.times[0] is None
    assert why in found.doubts[0]
    assert str(clock.replace(microsecond=0)) in found.doubts[0]
    # Another source helps.
    assert weigh(photo("a.jpg", odd, time(9, source="XMP")), photo("b.jpg", time())).before == {(1, 0)}


def test_a_time_that_is_not_understood_is_told() -> None:
    found = weigh(replace(photo("a.jpg"), unread="yester\nday"), photo("b.jpg"))
    assert found.doubts == (r"its time is not understood ('yester\\nday')", "")


def test_old_photos_that_were_scanned_are_trusted() -> None:
    assert weigh(*(photo("a", Taken(datetime(year, 7, 1), "EXIF")) for year in (1961, 1934))).before == {(1, 0)}


def test_between_cameras_nothing_is_known() -> None:
    facts = [photo("a.jpg", time(1)), photo("b.jpg", time(2), model="Two"), photo("c.jpg", time(3))]
    found = weigh(*facts, photo("d.jpg", time(4), model=None), photo("e.jpg", time(5), model="Two"))
    assert found.before == {(0, 2), (1, 4)}
    assert [(each.name, each.photos, each.known) for each in found.cameras] == [
        ("Acme One", (0, 2), True),
        ("Acme Two", (1, 4), True),
        ("unknown camera", (3,), False),
    ]
    assert found.doubts[3] == "no other photo of its camera has a time"


def test_cameras_of_one_model_are_told_apart_by_serial_number_and_folder() -> None:
    facts = [photo("a.jpg", time(1), serial="1"), photo("b.jpg", time(2), serial="2"), photo("c.jpg", time(3))]
    found = weigh(*facts)
    assert found.before == frozenset()
    assert [each.name for each in found.cameras] == [
        "Acme One, serial number 1",
        "Acme One, serial number 2",
        "Acme One, c.jpg",
    ]
    # An edit that lost the number is of the only camera there is; so is one in another folder.
    assert weigh(facts[0], facts[2], photo("d.jpg", time(4), serial="1", folder="other")).before == in_line(0, 1, 2)
    assert weigh(facts[2], photo("d.jpg", time(4), folder="other")).before == frozenset()
    rolls = [photo("a.jpg", time(at), folder=f"DCIM/{name}") for at, name in enumerate(("100APPLE", "101APPLE"))]
    assert weigh(*rolls).before == {(0, 1)}


def test_two_phones_of_one_model_are_told_apart_by_counters_that_run_side_by_side() -> None:
    names = ("IMG_1200.jpg", "IMG_7801.jpg", "IMG_1201.jpg", "IMG_7802.jpg", "edit.jpg")
    found = weigh(*(photo(name, time(at)) for at, name in enumerate(names)))
    assert found.before == {(0, 2), (1, 3)}
    assert [each.photos for each in found.cameras] == [(0, 2), (1, 3), (4,)]
    assert found.cameras[1].name == "Acme One, IMG_7801.jpg"
    # One phone whose counter jumps is still one, and a serial number tells of one camera.
    later = ("IMG_1200.jpg", "IMG_1201.jpg", "IMG_7801.jpg", "IMG_7802.jpg")
    assert weigh(*(photo(name, time(at)) for at, name in enumerate(later))).before == in_line(0, 1, 2, 3)
    assert len(weigh(*(photo(name, time(at), serial="1") for at, name in enumerate(names))).cameras) == 1


def test_times_with_zones_are_compared_as_moments() -> None:
    travelled = [photo("a.jpg", time(0, zone=EAST)), photo("b.jpg", time(-3600, zone=timezone.utc))]
    assert weigh(*travelled).before == {(0, 1)}
    # Where the zone of one is missing it has that of the others, if they all have the same.
    assert weigh(photo("a.jpg", time(5, zone=EAST)), photo("b.jpg", time(1))).before == {(1, 0)}
    assert weigh(*travelled, photo("c.jpg", time(99))).before == {(0, 1)}
    # Takeout's moments do not tell the zone of a camera's clock.
    taken_out = photo("a.jpg", time(0, source="Takeout", zone=timezone.utc))
    assert weigh(taken_out, photo("b.jpg", time(60))).before == frozenset()


def test_times_of_different_sources_need_more_distance() -> None:
    assert weigh(photo("a.jpg", time(0)), photo("b.jpg", time(2, source="XMP"))).before == frozenset()
    found = weigh(photo("a.jpg", time(0)), photo("b.jpg", time(4, source="XMP")))
    assert found.links == {(0, 1): "DateTimeOriginal and XMP"}


def test_sources_of_one_photo_that_disagree_are_told() -> None:
    (told,) = weigh(photo("a.jpg", time(), time(1000, source="XMP file"))).conflicts
    assert told == (
        "a.jpg: DateTimeOriginal says 2024-05-01 12:00:00, but XMP file 2024-05-01 12:16:40; the former counts"
    )
    agreeing = [time(-7200, source="Takeout", zone=timezone.utc), time(1, source="XMP"), time(19800, source="XMP")]
    assert weigh(photo("a.jpg", time(), *agreeing)).conflicts == ()
    zoned = photo("a.jpg", time(zone=EAST), time(0, source="Takeout", zone=timezone.utc))
    assert len(weigh(zoned).conflicts) == 1


def test_the_time_of_change_counts_only_when_it_is_trusted() -> None:
    facts = [
        replace(photo(name, model=None), modified=Taken(NOON + timedelta(seconds=at), "file", "", timezone.utc))
        for name, at in (("a.jpg", 4), ("b.jpg", 0), ("c.jpg", 1))
    ]
    assert weigh(*facts).before == frozenset()
    found = weigh(*facts, trust_mtime=True)
    assert found.before == {(1, 0), (2, 0)}  # a file system may keep two seconds
    assert found.reasons == ("time of change",) * 3
    assert weigh(photo("d.jpg", time(9)), facts[0], trust_mtime=True).before == frozenset()


def is_order(found: Evidence) -> bool:
    """Whether the pairs are free of circles and closed, and follow from the links."""
    pairs = found.before
    closed = all((a, d) in pairs for a, b in pairs for c, d in pairs if b == c)
    free = all((b, a) not in pairs and a != b for a, b in pairs)
    reached = set(found.links)
    while more := {(a, d) for a, b in reached for c, d in reached if b == c} - reached:
        reached |= more
    return closed and free and reached == pairs


DIGITS = st.sampled_from(["", "", "0", "5", "12", "120", "45", "045", "999"])
SOURCES: Sequence[Source] = ("EXIF", "EXIF", "XMP", "Takeout")
TIMES = st.builds(
    time, st.integers(0, 4), DIGITS, st.sampled_from(SOURCES), st.sampled_from([None, None, EAST, timezone.utc])
)
NAMES = st.sampled_from(
    [f"IMG_{number:04}.jpg" for number in (1, 2, 3, 4, 9998, 9999, 5000, 5001)]
    + [f"IMG_20240501_12000{second}{end}.jpg" for second in range(3) for end in ("", "_1", "_2", "_BURST001")]
    + [f"0000{number}IMG_0000{number}_BURST20240501120000123.jpg" for number in range(3)]
    + ["PXL_20240501_120001500.jpg", "DSC_0002.jpg", "DSC_0001.jpg", "photo.jpg"]
)
PHOTOS = st.builds(
    lambda name, times, model, serial, folder: photo(name, *times, model=model, serial=serial, folder=folder),
    NAMES,
    st.lists(TIMES, max_size=2),
    st.sampled_from(["One", "One", "One", "Two", None]),
    st.sampled_from([None, None, None, "1", "2"]),
    st.sampled_from(["photos", "photos", "other"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PHOTOS, max_size=9))
def test_what_is_known_never_runs_in_a_circle(facts: list[PhotoFacts]) -> None:
    found = weigh(*facts)
    assert is_order(found)
    assert sorted(each for camera in found.cameras for each in camera.photos) == list(range(len(facts)))
    assert len({camera.name for camera in found.cameras}) == len(found.cameras)


@settings(max_examples=40, deadline=None)
@given(st.lists(PHOTOS, max_size=7), st.randoms(use_true_random=False))
def test_what_is_known_does_not_depend_on_the_listing(facts: list[PhotoFacts], random: Random) -> None:
    found = weigh(*facts)
    listing = list(range(len(facts)))
    random.shuffle(listing)
    again = weigh(*(facts[each] for each in listing))
    assert {(listing[a], listing[b]) for a, b in again.before} == found.before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), DIGITS), min_size=2, max_size=8))
def test_a_pair_is_known_only_if_the_clock_says_so(clocks: list[tuple[int, str]]) -> None:
    found = weigh(*(photo("a.jpg", time(second, digits)) for second, digits in clocks))
    for a, b in found.before:
        assert clocks[a][0] < clocks[b][0] or (clocks[a][0] == clocks[b][0] and f".{clocks[a][1]}" < f".{clocks[b][1]}")
    for one, other in pairwise(sorted({second for second, _ in clocks})):
        first, second = ([at for at, each in enumerate(clocks) if each[0] == which] for which in (one, other))
        assert {(a, b) for a in first for b in second} <= found.before


def test_hundreds_of_photos_are_weighed_at_once() -> None:
    facts = [photo(f"IMG_{number:04}.jpg", time(number // 10)) for number in range(300)]
    assert weigh(*facts).before == in_line(*range(300))
