"""Advice as people read it: what to take and why, the memory by item, what lost, and the one command to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox_methods.advice.ram import ram_in_words
from pegbox_methods.advice.records import Advice, Alternative, DevicePlan, Place
from pegbox_runs.figures import count, duration, gib, moment, traffic
from pegbox_runs.printable import printable

WIDE = 110
"""Columns from which the source gets a column of its own."""
BAR = 24
"""Characters of a whole bar."""
SMALL = 0.01
"""Items below that share of the whole are told together."""
GIB = 2**30


def show_advice(advice: Advice, *, model: str, command: str | None, console: Console | None = None) -> None:
    """Print the whole of it."""
    console = console or Console(highlight=False, emoji=False, markup=False)
    _head(console, advice, model)
    _title(console, "What to take" if advice.fits else "The leanest setting there is")
    console.print(_choices(advice, wide=console.width >= WIDE))
    _title(console, "Memory")
    _memory(console, advice)
    _title(console, "Time")
    for line in _time(advice):
        console.print(_indented(line))
    if advice.devices is not None:
        _title(console, "Devices")
        for line in _devices(advice, advice.devices):
            console.print(_indented(line))
    _title(console, "What else was considered")
    console.print(_alternatives(advice.alternatives))
    if advice.unranked:
        many = f"{len(advice.unranked)} other methods are" if len(advice.unranked) > 1 else "another method is"
        console.print(
            _indented(
                f"{many} installed, which nothing measured ranks on such a device: `pegbox methods` lists what there "
                "is; compare them on your rows"
            )
        )
    _close(console, advice, command)


def _head(console: Console, advice: Advice, model: str) -> None:
    place, goal = advice.place, advice.goal
    where = _where(advice.place, advice.devices)
    console.print(Text(printable(f"{model} ({count(advice.model_weights)} weights) on {where}"), "bold"))
    wanted = goal.priority + (f", {goal.purpose}" if goal.purpose else "")
    parts = [f"goal: {wanted}"]
    if (data := advice.data) is not None:
        middle, most = data.percentiles["p50"], data.percentiles["p99"]
        parts.append(f"{data.rows} rows of {middle} tokens (99 %: {most}), {data.trained_share:.0%} learned")
    parts += [*place.notes]
    console.print(Text(printable("; ".join(parts))), style="dim")
    margin = gib(abs(advice.margin_bytes))
    verdict = Text()
    if advice.fits:
        verdict.append("fits", "bold green").append(f": {advice.method}, with {margin} to spare beyond the margin")
    else:
        verdict.append("doesn't fit", "bold red").append(f": even {advice.method} lacks {margin}")
    console.print(verdict)
    for change in advice.changes:
        console.print(_indented(f"would help: {change.what} ({change.consequence})"))


def _choices(advice: Advice, *, wide: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=3, overflow="fold")
    if wide:
        table.add_column(ratio=2, overflow="fold", style="dim")
    for choice in advice.choices:
        said = Text(printable(choice.why))
        source = Text(printable(choice.source), "dim")
        cells = [said, source] if wide else [Text.assemble(said, " [", source, "]")]
        name = Text(" " + _short(choice.key), "bold" if choice.key == "method.name" else "")
        table.add_row(name, Text(printable(_value(choice.value)), "bold"), *cells)
    return table


def _memory(console: Console, advice: Advice) -> None:
    memory, place = advice.memory, advice.place
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    for name, size in _items(advice):
        table.add_row(" " + printable(name), gib(size), "█" * round(BAR * size / memory.safe_bytes))
    whole = max(memory.safe_bytes, place.memory_free, 1)
    total = Text(gib(memory.safe_bytes), "bold")
    table.add_row(Text(" needed, to be safe", "bold"), total, _gauge(memory.safe_bytes, whole))
    table.add_row(" usable", gib(place.usable_bytes), _gauge(place.usable_bytes, whole))
    console.print(table)
    free = "free" if place.planned else "free now"
    console.print(
        _indented(
            f"{gib(place.memory_free)} {free} of {gib(place.memory_total)}, of which {place.margin:.0%} stays free; "
            f"range {gib(memory.low_bytes)} to {gib(memory.high_bytes)}, highest in the phase: {memory.peak_phase} "
            f"(forecast: {memory.level})"
        )
    )


def _items(advice: Advice) -> Iterator[tuple[str, int]]:
    """Name what takes the memory, the largest first, and what torch doesn't count behind it."""
    memory = advice.memory
    items = sorted(memory.items.items(), key=lambda item: -item[1])
    large = [(name, size) for name, size in items if size >= SMALL * memory.safe_bytes]
    yield from large
    if len(large) < len(items):
        names = "other tensors" if large else "all tensors"
        yield names, memory.allocated_bytes - sum(size for _, size in large)
    around = "the process itself" if advice.place.accelerator == "cpu" else "allocator and context"
    yield around, memory.card_bytes - memory.allocated_bytes
    yield "the forecast's doubt", memory.safe_bytes - memory.card_bytes


def _time(advice: Advice) -> Iterator[str]:
    time, cost = advice.time, advice.cost
    if time is None:
        yield f"unknown: {advice.time_unknown}"
        return
    rates = (time.tokens_per_second, time.tokens_per_second_low, time.tokens_per_second_high)
    speed = _range("{} tokens/s", *map(count, rates))
    span = _range("{}", *map(duration, (time.seconds, time.seconds_low, time.seconds_high)))
    if advice.steps is None:
        yield f"{speed}; a million tokens: {span}"
    else:
        yield f"{speed}; {advice.steps} steps of {advice.effective_batch} rows: {span}, loading and saving aside"
    if cost is not None:
        yield "energy of the device: " + _range("{}", *map(_energy, (cost.kwh, cost.kwh_low, cost.kwh_high)))
        if cost.money is not None:
            prices = (f"{money or 0:.2f}" for money in (cost.money, cost.money_low, cost.money_high))
            yield _range("price of the run: {} in your currency", *prices)


def _devices(advice: Advice, plan: DevicePlan) -> Iterator[str]:
    """Say how several devices carry the run: each by its own memory, and what they tell one another."""
    engine = {"ddp": "DDP", "fsdp2": "FSDP2"}[plan.engine]
    spread = f", on {plan.nodes} machines" if plan.nodes > 1 else ""
    yield f"{_where(advice.place, plan)} by {engine}{spread}: {plan.why}"
    memory = f"{gib(advice.memory.safe_bytes)} of {gib(advice.place.usable_bytes)}"
    adds = "its part of the RAM" if advice.place.accelerator == "cpu" else "their memory doesn't add up"
    yield f"on each of them: {memory} usable; {adds}"
    if plan.host is not None:
        yield f"{ram_in_words(plan.host, advice.place)} [{plan.host.source}]"
    if (told := plan.communication) is not None:
        times = map(moment, (told.seconds, told.seconds_low, told.seconds_high))
        yield _range(f"each sends {traffic(told.bytes)} a step over {told.link}: {{}}", *times) + f" [{told.source}]"
    if (gain := plan.speed_up) is not None:
        yield _range("{} times as fast as one", *(f"{times:.1f}" for times in (gain.likely, gain.low, gain.high)))
    elif plan.engine == "fsdp2":
        yield "no single one of them could carry the run"
    if plan.stops_paying:
        yield plan.stops_paying


def _where(place: Place, plan: DevicePlan | None) -> str:
    if plan is None:
        return place.name
    return (
        f"{place.name}, {plan.processes} processes"
        if place.accelerator == "cpu"
        else f"{plan.processes} x {place.name}"
    )


def _range(said: str, likely: str, low: str, high: str) -> str:
    return f"{said.format(likely)} ({low} to {high})"


def _energy(kwh: float) -> str:
    watt_hours = 1000 * kwh
    return f"{kwh:.2f} kWh" if kwh >= 1 else f"{watt_hours:.0f} Wh" if watt_hours >= 10 else f"{watt_hours:.2g} Wh"


def _alternatives(found: Iterable[Alternative]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=0)
    table.add_column(overflow="fold", max_width=22)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(ratio=1, overflow="fold")
    for one in found:
        margin = "-" if one.margin_bytes is None else f"{one.margin_bytes / GIB:+.1f} GiB"
        why = Text.assemble(printable(one.lost_because), (f" [{printable(one.source)}]", "dim"))
        table.add_row("", Text(printable(one.what)), margin, why)
    return table


def _close(console: Console, advice: Advice, command: str | None) -> None:
    if advice.warnings:
        _title(console, "Mind")
        for warning in advice.warnings:
            console.print(_indented(warning))
    if command is not None:
        _title(console, "Next")
        console.print(Text(f" {printable(command)}", "cyan"), soft_wrap=True)  # never folded: it is to be copied


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold underline"))


def _indented(text: str) -> Table:
    """Fold a sentence behind an indent of one."""
    table = Table.grid()
    table.add_column(width=1)
    table.add_column(overflow="fold")
    table.add_row("", Text(printable(text)))
    return table


def _gauge(size: int, whole: int) -> str:
    filled = round(BAR * size / whole)
    return "█" * filled + "░" * (BAR - filled)


def _short(key: str) -> str:
    """Name a value without the tables of the recipe around it."""
    known = {"evaluation.micro_batch": "evaluated at once", "split.share": "held out", "method.name": "method"}
    return known.get(key, key.rpartition(".")[2].replace("_", " ").replace("activation ", ""))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else str(value)
