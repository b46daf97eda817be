"""How many steps each training gets, the same for all: by the recipe's own plan, and within what was allowed."""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.schedule import total_steps
from pegbox_runs.printable import one_line

FORMS = (
    'a time ("2h", "90m", "1h30m", "45s") or a number of optimizer steps ("500"), for all trainings together, from 1 on'
)
TIME = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)\s*h)?\s*(?:(?P<m>\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(?P<s>\d+(?:\.\d+)?)\s*s)?", re.ASCII
)
STEPS = re.compile(r"(\d+)\s*(?:steps?)?", re.ASCII)
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
MOST_SECONDS = 366 * 86_400.0
MOST_STEPS = 100_000_000
"""As the recipe allows for one training."""

TRIES_OF_A_TRAINING = 8
"""The shortest try of a rate takes this part of a training, where nothing asks for more: all tries take 7 of them."""
LONGEST_TRY = 4
"""A try is at most this part of a training; else the search would cost far more than what it is for."""
LEAST_TRY = 5
"""Steps in which a rate can show anything."""
LEAST_STEPS = 10
"""Of a training that a budget may shorten: after fewer, all methods are still where they began."""


@dataclass(frozen=True)
class Budget:
    """What all trainings of a comparison may take together: optimizer steps, or seconds."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read it as people write it. Raises: Refusal: it is neither a time nor a number of steps."""
        asked = text.strip().lower()
        if (counted := STEPS.fullmatch(asked)) is not None and len(counted[1]) < 20:
            steps = int(counted[1])
            if 1 <= steps <= MOST_STEPS:
                return cls(steps=steps)
        elif asked and (timed := TIME.fullmatch(asked)) is not None:
            seconds = sum(float(timed[name]) * unit for name, unit in UNITS.items() if timed[name] is not None)
            if 1 <= seconds <= MOST_SECONDS:
                return cls(seconds=seconds)
        raise Refusal(f"--budget {one_line(text, 60)}: expected {FORMS}.")


@dataclass(frozen=True)
class StepPlan:
    """Optimizer steps of each contestant's trainings."""

    steps: int
    """Of a training that counts; with a budget of seconds, the most that one may come to."""
    trial_steps: int
    """Of the shortest try of a rate."""
    search: bool
    remarks: tuple[str, ...] = ()


def steps_for(own: int, least: Mapping[str, int], *, seeds: int, search: bool, budget: Budget | None) -> StepPlan:
    """Plan the steps of a comparison.

    `own`: what the recipe's own plan takes. `least`: contestant -> the least steps with which its method works.
    Raises: Refusal: a contestant's method can't work with so few.
    """
    needed = max(least.values(), default=1)
    _refuse_short(own, least)
    if budget is not None and budget.steps is not None:
        return _within(budget.steps, own, least, seeds=seeds, search=search)
    if budget is not None:
        trial = max(LEAST_TRY, needed)
        pays = LONGEST_TRY * trial <= own
        return StepPlan(own, trial, search and pays, () if pays or not search else (_unsearched(own, least),))
    if search and not _pays(own, needed):
        return StepPlan(own, _trial(own, needed), False, (_unsearched(own, least),))
    return StepPlan(own, _trial(own, needed), search)


def _within(allowed: int, own: int, least: Mapping[str, int], *, seeds: int, search: bool) -> StepPlan:
    """Find the most steps with which all entries together stay within a budget; a search goes first, where it pays.

    Raises: Refusal: not even the shortest trainings would.
    """
    needed, contestants = max(least.values(), default=1), len(least)
    if search:
        begin = LONGEST_TRY * max(LEAST_TRY, needed)
        affordable = bisect.bisect_right(
            range(begin, own + 1),
            allowed,
            key=lambda steps: total_steps(contestants, seeds, steps, _trial(steps, needed), search=True),
        )
        if affordable:
            steps = begin + affordable - 1
            return StepPlan(steps, _trial(steps, needed), True, _shortened(steps, own))
    shortest = max(min(LEAST_STEPS, own), needed)
    steps = min(own, allowed // (contestants * seeds))
    if steps < shortest:
        raise Refusal(_too_small(allowed, shortest, least, seeds))
    remarks = _shortened(steps, own)
    if search and _pays(own, needed):
        remarks = (_unaffordable(allowed, needed, contestants, seeds), *remarks)
    elif search:
        remarks = (_unsearched(own, least), *remarks)
    return StepPlan(steps, _trial(steps, needed), False, remarks)


def _trial(steps: int, needed: int) -> int:
    return max(round(steps / TRIES_OF_A_TRAINING), LEAST_TRY, needed)


def _pays(steps: int, needed: int) -> bool:
    """Tell whether a search is worth its cost; once it is, it is for every longer training."""
    return LONGEST_TRY * _trial(steps, needed) <= steps


def _refuse_short(own: int, least: Mapping[str, int]) -> None:
    short = [f"{name} needs at least {steps} steps with its settings" for name, steps in least.items() if steps > own]
    if short:
        raise Refusal(
            f"this training takes {own} steps, and {'; '.join(short)}. Train longer (training.epochs, "
            "training.max_steps), with a smaller effective batch or more rows, or leave out who needs more."
        )


def _too_small(allowed: int, shortest: int, least: Mapping[str, int], seeds: int) -> str:
    contestants = len(least)
    each = allowed // (contestants * seeds)
    short = [name for name, steps in least.items() if steps > each]
    who = (
        f"{', '.join(short)} need{'s' if len(short) == 1 else ''} at least {shortest}"
        if short
        else (f"a training of less than {shortest} tells nothing of any method")
    )
    trainings = contestants * seeds
    return (
        f"--budget {allowed}: the budget is too small: it leaves {each} steps for each of {trainings} trainings "
        f"({contestants} contestants, {seeds} seed{'s' if seeds > 1 else ''}), and {who}. The least that would do is "
        f"{trainings * shortest} steps; fewer seeds or contestants need less."
    )


def _unsearched(own: int, least: Mapping[str, int]) -> str:
    needed = max(least.values(), default=1)
    why = f"a training takes {own} steps"
    if needed > LEAST_TRY:
        who = ", ".join(name for name, steps in least.items() if steps == needed)
        why += f", and a try as short as {who} can make it takes {needed} already"
    return (
        f"No learning rates are looked for, as that would cost far more than the trainings: {why}. Each contestant "
        "trains at its recipe's or its method's own rate."
    )


def _unaffordable(allowed: int, needed: int, contestants: int, seeds: int) -> str:
    steps = LONGEST_TRY * max(LEAST_TRY, needed)
    least = total_steps(contestants, seeds, steps, max(LEAST_TRY, needed), search=True)
    return (
        f"No learning rates are looked for: {allowed} steps are too few for that, with {least} there would be room. "
        "Each contestant trains at its recipe's or its method's own rate."
    )


def _shortened(steps: int, own: int) -> tuple[str, ...]:
    if steps >= own:
        return ()
    return (f"The budget allows {steps} steps for each training; by the recipe it would take {own}.",)
