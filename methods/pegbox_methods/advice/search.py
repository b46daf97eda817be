"""The batch of a run: how many rows at once, with or without checkpointing, at the same effective batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pegbox_hardware.forecast.setup import Optimizer
from pegbox_methods.advice.method_settings import method_choices, ranks_to_try, settings_of
from pegbox_methods.advice.pricing import Pricing, Trial
from pegbox_methods.advice.records import Choice
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card

WORTH = 0.02
"""A larger micro-batch must be faster by that share; the forecast's own doubt is larger, and padding grows with it."""


@dataclass(frozen=True)
class Found:
    """A method's best setting, and what else was priced on the way."""

    pricing: Pricing
    best: Trial
    """The leanest one where nothing fits."""
    tried: tuple[Trial, ...]
    choices: tuple[Choice, ...]
    """The method's own settings, each with its reason."""

    @property
    def fits(self) -> bool:
        """Whether any setting of the method fits."""
        return self.best.fits


def search(card: Card, now: Situation, optimizer: Optimizer) -> Found:
    """Find a method's best setting: the highest of its ranks that fits, and the fastest batch for that.

    Raises: Exception: whatever the card's footprint raises.
    """
    return fastest(highest_rank(card, now, optimizer))


def highest_rank(card: Card, now: Situation, optimizer: Optimizer) -> Found:
    """Find the highest of a method's ranks that fits with the leanest batch; the last of them where none does.

    Raises: Exception: whatever the card's footprint raises.
    """
    found = lean(card, now, optimizer)
    for rank in ranks_to_try(card, now)[1:]:
        if found.fits or not adapter_decides(found.best):
            break
        found = lean(card, now, optimizer, rank)
    return found


def alike(one: Found, winner: Found) -> Found:
    """Price a method with the winner's batch, to compare like with like; with its leanest where that doesn't fit."""
    setup = winner.best.setup
    trial = one.pricing.trial(setup.micro_batch, checkpointing=setup.checkpointing)
    return replace(one, best=trial) if trial.fits else one


def lean(card: Card, now: Situation, optimizer: Optimizer, rank_limit: int | None = None) -> Found:
    """Price a method's leanest batch: one row at a time, with checkpointing."""
    choices = method_choices(card, now, rank_limit)
    pricing = Pricing(card, settings_of(choices), now, optimizer)
    best = pricing.trial(1, checkpointing=pricing.checkpoints)
    return Found(pricing, best, (best,), choices)


def adapter_decides(trial: Trial) -> bool:
    """Whether a lower rank could make the difference: no more is lacking than the rank's share takes."""
    of_rank = sum(trial.memory.items.get(name, 0) for name in ("adapter", "optimizer states", "gradients"))
    return -trial.margin_bytes <= 1.5 * of_rank


def fastest(found: Found) -> Found:
    """Find the fastest batch that fits with its margin; with least memory as the goal, the leanest one.

    Sizes are powers of two that divide a process' part of the effective batch, so the experiment stays the same for
    each of them.
    """
    pricing, leanest = found.pricing, found.best
    if pricing.now.goal.priority == "memory" or not found.fits:
        return found
    rows = pricing.now.batch.value // pricing.now.processes
    sizes = [1 << power for power in range(rows.bit_length()) if rows % (1 << power) == 0]
    tried = [leanest]
    best = leanest
    for checkpointing in (True, False) if pricing.checkpoints else (False,):
        fitting, seen = _fitting(pricing, sizes, checkpointing=checkpointing)
        tried += seen
        fast = _fastest(fitting)
        if fast is not None and fast.speed > best.speed * (1 if best is leanest else 1 + WORTH):
            best = fast
    return Found(pricing, best, tuple(dict.fromkeys(tried)), found.choices)


def _fitting(pricing: Pricing, sizes: Sequence[int], *, checkpointing: bool) -> tuple[list[Trial], list[Trial]]:
    """Bisect for the largest size that fits: memory only grows with it.

    Returns: (the trials that fit, the largest size among them; all trials that were made).
    """
    low, high = 0, len(sizes)  # sizes[:low] fit, sizes[high:] don't
    seen = []
    while low < high:
        middle = (low + high) // 2
        trial = pricing.trial(sizes[middle], checkpointing=checkpointing)
        seen.append(trial)
        low, high = (middle + 1, high) if trial.fits else (low, middle)
    return [trial for trial in seen if trial.fits], seen


def _fastest(fitting: Sequence[Trial]) -> Trial | None:
    """Take the smallest micro-batch among those that are about as fast as the fastest."""
    if not fitting:
        return None
    top = max(trial.speed for trial in fitting)
    return min((t for t in fitting if t.speed * (1 + WORTH) >= top), key=lambda trial: trial.setup.micro_batch)
