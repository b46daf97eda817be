"""Figures as short as the arena's columns are."""

from __future__ import annotations

import math

from pegbox_runs.figures import size
from pegbox_tui.chart.scale import brief


def nats(value: float | None) -> str:
    """Write a loss in at most 7 characters; a dash for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else brief(value)


def brief_memory(number: int | None, *, at_most: bool) -> str:
    """Write peak bytes in at most 8 characters; a dash for none. `at_most`: it is an upper bound."""
    return f"{'≤' if at_most and number is not None else ''}{size(number, brief=True)}"


def short_time(seconds: float | None) -> str:
    """Write a duration in at most 8 characters; a dash for none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 59.95 else f"{minutes / 60:.1f} h"


def rate(value: float | None) -> str:
    """Write a learning rate; a dash for none."""
    if value is None:
        return "-"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
