"""The line above the chart: what its signs mean, or the values at the cursor."""

from __future__ import annotations

from rich.text import Text

from pegbox_tui.chart.canvas import RAW, SMOOTHED
from pegbox_tui.chart.picture import ASCII_BEST, ASCII_EVALUATION, BEST, EVALUATION, Plot
from pegbox_tui.dashboard.chart.series import LOSS, Metric, said


def legend(metric: Metric, plot: Plot, *, ascii: bool) -> Text:  # noqa: A002 - Look's own word
    """Tell each sign, with its newest value."""
    text = Text(no_wrap=True, end="")
    for line in plot.lines:
        newest = line.curve.last(1)
        value = f" {said(metric, newest[0])}" if newest else ""
        raw = line.ink is RAW
        sign = ("..." if raw else "***") if ascii else ("⠢⠢" if raw and len(plot.lines) > 1 else "⠒⠒" if raw else "━━")
        text.append(sign, line.ink.style).append(f" {'each step' if raw else 'smoothed'}{value}  ")
    if metric is LOSS and plot.evaluations:
        text.append(ASCII_EVALUATION if ascii else EVALUATION, "bold yellow")
        text.append(f" evaluation {plot.evaluations[-1].loss:.4f}  ")
        if plot.best is not None:
            text.append(ASCII_BEST if ascii else BEST, "bold green").append(f" best, step {plot.best.step:,}")
    return text


def title(metric: Metric, plot: Plot, span: int, *, zoomed: bool) -> str:
    """Say what is drawn, and how."""
    said_so = [metric.title]
    if len(plot.lines) > 1 or plot.lines[0].ink is SMOOTHED:
        said_so.append(f"smoothed over {span:,} steps")
    if plot.log:
        said_so.append("log scale")
    if zoomed:
        said_so.append("zoomed, 0 shows all")
    return " · ".join(said_so)


def at_cursor(metric: Metric, plot: Plot, step: int, columns: int) -> Text:
    """Tell the values of a step; where a column holds many steps, from where to where they lie in it."""
    text = Text(no_wrap=True, end="")
    window = plot.window
    column = window.column(step, columns)
    many = window.steps > columns
    text.append(f"step {step:,}", "bold reverse").append(" ")
    for line in plot.lines:
        point = line.curve.nearest(step)
        name = "smoothed" if line.ink is SMOOTHED else metric.title.partition(",")[0]
        if point is None:
            continue
        at = "" if point[0] == step else f" (step {point[0]:,})"
        text.append(f" {name} {said(metric, point[1])}{at}")
        span = line.curve.extremes(window.begin, window.end, columns)[column] if many else None
        if span is not None and line.ink is RAW and span[0] < span[1]:
            text.append(f", here {said(metric, span[0])} to {said(metric, span[1])}", "dim")
    near = min(plot.evaluations, key=lambda evaluation: abs(evaluation.step - step), default=None)
    if near is not None:
        best = ", the best" if near is plot.best else ""
        text.append(f" · evaluation {near.loss:.4f} (step {near.step:,}{best})")
    return text
