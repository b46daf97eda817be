"""A run as plain lines, for pipes, logs and terminals that can't do more."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.events import (
    AnyEvent,
    Evaluation,
    Finished,
    Phase,
    Prepared,
    RankFailed,
    Ranks,
    Sample,
    Started,
    Step,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.figures import count, duration, gib
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import ending, sentence, what_next

LINES_A_RUN = 20


def lines(event: AnyEvent | BadLine, state: RunState) -> Iterator[str]:
    """Write one event; `state` is the one after it. Most steps give no line."""
    match event:
        case Started(attempt=1):
            yield f"run {event.run}: {event.method} on {event.model}"
        case Started():
            yield f"run {event.run}: worker {event.attempt} carries it on"
        case Phase(phase="loading" | "preparing" | "judging" | "saving"):
            yield f"{event.phase} {event.detail}".rstrip()
        case Prepared():
            yield from _prepared(event)
        case Step() if _shown(event, state):
            yield _step(event, state)
        case Evaluation():
            name = "untrained" if event.step == 0 else f"step {event.step}"
            mark = ", the best so far" if event.best else ""
            yield f"{name}: evaluation loss {event.loss:.4f}, perplexity {event.perplexity:.4g}{mark}"
        case Ranks():
            empty = sum(rank == 0 for rank in event.ranks.values())
            emptied = f"; {empty} of {len(event.ranks)} matrices have none" if empty else ""
            yield f"step {event.step}: {sum(event.ranks.values())} of {event.before} ranks are left{emptied}"
        case Sample(step=0):
            yield from _answer("before", event)
        case Sample():
            pass  # on the way there are many: the closing ones are told at the end
        case Finished():
            newest = {sample.index: sample for sample in state.samples if sample.step > 0}
            for sample in newest.values():
                closing = event.adapter is not None and sample.step == event.steps
                yield from _answer("after" if closing else f"step {sample.step}", sample)
            wasted = f"; {100 * state.padding_share:.1f} % of the positions were padding" if state.tokens else ""
            yield f"{ending(state) or sentence(event)}{wasted}"
            if state.started and (then := what_next(state.started.run, state)):
                yield then
        case RankFailed(first=False):
            pass  # it only lost the one that failed; the log names each of them
        case WorkerFailed() if _told_of_its_process(event, state):
            pass
        case _:
            yield from (sentence(event) or "").splitlines()


def _told_of_its_process(event: WorkerFailed, state: RunState) -> bool:
    """Tell whether the line before has named the one of several processes that ended this worker."""
    attempt = state.started.attempt if state.started else 1
    cause = state.losses.cause if state.losses.worker == attempt else None
    return cause is not None and cause.what == event.what


def _answer(when: str, sample: Sample) -> Iterator[str]:
    yield f"{when}: {one_line(sample.question, 200)}"
    yield f"  answer: {one_line(sample.answer, 300)}"


def _shown(event: Step, state: RunState) -> bool:
    steps = state.prepared.steps if state.prepared else 0
    return event.step in (1, steps) or event.step % max(1, steps // LINES_A_RUN) == 0


def _prepared(event: Prepared) -> Iterator[str]:
    yield (
        f"{event.rows_trained:,} rows to train on, {event.rows_evaluated:,} held out; "
        f"{count(event.tokens_trained)} of {count(event.tokens)} tokens are learned"
        + (" (prepared by an earlier run)" if event.rows_kept else "")
    )
    if event.sequences is not None:
        yield f"packed into {event.sequences:,} sequences"
    yield (
        f"{count(event.trainable_weights)} of {count(event.model_weights)} weights train, "
        f"{event.steps} steps, {event.device}, {event.precision}"
    )


def _step(event: Step, state: RunState) -> str:
    steps = state.prepared.steps if state.prepared else event.step
    left = state.seconds_left
    memory = event.memory.device_peak if event.memory.device_peak is not None else event.memory.process_peak
    worst = "" if event.across is None else "worst "
    parts = (
        f"step {event.step:>{len(str(steps))}}/{steps}",
        f"loss {event.loss:.4f}",
        f"rate {event.learning_rate:.2e}",
        f"{event.tokens_per_second:,.0f} tokens/s",
        f"{worst}peak {gib(memory)}",
        f"{duration(left)} left" if left else "",
    )
    return "  ".join(part for part in parts if part)
