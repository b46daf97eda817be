"""What a comparison will take before it begins: seconds, bytes on disk, and who surely lacks memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from pegbox_hardware.disk import read_disk
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_hardware.machine import Machine, probe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import comparisons_root
from pegbox_runs.arena.schedule import FACTORS, KEPT, TRIAL_SHARE
from pegbox_runs.arena.spec import Asked
from pegbox_runs.conditions import gpu_of_run
from pegbox_runs.disk_need import DiskNeed, disk_need
from pegbox_runs.expecting import run_tokens
from pegbox_runs.figures import duration, size
from pegbox_runs.forecasting import measured_rate
from pegbox_runs.plan import amount, plan
from pegbox_runs.preflight import CheckedRecipe
from pegbox_runs.rungs import Ground

LOOKS_OF_A_TRY = 3
"""At the held-out rows: before its first step, after its last, and once more row by row."""
TRIES = len(FACTORS) + KEPT


class Seconds(NamedTuple):
    """A forecast with its range; loading, saving and answering questions come on top."""

    likely: float
    low: float
    high: float

    def times(self, factor: float) -> Seconds:
        """Give so many of them."""
        return Seconds(self.likely * factor, self.low * factor, self.high * factor)

    def and_(self, other: Seconds) -> Seconds:
        """Give both, one after the other."""
        return Seconds(self.likely + other.likely, self.low + other.low, self.high + other.high)


NOTHING = Seconds(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Walked:
    """What all trainings walk through."""

    own_steps: int
    """That the recipe's own plan takes."""
    mean_tokens: float
    """Of a training row after the cut, by a sample."""
    row_tokens: float | None
    """Mean length of a padded row; None: all are as long as may be."""
    padding_share: float


@dataclass(frozen=True)
class Cost:
    """What one contestant takes. None: it can't be told."""

    step: Seconds | None
    """Of one optimizer step."""
    look: Seconds | None
    """Of one look at all held-out rows."""
    memory: Forecast | None
    usable_bytes: int
    """That a run may count on here."""
    disk: DiskNeed

    def seconds(
        self, asked: Asked, looks: int, *, seeds: int | None = None, steps: int | None = None
    ) -> Seconds | None:
        """Forecast all entries of this contestant; `looks` of a training that counts.

        `seeds`, `steps`: in place of those that are asked for.
        """
        if self.step is None or self.look is None:
            return None
        finals = len(asked.seeds) if seeds is None else seeds
        # The row by row look comes on top of the run's own.
        whole = self.step.times(asked.steps if steps is None else steps).and_(self.look.times(looks + 1))
        return whole.times(finals).and_(self.tries_seconds(asked) or NOTHING)

    def tries_seconds(self, asked: Asked) -> Seconds | None:
        """Forecast the tries alone."""
        if self.step is None or self.look is None:
            return None
        if asked.search:
            tried, tries = TRIAL_SHARE * asked.trial_steps, TRIES
        else:
            tried, tries = (asked.trial_steps, 1) if asked.budget_seconds is not None else (0, 0)
        return self.step.times(tried).and_(self.look.times(LOOKS_OF_A_TRY * tries))

    def disk_bytes(self, asked: Asked) -> int:
        """Count what all entries of this contestant leave on the disk."""
        tries = TRIES if asked.search else int(asked.budget_seconds is not None)
        return len(asked.seeds) * self.disk.run + tries * (self.disk.checkpoint + self.disk.adapter)


def walked(checked: CheckedRecipe) -> Walked:
    """Count what a recipe walks through, by a sample of its rows.

    Raises: Refusal: the files have changed since they were checked.
    """
    recipe = checked.recipe
    epoch = msgspec.structs.replace(recipe.training, epochs=1.0, max_steps=None)
    found = run_tokens(dataclasses.replace(checked, recipe=msgspec.structs.replace(recipe, training=epoch)))
    rows = len(checked.rows.trained)
    mean = found.tokens / rows
    # How many sequences packed rows will make is an estimate; all contestants share it.
    packed = recipe.training.order == "packed"
    steps = amount(recipe, rows, 0, mean).steps if packed else plan(recipe, rows).steps
    return Walked(steps, mean, found.row_tokens, found.padding_share)


def cost_of(checked: CheckedRecipe, rows: Walked, machine: Machine) -> Cost:
    """Price one contestant on the device that a worker would get. `rows`: of a recipe with the same micro-batch."""
    recipe, weights = checked.recipe, 0
    place = Ground(recipe, "cpu" if _on_processor(machine) else None, machine)
    held_out = len(checked.rows.held_out)
    one = msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, max_steps=1))
    tokens = max(1, amount(one, len(checked.rows.trained), held_out, rows.mean_tokens).tokens)
    try:
        measured = measured_rate(recipe)
    except Refusal:
        measured = None
    found: list[TimeForecast | None] = []
    memory = None
    for looked_at in (0, round(held_out * rows.mean_tokens)):
        memory, time = place.forecast(
            recipe,
            row_tokens=rows.row_tokens,
            padding_share=rows.padding_share,
            tokens=tokens,
            evaluation_tokens=looked_at,
            measured=measured,
        )
        found.append(time)
    step, with_look = (None if time is None else _range(time) for time in found)
    look = None if step is None or with_look is None else with_look.and_(step.times(-1))
    if memory is not None:
        weights = memory.trainable_weights
    return Cost(step, look, memory, place.place.usable_bytes, disk_need(recipe, checked.model, weights))


def machine_for(gpus: tuple[str, ...], *, cluster_gpus: bool | None = None) -> Machine:
    """Probe this machine, with the first of the chosen GPUs alone where some are chosen.

    `cluster_gpus`: whether the nodes that it stands for have GPUs; None: it stands for itself.
    """
    machine = probe()
    if cluster_gpus is False:
        return msgspec.structs.replace(machine, gpus=())
    chosen = tuple(one for one in machine.gpus if gpus and gpus[0] in (one.uuid, str(one.index)))
    return msgspec.structs.replace(machine, gpus=chosen) if chosen else machine


def total_seconds(costs: Mapping[str, Cost], asked: Asked, looks: int) -> Seconds | None:
    """Forecast the whole comparison; None: somebody's pace isn't known. A budget of time bounds it."""
    whole = NOTHING
    for cost in costs.values():
        mine = cost.seconds(asked, looks)
        if mine is None:
            return None
        whole = whole.and_(mine)
    whole = whole.times(1 / _lanes(asked))
    if asked.budget_seconds is None:
        return whole
    return Seconds(*(min(asked.budget_seconds, one) for one in whole))


def refuse_short_of_time(costs: Mapping[str, Cost], asked: Asked, shortest: int) -> None:
    """Refuse a budget of time in which not even the tries and one short training of each fit, at the fastest.

    `shortest`: steps of such a training.
    Raises: Refusal.
    """
    if asked.budget_seconds is None:
        return
    least = {name: cost.seconds(asked, 1, seeds=1, steps=shortest) for name, cost in costs.items()}
    known = {name: one.low for name, one in least.items() if one is not None}
    needed = sum(known.values()) / _lanes(asked)
    if needed <= asked.budget_seconds:
        return
    longest = max(known, key=lambda name: known[name])
    tries = "the tries of learning rates and " if asked.search else ""
    instead = f"leave {longest} out, or take --no-search" if asked.search else f"or leave {longest} out"
    raise Refusal(
        f"--budget: {duration(asked.budget_seconds)} is too small a budget: {tries}{shortest} steps of each of "
        f"{len(costs)} contestants take {duration(needed)} even at the fastest that is forecast here; {longest} takes "
        f"most, {duration(known[longest])}. Allow more, {instead}."
    )


def refuse_short_of_disk(costs: Mapping[str, Cost], asked: Asked) -> int:
    """Refuse what wouldn't fit on the disk. Returns: the bytes that all entries take.

    Raises: Refusal.
    """
    needed = sum(cost.disk_bytes(asked) for cost in costs.values())
    first = next(iter(costs.values())).disk
    root = comparisons_root()
    free = read_disk("comparisons", root).free
    download = first.download
    if free is not None and needed + (download if first.one_disk else 0) > free:
        fetched = f", and the model's download {size(download)} more" if first.one_disk and download else ""
        raise Refusal(
            f"{root}: the disk is too small for all: adapters and checkpoints take about {size(needed)}{fetched}, and "
            f"{size(free)} is free. Make room, name another place with PEGBOX_HOME, or take fewer contestants, fewer "
            "seeds, lower ranks or fewer checkpoints (output.checkpoints)."
        )
    if first.model_free is not None and download > first.model_free:
        raise Refusal(
            f"the model's download takes about {size(download)}, and {size(first.model_free)} is free where models are "
            "kept. Make room, or name another place with HF_HOME."
        )
    return needed


def short_of_memory(costs: Mapping[str, Cost]) -> list[str]:
    """Tell of contestants that surely don't fit as they are: a sentence each."""
    return [
        f"{name} needs {size(cost.memory.low_bytes)} of memory at the very least, and {size(cost.usable_bytes)} can be "
        "used here: it is tried again with settings that need less, and told as failed if none is enough."
        for name, cost in costs.items()
        if cost.memory is not None and cost.memory.low_bytes > cost.usable_bytes
    ]


def _lanes(asked: Asked) -> int:
    return max(1, min(len(asked.places), len(asked.contestants) * len(asked.seeds)))


def _on_processor(machine: Machine) -> bool:
    """Tell whether runs compute on the processor: a Mac's do, too."""
    gpu = gpu_of_run(machine)
    return gpu is not None and gpu.kind == "mps"


def _range(time: TimeForecast) -> Seconds:
    return Seconds(time.seconds, time.seconds_low, time.seconds_high)
