"""What a machine lacks for the processes that a recipe asks for, told before anything exists."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.alike import teams_for
from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Devices, Recipe
from pegbox_methods.refusal import Fault
from pegbox_runs.crew.gpus import NONE_TO_SHARD, too_few


def lacking(recipe: Recipe, machine: Machine, *, file: str, nodes: int = 1) -> list[Fault]:
    """Find what a complete recipe lacks on a machine: devices, or else RAM. `file`, `nodes`: as for the devices."""
    found = [*lacking_devices(recipe.devices, machine, file=file, nodes=nodes)]
    return found or [*_lacking_memory(recipe, machine, file=file, nodes=nodes)]


def lacking_devices(devices: Devices, machine: Machine, *, file: str, nodes: int = 1) -> Iterator[Fault]:
    """Find it. `file` is the name that faults are reported under; `nodes`: machines, of which this is one."""

    def fault(problem: str, key: str = "devices.processes", value: str = str(devices.processes)) -> Fault:
        return Fault(file=file, key=key, value=value, problem=problem)

    if devices.processes % nodes:
        yield fault(f"can't be parted among {nodes} machines, which carry as many each; expected a multiple of {nodes}")
        return
    here = devices.processes // nodes
    kinds = {gpu.kind for gpu in machine.gpus}
    if kinds & {"cuda", "rocm"}:
        gpus = [gpu for gpu in machine.gpus if gpu.kind == ("cuda" if "cuda" in kinds else "rocm")]
        if here > 1 and not teams_for(gpus, here):
            yield fault(too_few(gpus, here))
        return
    if devices.shards:
        yield fault(NONE_TO_SHARD, "devices.engine", "'fsdp2'")
    if kinds and here > 1:
        yield fault("Apple's GPU carries one process; expected 1")
    elif here > machine.cores:
        yield fault(f"this machine has no GPU, and {machine.cores} cores; expected at most one process a core")


def _lacking_memory(recipe: Recipe, machine: Machine, *, file: str, nodes: int) -> Iterator[Fault]:
    """Find that the RAM can't hold what the processes read of the base model; nothing where that isn't forecast."""
    count = recipe.devices.processes
    if count == 1:
        return
    from pegbox_methods.advice.ram import lacking_ram
    from pegbox_runs.rungs import Ground  # it imports the forecast, which hardly any start needs

    mac = any(gpu.kind == "mps" for gpu in machine.gpus)
    ground = Ground(recipe, "cpu" if mac else None, machine, nodes=nodes)
    if short := lacking_ram(ground.ram(recipe), ground.place):
        problem = f"{short}; expected fewer processes"
        yield Fault(file=file, key="devices.processes", value=str(count), problem=problem)
