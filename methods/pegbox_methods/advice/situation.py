"""Everything that is settled before a method is: model, device, goal, rows, length, batch."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.forecast.setup import NumberFormat
from pegbox_hardware.profile_rows import LinkRow
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.data_card import KEPT, DataCard
from pegbox_methods.advice.goals import Goal, Rule, effective_batch, epochs, wanted_rank
from pegbox_methods.advice.records import Choice, Place
from pegbox_methods.advice.walk import Walk, walk_through

HELD_OUT = 0.1
"""Share of the rows that is held out: the recipe's own default, in the middle of the usual 5 to 20 %."""


@dataclass(frozen=True)
class Situation:
    """The question, and the answers that don't depend on the method."""

    shape: ModelShape
    place: Place
    goal: Goal
    data: DataCard | None
    length: Choice
    rank: Rule
    batch: Rule
    epochs: Rule
    learned: Learned | None = None
    """What probes of this very device taught."""
    processes: int = 1
    """That carry the run together, each on a device like the place's."""
    sharded: bool = False
    """Each holds a part of the base model alone."""
    link: LinkRow | None = None
    """Between them."""

    @property
    def rows(self) -> int | None:
        """Count the rows that are trained, without those held out."""
        return None if self.data is None else max(1, self.data.rows - round(HELD_OUT * self.data.rows))

    @property
    def compute(self) -> NumberFormat:
        """Name the format of the computation."""
        policy = self.place.policy
        if policy.dtype == "fp32":
            return "fp32"
        if self.place.accelerator == "cpu":
            return "bf16" if self.place.bf16 else "fp32"
        return "bf16" if self.place.bf16 else "fp16"

    @property
    def weights(self) -> NumberFormat:
        """Name the format of the frozen weights; on a processor they are fp32, whatever it computes in."""
        return "fp32" if self.place.accelerator == "cpu" else self.compute

    @property
    def walk(self) -> Walk | None:
        """Count the steps and the evaluations."""
        return None if self.rows is None else walk_through(self.rows, self.batch.value, self.epochs.value)

    @property
    def tokens(self) -> int | None:
        """Count the tokens of all epochs."""
        if self.data is None or self.walk is None:
            return None
        return round(self.walk.seen * self.data.at(self.length.value).mean_tokens)

    @property
    def evaluated_tokens(self) -> int:
        """Count the tokens of all evaluations."""
        if self.data is None or self.rows is None or self.walk is None:
            return 0
        return round((self.data.rows - self.rows) * self.data.at(self.length.value).mean_tokens * self.walk.looks)


def situation(
    shape: ModelShape, place: Place, goal: Goal, data: DataCard | None, learned: Learned | None = None
) -> Situation:
    """Settle what doesn't depend on the method."""
    rows = None if data is None else max(1, data.rows - round(HELD_OUT * data.rows))
    return Situation(
        shape=shape,
        place=place,
        goal=goal,
        data=data,
        length=_length(shape, place, data),
        rank=_under_ceiling(wanted_rank(goal, rows), place),
        batch=effective_batch(rows),
        epochs=epochs(rows),
        learned=learned,
    )


def _under_ceiling(rule: Rule, place: Place) -> Rule:
    policy = place.policy
    if rule.value <= policy.rank_ceiling:
        return rule
    why = f"{rule.why}; {rule.value} is above the ceiling for such a device"
    return Rule(policy.rank_ceiling, why, f"profile {policy.name}: {policy.source.where}")


def _length(shape: ModelShape, place: Place, data: DataCard | None) -> Choice:
    """Take the least length that leaves nearly all trained tokens, within the policy's and the model's."""
    policy = place.policy
    bound, source = policy.length, f"profile {policy.name}: {policy.source.where}"
    why = "the default for such a device, as nothing is known of the rows"
    if shape.positions is not None and shape.positions < bound:
        bound, source, why = shape.positions, "config.json", f"the model was built for {shape.positions} tokens"
    if data is None:
        return Choice(key="training.length", value=bound, why=why, source=source)
    wanted = data.shortest(KEPT)
    if wanted.length <= bound:
        why = f"the least that leaves {100 * wanted.trained_kept:.3g} % of the trained tokens"
        return Choice(key="training.length", value=wanted.length, why=why, source=f"the rows: {data.counted_with}")
    left = data.at(bound).trained_kept
    limit = "the model's limit" if bound == shape.positions else "the most for such a device"
    why = f"{limit}; leaves {100 * left:.3g} % of the trained tokens, {wanted.length} would leave 99 %"
    return Choice(key="training.length", value=bound, why=why, source=source)
