"""What the machine step says of a machine, line by line. Names come from drivers: they are shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pegbox_runs.device_names import device_label
from pegbox_runs.figures import size
from pegbox_runs.printable import one_line, printable
from pegbox_tui.wizard.machine.messages import Found

if TYPE_CHECKING:
    from pegbox_hardware.gpu import Gpu
    from pegbox_hardware.machine import Machine
    from pegbox_methods.advice.records import Place
    from pegbox_runs.finding import Finding

LEVELS = {"green": "ok", "yellow": "look", "red": "bad"}
"""The words that `pegbox doctor` has for them."""
STYLES = {"green": "green", "yellow": "yellow", "red": "bold red"}
MARGIN = 11
"""Characters before what is said of a device or found by the doctor."""
HOLDERS = 4
EXAMPLE_TOKENS = 1000 * 300 * 3
"""A thousand rows of 300 tokens, three times over."""


@dataclass(frozen=True)
class Line:
    """One thing in the list: what it says, what it is about, and the command that mends it."""

    id: str
    text: RenderableType
    about: str
    gpu: Gpu | None = None
    finding: Finding | None = None


def plan_text(found: Found) -> Text:
    """Say for which device one plans, and what a run may count on there."""
    place = found.place
    if found.refusal is not None:
        return Text(printable(found.refusal), "bold red")
    if place is None:
        return Text("reading the machine")
    said = Text()
    if place.planned:
        said.append("PLAN: ", "bold").append(one_line(place.name, 50), "bold").append(
            f", {size(place.memory_total)}. It isn't in this machine: the recipe can be saved and taken there; "
            "nothing is measured or started as if it were here."
        )
    else:
        said.append("For this machine: ", "bold").append(one_line(place.name, 50), "bold")
    counts = f"A run may count on {size(place.usable_bytes)}: "
    kept = size(round(place.margin * place.memory_total))
    free = f"{size(place.memory_free)} are free now" if not place.planned else "all of it taken as free"
    return said.append(f"\n{counts}{free}, and {kept} stay a margin.")


def meaning_text(found: Found) -> Text | None:
    """Say what it means that there is no GPU, with how long things take; None: there is one, or one is planned for."""
    place, machine = found.place, found.machine
    if place is None or machine is None or place.planned or place.accelerator != "cpu":
        return None
    said = Text("No GPU that a run can use: ", "bold").append(_why_none(machine), "bold")
    said.append(" If an NVIDIA card should be here, `pegbox doctor` says what is missing. ")
    said.append("A run computes on the processor, which does for small models and few rows. ")
    if found.paces:
        told = "; ".join(f"{name} about {_long(EXAMPLE_TOKENS / pace)}" for name, pace in found.paces)
        said.append(f"1,000 rows of 300 tokens, three times over: {told}. ")
    return said.append("w plans for a GPU that you might rent.")


def _why_none(machine: Machine) -> str:
    """Say what keeps a GPU from being used, if anything tells."""
    from pegbox_runs.doctor import RED_TROUBLES

    told = next((trouble.sentence for trouble in machine.troubles if trouble.about in RED_TROUBLES), None)
    if told is not None:
        return printable(told)
    return "torch can't use those that are here." if machine.gpus else "no driver tells of one."


def lines(found: Found) -> Iterator[Line]:
    """List what is here, the devices first, then what the doctor says."""
    machine = found.machine
    if machine is None:
        return
    for number, gpu in enumerate(machine.gpus):
        chosen = len(machine.gpus) > 1 and _chosen(number, machine, found.place)
        yield Line(f"gpu-{number}", _gpu(gpu, chosen), "gpu", gpu=gpu)
    if not machine.gpus:
        yield Line("no-gpu", _row("GPU", "none that this process may use"), "no-gpu")
    yield Line("processor", _row("processor", _processor(machine)), "processor")
    yield Line("ram", _row("RAM", _ram(machine)), "ram")
    for disk in machine.disks:
        room = f"{size(disk.free)} free" if disk.writable else "can't be written"
        yield Line(f"disk-{disk.what}", _row(disk.what, f"{room}, at {disk.path}"), disk.what)


def doctor_lines(found: Found) -> Iterator[Line]:
    """List what the doctor says, the worst first."""
    for number, finding in enumerate(found.judged):
        text = _row(LEVELS[finding.level], finding.text, STYLES[finding.level])
        if finding.command:
            text.add_row(Text("  try", "dim"), Text(printable(finding.command), "cyan"))
        yield Line(f"finding-{number}", text, finding.about, finding=finding)


def choice_text(found: Found) -> Text | None:
    """Say which of several devices a run gets, and why; None: there is one, or none is here."""
    machine, place = found.machine, found.place
    if machine is None or place is None or place.planned or len(machine.gpus) < 2:
        return None
    number = next((n for n in range(len(machine.gpus)) if _chosen(n, machine, place)), None)
    if number is None:
        return None
    said = f"A run gets {device_label(machine.gpus[number])}: none has more room. {_together(machine, place)}"
    fast = found.faster
    if fast is not None:
        said += f" {one_line(fast.name, 40)} is faster, with {size(fast.usable_bytes)} to count on"
        said += f": CUDA_VISIBLE_DEVICES={printable(fast.uuid)} pegbox takes that one." if fast.uuid else "."
    return Text(said)


def _together(machine: Machine, place: Place) -> str:
    """Say whether several devices could carry one run."""
    team = place.team
    if team is None:
        many, one = len(machine.gpus), "".join(f" Others are {why}." for why in place.left_out)
        return f"One run uses one of the {many} devices: their memory doesn't add up.{printable(one)}"
    said = (
        f"{team.devices} alike can carry one run together, where that pays: each holds the base, or a part of it, "
        "and their memory doesn't add up."
    )
    return said + "".join(f" Others are {printable(why)}." for why in place.left_out)


def _chosen(number: int, machine: Machine, place: Place | None) -> bool:
    """Tell whether a run would get that device: the advice names it by its UUID unless it is the first."""
    if place is None or place.planned or place.accelerator == "cpu":
        return False
    gpu = machine.gpus[number]
    if place.uuid is not None:
        return gpu.uuid == place.uuid
    return number == 0


def _gpu(gpu: Gpu, chosen: bool) -> Table:
    free = size(gpu.memory_free) if gpu.memory_free is not None else "unknown how much"
    parts = [one_line(gpu.name, 44), f"{free} free of {size(gpu.memory_total)}"]
    if gpu.unified:
        parts.append("shared with the processor")
    if gpu.slice_of is not None and "MIG" not in gpu.name:
        parts.append("a MIG slice")
    text = _row(device_label(gpu), ", ".join(parts), "bold" if chosen else "")
    if chosen:
        text.add_row("", Text("← a run gets this one", "bold"))
    held = _held(gpu)
    if held:
        text.add_row("", Text(f"taken by {held}", "yellow"))
    return text


def _held(gpu: Gpu) -> str:
    named = [
        f"{one_line(holder.name or 'a process of another container or user', 40)} (pid {holder.pid})"
        + (f" {size(holder.memory)}" if holder.memory else "")
        for holder in gpu.holders[:HOLDERS]
    ]
    more = len(gpu.holders) - len(named)
    return ", ".join(named) + (f", {more} more" if more else "")


def _processor(machine: Machine) -> str:
    quota = f" ({machine.core_quota:g} of them allowed here)" if machine.core_quota is not None else ""
    return f"{one_line(machine.cpu, 50)}, {machine.cores} {'core' if machine.cores == 1 else 'cores'}{quota}"


def _ram(machine: Machine) -> str:
    limit = f", the container's share of {size(machine.memory_host)}" if machine.memory_limit is not None else ""
    return f"{size(machine.memory_available)} free of {size(machine.memory_total)}{limit}"


def _row(name: str, said: str, style: str = "") -> Table:
    """Lay a name beside what is said, whose further lines stay below its first."""
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=MARGIN - 1, no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text(name, style), Text(printable(said)))
    return row


def _long(seconds: float) -> str:
    """Write a forecast time no finer than it is known."""
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def whole(found: Sequence[Line], option_id: str | None) -> Line | None:
    """Find a line by its id."""
    return next((line for line in found if line.id == option_id), None)
