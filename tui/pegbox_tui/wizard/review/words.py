"""What the review says, as text without markup."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_hardware.forecast.memory import Forecast
from pegbox_runs.comparison import Compared
from pegbox_runs.disk_need import DiskNeed
from pegbox_runs.figures import size
from pegbox_runs.printable import one_line, printable
from pegbox_runs.settling import Settled
from pegbox_tui.shell.memory_bar import MemoryBar, append_filled, bar_of
from pegbox_tui.wizard.advice_words import devices_in_words, time_in_words, verdict, warnings_of


def bar_for(settled: Settled, measured: Forecast | None) -> MemoryBar | None:
    """Make the memory bar, with what was measured; None: there is no forecast."""
    if settled.memory is None:
        return None
    place = settled.place
    reached = None if measured is None else measured.card_bytes
    return bar_of(settled.memory, free=place.usable_bytes, total=place.memory_total, measured=reached)


def headline(settled: Settled) -> str:
    """Say what is about to be done, in a line."""
    recipe, place = settled.recipe, settled.place
    count = recipe.devices.processes
    model = recipe.model.name.rstrip("/").rpartition("/")[2]
    planned = " (planned for)" if place.planned else ""
    what = f"{one_line(settled.card.title, 40)} on {one_line(model, 40)}"
    return f"{verdict(settled)} · {what}, {f'{count} x ' if count > 1 else ''}{one_line(place.name, 40)}{planned}"


def time_said(settled: Settled) -> str:
    """Say how long it takes, with the range and the steps."""
    steps = "" if settled.steps is None else f", {settled.steps:,} steps"
    devices = devices_in_words(settled)
    said = time_in_words(settled.time, settled.advice.time_unknown, rows_known=settled.steps is not None) + steps
    return f"{said}; {devices}" if devices else said


def disk_lines(need: DiskNeed) -> Iterator[str]:
    """Say what will be written, against what is free."""
    if need.download:
        free = "" if need.model_free is None else f"; {size(need.model_free)} free"
        yield f"model: about {size(need.download)} to download{free}"
    elif need.model_gone:
        yield "! model: its weights aren't in its folder any more"
    else:
        yield "model: its weights are here"
    kept = f"{need.checkpoints - 1} checkpoints and the next of {size(need.checkpoint)}, adapter {size(need.adapter)}"
    free = "" if need.run_free is None else f"; {size(need.run_free)} free"
    yield f"run: {size(need.run)} at most ({kept}){free}"
    if need.lacking:
        both = "model and run share one disk; " if need.one_disk and need.download else ""
        yield f"! {both}{size(need.lacking)} of disk are lacking: make room, or put runs elsewhere with PEGBOX_HOME"


def measured_lines(measured: Forecast, settled: Settled) -> Iterator[str]:
    """Say what was measured, beside what was forecast."""
    if measured.ran_out:
        yield f"! memory ran out at {size(measured.card_bytes)}"
    else:
        yield f"took {size(measured.card_bytes)} for real, {size(measured.safe_bytes)} to be safe"
    if settled.memory is not None:
        off = measured.card_bytes / settled.memory.card_bytes - 1
        yield f"the forecast was {size(settled.memory.card_bytes)}: measured is {off:+.0%}"
    yield from (one_line(note, 200) for note in measured.notes)


def compared_line(one: Compared) -> str:
    """Say in a line what a recipe of the comparison is."""
    recipe = one.recipe
    told = [recipe.method.name]
    rank = recipe.method.settings.get("rank")
    told += [f"rank {rank}"] if rank is not None else []
    rate = recipe.training.learning_rate
    told += [f"rate {rate:g}"] if rate is not None else []
    told += [f"{recipe.training.epochs:g} epochs", f"length {recipe.training.length}"]
    note = f", {one_line(recipe.output.note, 60)}" if recipe.output.note else ""
    return one_line(f"{one.name[:2]} {', '.join(told)}{note}", 200)


def price_text(settled: Settled, measured: Forecast | None, width: int) -> Text:
    """Say in a few lines what the run takes: verdict, bar, time."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(headline(settled), "bold" if settled.fits else "bold reverse")
    bar = bar_for(settled, measured)
    if bar is not None:
        text.append("\n").append_text(bar.text(width))
        append_filled(text, [Text(part) for part in bar.verdict(left=False)], width)
    append_filled(text, [Text(time_said(settled))], width)
    return text


def facts_text(
    settled: Settled, need: DiskNeed | None, measured: Forecast | None, *, checking: bool, faults: bool
) -> str:
    """Say what was checked, what disk it needs, what was measured."""
    warnings = [f"! {warning}" for warning in (*warnings_of(settled), *settled.unserved)]
    passed = "✓ all passed" if not warnings else "✓ nothing would be refused, but:"
    said = ["Checks: " + ("looking…" if checking else "see what is to be mended" if faults else passed), *warnings]
    if measured is not None:
        said += ["", "Measured", *measured_lines(measured, settled)]
    if need is not None:
        said += ["", "Disk", *disk_lines(need)]
    if settled.memory is not None:
        said += ["", "Memory by item", *(part.plain for part in _items(settled))]
    return printable("\n".join(said))


def _items(settled: Settled) -> Iterator[Text]:
    bar = bar_for(settled, None)
    yield from () if bar is None else bar.named()
