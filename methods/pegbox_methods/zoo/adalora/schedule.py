"""When AdaLoRA takes ranks away: three phases of a run whose length is known."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pegbox_hardware.forecast.setup import first_rank
from pegbox_methods.refusal import Refusal


@dataclass(frozen=True)
class Schedule:
    """Counts of optimizer steps. All ranks learn in the first `free`; none is taken in the last `final`."""

    steps: int
    free: int
    final: int
    interval: int
    """Steps between two cuts of the budget."""

    @property
    def last_cut(self) -> int:
        """Step after which the budget is the one that was asked for, whatever the interval."""
        return self.steps - self.final

    @property
    def first_cut(self) -> int:
        """Step after which ranks are taken for the first time."""
        return min(self.interval * (self.free // self.interval + 1), self.last_cut)

    def newest_cut(self, step: int) -> int | None:
        """Give the step of the newest cut that is due by a step; None: none is."""
        if step < self.first_cut:
            return None
        return self.last_cut if step >= self.last_cut else self.interval * (step // self.interval)

    @property
    def works(self) -> bool:
        """Whether ranks can be compared for an interval, and for one step at least, before the last cut."""
        return self.last_cut - self.free >= self.interval and self.last_cut > 1


def schedule(steps: int, settings: Mapping[str, Any]) -> Schedule:
    """Divide a run's steps.

    Raises: Refusal: there are too few of them; says how many it takes.
    """
    divided = _divided(steps, settings)
    if not divided.works:
        raise Refusal(
            f"this run takes {steps} steps, and AdaLoRA's schedule needs at least {least_steps(settings)}: with "
            f"method.settings.interval = {divided.interval}, free_share = {settings['free_share']:g} and "
            f"final_share = {settings['final_share']:g} it would never take a rank away. Train longer "
            '(training.epochs, training.max_steps), lower method.settings.interval, or take the method "lora".'
        )
    return divided


def least_steps(settings: Mapping[str, Any]) -> int:
    """Give the steps of the shortest run in which ranks are taken; every longer one works too."""
    return next(count for count in itertools.count(1) if _divided(count, settings).works)


def _divided(steps: int, settings: Mapping[str, Any]) -> Schedule:
    final = round(settings["final_share"] * steps)
    # Taken from what is left, the time for cuts never shrinks as the run grows: "at least" holds for every longer run.
    free = round(settings["free_share"] / (1 - settings["final_share"]) * (steps - final))
    return Schedule(steps=steps, free=free, final=final, interval=settings["interval"])


def initial_rank(settings: Mapping[str, Any]) -> int:
    """Give the rank every matrix starts with; always above the one asked for, or nothing could move."""
    return first_rank(settings["rank"], settings["surplus"])
