"""What charts have in common: a title and a description for those who don't see them, axes, a legend."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pegbox_runs.reporting.charts.scales import Scale
from pegbox_runs.reporting.charts.svg import SERIES, Look, line, percent, swatch, tag, words

TOP = 26
"""Room above a plot for the vertical axis' name, in px."""
_BELOW = 42


def picture(key: str, title: str, said: str, height: float, *inside: Markup, full: bool = False) -> Markup:
    """Make a chart's SVG. `key` is unique in the page; `said` is what one would see.

    `full`: it needs no room beside it for an axis.
    """
    named = [tag("title", title, id=f"{key}-title"), tag("desc", said, id=f"{key}-said")]
    return tag(
        "svg",
        *named,
        *inside,
        class_="plot full-width" if full else "plot",
        role="img",
        aria_labelledby=f"{key}-title {key}-said",
        height=f"{height:g}",
    )


def axes_picture(
    key: str,
    titles: tuple[str, str],
    said: str,
    scales: tuple[Scale, Scale],
    height: float,
    *inside: Markup,
) -> Markup:
    """Make a chart with two axes. `titles` name the chart and its vertical axis; the plot is `height` px high."""
    across, up = scales
    title, of_up = titles
    drawn = [words(of_up, "0", -12, "axis first")]
    for tick in up.ticks:
        y = height * (1 - up.part(tick))
        drawn += [line("0", y, "100%", y, "grid"), words(up.label(tick), "-8", y + 4, "tick end")]
    for tick in across.ticks:
        x = percent(across.part(tick))
        drawn += [line(x, height, x, height + 4, "edge"), words(across.label(tick), x, height + 19, "tick middle")]
    drawn.append(line("0", height, "100%", height, "edge"))
    plot = tag("g", *drawn, *inside, transform=f"translate(0 {TOP})")
    return picture(key, title, said, TOP + height + _BELOW, plot)


def across_title(text: str, height: float) -> Markup:
    """Name the horizontal axis of a plot."""
    return words(text, "50%", height + 37, "axis middle")


def legend(looks: Sequence[tuple[Look, str]]) -> Markup:
    """List whose lines and signs are whose; those that are drawn alike share one entry."""
    apart = [tag("li", swatch(look), f" {look.number} {name}") for look, name in looks if look.told_apart]
    alike = [look for look, _ in looks if not look.told_apart]
    if alike:
        apart.append(tag("li", swatch(alike[0]), f" all from {SERIES + 1} on"))
    return tag("ol", *apart, class_="legend")
