"""One training of a comparison: which contestant, at which learning rate, with which seed, and what became of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.recipe import Evaluation, Recipe
from pegbox_runs.judging.judged import Judged

EntryState = Literal["new", "running", "stopped", "failed", "done"]
"""`stopped`: it can go on where it was; `failed`: it ended without its result, and isn't tried again unasked."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is run. Two of the same id are the same."""

    contestant: str
    seed: int
    steps: int
    """Optimizer steps."""
    rate: float
    """Peak learning rate."""
    rung: int | None = None
    """Of the search for a learning rate, from 0; None: a training that counts."""

    @property
    def id(self) -> str:
        """The name of its folder. A training that counts is known by its seed: its rate is decided once."""
        what = f"seed-{self.seed}" if self.rung is None else f"trial-{self.rung}-rate-{self.rate:.3g}"
        return f"{self.contestant}.{what}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an entry so far, read from its folder."""

    entry: Entry
    state: EntryState
    judged: Judged | None = None
    """There where it is `done`."""
    diverged: bool = False
    """It failed since its loss was no finite number any more."""
    why: str = ""
    """Of what failed: its own words. They may hold anything."""
    out_of_memory: bool = False
    """It failed for memory, after all re-planning."""
    changed: tuple[str, ...] = ()
    """What memory made it change on the way, for people."""
    device_peak: int | None = None
    """Most bytes reserved on the device while training and evaluating; None on a CPU."""
    process_peak: int | None = None
    """Most resident bytes of the process in that time."""
    training_seconds: float = 0.0
    """Sum of the steps' seconds."""
    wall_seconds: float = 0.0
    """From its start to its end, loading and judging too."""
    tokens: int = 0
    """Trained on, without padding."""
    trainable_weights: int | None = None
    adapter_bytes: int | None = None
    curve: tuple[tuple[int, float], ...] = ()
    """(step, held-out loss) of its evaluations, the untrained model's first."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self.state in {"failed", "done"}


def entry_recipe(entry: Entry, recipe: Recipe, *, timed: bool = False) -> Recipe:
    """Give the whole recipe of an entry: training from it repeats it, and writes the same judged.json.

    A trial looks at the held-out rows once, at its end, and answers no questions. `timed`: there is a budget of
    seconds; then the first one at the recipe's own rate is judged as a training that counts is, to learn what that
    takes.
    """
    training = msgspec.structs.replace(recipe.training, max_steps=entry.steps, learning_rate=entry.rate)
    judging = msgspec.structs.replace(recipe.judging, rows=True)
    # The best of several looks at the rows that judge would favour whoever wanders most between them.
    evaluation = msgspec.structs.replace(recipe.evaluation, keep="last")
    if entry.rung is not None:
        whole = timed and entry.rung == 0 and entry.rate == recipe.training.learning_rate
        if not whole:
            judging = msgspec.structs.replace(judging, general=None, metrics=())
        tokens = evaluation.sample_tokens if whole else Evaluation().sample_tokens
        evaluation = Evaluation(
            every=entry.steps, keep="last", micro_batch=evaluation.micro_batch, samples=0, sample_tokens=tokens
        )
    return msgspec.structs.replace(
        recipe,
        training=training,
        evaluation=evaluation,
        judging=judging,
        seeds=msgspec.structs.replace(recipe.seeds, training=entry.seed),
    )
