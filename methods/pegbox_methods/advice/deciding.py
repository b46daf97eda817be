"""Which method wins on one kind of device: all that can be used are priced, and the goal chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_methods.advice.choices import optimizer_for
from pegbox_methods.advice.goals import LEAST_RANK
from pegbox_methods.advice.method_settings import ranks_to_try
from pegbox_methods.advice.ranking import best_of, ordered, unusable
from pegbox_methods.advice.records import DevicePlan
from pegbox_methods.advice.search import Found, adapter_decides, alike, fastest, highest_rank, lean
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal
from pegbox_methods.suitability import Conditions, Obstacle


@dataclass(frozen=True)
class Decision:
    """What was found out for one device."""

    now: Situation
    found: tuple[Found, ...]
    refused: tuple[tuple[Card, Obstacle], ...]
    unranked: tuple[str, ...]
    """Names of the other methods, which weren't priced."""
    winner: Found | None
    plan: DevicePlan | None = None
    """None: one device."""
    told: tuple[str, ...] = ()
    """What must be said of several devices, a clause each."""


def decide(now: Situation, known: Sequence[Card], names: Sequence[str], given: Conditions) -> Decision:
    """Price what the profile ranks and can be used. Raises: Refusal: that is nothing."""
    refused = [(card, why) for card in known if (why := unusable(card, now, given)) is not None]
    out = {card.name for card, _ in refused}
    usable = [card for card in ordered(known, now) if card.name not in out]
    if not usable:
        raise Refusal(_nothing_usable(refused))
    optimizer = optimizer_for(now)
    found, winner = settled([highest_rank(card, now, optimizer.value) for card in usable], now)
    told = out | {card.name for card in usable}
    unranked = tuple(sorted(name for name in names if name not in told))
    return Decision(now, tuple(found), tuple(refused), unranked, winner)


def _nothing_usable(refused: Sequence[tuple[Card, Obstacle]]) -> str:
    """Say why no method can be used, each reason once, with the methods that it holds for."""
    if not refused:
        return "no method can be used here: none is installed that the profile table ranks."
    reasons: dict[Obstacle, list[str]] = {}
    for card, why in refused:
        reasons.setdefault(why, []).append(card.name)
    told = (f"{', '.join(names)}: {found.why}. {found.remedy}" for found, names in reasons.items())
    return f"no method can be used here. {' '.join(told)}"


def settled(found: list[Found], now: Situation) -> tuple[list[Found], Found | None]:
    """Choose among methods priced with their leanest batch. Returns: (them, each priced anew; the winner)."""
    if not any(one.fits for one in found):
        found = [_at_lower_rank(one) for one in found]
    if now.goal.priority == "speed":
        found = [fastest(one) for one in found]
    chosen = best_of(found, now)
    if chosen is None:
        return found, None
    if now.goal.priority == "speed":
        return found, chosen
    winner = fastest(chosen)
    return [winner if one is chosen else alike(one, winner) for one in found], winner


def _at_lower_rank(one: Found) -> Found:
    """Halve a method's rank, below the one that the goal asks for, where that makes it fit; else leave it."""
    card, now, optimizer = one.pricing.card, one.pricing.now, one.pricing.optimizer
    ranks = ranks_to_try(card, now)
    limit = ranks[-1] // 2 if ranks else 0
    while limit >= LEAST_RANK.value and adapter_decides(one.best):
        lower = lean(card, now, optimizer, limit)
        if lower.fits:
            return lower
        limit //= 2
    return one


def merit(decision: Decision) -> tuple[bool, bool, bool, float]:
    """Prefer the device on which something fits, then one that needs no others to hold the base, then one that holds it
    in 16 bits, then the faster one."""
    winner = decision.winner
    if winner is None:
        return False, False, False, float(decision.now.place.usable_bytes)
    return True, not winner.best.setup.sharded, not winner.best.setup.quantized, winner.best.speed
