"""What a machine lacks for the processes that a recipe asks for, told before anything exists."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.alike import team_for
from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Devices
from pegbox_methods.refusal import Fault
from pegbox_runs.crew.gpus import too_few


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
        if here > 1 and not team_for(gpus, here):
            yield fault(too_few(gpus, here))
        return
    if devices.shards:
        yield fault(
            "shards the base model among GPUs, and this machine has none; take 'auto'", "devices.engine", "'fsdp2'"
        )
    if kinds and here > 1:
        yield fault("Apple's GPU carries one process; expected 1")
    elif here > machine.cores:
        yield fault(f"this machine has no GPU, and {machine.cores} cores; expected at most one process a core")
