"""Which steps the chart shows."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_tui.chart.scale import last_step

FEWEST = 4
"""Steps that one can zoom in to."""


@dataclass(frozen=True)
class Window:
    """From one step to another, both shown."""

    begin: int
    end: int
    follows: bool = False
    """Whether it moves on with the newest step, which it held when it was made."""

    @property
    def steps(self) -> int:
        """How many it shows."""
        return self.end - self.begin + 1

    @classmethod
    def whole(cls, newest: int) -> Window:
        """Show all steps so far. Its end is round, so that a new step doesn't move all of the picture."""
        return cls(0, last_step(newest))

    def column(self, step: float, columns: int) -> int:
        """Give the column in which a step lies, of so many over the whole width; what is outside is at the edge."""
        return min(max(int((step - self.begin + 0.5) * columns / self.steps), 0), columns - 1)

    def step(self, column: int, columns: int) -> int:
        """Give the step in the middle of a column."""
        return min(self.begin + int((column + 0.5) * self.steps / columns), self.end)

    def zoomed(self, *, closer: bool, around: float, newest: int) -> Window | None:
        """Show half or twice as many steps, with the one that is looked at staying in its place. None: all of them."""
        steps = max(self.steps // 2 if closer else self.steps * 2, FEWEST)
        at_end = around >= newest
        begin = newest - steps + 1 if at_end else round(around - (around - self.begin) / self.steps * steps)
        return _within(begin, steps, newest)

    def moved(self, share: float, newest: int) -> Window | None:
        """Show earlier (below 0) or later steps: so much of what is shown."""
        by = round(share * self.steps) or (1 if share > 0 else -1)
        return _within(self.begin + by, self.steps, newest)

    def now(self, newest: int) -> Window:
        """Move on with the newest step, if it follows it; back with a run that went back."""
        if (self.follows and self.end < newest) or self.begin > newest:
            begin = max(newest - self.steps + 1, 0)
            return Window(begin, begin + self.steps - 1, follows=True)
        return self


def _within(begin: int, steps: int, newest: int) -> Window | None:
    """Push a window back between the first step and the newest. None: it holds all of them."""
    if steps >= max(newest, FEWEST + 1):
        return None
    begin = min(max(begin, 0), max(newest - steps + 1, 0))
    end = begin + steps - 1
    return Window(begin, end, follows=end >= newest)
