"""What the dashboard says of a state, as text without markup: rows and names may hold anything."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.events import CommandAnswer, Failed, Finished
from pegbox_runs.event_log import BadLine
from pegbox_runs.figures import count, duration, gib
from pegbox_runs.printable import one_line, printable
from pegbox_runs.run_state import RunState

SHOWN_EVALUATIONS = 8


def headline(run: str, state: RunState) -> str:
    """Name the run, what it is doing, and how long it will."""
    said: list[str] = [state.phase.phase if state.phase and state.status == "running" else state.status]
    if state.step and state.prepared:
        said.append(f"step {state.step.step}/{state.prepared.steps}")
    if state.seconds_left:
        said.append(f"{duration(state.seconds_left)} left")
    if state.started:
        model = state.started.model.rstrip("/").rpartition("/")[2]
        said.append(one_line(f"{state.started.method} on {model}", 32))
    return " · ".join((*said, one_line(run, 60)))


def figures(state: RunState) -> str:
    """List the newest figures of a step."""
    step = state.step
    if step is None:
        return "waiting for the first step"
    memory = step.memory
    said = [
        ("rate", f"{step.learning_rate:.2e}"),
        ("gradient norm", "-" if step.gradient_norm is None else f"{step.gradient_norm:.3f}"),
        ("tokens/s", f"{step.tokens_per_second:,.0f}"),
        ("tokens", count(state.tokens)),
        ("padding", f"{100 * state.padding_share:.1f} %"),
        ("step", f"{step.step_seconds:.2f} s"),
        ("memory now", gib(memory.process_now)),
        ("memory peak", gib(state.peak.process_peak)),
    ]
    if memory.device_now is not None:
        said += [("device now", gib(memory.device_now)), ("device peak", gib(state.peak.device_peak))]
    return "\n".join(f"{name:<14}{value}" for name, value in said)


def evaluations(state: RunState) -> str:
    """List the evaluations, the newest last, the best one marked in words."""
    if not state.evaluations:
        return ""
    best = state.best_evaluation
    rows = [
        f"{e.step:>8}  {e.loss:.4f}" + ("  best" if e is best else "  untrained" if e.step == 0 else "")
        for e in (*state.evaluations[:1], *state.evaluations[1:][-SHOWN_EVALUATIONS:])
    ]
    return "\n".join(["", "    step  evaluation loss", *rows])


def remarks(state: RunState) -> str:
    """Tell the end, the notices and answers, and the sample answers."""
    return "\n".join(_said(state))


def _said(state: RunState) -> Iterator[str]:
    match state.ended:
        case Failed() as failed:
            yield printable(f"failed while {failed.where}: {failed.what}\n{failed.remedy}")
        case Finished() as finished:
            kept = f"; the adapter has the weights of step {finished.kept_step}" if finished.adapter else ""
            yield f"{finished.reason} after {finished.steps} steps in {duration(finished.seconds)}{kept}"
    if state.status == "lost":
        yield "lost: neither the run's supervisor nor its worker lives, and it told no end"
    for sample in state.samples:
        yield f"{'before' if sample.step == 0 else 'after'}: {one_line(sample.question, 300)}"
        yield f"  {one_line(sample.answer, 500)}"
    for remark in reversed(state.remarks):
        match remark:
            case BadLine():
                yield f"line {remark.number} of the event log is damaged and left out"
            case CommandAnswer():
                yield printable(f"{remark.command}: {remark.text}")
            case _:
                yield printable(f"notice: {remark.text}")
