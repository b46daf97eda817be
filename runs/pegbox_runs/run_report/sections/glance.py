"""The run in a dozen figures."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.events import Failed
from pegbox_runs.figures import count, duration
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.phrases import date, setting, short
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.headline import STATUSES, is_over
from pegbox_runs.run_report.parts import Pairs, Part, Said, Section, Verbatim
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import ending, how_to_go_on
from pegbox_runs.together import carried_by


def glance(facts: RunFacts) -> Section:
    """Make it."""
    parts: list[Part] = []
    state = facts.state
    if isinstance(state.ended, Failed):
        parts.append(Verbatim("Why it failed, in its own words", f"{ending(state)}", tone="bad"))
    if not is_over(state):
        parts.append(Said("This run isn't over: the figures are those of the moment at which this was made.", "remark"))
    how = how_to_go_on(facts.folder.id, state)
    if how is not None:
        parts.append(Said(how.replace("`", ""), "remark"))
    parts.append(Pairs(tuple(_pairs(facts))))
    if state.bad_lines:
        parts.append(Said(f"{state.bad_lines:,} damaged lines of the event log were left out.", "remark"))
    return Section("glance", "At a glance", tuple(parts))


def _pairs(facts: RunFacts) -> Iterator[tuple[str, str]]:
    state, recipe = facts.state, facts.recipe
    ended = None if isinstance(state.ended, Failed) else ending(state)
    yield "State", ended or STATUSES[state.status]
    if recipe is not None:
        yield "Model", short(recipe.model.name)
        yield "Method", recipe.method.name
        settings = "; ".join(f"{key} = {setting(value)}" for key, value in recipe.method.settings.items())
        if settings:
            yield "Its settings", settings
    if recipe is not None:
        yield "Rows", short(recipe.rows.file)
    yield from _counted(state)
    if facts.adapter_bytes is not None:
        yield "Adapter", digits.bytes_(facts.adapter_bytes)
    if state.first_time:
        yield "Began", date(state.first_time)
        yield "Whole time", f"{duration(state.last_time - state.first_time)}, from its first word to its last"
    if recipe is not None and recipe.output.note:
        yield "Note", recipe.output.note


def _counted(state: RunState) -> Iterator[tuple[str, str]]:
    prepared = state.prepared
    if prepared is not None:
        yield "Rows trained", f"{prepared.rows_trained:,}; {prepared.rows_evaluated:,} held out"
        whole = f"{count(prepared.trainable_weights)} of {count(prepared.model_weights)}"
        yield "Weights that train", whole
        yield "Computed", f"on {prepared.device} in {prepared.precision}"
    together = carried_by(state, names=False)
    if together is not None:
        yield "Carried by", together
    steps = f"{state.steps_done:,}" + (f" of {prepared.steps:,}" if prepared else "")
    epochs = f", {state.epochs[0]:.2f} epochs" if state.epochs else ""
    yield "Steps", steps + epochs
    if state.tokens:
        yield (
            "Tokens trained on",
            f"{count(state.tokens)}; {100 * state.padding_share:.1f} % of the positions were padding",
        )
    if state.training_seconds:
        yield "Training time", f"{duration(state.training_seconds)}, evaluations and checkpoints left out"
        yield "Tokens per second", f"{state.tokens / state.training_seconds:,.0f}"
    worst, mean = state.peak, state.mean_peak
    if worst.device_peak is not None:
        yield "Peak memory, by torch", digits.memory(worst.device_peak) + _mean(mean.device_peak)
    if worst.process_peak is not None:
        yield "Peak memory of the process", digits.memory(worst.process_peak) + _mean(mean.process_peak)
    if state.started is not None and state.started.attempt > 1:
        yield "Workers", f"{state.started.attempt}, one after another"


def _mean(peak: int | None) -> str:
    """Say what several processes took on the average; empty: there is one."""
    return "" if peak is None else f" of the process that took most; {digits.memory(peak)} on the average"
