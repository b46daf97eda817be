"""The newest figures, each beside what was forecast of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

from rich.text import Text

from pegbox_methods.events import Load, Step
from pegbox_runs.figures import count, size
from pegbox_runs.hints.processes import waited_share
from pegbox_runs.printable import one_line
from pegbox_runs.together import carried_by
from pegbox_tui.dashboard.view import View

COLUMN = 38
"""Cells of a figure with its name and what is said of it."""
NAME = 15

Figure = tuple[str, str]


def figures(view: View) -> list[Figure]:
    """List the figures of the newest step as (name, value)."""
    return [*_of_steps(view), *_of_device(view)]


def figure_lines(rows: Sequence[Figure], width: int) -> list[Text]:
    """Lay figures out below each other, in as many columns as there is room for; long ones go on in the next line."""
    columns = max((width + 1) // COLUMN, 1)
    room = (width + 1) // columns - 1
    blocks = [_folded(name, one_line(value, 4 * room), room - NAME) for name, value in rows]
    lines = []
    for cells in zip_longest(*_columns(blocks, columns), fillvalue=("", "")):
        line = Text(no_wrap=True, end="")
        for name, value in cells:
            line.append(f"{name:<{NAME}}", "dim").append(value.ljust(room - NAME + 1))
        line.rstrip()
        lines.append(line)
    return lines


def _folded(name: str, value: str, room: int) -> list[Figure]:
    return [(name * (not at), part) for at, part in enumerate(wrap(value, max(room, 1)) or [""])]


def _columns(blocks: Sequence[list[Figure]], columns: int) -> list[list[Figure]]:
    """Share figures out, none of them torn, so that the highest column is as low as can be."""
    height = max(-(-sum(map(len, blocks)) // columns), max(map(len, blocks), default=0))
    while True:
        shared: list[list[Figure]] = [[]]
        for block in blocks:
            if len(shared[-1]) + len(block) > height:
                shared.append([])
            shared[-1].extend(block)
        if len(shared) <= columns:
            return shared
        height += 1


def _of_steps(view: View) -> Iterator[Figure]:
    state, step = view.state, view.state.step
    if step is None:
        return
    yield "loss", f"{step.loss:.4f}"
    if state.evaluations:
        best = state.best_evaluation
        yield "evaluation", f"{state.evaluations[-1].loss:.4f}" + (f", best {best.loss:.4f}" if best else "")
    yield "learning rate", f"{step.learning_rate:.2e}"
    yield "gradient norm", "not finite" if step.gradient_norm is None else f"{step.gradient_norm:.3f}"
    yield from _speed(view, step)
    yield from _over_processes(view, step)
    yield "step", f"{step.step_seconds:.2f} s"
    split = _split(view)
    if split:
        yield "rows/model/opt", split
    yield "tokens", f"{count(state.tokens)}, {100 * state.padding_share:.1f} % padding"


def _of_device(view: View) -> Iterator[Figure]:
    state, step = view.state, view.state.step
    if step is not None:
        now = step.memory.device_now if step.memory.device_now is not None else step.memory.process_now
        peak = state.peak.device_peak if state.peak.device_peak is not None else state.peak.process_peak
        name = "torch reserved" if step.memory.device_now is not None else "memory"
        yield name, f"{_size(now)}, peak {_size(peak)}"
        mean = state.mean_peak.device_peak if step.memory.device_now is not None else state.mean_peak.process_peak
        if mean is not None:
            yield "mean peak", f"{_size(mean)} a process"
        memory = view.expected.memory if view.expected else None
        if memory is not None:
            yield "mem. forecast", f"{size(memory.low_bytes)} to {size(memory.high_bytes)}"
    if state.load is not None:
        yield "GPU use", load_words(state.load).replace(" busy", "").replace("use not told", "not told")
    elif state.prepared is not None and state.prepared.device.partition(":")[0] == "cpu":
        yield "GPU", "no GPU: processor only"


def load_words(load: Load) -> str:
    """Say what the device does, with a word where its driver doesn't tell."""
    said = ["use not told" if load.device_use is None else f"{100 * load.device_use:.0f} % busy"]
    if load.temperature_c is not None:
        said.append(f"{load.temperature_c:.0f} C")
    if load.power_w is not None:
        limit = "" if load.power_limit_w is None else f"/{load.power_limit_w:.0f}"
        said.append(f"{load.power_w:.0f}{limit} W")
    return ", ".join(said)


def _speed(view: View, step: Step) -> Iterator[Figure]:
    yield "tokens/s", f"{step.tokens_per_second:,.0f}"
    recent = [one.tokens_per_second for one in view.state.recent] or [step.tokens_per_second]
    time = view.expected.time if view.expected else None
    if time is None:
        return
    mean = sum(recent) / len(recent)
    low, high = time.tokens_per_second_low, time.tokens_per_second_high
    where = "it is in" if low <= mean <= high else "below" if mean < low else "above"
    yield "its forecast", f"{count(low)}-{count(high)}, {where}"


def _over_processes(view: View, step: Step) -> Iterator[Figure]:
    """Tell who carries the run, and how its processes differ; nothing where there is one."""
    together = carried_by(view.state)
    if together is not None:
        yield "carried by", together
    if step.across is not None:
        worst, mean = step.across.tokens_per_second_worst, step.across.tokens_per_second_mean
        yield "a process", f"{mean:,.0f} tokens/s, worst {worst:,.0f}"
    waited = waited_share(view.state)
    if waited is not None:
        yield "lost waiting", f"{100 * waited:.0f} % of a step"


def _split(view: View) -> str:
    """Say where the time of the newest steps went."""
    told = [s for s in view.state.recent if s.rows_seconds is not None and s.optimizer_seconds is not None]
    whole = sum(step.step_seconds for step in told)
    if not whole:
        return ""
    rows = sum(step.rows_seconds or 0.0 for step in told) / whole
    optimizer = sum(step.optimizer_seconds or 0.0 for step in told) / whole
    middle = max(1.0 - rows - optimizer, 0.0)
    return f"{100 * rows:.0f} / {100 * middle:.0f} / {100 * optimizer:.0f} %"


def _size(number: int | None) -> str:
    return "-" if number is None else size(number)
