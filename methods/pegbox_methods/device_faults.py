"""Where a recipe's processes don't go together with the rest of it, whatever machine it is for."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Fault

MOST_OFFERED = 3


def device_contradictions(recipe: Recipe, file: str) -> Iterator[Fault]:
    """Find them."""
    devices, training = recipe.devices, recipe.training
    if training.accumulation % devices.processes:
        problem = (
            f"can't be parted among devices.processes = {devices.processes}, of which each takes as many micro-batches "
            f"of a step. {_what_would_do(training.micro_batch, training.accumulation, devices.processes)}"
        )
        yield Fault(file=file, key="training.accumulation", value=str(training.accumulation), problem=problem)
    if devices.shards and devices.processes == 1:
        problem = "parts the base model among processes, and there is one; raise devices.processes, or take 'auto'"
        yield Fault(file=file, key="devices.engine", value="'fsdp2'", problem=problem)
    if devices.shards and training.optimizer != "adamw":
        problem = "keeps its averages in a form that can't be sharded; with devices.engine = 'fsdp2' take 'adamw'"
        yield Fault(file=file, key="training.optimizer", value=repr(training.optimizer), problem=problem)


def _what_would_do(micro_batch: int, accumulation: int, processes: int) -> str:
    """Name settings of the same effective batch, the nearest first; else numbers of processes."""
    rows = micro_batch * accumulation
    fitting = [count for count in range(processes, rows + 1, processes) if rows % count == 0]
    fitting.sort(key=lambda count: (max(count, accumulation) / min(count, accumulation), -count))
    if fitting:
        pairs = " or ".join(f"{rows // count} x {count}" for count in fitting[:MOST_OFFERED])
        return f"At the same effective batch of {rows} rows, micro_batch x accumulation could be {pairs}"
    divisors = [count for count in range(1, min(rows, processes * 2) + 1) if rows % count == 0]
    divisors.sort(key=lambda count: (abs(count - processes), count))
    near = " or ".join(str(count) for count in sorted(divisors[:2]))
    return f"An effective batch of {rows} rows can't be parted so; devices.processes could be {near}"
