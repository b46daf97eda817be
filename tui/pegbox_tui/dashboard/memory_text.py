"""Memory: what was forecast, by item, and what is taken."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_runs.figures import size
from pegbox_runs.peak_held import measured_peak, peak_verdict
from pegbox_runs.printable import one_line
from pegbox_tui.dashboard.figures_text import load_words
from pegbox_tui.dashboard.view import View
from pegbox_tui.shell.memory_bar import bar_of

ITEM = 26
BAR = 24


def memory_lines(view: View, width: int, *, full: bool) -> list[Text]:
    """Draw the bar with its legend, and say what is taken; the whole table where there is room for it."""
    return [*_taken(view), *_bar(view, width, full=full), *(_table(view, width) if full else ())]


def _taken(view: View) -> Iterator[Text]:
    state, step = view.state, view.state.step
    on_device = state.peak.device_peak is not None
    what = "torch reserved" if on_device else "the process has"
    if step is None:
        yield Text("nothing was measured yet; that begins with the first step", "dim")
    else:
        now = step.memory.device_now if on_device else step.memory.process_now
        peak = state.peak.device_peak if on_device else state.peak.process_peak
        yield Text(f"{what} {_size(now)}, peak {_size(peak)}")
        mean = state.mean_peak.device_peak if on_device else state.mean_peak.process_peak
        if mean is not None:
            number = f"{len(state.joined.members):,}" if state.joined else "all"
            yield Text(f"worst of {number}, their mean peak is {_size(mean)}", "dim")
        if on_device:
            yield Text(
                f"the process itself {_size(step.memory.process_now)}, peak {_size(state.peak.process_peak)}", "dim"
            )
    if state.load is not None:
        yield Text(f"GPU: {load_words(state.load)}")
    elif state.prepared is not None and state.prepared.device.partition(":")[0] == "cpu":
        yield Text("no GPU: the run takes this machine's own memory", "dim")


def _bar(view: View, width: int, *, full: bool) -> Iterator[Text]:
    expected = view.expected
    if expected is None:
        yield Text("no forecast is kept with this run, or it can't be read", "dim")
        return
    if expected.memory is None:
        yield Text(one_line(f"no forecast: {expected.unknown or 'the method can not be priced'}", 300), "dim")
        return
    drawn = bar_of(
        expected.memory,
        free=expected.memory_free if expected.usable_bytes is None else expected.usable_bytes,
        total=expected.memory_total,
        measured=measured_peak(view.state, expected),
    )
    verdict = peak_verdict(view.state, expected)
    if verdict is not None:
        yield Text(verdict)
    yield drawn.text(width)
    if full:
        yield Text("")
    yield from drawn.legend(width).split("\n")


def _table(view: View, width: int) -> Iterator[Text]:
    memory = view.expected.memory if view.expected else None
    if memory is None or view.expected is None:
        return
    yield Text("")
    yield Text(f"forecast on {one_line(view.expected.device, 40)} ({memory.level}), by item", "bold")
    most = max(memory.items.values(), default=1)
    for name, taken in sorted(memory.items.items(), key=lambda item: -item[1]):
        cells = max(round(taken / max(most, 1) * BAR), 1)
        yield Text(f"{one_line(name, ITEM):<{ITEM}} {_size(taken):>10}  ").append("█" * cells)
    yield Text("")
    yield Text("peak of each phase of a step", "bold")
    for name, taken in memory.phases.items():
        mark = "  the highest" if name == memory.peak_phase else ""
        yield Text(f"{one_line(name, ITEM):<{ITEM}} {_size(taken):>10}{mark}")
    for note in memory.notes:
        yield Text(one_line(f"note: {note}", 4 * width), "dim")


def _size(number: int | None) -> str:
    return "-" if number is None else size(number)
