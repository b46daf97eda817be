"""What is said of a settled draft in a few lines, as text without markup."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_methods.advice.records import Place
from pegbox_runs.checkpoint_bytes import TRAINED_BYTES
from pegbox_runs.figures import count, size
from pegbox_runs.printable import one_line
from pegbox_runs.settling import Settled
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.memory_bar import MemoryBar, append_filled, bar_of
from pegbox_tui.wizard.advice_words import devices_in_words, time_in_words, verdict

BOUNDS = {
    "compute": "most of it goes into matrix products",
    "bandwidth": "most of it goes into moving memory",
    "launch": "most of it goes into starting kernels: a larger micro-batch would help",
}


def headline(settled: Settled) -> str:
    """Name the method, whose choice it is, and whether it fits."""
    title = one_line(settled.card.title, 60)
    whose = (
        "advised"
        if settled.card.name == settled.usual_method
        else f"your choice; {settled.usual_method or 'none'} is advised"
    )
    return f"{verdict(settled)} · {title} ({whose})"


def bar_for(settled: Settled, measured: int | None = None) -> MemoryBar | None:
    """Make the memory bar; None: there is no forecast."""
    place = settled.place
    if settled.memory is None:
        return None
    return bar_of(settled.memory, free=place.usable_bytes, total=place.memory_total, measured=measured)


def figures(settled: Settled) -> Iterator[str]:
    """Give time, steps, weights and the adapter's size, clause by clause."""
    yield time_in_words(settled.time, settled.advice.time_unknown, rows_known=settled.steps is not None)
    if settled.steps is not None:
        yield f"{settled.steps:,} steps"
    micro, accumulation = settled.recipe.training.micro_batch, settled.recipe.training.accumulation
    yield f"{micro} x {accumulation} = {micro * accumulation} rows a step"
    if devices := devices_in_words(settled):
        yield devices
    if settled.memory is not None:
        weights = settled.memory.trainable_weights
        yield f"{count(weights)} trained weights, {size(weights * TRAINED_BYTES)} on disk"


def several(settled: Settled) -> bool:
    """Tell whether several devices could carry the run, or do."""
    return settled.place.team is not None or settled.recipe.devices.processes > 1


def place_in_words(place: Place) -> str:
    """Name the device, and how much of it may be used."""
    planned = ", planned for" if place.planned else ""
    return f"{one_line(place.name, 60)}{planned}: {size(place.usable_bytes)} of {size(place.memory_total)} usable"


def price_text(settled: Settled, width: int, *, legend: bool) -> Text:
    """Say in a few lines what the recipe takes: verdict, bar, figures; with `legend` each item too."""
    fits = settled.fits and not settled.faults
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(headline(settled), "bold" if fits else "bold reverse")
    if settled.faults:
        more = f" (and {len(settled.faults) - 1} more)" if len(settled.faults) > 1 else ""
        text.append(f"\n! To be mended{more}: {one_line(settled.faults[0], 400)}", "bold")
    bar = bar_for(settled)
    if bar is None:
        text.append("\nThere is no forecast of memory.")
    else:
        text.append("\n").append_text(bar.text(width))
        if legend:
            append_filled(text, list(bar.named()), width)
        append_filled(text, [Text(part) for part in bar.verdict(left=False)], width)
    append_filled(text, [Text(part) for part in figures(settled)], width)
    return text


PRICE_EXPLAINED = Explanation(
    "What the recipe takes",
    "The bar is the device's memory. Each letter is an item that the run holds at its peak; capital letters are what "
    "it takes at the least, small ones what it likely takes, ~ what it may take at most. Dots are what is free then; "
    "| is the end of what a run may count on, and / what others hold or what stays free as a margin. A run fits when "
    "the end of ~ lies before |.\n\nThe time is that of the whole run with its evaluations, with the range it should "
    "lie in; loading the model and saving come on top. Both are forecasts from the model's shape and the device's "
    "figures; the review can measure them for real.",
    "Pegbox' forecast; how far it was off is in tests/accuracy",
)
CARD_EXPLAINED = Explanation(
    "The recommendation",
    "All that is advised, each value with its reason and whose word that is; below it what else was considered, with "
    "the memory it would take, its speed against the advised one, and why it lost.",
    "The sources stand in brackets behind each reason",
)
STEP_EXPLAINED = Explanation(
    "Method and settings",
    "Pegbox has chosen a method and its settings for this machine, model, rows and goal. Arrow keys left and right "
    "change a value, typing replaces it, Backspace puts the advised one back. e shows every setting, m all methods, w "
    "the whole reasoning.",
)
