"""What several steps say of a settled draft, in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pegbox_hardware.forecast.time import TimeForecast
from pegbox_methods.advice.choose import rows_cut
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.figures import duration, size
from pegbox_runs.printable import one_line
from pegbox_runs.settling import Settled
from pegbox_tui.wizard.workbench import Workbench

NO_ROWS = "Nothing is known of the rows: the step Rows finds out how long they are, and with that steps and time."


def verdict(settled: Settled) -> str:
    """Say whether it fits, with the figure."""
    if settled.memory is None:
        return "NOT PRICED"
    if settled.fits:
        return f"FITS, {size(settled.margin_bytes)} to spare"
    usable = settled.place.usable_bytes
    if settled.memory.card_bytes <= usable:
        return f"MAY NOT FIT, {size(-settled.margin_bytes)} short to be safe"
    return f"DOESN'T FIT, {size(settled.memory.card_bytes - usable)} short"


def devices_in_words(settled: Settled) -> str:
    """Say how many devices carry the run and by which engine, with what each of them is forecast; empty: one does."""
    devices = settled.recipe.devices
    if devices.processes == 1:
        return ""
    engine = "FSDP2, the base parted among them" if devices.shards else "DDP, the whole base on each"
    count = f"{devices.processes} devices by {engine}"
    plan = settled.advice.devices
    if plan is None or plan.speed_up is None or plan.processes != devices.processes:
        return count
    gain = plan.speed_up
    return f"{count}: about {gain.likely:.1f} times as fast as one ({gain.low:.1f} to {gain.high:.1f})"


def time_in_words(time: TimeForecast | None, unknown: str | None, *, rows_known: bool) -> str:
    """Say how long it takes, with the range."""
    if time is None:
        return f"time unknown: {one_line(unknown, 120)}" if unknown else "time unknown"
    span = f"{duration(time.seconds)} ({duration(time.seconds_low)} to {duration(time.seconds_high)})"
    return span if rows_known else f"{span} for a million tokens"


def warnings_of(settled: Settled) -> Iterator[str]:
    """Give the advice's warnings as sentences, and what isn't known though it was asked for."""
    if settled.uncounted:
        said = f"{settled.uncounted[:1].upper()}{settled.uncounted[1:]}"
        yield f"{said}: there are no steps yet, and the time is that of a million tokens."
    for warning in _of_recipe(settled):
        if settled.advice.data is None and warning.startswith("nothing is known of the rows"):
            yield NO_ROWS  # the advice speaks of the command line there
        else:
            yield f"{warning[:1].upper()}{warning[1:].rstrip('.')}."


def _of_recipe(settled: Settled) -> Iterator[str]:
    """Give the advice's warnings, with what the length cuts off told of the one that is taken."""
    rows, taken = settled.advice.data, settled.recipe.training.length
    advised = settled.advice.settings["training"]["length"]
    if rows is None or taken == advised:
        yield from settled.advice.warnings
        return
    yield from (warning for warning in settled.advice.warnings if warning != rows_cut(rows, advised))
    if cut := rows_cut(rows, taken):
        yield cut


def rows_unseen(draft: Draft, bench: Workbench) -> bool:
    """Tell whether the draft names rows that nobody has looked at while this wizard is open, as after a lost line."""
    return draft.rows is not None and bench.data(draft) is None


def look_at_rows(draft: Draft, bench: Workbench, told: Callable[[float], None]) -> str:
    """Look at a draft's rows. Returns: why that can't be; empty: it was done."""
    try:
        bench.examine(draft, told)
    except Refusal as refusal:
        return f"The rows can't be read: {refusal.sentence}"
    return ""
