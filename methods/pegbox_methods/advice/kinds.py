"""Which of several kinds of devices a run gets that any of them could carry: one rule, for the advice and the start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pegbox_methods.advice.deciding import Decision, merit
from pegbox_methods.advice.pricing import Pricing
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.several import link_for, place_for
from pegbox_methods.advice.situation import Situation

NAME_THEM = "the recipe alone would start on other devices: keep the CUDA_VISIBLE_DEVICES of the command"


class KindPrice(NamedTuple):
    """What a recipe comes to on one kind."""

    fits: bool
    speed: float
    """Tokens a second, or what ranks like it; 0: not known."""


def best_kind(kinds: Sequence[Place], price: Callable[[Place], KindPrice | None]) -> Place:
    """Take the fastest of those that a recipe fits on; the first where it fits on none, or can't be priced.

    `kinds`: at least one, the roomiest first; `price`: of that recipe on each of so many devices, None: unknown.
    """
    if len(kinds) == 1:
        return kinds[0]
    priced = [(place, price(place)) for place in kinds]
    fitting = [(place, found.speed) for place, found in priced if found is not None and found.fits]
    return max(fitting, key=lambda one: one[1])[0] if fitting else kinds[0]  # of equals the first


def as_started(decisions: Sequence[Decision], asked: Sequence[Situation]) -> Decision:
    """Take the best kind for a run, and of those that are about as good one that its recipe alone would start on too.

    `asked`: the situation of each decision, with one device. Where there is no such kind, it is told.
    """
    best = max(decisions, key=merit)
    if best.plan is None:
        return best
    for one, now in sorted(zip(decisions, asked, strict=True), key=lambda pair: merit(pair[0]), reverse=True):
        if one.plan is not None and merit(one)[:-1] == merit(best)[:-1] and _start(one, now, asked) == now.place:
            return one
    return dataclasses.replace(best, told=(*best.told, NAME_THEM))


def _start(one: Decision, own: Situation, asked: Sequence[Situation]) -> Place:
    """Say which kind the recipe of a decision would start on by itself."""
    winner, count = one.winner, one.now.processes
    usable = [now for now in asked if now.place.team is not None and len(now.place.team.frees) >= count]
    if winner is None or own not in usable:  # it isn't for this machine
        return own.place

    def price(kind: Place) -> KindPrice | None:
        now = next(now for now in usable if now.place is kind)
        setup, pricing = winner.best.setup, winner.pricing
        there = dataclasses.replace(
            one.now,
            place=place_for(kind, count),
            link=link_for(kind, count),
            learned=now.learned,
            data=None,  # as at a start, where nobody has looked at the rows yet
        )
        priced = Pricing(pricing.card, pricing.settings, there, pricing.optimizer).trial(
            setup.micro_batch, checkpointing=setup.checkpointing, length=setup.length
        )
        return KindPrice(priced.fits, priced.speed)

    kinds = sorted((now.place for now in usable), key=lambda kind: (kind.memory_total, kind.capability or (0, 0)))
    return best_kind(kinds[::-1], price)
