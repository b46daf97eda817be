"""Loss, learning rate, memory, speed and gradients over the steps."""

from __future__ import annotations

from pegbox_methods.events import Finished
from pegbox_runs.reporting.charts.scales import drawable
from pegbox_runs.reporting.charts.svg import Look
from pegbox_runs.run_report.charts.step_chart import Level, Traced, step_chart, traced
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.parts import Drawn, Part, Said, Section

GIB = 2**30


def curves(facts: RunFacts) -> Section:
    """Draw them."""
    state = facts.state
    speeds = step_chart(
        "speed",
        ("Tokens a second", "tokens a second"),
        "Tokens a second of each step, without padding.",
        [traced("tokens a second", 1, state.speeds)],
    )
    norms = step_chart(
        "norms",
        ("Gradient norm", "norm before clipping"),
        "Norm of the gradient, before it is clipped.",
        [traced("gradient norm", 1, state.gradient_norms)],
    )
    rates = step_chart(
        "rates",
        ("Learning rate", "learning rate, times 1e-6"),
        "The rate that each step was taken with.",
        [traced("learning rate", 1, state.learning_rates, scale=1e-6)],
    )
    drawn: list[Part] = [one for one in (_losses(facts), rates, _memory(facts), speeds, norms) if one is not None]
    return Section("curves", "Curves", tuple(drawn) or (Said("No step was taken yet: there is nothing to draw."),))


def _losses(facts: RunFacts) -> Drawn | None:
    state = facts.state
    looks = [(float(one.step), one.loss) for one in state.evaluations if drawable(one.loss)]
    kept = state.ended.kept_step if isinstance(state.ended, Finished) and state.ended.adapter else None
    which = "" if kept is None else f" The adapter has the weights of step {kept:,}."
    return step_chart(
        "losses",
        ("Loss while training", "loss, nats per token"),
        "Loss of the rows of each step, and of the held-out rows. Pale: the lowest and the highest of the steps that "
        f"share a place.{which}",
        [traced("training", 1, state.loss), Traced("held-out rows", Look(2), looks, signs=True)],
        height=280,
        broad=True,
    )


def _memory(facts: RunFacts) -> Drawn | None:
    state = facts.state
    on_device = state.peak.device_peak is not None
    memory = facts.expected.memory if facts.expected else None
    levels = [] if memory is None else [Level(memory.card_bytes / GIB, "forecast peak")]
    return step_chart(
        "memory",
        ("Memory", "GiB"),
        "Reserved on the device at each step's end." if on_device else "The process' memory at each step's end.",
        [traced("memory", 1, state.memory, scale=GIB)],
        levels=levels,
    )
