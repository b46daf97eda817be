"""Whether steps are taken with the rate that the recipe's schedule says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pegbox_methods.events import Check
from pegbox_methods.recipe import Recipe

NAME = "learning-rate"
CLOSE = 1e-6
"""Relative; both sides are float64."""


def factor(schedule: str, position: int, *, warmup: int, steps: int) -> float:
    """Give what the peak rate is multiplied with in a step, by the recipe's own words. `position`: steps before it.

    Source: get_cosine_schedule_with_warmup and its kin in transformers' optimization.py.
    """
    if position < warmup:
        return position / max(1, warmup)
    left = max(1, steps - warmup)
    if schedule == "cosine":
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (position - warmup) / left)))
    if schedule == "linear":
        return max(0.0, (steps - position) / left)
    return 1.0


class LearningRate:
    """Holds the optimizer's rates against the schedule, step by step."""

    def __init__(self, recipe: Recipe, *, warmup: int, steps: int) -> None:
        self._schedule = recipe.training.schedule
        self._peak = recipe.training.learning_rate
        self._warmup, self._steps = warmup, steps
        self._looked = 0
        self.steps_with_rate = 0
        """Steps in which something was to move."""
        self._overwritten: str | None = None
        self._other: str | None = None

    def look(self, groups: Iterable[Mapping[str, Any]], scheduled: Iterable[float], position: int) -> None:
        """Look right after a step, before the schedule goes on. `position`: steps that it went before."""
        self._looked += 1
        taken = list(groups)
        rates = [float(group["lr"]) for group in taken]
        self.steps_with_rate += any(rate > 0 for rate in rates)
        wanted = [float(rate) for rate in scheduled]
        if self._overwritten is None and not all(map(_like, rates, wanted)):
            self._overwritten = f"{_listed(rates)} where the schedule says {_listed(wanted)}"
        expected = factor(self._schedule, position, warmup=self._warmup, steps=self._steps)
        peaks = [float(group.get("initial_lr", rate)) for group, rate in zip(taken, wanted, strict=True)]
        if self._other is None and not all(map(_like, wanted, [peak * expected for peak in peaks])):
            self._other = f"{_listed(wanted)}, where '{self._schedule}' makes {_listed([p * expected for p in peaks])}"
        if self._other is None and self._peak is not None and not any(_like(self._peak, peak) for peak in peaks):
            self._other = f"a peak of {_listed(peaks)} in place of the recipe's {self._peak:g}"

    def check(self) -> Check:
        """Say whether all rates were those of the schedule."""
        if not self._looked:
            return Check(name=NAME, verdict="not-applicable", text="no step was taken")
        if self._overwritten is not None:
            text = (
                f"a step was taken with the rate {self._overwritten}: something beside the schedule sets the "
                "optimizer's rate, such as a plugin's callback"
            )
            return Check(name=NAME, verdict="failed", text=text)
        if self._other is not None:
            text = f"the schedule isn't the recipe's: {self._other}. Look at the method's own optimizer"
            return Check(name=NAME, verdict="unsure", text=text)
        text = f"the optimizer took {self._looked} steps with the rates of the schedule '{self._schedule}'"
        return Check(name=NAME, verdict="passed", text=text)


def _like(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-15)


def _listed(rates: list[float]) -> str:
    return " and ".join(f"{rate:g}" for rate in dict.fromkeys(rates))
