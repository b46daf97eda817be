"""What people should know before they believe a comparison, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.abilities import packs_base
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.schedule import LEAST_ROWS_TO_PART, finals_of
from pegbox_runs.arena.verdict.chance import LEAST_ROWS, LEAST_SEEDS
from pegbox_runs.arena.verdict.comparable import is_done
from pegbox_runs.arena.verdict.contestant_figures import Basis
from pegbox_runs.printable import one_line

TOO_LONG = 0.01
"""Share of its loss by which a training must have been better before its end to be called too long."""
FEW_ROWS = 10
"""Verdict rows below which only great differences can be told."""
SEED_SHARE = 0.03
"""Of what the training gained: how far one seed's loss is taken to be off, as a standard deviation, where the seeds are
too few to tell. See docs/decisions/0015-what-a-comparison-may-say.md for what was measured."""


def remarks_on(basis: Basis, *, complete: bool) -> Iterator[str]:
    """Say what bears on all contestants."""
    yield from _on_rows(basis)
    recipes = basis.comparison.recipes.values()
    yield from _on_seeds(basis)
    if basis.compared.names and len(basis.compared.deciding) >= LEAST_ROWS:
        yield (
            "Each is judged with the weights of its last step. A run of its own keeps those of its best evaluation, "
            "which would be chosen on the rows that judge here, and flatter whoever wanders most."
        )
        if all(map(is_packed, recipes)):
            yield "All contestants pack the base model into 4 bits; its own figures are those of the packed one."
    done = [one for name in basis.compared.names for one in _done(name, basis)]
    if any(one.device_peak is None for one in done):
        why = (
            "the whole process's is known"
            if basis.comparison.asked.on is not None or any(one.devices.launched for one in recipes)
            else "trainings share a process, which keeps some memory of those before, so that the same training may "
            "show more or less by its place in the order"
        )
        yield f"Memory is told as an upper bound, and decides nothing: on a CPU {why}."
    yield from _on_the_budget(basis)
    if not complete:
        names, seeds = basis.comparison.asked.contestants, basis.comparison.seeds
        count = sum(len(_done(name, basis)) for name in names)
        wanted = f"{len(names) * len(seeds)} trainings that count"
        yield f"The comparison isn't complete: {count} of {wanted} {'is' if count == 1 else 'are'} done."


def remarks_on_one(name: str, basis: Basis) -> Iterator[str]:
    """Say what bears on one contestant, but for what hangs on its figures."""
    yield from _on_its_length(name, basis)
    if name in basis.compared.left_out:
        yield _sentence(basis.compared.left_out[name])
    if is_packed(basis.comparison.recipes[name]):
        yield (
            "Its base model is packed into 4 bits, so that its training starts at another loss than that of an "
            "unpacked base; its loss after the training compares with the others' all the same."
        )
    changed = {change for one in _done(name, basis) for change in one.changed}
    if changed:
        told = "; ".join(one_line(change, 200) for change in sorted(changed))
        yield (
            f"Memory ran out, and it went on with: {told}. Its memory is that of the changed settings; its time mixes "
            "those of both."
        )


def is_packed(recipe: Recipe) -> bool:
    """Tell whether a contestant holds its base model in 4 bits."""
    if recipe.model.quantization != "auto":
        return recipe.model.quantization == "nf4"
    try:
        return packs_base(recipe, find_card(recipe.method.name))
    except Refusal:  # a plugin that is gone since; what it left can be looked at all the same
        return False


def _on_its_length(name: str, basis: Basis) -> Iterator[str]:
    """Say so if each training was better before its end: fewer steps would have done it good."""
    curves = [[point for point in one.curve if point[0] > 0] for one in _done(name, basis)]
    lowest = [min(curve, key=lambda point: point[1]) for curve in curves if curve]
    if lowest and all(
        best < (1 - TOO_LONG) * curve[-1][1] for (_, best), curve in zip(lowest, filter(None, curves), strict=True)
    ):
        steps = ", ".join(dict.fromkeys(f"{step:,}" for step, _ in lowest))
        yield (
            f"Its loss was lowest before its end (after step {steps}), and rose again: it was trained for too long. "
            "Compare with fewer steps to see it at its best."
        )


def _on_rows(basis: Basis) -> Iterator[str]:
    compared = basis.compared
    deciding, choosing = len(compared.deciding), len(compared.choosing)
    if not compared.names:
        return
    if choosing:
        yield (
            f"{choosing} of {compared.held_out:,} held-out rows chose the learning rates and take no part in the "
            "verdict."
        )
    elif basis.comparison.asked.search and deciding:
        yield (
            f"With fewer than {LEAST_ROWS_TO_PART} held-out rows none were set aside: the rows that chose the learning "
            "rates decide as well, which makes every loss a little too low."
        )
    if deciding < LEAST_ROWS:
        yield f"{'One held-out row decides' if deciding else 'No held-out row decides'}: nothing can be told from that."
    elif deciding < FEW_ROWS:
        yield f"Only {deciding} held-out rows decide: nothing but a great difference can be told."


def _on_seeds(basis: Basis) -> Iterator[str]:
    seeds = basis.compared.seeds
    if not seeds or len(basis.compared.deciding) < LEAST_ROWS:
        return
    if any(len(_done(name, basis)) > len(seeds) for name in basis.compared.names):
        told = ", ".join(map(str, seeds))
        which = f"seed {told}, the only one" if len(seeds) == 1 else f"the seeds {told}, those"
        yield f"Losses are compared over {which} that all who are compared have done; some have done more."
    if len(seeds) == 1:
        yield (
            f"With one seed its chance can't be seen: another seed is taken to move a loss by {SEED_SHARE:.0%} of what "
            f"the training gained, as a standard deviation. {LEAST_SEEDS} seeds or more measure it."
        )
    elif len(seeds) < LEAST_SEEDS:
        yield (
            f"Two seeds hardly show their chance: it is taken as what they show, but as at least {SEED_SHARE:.0%} of "
            f"what the training gained, as a standard deviation. {LEAST_SEEDS} seeds or more measure it."
        )


def _on_the_budget(basis: Basis) -> Iterator[str]:
    comparison = basis.comparison
    asked, paced = comparison.asked, comparison.paced
    if paced is not None and paced.steps < asked.steps:
        yield (
            f"The budget of time allowed trainings of {paced.steps:,} steps, where {asked.steps:,} were the most: with "
            "more steps another may be best."
        )
    if len(comparison.seeds) < len(asked.seeds):
        yield f"The budget of time ended it with {len(comparison.seeds)} of {len(asked.seeds)} seeds."


def _done(name: str, basis: Basis) -> list[Outcome]:
    return [one for one in finals_of(name, basis.comparison, basis.outcomes) if is_done(one)]


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
