"""pegbox doctor"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import answer_json, say
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine
from pegbox_methods.recipe_file import portable
from pegbox_runs.device_names import device_label
from pegbox_runs.doctor import findings
from pegbox_runs.figures import size
from pegbox_runs.finding import Finding, Level
from pegbox_runs.jobs import JobFailed
from pegbox_runs.learned import learned_findings
from pegbox_runs.printable import printable
from pegbox_runs.this_machine import this_machine
from pegbox_runs.torch_facts import TorchFacts, torch_facts

MARKS = {"green": "ok", "yellow": "look", "red": "bad"}
"""Each level's word, so that nothing hangs on color alone."""
MARGIN = 12
"""Characters before what is said; commands stand there too."""


def run(asked: argparse.Namespace) -> int:
    """Say what is here, then what is well and what isn't. Exit code 1: something stands in the way."""
    machine = this_machine()
    console = Console(highlight=False, emoji=False, markup=False)
    if not asked.json:
        _show(console, "Machine", _machine(machine))
    torch, log = _asked_torch(console)
    found = (*findings(machine, torch), *learned_findings())
    if asked.json:
        answer_json(
            {"machine": machine, "torch": {"error": torch} if isinstance(torch, str) else torch, "findings": found}
        )
    else:
        if isinstance(torch, TorchFacts):
            _show(console, "Libraries", _libraries(torch))
        _show_findings(console, found)
        _close(console, found)
    if log:
        say(f"The last lines of the worker that asked torch:\n{log}", json=True)
    return 1 if any(finding.level == "red" for finding in found) else 0


def _asked_torch(console: Console) -> tuple[TorchFacts | str, str]:
    """Ask torch. Returns: (facts, or why there are none; what the worker printed if it couldn't say why)."""
    try:
        with console.status("asking torch what it can do here", spinner="line"):  # drawn on a terminal only
            return torch_facts(), ""
    except JobFailed as failed:
        return failed.sentence, failed.last_words


def _machine(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "system", f"{machine.system}, Python {machine.python}"
    quota = f" ({machine.core_quota:g} of them allowed here)" if machine.core_quota is not None else ""
    flags = f", {' '.join(machine.cpu_flags)}" if machine.cpu_flags else ""
    yield "processor", f"{machine.cpu}, {machine.cores} {'core' if machine.cores == 1 else 'cores'}{quota}{flags}"
    limit = f", the container's share of {size(machine.memory_host)}" if machine.memory_limit is not None else ""
    yield "RAM", f"{size(machine.memory_available)} free of {size(machine.memory_total)}{limit}"
    for gpu in machine.gpus:
        yield device_label(gpu), _gpu(gpu)
    if not machine.gpus:
        yield "GPU", "none that this process may use"
    for disk in machine.disks:
        yield disk.what, f"{portable(disk.path)}, {size(disk.free)} free"
    if machine.terminal is not None:
        place = machine.terminal
        shape = (
            f"{place.columns} x {place.lines}" if place.columns is not None else "none: output goes to a file or pipe"
        )
        parts = (shape, place.term, place.colors, place.multiplexer, "over SSH" if place.ssh else None)
        yield "terminal", ", ".join(part for part in parts if part)


def _gpu(gpu: Gpu) -> str:
    """Describe a device in a line or two; what is unknown is left out."""
    shared = ", shared with the processor" if gpu.unified else ""
    power = (
        f"{gpu.power_w:.0f} W" + (f" of {gpu.power_limit_w:.0f}" if gpu.power_limit_w else "") if gpu.power_w else ""
    )
    parts = (
        gpu.name,
        f"{size(gpu.memory_free)} free of {size(gpu.memory_total)}{shared}",
        f"compute capability {gpu.compute_capability}" if gpu.compute_capability else "",
        gpu.architecture or "",
        f"driver {gpu.driver}" + (f" for CUDA {gpu.cuda}" if gpu.cuda else "") if gpu.driver else "",
        f"{gpu.temperature_c} C" if gpu.temperature_c is not None else "",
        power,
    )
    return ", ".join(part for part in parts if part)


def _libraries(torch: TorchFacts) -> Iterator[tuple[str, str]]:
    build = {"cpu": "a CPU build", "cuda": "built for CUDA", "rocm": "built for ROCm", "mps": "built for Apple's chips"}
    yield "torch", f"{torch.version}, {build[torch.build]}{f' {torch.build_version}' if torch.build_version else ''}"
    for device in torch.devices or (torch.processor,):
        name = "the processor" if device is torch.processor else device.name
        can = f"bfloat16 {'yes' if device.bf16 else 'no'}, attention {', '.join(device.attention) or 'none'}"
        yield "", f"{name}: {can if device.fault is None else device.fault}"
    installed = [f"{name} {version}" for name, version in torch.libraries.items() if version]
    if torch.bitsandbytes is not None:
        installed.append(f"bitsandbytes {torch.bitsandbytes.version}")
    yield "others", ", ".join(installed)


def _show(console: Console, title: str, rows: Iterator[tuple[str, str]]) -> None:
    table = _grid()
    for name, said in rows:
        table.add_row("", Text(name, "bold"), Text(printable(said)))
    console.print(Text(title, "bold underline"))
    console.print(table)
    console.print()


def _grid() -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=0)
    table.add_column(width=MARGIN - 2, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _show_findings(console: Console, found: Sequence[Finding]) -> None:
    console.print(Text("Findings", "bold underline"))
    for finding in found:
        table = _grid()
        table.add_row("", Text(MARKS[finding.level], f"bold {finding.level}"), Text(printable(finding.text)))
        console.print(table)
        if finding.command:
            # Never folded: a command is to be copied.
            line = Text.assemble((" try".ljust(MARGIN), "dim"), (printable(finding.command), "cyan"))
            console.print(line, soft_wrap=True)
    console.print()


def _close(console: Console, found: Sequence[Finding]) -> None:
    counted = Counter(finding.level for finding in found)
    said: dict[Level, str] = {"red": "in the way of training", "yellow": "worth a look", "green": "well"}
    parts = [f"{counted[level]} {words}" for level, words in said.items() if counted[level]]
    console.print(Text(", ".join(parts) + "."))
