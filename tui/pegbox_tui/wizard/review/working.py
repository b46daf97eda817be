"""What the review does that takes a while: each in a thread, none of it knows a widget."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from pegbox_hardware.forecast.memory import Forecast
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.budget import Budget
from pegbox_runs.arena.asking.contestants import contestants_named, contestants_of, seeds_of
from pegbox_runs.arena.asking.creating import CheckedComparison, Wanted, check_comparison, create_comparison
from pegbox_runs.arena.directing.start import start_director
from pegbox_runs.comparison import Compared, forget
from pegbox_runs.drafts import Draft, draft_of
from pegbox_runs.figures import size
from pegbox_runs.forecasting import measured
from pegbox_runs.measured import PATIENCE_SECONDS
from pegbox_runs.printable import one_line
from pegbox_runs.settling import Settled
from pegbox_runs.starting import Begun, begin_runs
from pegbox_tui.wizard.review.compare_screen import Choice
from pegbox_tui.wizard.review.words import time_said
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
        named = one_line(settled.place.name, 80)
        raise Refusal(f"{named} is planned for and isn't in this machine: only what is here can be measured.")
    weights = 0 if settled.memory is None else settled.memory.trainable_weights
    gpu = settled.place.uuid
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
    place = on_this.place
    said = []
    if draft.planned is not None:
        planned, this = one_line(settled.place.name, 60), one_line(place.name, 60)
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


def _lacking(priced: Settled) -> str:
    """Say how much a recipe takes that isn't sure to fit."""
    memory, usable = priced.memory, priced.place.usable_bytes
    if memory is None:
        return UNPRICED
    fits = "may not fit" if memory.card_bytes <= usable else "doesn't fit"
    likely, safe = size(memory.card_bytes), size(memory.safe_bytes)
    return f"{fits}: it likely takes {likely}, {safe} to be safe, and {size(usable)} may be used."


def begin(draft: Draft, settled: Settled, bench: Workbench) -> Begun:
    """Start the recipe on the device that was advised for. Raises: Refusal: nothing was started."""
    try:
        return begin_runs([(settled.recipe, NAME)], bench.supervisor(), gpu=_gpu(draft, settled))
    except OSError as error:
        raise _not_started(error) from None


def unplanned(draft: Draft) -> Draft:
    """Take a draft as it would run here, whatever card it is planned for."""
    return msgspec.structs.replace(draft, planned=None)


def check_methods(draft: Draft, settled: Settled, choice: Choice) -> CheckedComparison:
    """Check methods, all by the draft's recipe, as a start would. Raises: Refusal."""
    return _checked(contestants_named(settled.recipe, ",".join(choice.methods)), draft, settled, choice)


def check_collected(draft: Draft, settled: Settled, compared: Sequence[Compared], choice: Choice) -> CheckedComparison:
    """Check the collected recipes as a start would. Raises: Refusal."""
    return _checked(contestants_of([(one.recipe, one.name) for one in compared]), draft, settled, choice)


def _checked(contestants: Mapping[str, Recipe], draft: Draft, settled: Settled, choice: Choice) -> CheckedComparison:
    gpu = _gpu(draft, settled)
    first = next(iter(contestants.values()))
    wanted = Wanted(
        contestants=contestants,
        seeds=seeds_of(first, choice.seeds),
        search=choice.search,
        budget=Budget.parse(choice.budget) if choice.budget else None,
        gpus=(gpu,) if gpu else (),
    )
    try:
        return check_comparison(wanted)
    except OSError as error:
        raise _not_started(error) from None


def begin_comparison(checked: CheckedComparison, collected: Sequence[str]) -> Begun:
    """Start a comparison, and take the recipes that it was collected from out of the collection.

    Raises: Refusal: nothing was started.
    """
    try:
        folder = create_comparison(checked)
        start_director(folder)
    except OSError as error:
        raise _not_started(error) from None
    with suppress(Refusal):  # it goes on, though the collection still names them
        forget(tuple(collected))
    return Begun([folder], lambda: None)


def _gpu(draft: Draft, settled: Settled) -> str | None:
    """Name the device that was advised for, or those of a run over several; None: one is planned for, or there is one
    alone."""
    if draft.planned is not None:
        return None
    place, count = settled.place, settled.recipe.devices.processes
    if count == 1:
        return place.uuid
    named = place.team.uuids[:count] if place.team is not None else ()
    return ",".join(named) if len(named) == count else None


def _not_started(error: OSError) -> Refusal:
    named = f"{error.filename}: " if error.filename else ""
    return Refusal(f"nothing was started: {named}{error.strerror or error}.")
