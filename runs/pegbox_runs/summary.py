"""summary.json: how a run ended, in one record, for lists and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pegbox_methods.events import Change, Failed, Finished
from pegbox_runs.run_state import RunState, Status


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run. Bytes, seconds and nats; None where there is no figure."""

    run: str
    status: Status
    method: str | None
    model: str | None
    steps: int
    attempts: int
    """Workers that carried the run, one after another; 1 where nothing went wrong."""
    changes: tuple[Change, ...]
    """Values of the recipe that were changed on the way, in their order."""
    steps_planned: int | None
    tokens: int
    padding: int
    """Positions that went through the model in training and held no token of a row."""
    training_seconds: float
    seconds: float
    """From the first event to the last."""
    untrained_loss: float | None
    """Evaluation loss before the first step."""
    best_loss: float | None
    """Lowest evaluation loss of the trained model."""
    best_step: int | None
    kept_step: int | None
    """The step whose weights are in the adapter."""
    process_peak: int | None
    device_peak: int | None
    trainable_weights: int | None
    precision: str | None
    bad_lines: int
    """Lines of the event log that held no event."""
    failure: Failed | None
    processes: int = 1
    """How many carried the run together."""
    engine: str | None = None
    """Which spanned them: `ddp` or `fsdp2`; None: the run's worker was alone."""


def summarise(run: str, state: RunState) -> Summary:
    """Take a run's figures from its state."""
    best, before = state.best_evaluation, state.untrained_evaluation
    return Summary(
        run=run,
        status=state.status,
        method=state.started.method if state.started else None,
        model=state.started.model if state.started else None,
        steps=state.steps_done,
        attempts=state.started.attempt if state.started else 0,
        changes=tuple(change for replanned in state.replanned for change in replanned.changes),
        steps_planned=state.prepared.steps if state.prepared else None,
        tokens=state.tokens,
        padding=state.padding,
        training_seconds=state.training_seconds,
        seconds=state.last_time - state.first_time,
        untrained_loss=before.loss if before else None,
        best_loss=best.loss if best else None,
        best_step=best.step if best else None,
        kept_step=state.ended.kept_step if isinstance(state.ended, Finished) else None,
        process_peak=state.peak.process_peak,
        device_peak=state.peak.device_peak,
        trainable_weights=state.prepared.trainable_weights if state.prepared else None,
        precision=state.prepared.precision if state.prepared else None,
        bad_lines=state.bad_lines,
        failure=state.ended if isinstance(state.ended, Failed) else None,
        processes=len(state.joined.members) if state.joined else state.prepared.processes if state.prepared else 1,
        engine=state.joined.engine if state.joined else None,
    )


def summary_schema() -> dict[str, Any]:
    """Give the JSON schema of summary.json."""
    return msgspec.json.schema(Summary)


def write_summary(summary: Summary, path: Path) -> None:
    """Write the record aside and rename it, so that a reader sees it whole or not at all."""
    aside = path.with_suffix(".part")
    aside.touch(mode=0o600)
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    aside.replace(path)
