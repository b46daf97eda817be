"""Losses with their ranges, one under the other, in the bands of those that can't be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from pegbox_runs.arena.report import digits
from pegbox_runs.arena.report.charts.frame import picture
from pegbox_runs.arena.report.charts.scales import Scale, drawable, linear, without_far_ones
from pegbox_runs.arena.report.charts.svg import Look, line, percent, sign, tag, words
from pegbox_runs.arena.report.leaderboard import banded
from pegbox_runs.arena.results import ContestantResult, Interval, Results

_ROW = 40
_GAP = 10
_TOP = 24


def interval_chart(results: Results) -> Markup | None:
    """Draw the ranges of all that have a loss; None: nobody has."""
    numbers = {one.name: number for number, one in enumerate(results.contestants, 1)}
    bands = [[one for one in members if one.loss is not None] for _, members in banded(results)]
    bands = [members for members in bands if members]
    if not bands:
        return None
    base = results.base.loss if results.base else None
    scale, shows_base = _scale([one.loss for band in bands for one in band if one.loss], base)
    drawn: list[Markup] = []
    top = float(_TOP)
    for place, members in enumerate(bands):
        height = _ROW * len(members)
        drawn.append(tag("rect", x="-10", y=top, width="100%", height=height, class_=f"band even{place % 2}"))
        for row, one in enumerate(members):
            drawn += _row(one, Look(numbers[one.name]), top + row * _ROW, scale)
        top += height + _GAP
    end = top - _GAP
    grid = [line(percent(scale.part(tick)), _TOP, percent(scale.part(tick)), end + 4, "grid") for tick in scale.ticks]
    labels = [words(scale.label(tick), percent(scale.part(tick)), end + 19, "tick middle") for tick in scale.ticks]
    labels.append(words("loss, nats per token: further left is better", "50%", end + 37, "axis middle"))
    return picture(
        "losses",
        "Loss of each contestant, with its range",
        _said(bands, base),
        end + 46,
        *_bands_first(drawn, grid),
        *labels,
        *(_base_line(scale, base, end, shows_base) if base is not None else []),
        narrow=True,
    )


def _bands_first(drawn: Sequence[Markup], grid: Sequence[Markup]) -> list[Markup]:
    """Put the grid between the bands and what is drawn on them."""
    bands = [one for one in drawn if one.startswith("<rect")]
    return [*bands, *grid, *[one for one in drawn if not one.startswith("<rect")]]


def _scale(losses: Sequence[Interval], base: float | None) -> tuple[Scale, bool]:
    """Make the axis, and tell whether the base model lies on it: not if all else would become one dot."""
    ends = [end for one in losses for end in (one.low, one.value, one.high) if end is not None]
    near = without_far_ones([one.value for one in losses])
    most = max(near, default=0.0)
    shown = [end for end in ends if end <= most]
    shown += [one.high for one in losses if one.high is not None and one.value <= most]
    spread = max(shown, default=1.0) - min(shown, default=0.0)
    shows_base = base is not None and drawable(base) and base - max(shown, default=base) <= 2 * spread
    return linear([*shown, *([base] if base is not None and shows_base else [])]), shows_base


def _row(one: ContestantResult, look: Look, top: float, scale: Scale) -> list[Markup]:
    known = one.loss or Interval(value=math.nan)
    said = digits.together(digits.plain(known))
    middle = top + 28
    drawn = [words(f"{look.number}  {one.name}", "0", top + 15, "name"), words(said, "99%", top + 15, "figure end")]
    if not scale.holds(known.value):
        return [*drawn, words("further right ▶", "99%", middle + 4, "note end")]
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
