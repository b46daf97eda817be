"""Losses with their ranges, one under the other, in the bands of those that can't be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from pegbox_runs.arena.report.leaderboard import banded
from pegbox_runs.arena.results import ContestantResult, Interval, Results
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.charts.frame import picture
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear, without_far_ones
from pegbox_runs.reporting.charts.svg import Look, line, percent, sign, tag, words

_ROW = 40
_GAP = 10
_TOP = 24
_FAR_BASE = 6
"""The base model is left out if it lies so many times the others' spread away: they would be too small to read."""


def interval_chart(results: Results) -> Markup | None:
    """Draw the ranges of all that have a loss; None: nobody has."""
    numbers = {one.name: number for number, one in enumerate(results.contestants, 1)}
    bands = [[one for one in members if one.loss is not None] for _, members in banded(results)]
    bands = [members for members in bands if members]
    if not bands:
        return None
    base = results.base.loss if results.base else None
    scale, shows_base = _scale([one.loss for band in bands for one in band if one.loss], base)
    shades: list[Markup] = []
    rows: list[Markup] = []
    top = float(_TOP)
    for place, members in enumerate(bands):
        shades.append(tag("rect", x="0", y=top, width="100%", height=_ROW * len(members), class_=f"even{place % 2}"))
        for one in members:
            rows += _row(one, Look(numbers[one.name]), top, scale, f"on{place % 2}")
            top += _ROW
        top += _GAP
    end = top - _GAP
    below = [words("loss, nats per token: further left is better", "50%", end + 37, "axis middle")]
    for tick in scale.ticks:
        x = percent(scale.part(tick))
        shades.append(line(x, _TOP, x, end + 4, "grid"))
        below.append(words(scale.label(tick), x, end + 19, "tick middle"))
    if base is not None:
        shades += _base_line(scale, base, end, shows_base)
    title, said = "Loss of each contestant, with its range", _said(bands, base)
    return picture("losses", title, said, end + 46, *shades, *rows, *below, full=True)


def _scale(losses: Sequence[Interval], base: float | None) -> tuple[Scale, bool]:
    """Make the axis, and tell whether the base model lies on it: not if all else would become one dot."""
    ends = [end for one in losses for end in (one.low, one.value, one.high) if end is not None]
    near = without_far_ones([one.value for one in losses])
    most = max(near, default=0.0)
    shown = [end for end in ends if end <= most]
    shown += [one.high for one in losses if one.high is not None and one.value <= most]
    spread = max(shown) - min(shown) if shown else 0.0
    shows_base = base is not None and drawable(base) and (not spread or base - max(shown) <= _FAR_BASE * spread)
    return linear([*shown, *([base] if base is not None and shows_base else [])]), shows_base


def _row(one: ContestantResult, look: Look, top: float, scale: Scale, on: str) -> list[Markup]:
    known = one.loss or Interval(value=math.nan)
    said = digits.together(digits.plain(known))
    middle = top + 28
    drawn = [
        words(f"{look.number} {one.name}", "8", top + 15, f"name {on}"),
        words(said, "99%", top + 15, f"figure end {on}"),
    ]
    if not scale.holds(known.value):
        return [*drawn, words("further right ▶", "99%", middle + 4, f"note end {on}")]
    if known.low is not None and known.high is not None and drawable(known.low) and drawable(known.high):
        low, high = (max(0.0, min(1.0, scale.part(end))) for end in (known.low, known.high))
        drawn.append(line(percent(low), middle, percent(high), middle, f"range {look.kind}"))
        drawn += [
            line(percent(end), middle - 5, percent(end), middle + 5, f"range {look.kind}")
            for end, value in ((low, known.low), (high, known.high))
            if scale.holds(value)
        ]
    return [*drawn, sign(look, scale.part(known.value), middle, f"{one.name}: {said}")]


def _base_line(scale: Scale, base: float, end: float, shown: bool) -> list[Markup]:
    said = f"base model {digits.loss(base)}"
    if not shown:
        where = "further right ▶" if not drawable(base) or base > scale.high else "further left"
        return [words(f"{said}, {where}", "99%", _TOP - 9, "note end")]
    at = scale.part(base)
    side = "note end" if at > 0.8 else "note first" if at < 0.2 else "note middle"
    return [line(percent(at), _TOP - 4, percent(at), end, "base"), words(said, percent(at), _TOP - 9, side)]


def _said(bands: Sequence[Sequence[ContestantResult]], base: float | None) -> str:
    """Say what the chart shows, group by group."""
    said = [
        f"{one.name}: {digits.together(digits.plain(one.loss))}{'.' if one is members[-1] else ','}"
        for members in bands
        for one in members
    ]
    return " ".join(said) + ("" if base is None else f" Base model: {digits.loss(base)}.")
