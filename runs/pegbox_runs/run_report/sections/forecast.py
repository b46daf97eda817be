"""What was forecast before the run began, held against what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.forecast.time import TimeForecast
from pegbox_runs.expected import Expected
from pegbox_runs.figures import duration, size
from pegbox_runs.peak_held import measured_peak, peak_verdict
from pegbox_runs.reporting.digits import NO_FIGURE
from pegbox_runs.run_report.charts.item_chart import item_chart
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.headline import is_over
from pegbox_runs.run_report.parts import Grid, Part, Said, Section
from pegbox_runs.run_state import RunState

_TITLES = ("What", "Forecast", "Its range", "Measured", "Where it lies")
_FIGURES = frozenset({1, 2, 3})


def forecast(facts: RunFacts) -> Section:
    """Make it."""
    return Section("forecast", "Forecast and measured", tuple(_parts(facts)))


def _parts(facts: RunFacts) -> Iterator[Part]:
    expected, state = facts.expected, facts.state
    if expected is None:
        yield Said("No forecast is kept with this run, as of one of an earlier version, or it can't be read.")
        return
    rows = [*_memory_row(expected, state), *(_time_rows(expected.time, state) if expected.time else ())]
    if rows:
        level = "" if expected.memory is None else f"; of memory it is {expected.memory.level}"
        yield Grid(_TITLES, tuple(rows), _FIGURES, f"Forecast before the start, for {expected.device}{level}.")
    if expected.unknown:
        yield Said(f"There is no forecast of all: {expected.unknown}", "remark")
    if expected.memory is None:
        return
    drawn = item_chart(expected.memory.items, expected.memory.card_bytes, measured_peak(state, expected))
    if drawn is not None:
        yield drawn
    phases = tuple(
        (name, size(taken), "the highest" if name == expected.memory.peak_phase else "")
        for name, taken in expected.memory.phases.items()
    )
    if phases:
        yield Grid(("Phase of a step", "Its forecast peak", ""), phases, frozenset({1}))
    yield from (Said(f"{note[:1].upper()}{note[1:]}.", "quiet") for note in expected.memory.notes)


def _memory_row(expected: Expected, state: RunState) -> Iterator[tuple[str, ...]]:
    memory = expected.memory
    if memory is None:
        return
    peak = measured_peak(state, expected)
    span = f"{size(memory.low_bytes)} to {size(memory.high_bytes)}"
    said = (peak_verdict(state, expected) or "nothing was measured").removeprefix("the peak lies ")
    yield "Peak memory", size(memory.card_bytes), span, NO_FIGURE if peak is None else size(peak), said


def _time_rows(time: TimeForecast, state: RunState) -> Iterator[tuple[str, ...]]:
    speed = state.tokens / state.training_seconds if state.training_seconds else None
    yield (
        "Tokens a second",
        f"{time.tokens_per_second:,.0f}",
        f"{time.tokens_per_second_low:,.0f} to {time.tokens_per_second_high:,.0f}",
        NO_FIGURE if speed is None else f"{speed:,.0f}",
        _where(speed, time.tokens_per_second_low, time.tokens_per_second_high),
    )
    steps = state.prepared.steps if state.prepared else 0
    if speed and state.steps_done:
        tokens = state.tokens / state.steps_done
        rates = time.tokens_per_second, time.tokens_per_second_high, time.tokens_per_second_low
        likely, low, high = (tokens / max(rate, 1e-9) for rate in rates)
        a_step = state.training_seconds / state.steps_done
        yield (
            "Time of a step",
            f"{likely:.3g} s",
            f"{low:.3g} to {high:.3g} s",
            f"{a_step:.3g} s",
            _where(a_step, low, high),
        )
    taken = state.training_seconds + sum(one.seconds for one in state.evaluations)
    whole = is_over(state) and bool(steps) and state.steps_done >= steps
    yield (
        "Training and evaluation",
        duration(time.seconds),
        f"{duration(time.seconds_low)} to {duration(time.seconds_high)}",
        duration(taken) + ("" if whole else " so far"),
        _where(taken, time.seconds_low, time.seconds_high) if whole else "it isn't done",
    )


def _where(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "nothing was measured"
    side = "below" if value < low else "above" if value > high else "within"
    return f"{side} the forecast's range"
