"""What the training changed, measure by measure, with ranges: what holds zero may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.arena.results import Interval
from pegbox_runs.reporting.charts.frame import picture
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear
from pegbox_runs.reporting.charts.svg import Look, line, percent, sign, words
from pegbox_runs.run_report.parts import Drawn

_ROW = 44
_TOP = 8


@dataclass(frozen=True)
class Difference:
    """One measure's, tuned less base."""

    name: str
    interval: Interval
    said: str
    """It as text, with its range."""
    unit: str
    """Differences of one unit share an axis."""


def difference_charts(differences: Sequence[Difference], of: str) -> list[Drawn]:
    """Draw one chart for each unit, in the order in which they come. `of`: unique in the page."""
    units = list(dict.fromkeys(one.unit for one in differences if drawable(one.interval.value)))
    return [
        _chart(
            f"differences-{of}-{number}",
            unit,
            [one for one in differences if one.unit == unit and drawable(one.interval.value)],
        )
        for number, unit in enumerate(units)
    ]


def _chart(key: str, unit: str, rows: Sequence[Difference]) -> Drawn:
    known = [end for one in rows for end in _ends(one.interval) if drawable(end)]
    scale = linear([0.0, *known])
    bottom = _TOP + _ROW * len(rows)
    drawn = [
        line(percent(scale.part(tick)), _TOP, percent(scale.part(tick)), bottom + 4, "grid") for tick in scale.ticks
    ]
    drawn.append(line(percent(scale.part(0.0)), _TOP, percent(scale.part(0.0)), bottom, "base"))
    for place, one in enumerate(rows):
        drawn += _row(one, _TOP + place * _ROW, scale)
    drawn += [words(scale.label(tick), percent(scale.part(tick)), bottom + 19, "tick middle") for tick in scale.ticks]
    drawn.append(words(f"tuned less base, {unit}", "50%", bottom + 37, "axis middle"))
    said = "; ".join(f"{one.name}: {one.said}" for one in rows) + f", {unit}."
    title = f"What the training changed, in {unit}"
    shown = picture(key, title, said, bottom + 46, *drawn, full=True)
    return Drawn(
        shown, "With 95 % confidence the true difference lies on the line; the dashed line is no change.", said
    )


def _row(one: Difference, top: float, scale: Scale) -> list[Markup]:
    drawn = [words(one.name, "0", top + 15, "name"), words(one.said, "100%", top + 15, "label end")]
    middle, look = top + 29, Look(1)
    low, high = one.interval.low, one.interval.high
    if low is not None and high is not None and drawable(low) and drawable(high):
        drawn.append(line(percent(scale.part(low)), middle, percent(scale.part(high)), middle, f"range {look.kind}"))
        drawn += [
            line(percent(scale.part(end)), middle - 5, percent(scale.part(end)), middle + 5, f"range {look.kind}")
            for end in (low, high)
        ]
    return [*drawn, sign(look, scale.part(one.interval.value), middle, f"{one.name}: {one.said}")]


def _ends(interval: Interval) -> list[float]:
    return [end for end in (interval.low, interval.value, interval.high) if end is not None]
