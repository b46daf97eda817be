"""An export as people read it before it is made, and what to type once it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pegbox_hardware.disk import read_disk
from pegbox_hardware.memory import read_memory
from pegbox_runs.exporting.targets import Plan
from pegbox_runs.figures import size
from pegbox_runs.printable import printable


def show_plan(plan: Plan, *, console: Console | None = None) -> None:
    """Print what would be made, where, and what it takes."""
    console = console or Console(highlight=False, emoji=False, markup=False)
    if plan.cannot is not None:
        console.print(Text(f"can't be exported to {plan.target}", "bold red"))
        console.print(Text(printable(plan.cannot)))
        return
    console.print(Text(f"would be made for {plan.target}:", "bold"))
    for made in plan.makes:
        console.print(Padding(Text(printable(made)), (0, 0, 0, 2)))
    console.print(Text(printable(f"in {plan.place}")), soft_wrap=True)
    console.print(f"disk: about {size(plan.disk_bytes)}, of {size(read_disk('output', Path(plan.place)).free)} free")
    if plan.memory_bytes:
        console.print(f"memory: about {size(plan.memory_bytes)}, of {size(read_memory().available)} available")
    for remark in plan.remarks:
        console.print(Padding(Text(printable(remark)), (0, 0, 0, 2)))
    console.print("Nothing was made.", style="dim")


def show_commands(commands: Sequence[str], *, console: Console | None = None) -> None:
    """Print what to type next, each on a line of its own that can be copied whole."""
    if not commands:
        return
    console = console or Console(highlight=False, emoji=False, markup=False)
    console.print("\nTo use it:")
    for command in commands:
        console.print(Text(printable(command)), soft_wrap=True)
