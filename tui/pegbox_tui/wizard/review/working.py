"""What the review does that takes a while: each in a thread, none of it knows a widget."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from pegbox_hardware.forecast.memory import Forecast
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.comparison import Compared, forget
from pegbox_runs.drafts import Draft, draft_of
from pegbox_runs.figures import size
from pegbox_runs.forecasting import measured
from pegbox_runs.measured import PATIENCE_SECONDS
from pegbox_runs.printable import one_line
from pegbox_runs.settling import Settled
from pegbox_runs.starting import Begun, begin_runs
from pegbox_tui.wizard.review.words import comparison_said, time_said
from pegbox_tui.wizard.workbench import Workbench

NAME = "the wizard's recipe"
"""Under which a start's faults are reported."""
UNPRICED = "it has no forecast."
SHORT_OF_MEMORY = "A run that is out of memory is planned anew with less, or ends with a sentence that says so."


class Doubt(NamedTuple):
    """A question before the start."""

    question: str
    yes: str


def measure_for_real(settled: Settled, draft: Draft, left: threading.Event) -> Forecast:
    """Take the recipe's first steps on the device that was advised for, as the run would.

    Raises: Refusal: the card is only planned for, the weights aren't here, or the worker gave no answer.
    """
    if draft.planned is not None:
        named = one_line(settled.advice.place.name, 80)
        raise Refusal(f"{named} is planned for and isn't in this machine: only what is here can be measured.")
    weights = 0 if settled.memory is None else settled.memory.trainable_weights
    gpu = settled.advice.place.uuid
    return measured(settled.recipe, weights, file=NAME, timeout_seconds=PATIENCE_SECONDS, gpu=gpu, left=left)


def here(draft: Draft, settled: Settled, bench: Workbench) -> Settled:
    """Price the recipe, value for value, on this machine. Raises: Refusal."""
    if draft.planned is None:
        return settled
    whole = draft_of(settled.recipe)
    repeated = msgspec.structs.replace(
        draft, planned=None, method=whole.method, values=whole.values, model=settled.recipe.model
    )
    return bench.settled(repeated)


def doubts(draft: Draft, settled: Settled, on_this: Settled) -> Doubt | None:
    """Say what should be asked before the start; None: nothing. `on_this`: the recipe as it is priced here."""
    place = on_this.advice.place
    said = []
    if draft.planned is not None:
        planned, this = one_line(settled.advice.place.name, 60), one_line(place.name, 60)
        said.append(
            f"The recipe was planned for {planned}, which isn't in this machine. It would run here, on {this}: "
            f"{time_said(on_this)}."
        )
    if on_this.memory is None:
        said.append(f"Nobody can say whether it fits: {UNPRICED}")
    elif not on_this.fits:
        said.append(f"By its forecast it {_lacking(on_this)} {SHORT_OF_MEMORY}")
    if not said:
        return None
    return Doubt("\n\n".join((*said, "Start it?")), "Start it here" if draft.planned else "Start it all the same")


def doubts_of_all(draft: Draft, settled: Settled, compared: Sequence[Compared], bench: Workbench) -> Doubt:
    """Say what starting a comparison does, and which of its recipes may not fit this machine."""
    said = [comparison_said(compared)]
    if draft.planned is not None:
        planned = one_line(settled.advice.place.name, 60)
        said.append(f"They run on this machine, whatever they were planned for; {planned} isn't in it.")
    doubtful = [
        f"{one.name[:2]} {one.recipe.method.name}: {why}" for one in compared if (why := _why(one, draft, bench))
    ]
    if doubtful:
        said += ["\n".join(doubtful), SHORT_OF_MEMORY]
    start = "Start it" if len(compared) == 1 else "Start them"
    return Doubt("\n\n".join((*said, f"{start}?")), f"{start} all the same" if doubtful else start)


def _why(one: Compared, draft: Draft, bench: Workbench) -> str:
    """Say why a recipe of the comparison may not fit; empty: it fits."""
    try:
        priced = bench.settled(msgspec.structs.replace(draft_of(one.recipe), goal=draft.goal))
    except Refusal as refusal:
        return f"nobody can say whether it fits: {refusal.sentence}"
    if priced.memory is None:
        return f"nobody can say whether it fits: {UNPRICED}"
    return "" if priced.fits else _lacking(priced)


def _lacking(priced: Settled) -> str:
    """Say how much a recipe takes that isn't sure to fit."""
    memory, usable = priced.memory, priced.advice.place.usable_bytes
    if memory is None:
        return UNPRICED
    fits = "may not fit" if memory.card_bytes <= usable else "doesn't fit"
    likely, safe = size(memory.card_bytes), size(memory.safe_bytes)
    return f"{fits}: it likely takes {likely}, {safe} to be safe, and {size(usable)} may be used."


def begin(compared: Sequence[Compared], draft: Draft, settled: Settled, bench: Workbench) -> Begun:
    """Start the recipe, or those that are compared, one after another, on the device that was advised for.

    Raises: Refusal: nothing was started.
    """
    recipes: list[tuple[Recipe, str]] = [(one.recipe, one.name) for one in compared] or [(settled.recipe, NAME)]
    gpu = None if draft.planned is not None else settled.advice.place.uuid
    try:
        begun = begin_runs(recipes, bench.supervisor(), gpu=gpu)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise Refusal(f"nothing was started: {named}{error.strerror or error}.") from None
    with suppress(Refusal):  # the runs go on, though the comparison still names them
        forget(tuple(one.name for one in compared))
    return begun
