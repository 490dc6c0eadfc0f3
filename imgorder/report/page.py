"""Facts to a page: one HTML file with its style and pictures inside, without script."""

from __future__ import annotations

from importlib.resources import files

from imgorder import __version__
from imgorder.heatmaps.colormap import make_colours
from imgorder.names import show
from imgorder.ordering import LIKELY
from imgorder.report import words
from imgorder.report.embed import make_data_uri
from imgorder.report.facts import Candidate, Picture, Report
from imgorder.report.markup import Html, fill, join_lines

_IMAGE = '<img class="$kind" src="$source" width="$width" height="$height" alt="$alt"$when>'
_WHEN_SEEN = Html(' loading="lazy" decoding="async"')

# A checkbox needs no script: its label is the picture, and its state chooses what is seen of it. It stands
# first, since CSS looks only ahead.
_WITH_HEAT = """<li><figure>
<input type="checkbox" class="switch" id="heat-$number" aria-label="Heat map of photo $number, $name">
<label class="picture" for="heat-$number">$picture$heat</label>
<label class="word" for="heat-$number" aria-hidden="true">Heat map</label>
<figcaption>$caption</figcaption>
</figure></li>"""
_WITHOUT_HEAT = """<li><figure>
<div class="picture">$picture</div>
<figcaption>$caption</figcaption>
</figure></li>"""
_CAPTION = '<span class="number">$number</span> <span class="name">$name$taken$weak</span>'
_WEAK = '<br><span class="weak">may not be the next after $before ($share)</span>'

_ALL_HEAT = """<input type="checkbox" class="switch" id="heat-all">
<label class="word" for="heat-all">Show all heat maps</label>"""
_LEGEND = """<div class="legend">
<p><span class="how">Tap a photo or switch its heat map on.</span>
Bright is where the network saw it differ from its neighbours in time. All photos share one scale.
What the network does not look at is grey.</p>
<p class="scale"><span>little</span> <span class="ramp" style="background:linear-gradient(to right,$stops)"></span>
<span>much</span></p>
</div>"""

_CHOICE = """<li>
<span class="order">$order</span> <span class="share">$share</span>
<span class="bar" aria-hidden="true"><span style="width:$width%"></span></span>
<span class="names">$names</span>
</li>"""
_BADGE = '<span class="number">$number</span>'
_FACT = '<li class="$kind"><span class="label">$label</span> <strong>$value</strong></li>'
_TIME = '<br><span class="taken">$taken</span>'


def make_page(report: Report) -> str:
    """The whole HTML file."""
    folder = files("imgorder.report")
    return fill(
        folder.joinpath("report.html").read_text("utf-8"),
        style=Html(folder.joinpath("report.css").read_text("utf-8").strip()),
        title=report.result.folder_name,
        version=__version__,
        count=len(report.photos),
        facts=_facts(report),
        direction=words.describe_direction(report),
        all_heat=Html(_ALL_HEAT) if report.photos[0].heat else Html(),
        legend=_legend(report),
        many=" many" if report.large else "",
        photos=join_lines(_photo(report, place) for place in range(len(report.photos))),
        words=_paragraph(words.describe_words(report)),
        scene=_paragraph(words.describe_scene(report)),
        lookalikes=_paragraph(words.describe_lookalikes(report)),
        second=_paragraph(words.describe_second_choice(report), "Second choice:"),
        choices_of=words.describe_choices(report),
        choices=join_lines(
            _choice(report, each) for each in (report.weakest[: words.WEAKEST] if report.large else report.candidates)
        ),
        baseline=words.describe_baseline(report),
        times=join_lines(
            [
                _paragraph(words.describe_times(report.times)),
                _paragraph(words.describe_times_direction(report)),
                _paragraph(words.describe_clocks(report)),
            ]
        ),
        source=words.describe_source(report),
        preprocessing=words.describe_preprocessing(report.preprocessing),
        model=words.describe_model(report),
    )


def _facts(report: Report) -> Html:
    """How sure the order is, and whether the shortest path and the capture times agree with it."""
    share = words.show_percent(report.candidates[0].probability)
    parts = [fill(_FACT, kind="plain", label=words.name_figures(report), value=share)]
    if report.baseline is not None:
        agreeing = "plain" if report.baseline_tied else "good"
        kind = agreeing if report.baseline_agrees else "bad"
        parts.append(fill(_FACT, kind=kind, label="Shortest path", value=words.judge_baseline(report)))
    verdict = report.times.verdict
    kind = {"agree": "good", "differ": "bad"}.get(verdict, "plain")
    parts.append(fill(_FACT, kind=kind, label="Capture times", value=words.judge_times(report.times)))
    return join_lines(parts)


def _photo(report: Report, place: int) -> Html:
    photo, number = report.photos[place], place + 1
    time = report.times.taken[place]
    unread = report.times.unread[place]
    said = words.show_time(time) if time else f"capture time not understood: {show(unread)}" if unread else ""
    taken = fill(_TIME, taken=said) if said else Html()
    weak = Html()
    if report.large and place and report.places[place - 1] < LIKELY:
        weak = fill(_WEAK, before=place, share=words.show_percent(report.places[place - 1]))
    caption = fill(_CAPTION, number=number, name=photo.name, taken=taken, weak=weak)
    when = _WHEN_SEEN if report.large else Html()
    picture = _image(photo.picture, "photo", f"Photo {number} of {len(report.photos)}: {photo.name}", when)
    if photo.heat is None:
        return fill(_WITHOUT_HEAT, picture=picture, caption=caption)
    alt = f"Heat map of photo {number}: where it differs from its neighbours in time"
    heat = _image(photo.heat, "heat", alt, when)
    return fill(_WITH_HEAT, number=number, name=photo.name, picture=picture, heat=heat, caption=caption)


def _image(picture: Picture, kind: str, alt: str, when: Html) -> Html:
    size = {"width": picture.width, "height": picture.height}
    return fill(_IMAGE, kind=kind, source=make_data_uri(picture), **size, alt=alt, when=when)


def _legend(report: Report) -> Html:
    if report.photos[0].heat is None:
        return _paragraph(f"The model {show(report.result.model)} has no heat maps.")
    rows = make_colours(report.look.colormap)[::17].tolist()
    return fill(_LEGEND, stops=",".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in rows))


def _choice(report: Report, candidate: Candidate) -> Html:
    return fill(
        _CHOICE,
        order=Html(" ".join(fill(_BADGE, number=number) for number in candidate.numbers)),
        share=words.show_percent(candidate.probability),
        width=f"{100 * candidate.probability:.2f}",
        names=words.join_items(report.photos[number - 1].name for number in candidate.numbers),
    )


def _paragraph(text: str | None, heading: str = "") -> Html:
    """A paragraph, after a heading in bold if there is one; nothing for None."""
    if text is None:
        return Html()
    bold = fill("<strong>$heading</strong> ", heading=heading) if heading else Html()
    return fill("<p>$bold$text</p>", bold=bold, text=text)
