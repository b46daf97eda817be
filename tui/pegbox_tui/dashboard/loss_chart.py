"""The training loss over the steps."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, Sparkline

from pegbox_runs.curve import Curve

MOST_BARS = 400
"""More than any terminal is wide; keeps a long run's chart cheap."""


def highest_of_each(values: Sequence[float], most: int) -> list[float]:
    """Thin a series to at most `most` values, keeping the peak of each stretch."""
    if len(values) <= most:
        return list(values)
    return [max(values[len(values) * i // most : len(values) * (i + 1) // most]) for i in range(most)]


class LossChart(Vertical):
    """Bars from the lowest to the highest loss, and the two figures."""

    def compose(self) -> ComposeResult:
        """Lay out a caption over the bars."""
        yield Label("training loss", id="loss-caption", markup=False)
        yield Sparkline([], id="loss-bars")

    def show(self, curve: Curve) -> None:
        """Draw a curve."""
        if len(curve) < 2:  # one bar would fill the whole chart
            return
        values = curve.values
        caption = f"training loss {values[-1]:.4f}\nbars from {min(values):.4f} to {max(values):.4f}"
        self.query_one("#loss-caption", Label).update(caption)
        self.query_one(Sparkline).data = highest_of_each(values, MOST_BARS)
