"""What the chart can draw of a run."""

from __future__ import annotations

from typing import NamedTuple

from pegbox_runs.curve import Curve
from pegbox_runs.figures import gib
from pegbox_runs.run_state import RunState
from pegbox_tui.chart.scale import brief


class Metric(NamedTuple):
    """One of the things that the chart draws over the steps."""

    name: str
    """Stable, for keys of dictionaries."""
    title: str
    unit: float = 1.0
    """What a value is divided by at the axis."""


LOSS = Metric("loss", "loss")
METRICS = (
    LOSS,
    Metric("learning-rate", "learning rate"),
    Metric("gradient-norm", "gradient norm"),
    Metric("speed", "tokens/s"),
    Metric("memory", "memory, GiB", 2.0**30),
    Metric("step-seconds", "seconds a step"),
)


def curve_of(metric: Metric, state: RunState) -> Curve:
    """Pick the curve of a metric."""
    match metric.name:
        case "loss":
            return state.loss
        case "learning-rate":
            return state.learning_rates
        case "gradient-norm":
            return state.gradient_norms
        case "speed":
            return state.speeds
        case "memory":
            return state.memory
    return state.step_seconds


def look_over(state: RunState, *metrics: Metric) -> None:
    """Find curves' extremes, so that no key has to wait until a million points were looked at."""
    for metric in metrics or METRICS:
        curve = curve_of(metric, state)
        if curve.ends is not None:
            curve.extremes(*curve.ends, 1)


def said(metric: Metric, value: float) -> str:
    """Write a value of a metric for people."""
    if metric.name == "memory":
        return gib(round(value))
    if metric.name == "loss" and 1e-3 <= abs(value) < 1e4:
        return f"{value:.4f}"
    return f"{value:,.0f}" if metric.name == "speed" and value >= 100 else brief(value)
