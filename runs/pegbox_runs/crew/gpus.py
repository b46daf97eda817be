"""Which GPUs of a machine carry a run together: as many as it has processes, all of one kind, the emptiest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pegbox_hardware.alike import Seat, alike, teams_for
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine, probe
from pegbox_methods.recipe import Devices, Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.crew.launching import Launch
from pegbox_runs.printable import printable

NONE_TO_SHARD = "shards the base model among GPUs, and this machine has none; take 'auto'"


def choose(gpus: Sequence[Gpu], count: int, among: Callable[[], list[Gpu]] | None = None) -> list[Gpu]:
    """Take so many of one kind, as the advice does: those in use only where there aren't enough without them.

    `among` chooses where several kinds would do; None: the roomiest is taken.
    Returns: in the driver's order. Raises: Refusal: there aren't so many alike.
    """
    if count == 1 and gpus:
        return [max(gpus, key=lambda gpu: gpu.memory_free or 0)]  # a slice will do
    found = teams_for(gpus, count)
    if not found:
        raise Refusal(too_few(gpus, count))
    return found[0] if len(found) == 1 or among is None else among() or found[0]


def kinds_of(gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """Put the GPUs that can carry a run together into groups of one kind, the largest first."""
    groups = [group.gpus for group in alike(Seat("", gpu) for gpu in gpus)]
    return sorted(groups, key=lambda group: -len(group))


def too_few(gpus: Sequence[Gpu], count: int) -> str:
    """Say that there aren't so many GPUs of one kind, and how many there are."""
    groups = kinds_of(gpus)
    most = len(groups[0]) if groups else 0
    has = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'}"
    kinds = ", ".join(f"{len(group)} x {printable(group[0].name)}" for group in groups)
    mixed = f" ({kinds}), and processes that carry a run together take cards of one kind" if len(groups) > 1 else ""
    slices = " (slices of one card can't carry a run together)" if any(gpu.slice_of is not None for gpu in gpus) else ""
    at_most = "expected 1" if most <= 1 else f"expected at most {most}"
    return f"this machine has {has}{mixed}{slices}, and {count} are asked for; {at_most}."


def launch_here(
    folder: Path,
    attempt: int,
    devices: Devices,
    *,
    nodes: int = 1,
    machine: Machine | None = None,
    recipe: Recipe | None = None,
) -> Launch:
    """Say how this machine's part of a run's processes is started. `machine`: as it was probed before; None: now.

    `recipe`: where several kinds of GPUs would do, it gets the one that the advice would take for it.

    Raises: Refusal: it hasn't as many GPUs of one kind, or none that a base model could be sharded among.
    """
    here = probe() if machine is None else machine
    gpus = here.gpus
    usable = [gpu for gpu in gpus if gpu.kind == "cuda"] or [gpu for gpu in gpus if gpu.kind == "rocm"]
    launch = Launch(
        folder=folder,
        attempt=attempt,
        device="cuda" if usable else "cpu",
        processes=devices.processes,
        engine="fsdp2" if devices.shards else "ddp",
        nodes=nodes,
    )
    if not usable and devices.shards:
        raise Refusal(f"devices.engine = 'fsdp2': {NONE_TO_SHARD}.")
    if not usable:
        return launch

    def among() -> list[Gpu]:
        from pegbox_runs.rungs import Ground  # it imports the forecast, which hardly any start needs

        return [] if recipe is None else Ground(recipe, None, here, nodes=nodes).gpus

    chosen = choose(usable, launch.here, among)
    if chosen[0].kind == "rocm":
        names, variable = tuple(str(gpu.index) for gpu in chosen), "HIP_VISIBLE_DEVICES"
    else:
        names, variable = tuple(gpu.uuid for gpu in chosen), "CUDA_VISIBLE_DEVICES"
    return msgspec.structs.replace(launch, gpus=names, gpus_variable=variable)
