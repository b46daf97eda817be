"""The forecast of a run that is about to begin: its own recipe, its own rows, the device that its worker gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from pegbox_hardware.machine import Machine
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_runs.conditions import gpu_of_run
from pegbox_runs.expected import Expected
from pegbox_runs.learned import learned_tokens_per_second, torch_version
from pegbox_runs.light_tokenizer import template_file
from pegbox_runs.measured import setting_of
from pegbox_runs.plan import amount
from pegbox_runs.preflight import CheckedRecipe
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.examples import Examples
from pegbox_runs.rows.lengths import counted_rows
from pegbox_runs.rows.padding import paddings
from pegbox_runs.rungs import Ground

SAMPLE = 200
"""Rows whose tokens are counted: their mean is known within some 5 %, which is less than the time forecast's doubt."""
RENDERING_SECONDS = 5.0
"""For a chat template; a run's own rows have far longer."""


@dataclass(frozen=True)
class RunTokens:
    """What a run will walk through, by a sample of its rows."""

    tokens: int
    """Of all epochs, without padding."""
    evaluated: int
    """Of all evaluations."""
    row_tokens: float | None
    """Mean length of a padded row; None: all are as long as may be."""
    padding_share: float


def expect(checked: CheckedRecipe, machine: Machine, *, nodes: int = 1) -> Expected:
    """Forecast a checked recipe at level 1, for the device of `machine` that a worker would get now. Never raises.

    `nodes`: the machines that carry the run together, of which this is one.
    """
    gpu = gpu_of_run(machine)
    nothing = Expected(
        device=machine.cpu if gpu is None else gpu.name,
        accelerator="cpu" if gpu is None else gpu.kind,
        memory_total=machine.memory_total if gpu is None else gpu.memory_total or 0,
        memory_free=machine.memory_available if gpu is None else gpu.memory_free or 0,
        memory=None,
        time=None,
    )
    try:
        return _forecast(checked, machine, nothing, nodes)
    except Exception as error:  # noqa: BLE001  # the run has begun, and its forecast isn't worth its trouble
        return _unknown(nothing, f"the forecast failed: {one_line_of(error)}")


def _forecast(checked: CheckedRecipe, machine: Machine, nothing: Expected, nodes: int) -> Expected:
    recipe = checked.recipe
    # A Mac's runs compute on its processor.
    ground = Ground(recipe, "cpu" if nothing.accelerator == "mps" else None, machine, nodes=nodes)
    found = run_tokens(checked)
    memory, time = ground.forecast(
        recipe,
        row_tokens=found.row_tokens,
        padding_share=found.padding_share,
        tokens=found.tokens,
        evaluation_tokens=found.evaluated,
        measured=_measured_rate(checked, machine),
    )
    place = ground.place
    told = Expected(
        device=place.name,
        accelerator=place.accelerator,
        memory_total=place.memory_total,
        memory_free=place.memory_free,
        usable_bytes=place.usable_bytes,
        memory=memory,
        time=time,
    )
    if memory is None:
        return _unknown(told, "the model's shape or the method's cost isn't known")
    return told if time is not None else _unknown(told, f"the speed of {place.name} isn't known")


def _unknown(expected: Expected, why: str) -> Expected:
    return msgspec.structs.replace(expected, unknown=why)


def run_tokens(checked: CheckedRecipe) -> RunTokens:
    """Count the tokens of a run by a sample of its rows.

    Raises: Refusal: the files have changed since they were checked.
    """
    recipe, training = checked.recipe, checked.recipe.training
    lengths = _lengths(checked)
    cut = [min(length, training.length) for length in lengths]
    mean, rows = sum(cut) / len(cut), len(checked.rows.trained)
    packed = training.order == "packed"
    counted = amount(recipe, rows, len(checked.rows.held_out), mean)
    share = 0.0 if packed else _padding_share(recipe, lengths, rows)
    return RunTokens(
        tokens=counted.tokens,
        evaluated=counted.evaluated_tokens,
        row_tokens=None if packed else mean / (1 - share),
        padding_share=share,
    )


def _lengths(checked: CheckedRecipe) -> list[int]:
    """Count the tokens of some training rows, or guess where that can't be done."""
    template = template_file(checked.recipe.model)
    sample, folder = _sample(checked.rows.trained), checked.model.folder
    return counted_rows(sample, folder, RENDERING_SECONDS, template_file=template).lengths


def _sample(examples: Examples) -> list[Example]:
    """Take rows at even distances from all sources, each as often as it comes in an epoch at that distance."""
    chosen: list[Example] = []
    wanted = np.unique(np.linspace(0, len(examples) - 1, min(SAMPLE, len(examples))).astype(np.int64))
    begin = 0
    for surveyed, copies in examples.parts:
        ends = begin + np.cumsum(copies)
        stop = int(ends[-1]) if len(ends) else begin
        here = wanted[(wanted >= begin) & (wanted < stop)]
        chosen += [example for _, _, example in surveyed.rows(np.searchsorted(ends, here, side="right"))]
        begin = stop
    return chosen


def _padding_share(recipe: Recipe, lengths: Sequence[int], rows: int) -> float:
    training = recipe.training
    found = paddings(lengths, training.length, rows, training.micro_batch, training.accumulation)
    return next(padding.share for padding in found if padding.order == training.order)


def _measured_rate(checked: CheckedRecipe, machine: Machine) -> float | None:
    """Give the tokens a second that this very setting was measured at on the run's device, if it was."""
    gpu, torch = gpu_of_run(machine), torch_version()
    if torch is None or checked.recipe.devices.processes > 1:  # one process alone was measured
        return None
    name, driver = (machine.cpu, None) if gpu is None else (gpu.name, gpu.driver)
    return learned_tokens_per_second(setting_of(checked.recipe, checked.model.sha256()), name, driver, torch)
