"""What the dashboard says of a state, as text without markup: rows and names may hold anything."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.figures import count, duration, gib
from pegbox_runs.printable import one_line, printable
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import how_to_go_on, sentence

SHOWN_EVALUATIONS = 8


def headline(run: str, state: RunState) -> str:
    """Name the run, what it is doing, and how long it will."""
    said = [doing(state)]
    if state.prepared and (state.steps_done or state.step):
        said.append(f"step {state.steps_done}/{state.prepared.steps}")
    if state.seconds_left and state.status == "running":
        said.append(f"{duration(state.seconds_left)} left")
    if state.started:
        if state.started.attempt > 1:
            said.append(f"worker {state.started.attempt}")
        model = state.started.model.rstrip("/").rpartition("/")[2]
        said.append(one_line(f"{state.started.method} on {model}", 32))
    return " · ".join((*said, one_line(run, 60)))


def doing(state: RunState) -> str:
    """Say in a word or two what the run is at."""
    if state.status == "running":
        newest = state.phase is not None and (state.started is None or state.phase.seq > state.started.seq)
        return state.phase.phase if state.phase and newest else "starting"
    if state.status == "paused" and state.paused:
        return f"paused, memory {state.paused.memory}"
    if state.status == "queued" and state.queued:
        return f"queued, place {state.queued.place}"
    return state.status


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


def remarks(run: str, state: RunState) -> str:
    """Tell the end and how to go on, what happened on the way with the newest first, and the sample answers."""
    return "\n".join(_said(run, state))


def _said(run: str, state: RunState) -> Iterator[str]:
    if state.ended:
        yield printable(sentence(state.ended) or "")
    if state.status == "lost":
        yield "lost: neither the run's supervisor nor its worker lives, and it told no end"
    hint = how_to_go_on(run, state)
    if hint is not None:
        yield printable(hint)
    for remark in reversed(state.remarks):
        said = sentence(remark)
        if said is not None:
            yield printable(said)
    for sample in state.samples:
        yield f"{'before' if sample.step == 0 else 'after'}: {one_line(sample.question, 300)}"
        yield f"  {one_line(sample.answer, 500)}"
