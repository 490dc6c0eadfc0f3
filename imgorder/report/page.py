"""Facts to a page: one HTML file with its style and pictures inside, without script."""

from __future__ import annotations

from importlib.resources import files

from imgorder.heatmaps.colormap import colours
from imgorder.heatmaps.overlay import Look
from imgorder.report import words
from imgorder.report.embed import data_uri
from imgorder.report.facts import Candidate, Numbers, Photo, Picture, Report
from imgorder.report.markup import Html, fill, joined

_IMAGE = '<img class="$kind" src="$source" width="$width" height="$height" alt="$alt">'

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
_CAPTION = '<span class="number">$number</span> <span class="name">$name$taken</span>'

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
_PARAGRAPH = "<p>$text</p>"
_FACT = '<li class="$kind"><span class="label">$label</span> <strong>$value</strong></li>'
_TIME = '<br><span class="taken">$taken</span>'


def page(report: Report) -> str:
    """The whole file."""
    folder = files("imgorder.report")
    return fill(
        folder.joinpath("report.html").read_text("utf-8"),
        style=Html(folder.joinpath("report.css").read_text("utf-8").strip()),
        title=report.title,
        version=report.maker.version,
        count=len(report.photos),
        facts=_facts(report),
        direction=words.direction(report),
        all_heat=Html(_ALL_HEAT) if report.photos[0].heat else Html(),
        legend=_legend(report),
        photos=joined(_photo(report, place) for place in range(len(report.photos))),
        twins=_paragraph(words.twins(report)),
        second=_second(report),
        choices_of=words.choices(report),
        choices=joined(_choice(report, candidate) for candidate in report.candidates),
        baseline=words.baseline(report),
        times=_times(report),
        source=words.source(report),
        preprocessing=words.preprocessing(report.maker),
        model=words.model(report.maker),
    )


def _facts(report: Report) -> Html:
    """The answer in a few words, and whether the two other witnesses see it the same way."""
    share = words.percent(report.candidates[0].probability)
    parts = [fill(_FACT, kind="plain", label=words.probability(report), value=share)]
    if report.baseline is not None:
        agreeing = "plain" if report.baseline_tied else "good"
        kind = agreeing if report.baseline_agrees else "bad"
        parts.append(fill(_FACT, kind=kind, label="Shortest path", value=words.baseline_in_short(report)))
    verdict = report.times.verdict
    kind = {"agree": "good", "differ": "bad"}.get(verdict, "plain")
    parts.append(fill(_FACT, kind=kind, label="Capture times", value=words.times_in_short(report.times)))
    return joined(parts)


def _photo(report: Report, place: int) -> Html:
    photo, number = report.photos[place], place + 1
    time = report.times.taken[place]
    taken = fill(_TIME, taken=words.moment(time)) if time else Html()
    caption = fill(_CAPTION, number=number, name=photo.name, taken=taken)
    picture = _image(photo.picture, "photo", f"Photo {number} of {len(report.photos)}: {photo.name}")
    if photo.heat is None:
        return fill(_WITHOUT_HEAT, picture=picture, caption=caption)
    heat = _image(photo.heat, "heat", f"Heat map of photo {number}: where it differs from its neighbours in time")
    return fill(_WITH_HEAT, number=number, name=photo.name, picture=picture, heat=heat, caption=caption)


def _image(picture: Picture, kind: str, alt: str) -> Html:
    return fill(_IMAGE, kind=kind, source=data_uri(picture), width=picture.width, height=picture.height, alt=alt)


def _legend(report: Report) -> Html:
    if report.photos[0].heat is None:
        return _paragraph(f"The model {report.maker.model} has no heat maps.")
    return fill(_LEGEND, stops=_stops(report.look))


def _stops(look: Look) -> str:
    return ",".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours(look.colormap)[::17].tolist())


def _second(report: Report) -> Html:
    text = words.second_choice(report)
    return Html() if text is None else fill("<p><strong>Second choice:</strong> $text.</p>", text=text)


def _choice(report: Report, candidate: Candidate) -> Html:
    return fill(
        _CHOICE,
        order=_badges(candidate.numbers),
        share=words.percent(candidate.probability),
        width=f"{100 * candidate.probability:.2f}",
        names=words.listed([_name(report.photos, number) for number in candidate.numbers]),
    )


def _badges(numbers: Numbers) -> Html:
    return Html(" ".join(fill(_BADGE, number=number) for number in numbers))


def _name(photos: tuple[Photo, ...], number: int) -> str:
    return photos[number - 1].name


def _times(report: Report) -> Html:
    return joined([_paragraph(words.times(report.times)), _paragraph(words.times_direction(report))])


def _paragraph(text: str | None) -> Html:
    return Html() if text is None else fill(_PARAGRAPH, text=text)
