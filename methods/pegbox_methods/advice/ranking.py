"""Which methods can be used here at all, in which order the goal wants them, and why the others lose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

from pegbox_hardware.profile_rows import Method
from pegbox_methods.abilities import sharding_obstacle
from pegbox_methods.advice.goals import FEW_ROWS, RANK_FLOOR
from pegbox_methods.advice.pricing import Trial
from pegbox_methods.advice.search import Found
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card, Reason
from pegbox_methods.suitability import Conditions, Obstacle, obstacle

RANKED: frozenset[str] = frozenset(get_args(Method))
"""Names of the methods that a profile may rank."""
GIB = 2**30
TIE = 0.03
"""Figures closer than this count as equal, and the usual order decides."""
LOW_RANK = 8
"""At this rank and below, DoRA's gain over LoRA is largest. Source: arXiv:2402.09353, section 5.5."""
Lost = tuple[str, str]
"""(why, source)"""
Told = tuple[str, str, str]
"""(when, why, source)"""


def unusable(card: Card, now: Situation, given: Conditions) -> Obstacle | None:
    """Say why a method can't be used here, whatever its settings; None: it can.

    `given`: what is known of the model's stored weights and of the installation; the rest is the situation's.
    """
    shape, place = now.shape, now.place
    here = replace(given, shape=shape, accelerator=place.accelerator, capability=place.capability)
    found = obstacle(card, here)
    if found is not None:
        return found
    why = not_together(card, processes=now.processes, sharded=now.sharded)
    if why is not None:
        return Obstacle(why=why, source=f"the card of {card.title}", remedy="Take another method, or one device.")
    if card.needs.quantized_base and card.name not in place.policy.methods:
        policy = place.policy
        return Obstacle(
            why="4-bit bases aren't tried on such a device",
            source=f"profile {policy.name}: {policy.source.where}",
            remedy="Take a method that needs none.",
        )
    return None


def not_together(card: Card, *, processes: int, sharded: bool) -> str | None:
    """Say in a clause why several processes can't train with a method; None: they can, or there is one."""
    if processes == 1:
        return None
    if sharded:
        return sharding_obstacle(card)
    why = card.cannot.get("processes")
    return None if why is None else f"several processes can't share it: {why}"


def ordered(cards: Sequence[Card], now: Situation) -> list[Card]:
    """Put the methods that the policy names into the order in which the goal wants them, before it is known what fits.

    The policy's own order, with 16-bit bases before a packed one, rsLoRA first where a high rank is wanted, and DoRA
    first where quality at a low rank is.
    """
    order: dict[str, int] = {name: place for place, name in enumerate(now.place.policy.methods)}

    def key(card: Card) -> tuple[int, int]:
        return -_drawn(card, now), 100 * card.needs.quantized_base + order[card.name]

    return sorted((card for card in cards if card.name in order), key=key)


def _drawn(card: Card, now: Situation) -> int:
    """Count what draws a method forward, beside the policy's order: 1 for a wanted trait, 0 else, -1 for a trial."""
    if card.name == "rslora":
        fills = now.rows is None or now.rows >= FEW_ROWS
        return 1 if fills and now.rank.value >= RANK_FLOOR["rslora"] else -1
    if card.name == "dora":
        return 1 if now.goal.priority == "quality" and now.rank.value <= LOW_RANK else 0
    return -1 if card.name == "adalora" else 0


def best_of(found: Sequence[Found], now: Situation) -> Found | None:
    """Take the first that fits, or, where the goal is a figure, the one that fits with the best figure.

    `found` comes in the goal's order.
    """
    fitting = [one for one in found if one.fits]
    figure = FIGURES.get(now.goal.priority)
    if figure is None or not fitting:
        return fitting[0] if fitting else None
    top = min(figure(one.best) for one in fitting)
    limit = top * (1 + TIE) if top > 0 else top * (1 - TIE)
    return next(one for one in fitting if figure(one.best) <= limit)


FIGURES: dict[str, Callable[[Trial], float]] = {
    "memory": lambda trial: trial.memory.safe_bytes,
    "speed": lambda trial: -trial.speed,
    "small-adapter": lambda trial: trial.memory.trainable_weights,
}
"""Goals that are a figure: the least wins."""


def lost(one: Found, winner: Found, now: Situation) -> Lost:
    """Say why a method that can be used here isn't the advice."""
    card, best, won = one.pricing.card, one.best, winner.best
    if not one.fits:
        lacking = -best.margin_bytes / GIB
        return f"lacks {lacking:.1f} GiB even with micro-batch 1 and checkpointing", "its forecast"
    if (worse := _worse(best, won, now)) is not None:
        return worse, "its forecast"
    if card.name in RANK_FLOOR and now.rank.value < RANK_FLOOR[card.name]:
        return f"made for ranks from {RANK_FLOOR[card.name]}; {now.rank.value} is advised here", card.source
    reason = _telling(card, winner.pricing.card, best)
    return (f"{reason[0]}: {reason[1]}", reason[2]) if reason else ("behind it in the profile's order", "its policy")


def _worse(best: Trial, won: Trial, now: Situation) -> str | None:
    """Compare by the figure that is the goal."""
    priority = now.goal.priority
    if priority == "memory" and best.memory.safe_bytes > won.memory.safe_bytes:
        return f"takes {(best.memory.safe_bytes - won.memory.safe_bytes) / GIB:.1f} GiB more"
    if priority == "speed" and best.speed < won.speed * (1 - TIE):
        return f"a run takes {won.speed / best.speed:.2f} times as long"
    if priority == "small-adapter" and best.memory.trainable_weights > won.memory.trainable_weights:
        return f"trains {best.memory.trainable_weights / won.memory.trainable_weights:.2f} times the weights"
    return None


def _telling(card: Card, winner: Card, best: Trial) -> Told | None:
    """Take the reason that tells most: against this method at its rank, else for the winner."""
    if card.name == "dora" and best.setup.rank >= RANK_FLOOR["rslora"] and len(card.discouraged) > 1:
        return _plain(card.discouraged[1])
    if card.name == "lora":
        return _first(winner.recommended) or _first(card.discouraged)
    return _first(card.discouraged) or _first(winner.recommended)


def _first(reasons: Sequence[Reason]) -> Told | None:
    return _plain(reasons[0]) if reasons else None


def _plain(reason: Reason) -> Told:
    return reason.when, reason.why, reason.source
