"""The training loss over the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, Sparkline

from pegbox_runs.curve import Curve

MOST_BARS = 400
"""More than any terminal is wide; keeps a long run's chart cheap."""

BARS_SECONDS = 5.0
"""Between two drawings of the bars: they are most of what a step would cost on a slow line, and change little."""


def highest_of_each(values: Sequence[float], most: int) -> list[float]:
    """Thin a series to at most `most` values, keeping the peak of each stretch."""
    if len(values) <= most:
        return list(values)
    return [max(values[len(values) * i // most : len(values) * (i + 1) // most]) for i in range(most)]


class LossChart(Vertical):
    """Bars from the lowest to the highest loss, and the two figures."""

    _caption_breaks = 0
    _drawn_steps = 0
    _drawn_at = 0.0

    def compose(self) -> ComposeResult:
        """Lay out a caption over the bars."""
        yield Label("training loss", id="loss-caption", markup=False)
        yield Sparkline([], id="loss-bars")

    def show(self, curve: Curve) -> None:
        """Draw a curve."""
        if len(curve) < 2:  # one bar would fill the whole chart; a run that begins anew has had more
            self._caption("training loss")
            self.query_one(Sparkline).data = []
            return
        values = curve.values
        self._caption(f"training loss {values[-1]:.4f}\nbars from {min(values):.4f} to {max(values):.4f}")
        if len(values) < self._drawn_steps or time.monotonic() >= self._drawn_at + BARS_SECONDS:
            self._drawn_steps, self._drawn_at = len(values), time.monotonic()
            self.query_one(Sparkline).data = highest_of_each(values, MOST_BARS)

    def _caption(self, text: str) -> None:
        """Show it; the layout is done anew only where its height is another."""
        self.query_one("#loss-caption", Label).update(text, layout=text.count("\n") != self._caption_breaks)
        self._caption_breaks = text.count("\n")
