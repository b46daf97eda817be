"""The chart as lines of text: curves, evaluations, axes. Nothing here knows Textual."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from pegbox_methods.events import Evaluation
from pegbox_runs.curve import Curve
from pegbox_runs.figures import count
from pegbox_tui.chart.canvas import Canvas, Ink
from pegbox_tui.chart.scale import HUGE, TINY, Scale, brief, round_scale, tick_size
from pegbox_tui.chart.window import Window

GUTTER = 8
"""Cells left of the curves, for the values at the axis."""
EVALUATION, BEST = "○", "●"
ASCII_EVALUATION, ASCII_BEST = "o", "@"
LABEL_CELLS = 14
"""Room that one number below the chart takes, with what keeps it from the next."""
LOOKS = 400
"""Places at which the smallest value above 0 is looked for."""
DEEPEST = 1e-9
"""Share of the highest value at which a logarithmic axis ends at the latest."""


@dataclass(frozen=True)
class Line:
    """A curve, and how it is drawn."""

    ink: Ink
    curve: Curve
    thin: bool = False
    """Whether every other dot is left out, so that what lies under or over it is told apart."""


@dataclass(frozen=True)
class Mark:
    """A sign at a value."""

    step: int
    value: float
    sign: str
    """One cell of ASCII, or of what `AsciiLines` knows."""
    style: str


@dataclass(frozen=True)
class Plot:
    """All that is drawn."""

    lines: Sequence[Line]
    """The later ones over the earlier."""
    evaluations: Sequence[Evaluation]
    best: Evaluation | None
    window: Window
    log: bool
    unit: float = 1.0
    """What values are divided by at the axis."""
    cursor: int | None = None
    """The step that is looked at."""
    marks: Sequence[Mark] = ()
    """Over the curves, the later ones over the earlier."""


def drawn(plot: Plot, width: int, height: int, *, ascii: bool) -> list[Text]:  # noqa: A002 - Look's own word
    """Draw a plot on so many cells, its axes among them; the last line is that of the steps."""
    canvas = Canvas(max(width - GUTTER, 1), max(height - 1, 1), ascii=ascii)
    scale = scale_of(plot, canvas.height)
    if scale is not None:
        for line in plot.lines:
            _draw(line, plot, scale, canvas)
        _draw_evaluations(plot, scale, canvas, ascii=ascii)
        for mark in _marks_shown(plot):
            _draw_mark(mark, plot.window, scale, canvas)
    if plot.cursor is not None:
        canvas.cursor(plot.window.column(plot.cursor, canvas.width))
    labels = _labels(scale, canvas.height, plot.unit) if scale is not None else {}
    rows = []
    for number, row in enumerate(canvas.rows()):
        label = labels.get(number)
        text = Text(f"{label or '':>{GUTTER - 1}}", "dim", no_wrap=True, end="")
        text.append(("+" if ascii else "┤") if label else ("|" if ascii else "│"), "dim")
        rows.append(text + row)
    return [*rows, _steps_axis(plot.window, canvas.width)]


def scale_of(plot: Plot, rows: int) -> Scale | None:
    """Give the axis of the values that are in the window; None: there are none."""
    window = plot.window
    spans = [span for line in plot.lines for span in line.curve.extremes(window.begin, window.end, 1) if span]
    found = [value for span in spans for value in span] + [e.loss for e in _shown(plot)]
    found += [mark.value for mark in _marks_shown(plot)]
    found = [value if abs(value) >= TINY else 0.0 for value in found if abs(value) < HUGE]  # nor what isn't finite
    if not found:
        return None
    low, high = min(found), max(found)
    if plot.log and low <= 0 < high:
        low = _least_above_zero(plot, high)
    scale = round_scale(low / plot.unit, high / plot.unit, log=plot.log, ticks=max(rows // 3, 2))
    return Scale(scale.low * plot.unit, scale.high * plot.unit, scale.log, scale.tick * plot.unit)


def _least_above_zero(plot: Plot, high: float) -> float:
    """Give where a logarithmic axis begins if some values are 0 or below, which it puts at its low end."""
    window = plot.window
    means = [mean for line in plot.lines for mean in line.curve.means(window.begin, window.end, LOOKS)]
    return max(min((mean for mean in means if mean is not None and mean > 0), default=high), high * DEEPEST)


def _shown(plot: Plot) -> Iterator[Evaluation]:
    return (e for e in plot.evaluations if plot.window.begin <= e.step <= plot.window.end)


def _marks_shown(plot: Plot) -> Iterator[Mark]:
    begin, end = plot.window.begin, plot.window.end
    return (mark for mark in plot.marks if begin <= mark.step <= end and math.isfinite(mark.value))


def _draw(line: Line, plot: Plot, scale: Scale, canvas: Canvas) -> None:
    """Draw few points from one to the next, and of many the range of each column, so that no peak is lost."""
    before: tuple[int, int, int] | None = None
    for x, low, high in _points(line.curve, plot.window, canvas.dots_wide):
        if not math.isfinite(low) or not math.isfinite(high):
            before = None
            continue
        top, bottom = (round((1 - scale.share(value)) * (canvas.dots_high - 1)) for value in (high, low))
        if before is not None:
            _join(canvas, line.ink, before, (x, top, bottom), thin=line.thin)
        canvas.bar(line.ink, x, top, bottom, thin=line.thin)
        before = (x, top, bottom)


def _points(curve: Curve, window: Window, columns: int) -> Iterator[tuple[int, float, float]]:
    """Give (column, lowest, highest), with those of one column together."""
    if window.steps > columns:
        for x, span in enumerate(curve.extremes(window.begin, window.end, columns)):
            if span is not None:
                yield x, *span
    else:
        for step, value in curve.between(window.begin, window.end):
            yield window.column(step, columns), value, value


def _join(canvas: Canvas, ink: Ink, before: tuple[int, int, int], after: tuple[int, int, int], *, thin: bool) -> None:
    """Draw the way from the end of one column to the beginning of another."""
    x0, top0, bottom0 = before
    x1, top1, bottom1 = after
    if x1 - x0 <= 1:
        upper, lower = (bottom0, top1) if top1 > bottom0 else (bottom1, top0)
        middle = (upper + lower) // 2
        first, second = (x0, x1) if top1 > bottom0 else (x1, x0)
        canvas.bar(ink, first, upper + 1, middle, thin=thin)
        canvas.bar(ink, second, middle + 1, lower - 1, thin=thin)
        return
    begin = last = (top0 + bottom0) / 2
    for x in range(x0 + 1, x1):
        y = begin + ((top1 + bottom1) / 2 - begin) * (x - x0) / (x1 - x0)
        low, high = sorted((round(last), round(y)))
        if not thin or (x - x0) % 2 == 0:
            canvas.bar(ink, x, min(low + 1, high), high, thin=thin)
        last = y


def _draw_evaluations(plot: Plot, scale: Scale, canvas: Canvas, *, ascii: bool) -> None:  # noqa: A002
    """Draw them over the curves, the best one last."""
    for evaluation in sorted(_shown(plot), key=lambda e: e is plot.best):
        if math.isfinite(evaluation.loss):
            best = evaluation is plot.best
            sign = (ASCII_BEST if best else ASCII_EVALUATION) if ascii else (BEST if best else EVALUATION)
            mark = Mark(evaluation.step, evaluation.loss, sign, "bold green" if best else "bold yellow")
            _draw_mark(mark, plot.window, scale, canvas)


def _draw_mark(mark: Mark, window: Window, scale: Scale, canvas: Canvas) -> None:
    y = round((1 - scale.share(mark.value)) * (canvas.dots_high - 1))
    canvas.sign(window.column(mark.step, canvas.dots_wide), y, mark.sign, mark.style)


def _labels(scale: Scale, rows: int, unit: float) -> dict[int, str]:
    """Give what stands left of which row."""
    found: dict[int, str] = {}
    for value in _ticks(scale, unit):
        row = round((1 - scale.share(value)) * (rows - 1))
        if not {row - 1, row, row + 1} & found.keys() or rows < 4:
            found[row] = brief(value / unit)
    return found


def _ticks(scale: Scale, unit: float) -> Iterator[float]:
    """Give round values between the ends, these first: they are labelled in any case."""
    yield from (scale.low, scale.high)
    if scale.log:
        power = math.floor(math.log10(scale.low / unit))
        for exponent in range(power, math.ceil(math.log10(scale.high / unit)) + 1):
            yield from (v * unit for v in (10.0**exponent,) if scale.low < v * unit < scale.high)
        for exponent in range(power, math.ceil(math.log10(scale.high / unit)) + 1):
            around = (2 * 10.0**exponent, 5 * 10.0**exponent)
            yield from (v * unit for v in around if scale.low < v * unit < scale.high)
    else:
        for number in range(1, round((scale.high - scale.low) / scale.tick)):
            yield scale.low + number * scale.tick


def _steps_axis(window: Window, width: int) -> Text:
    """Write round steps below the columns where they lie."""
    size = max(tick_size(window.steps, max(width // LABEL_CELLS, 1)), 1.0)
    line = [" "] * (GUTTER + width)
    step, free = math.ceil(window.begin / size) * size, 0
    while step <= window.end + 1e-9:
        label = ("step " if free == 0 else "") + (count(step) if size >= 1e4 else f"{step:,.0f}")
        middle = GUTTER + window.column(step, width)
        begin = min(max(middle - len(label) // 2, 0 if free == 0 else free + 1), len(line) - len(label))
        if begin >= free:
            line[begin : begin + len(label)] = label
            free = begin + len(label)
        step += size
    return Text("".join(line), "dim", no_wrap=True, end="")
