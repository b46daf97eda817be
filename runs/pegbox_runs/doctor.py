"""What is well with a machine, what is worth a look, what stands in the way: pure judgement on facts already read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pegbox_hardware.disk import Disk
from pegbox_hardware.gpu import Gpu, Trouble
from pegbox_hardware.machine import GIB, Machine
from pegbox_runs.device_names import device_names
from pegbox_runs.figures import size
from pegbox_runs.finding import Finding, Level
from pegbox_runs.torch_facts import TorchFacts
from pegbox_runs.torch_findings import torch_findings

RED_TROUBLES = {"nvidia-driver", "gpu-lost", "mig-without-slices", "kfd", "amd-driver", "apple-driver"}
"""Those that keep a device from being used at all; the others are worth a look."""
SHARED = 0.8
"""Below this part of a device's memory being free, somebody holds enough of it to matter."""
FULL_GPU_BYTES = GIB
"""Less free than this, and not even the smallest run fits beside the device's own context."""
LITTLE_RAM_BYTES = 2 * GIB
DISK_BYTES = {"runs": (GIB, 5 * GIB), "models": (GIB, 20 * GIB)}
"""Free room below which it is (red, yellow). A model of 8 billion weights takes 16 GB."""
ELSEWHERE = {"runs": "export PEGBOX_HOME=/path/with/room", "models": "export HF_HOME=/path/with/room"}
HOLDERS_NAMED = 3


def findings(machine: Machine, torch: TorchFacts | str) -> tuple[Finding, ...]:
    """Judge the machine and what torch makes of it; `torch` as a string is the reason why it couldn't be asked.

    Returns: red ones first, then yellow, then green.
    """
    found = [
        *(_trouble(trouble) for trouble in machine.troubles),
        *torch_findings(machine, torch),
        *_gpu_memory(machine.gpus),
        *_memory(machine),
        *(finding for disk in machine.disks for finding in _disk(disk)),
        *_terminal(machine),
    ]
    return tuple(sorted(found, key=lambda finding: ("red", "yellow", "green").index(finding.level)))


def _trouble(trouble: Trouble) -> Finding:
    return Finding(
        level="red" if trouble.about in RED_TROUBLES else "yellow",
        about=trouble.about,
        text=trouble.sentence,
        command=trouble.command,
    )


def _gpu_memory(gpus: Sequence[Gpu]) -> Iterator[Finding]:
    """Say who holds the devices' memory where it matters. Shared RAM is judged as RAM."""
    well: list[Gpu] = []
    for gpu in gpus:
        total, free, name = gpu.memory_total, gpu.memory_free, device_names([gpu], gpus)
        if gpu.unified:
            continue
        if total is None or free is None:
            text = f"the driver doesn't tell how much memory of {name} is free."
            yield Finding(level="yellow", about="gpu-memory", text=text)
        elif free >= SHARED * total:
            well.append(gpu)
        else:
            yield Finding(
                level="red" if free < FULL_GPU_BYTES else "yellow",
                about="gpu-memory",
                text=f"{name}: only {size(free)} of {size(total)} are free; {_held(gpu)}.",
                command="nvidia-smi" if gpu.kind == "cuda" else "rocm-smi --showpids",
            )
    if well:
        one = well[0]
        said = (
            f"{size(one.memory_free)} of {size(one.memory_total)} are free"
            if len(well) == 1
            else "their memory is free"
        )
        yield Finding(level="green", about="gpu-memory", text=f"{device_names(well, gpus)}: {said}.")


def _held(gpu: Gpu) -> str:
    if not gpu.holders:
        return "who holds the rest can't be seen from here: another user or container, most often"
    named = [
        f"{holder.name or 'a process of another container or user'} (pid {holder.pid})"
        + (f" holds {size(holder.memory)}" if holder.memory else "")
        for holder in gpu.holders[:HOLDERS_NAMED]
    ]
    more = len(gpu.holders) - len(named)
    return ", ".join(named) + (f", and {more} more" if more else "")


def _memory(machine: Machine) -> Iterator[Finding]:
    if machine.memory_limit is not None and machine.memory_host is not None:
        text = (
            f"the container may use {size(machine.memory_limit)} of the host's {size(machine.memory_host)} of RAM; a "
            "run that takes more is killed. The limit is raised where the container is started."
        )
        yield Finding(level="yellow", about="memory-limit", text=text)
    if machine.memory_available < LITTLE_RAM_BYTES:
        text = f"only {size(machine.memory_available)} of {size(machine.memory_total)} of RAM are free."
        yield Finding(level="yellow", about="memory", text=text, command="ps -eo pid,rss,comm --sort=-rss | head")
    else:
        text = f"{size(machine.memory_available)} of {size(machine.memory_total)} of RAM are free."
        yield Finding(level="green", about="memory", text=text)


def _disk(disk: Disk) -> Iterator[Finding]:
    """Judge the room and the right to write: without a place for runs nothing starts, without models some do."""
    red, yellow = DISK_BYTES.get(disk.what, (GIB, 5 * GIB))
    command = ELSEWHERE.get(disk.what)
    if not disk.writable:
        level: Level = "red" if disk.what == "runs" else "yellow"
        yield Finding(
            level=level,
            about="disk",
            text=f"the place for {disk.what} can't be written: {disk.path}.",
            command=command,
        )
    elif disk.free is None:
        yield Finding(level="yellow", about="disk", text=f"how much room is at {disk.path} can't be told.")
    elif disk.free < yellow:
        text = f"only {size(disk.free)} are free for {disk.what}, at {disk.path}."
        yield Finding(level="red" if disk.free < red else "yellow", about="disk", text=text, command=command)
    else:
        yield Finding(level="green", about="disk", text=f"{size(disk.free)} are free for {disk.what}.")


def _terminal(machine: Machine) -> Iterator[Finding]:
    terminal = machine.terminal
    if terminal is None:
        return
    if terminal.ssh and terminal.multiplexer is None:
        text = "over SSH, without tmux or screen: if the line drops, a run goes on, and `pegbox watch` finds it again."
        yield Finding(level="green", about="ssh", text=text)
    if terminal.columns is not None and terminal.term in {None, "", "dumb", "unknown"}:
        text = f"TERM is {terminal.term or 'not set'}: the screens can't be drawn, only plain lines."
        yield Finding(level="yellow", about="terminal", text=text, command="export TERM=xterm-256color")
    elif terminal.columns is not None and (terminal.columns < 80 or (terminal.lines or 24) < 24):
        text = f"the terminal has {terminal.columns} x {terminal.lines} characters; the screens want 80 x 24."
        yield Finding(level="yellow", about="terminal", text=text)
