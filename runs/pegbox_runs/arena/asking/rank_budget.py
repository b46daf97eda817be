"""The rank with which a method trains about so many weights, so that methods are compared at the same size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.pricing import targets_of
from pegbox_methods.card import Card
from pegbox_methods.fence import one_line_of
from pegbox_methods.refusal import Refusal
from pegbox_methods.setting import Setting
from pegbox_runs.figures import count

MOST = 4096
"""Ranks that are looked at, where a guest's setting allows more."""
DIVISORS = ("subblocks",)
"""Settings that must divide a rank, as GraLoRA's."""
NEAR = 0.1
"""Of the budget: what is further from it is told."""
CHEAP = 0.25
"""Of what two thin matrices have: a method of fewer weights at a rank shares or freezes most of them, as VeRA."""


@dataclass(frozen=True)
class Sized:
    """A contestant's settings for a budget of weights."""

    settings: dict[str, Any]
    weights: int
    """That train."""
    remark: str = ""
    """Where they are no choice of the budget's, or far from it: a sentence."""


def sized(name: str, card: Card, settings: Mapping[str, Any], shape: ModelShape, budget: int) -> Sized:
    """Choose the rank of a contestant with complete settings.

    It is the one with the most weights that the budget allows, however they go with the rank. A method without a rank
    stays as it is.
    Raises: Refusal: even the least rank trains more; the method can't be priced.
    """
    setting = next((one for one in card.settings if one.name == "rank" and one.kind == "whole"), None)
    if setting is None:
        weights = _weights(name, card, shape, settings)
        return Sized(
            dict(settings),
            weights,
            f"{name} trains {count(weights)} weights: {card.name} has no rank, so the budget of {count(budget)} "
            "changes nothing of it.",
        )
    priced: dict[int, int] = {}
    for ranks in _ranks(name, card, setting, settings, shape):
        new = [rank for rank in ranks if rank not in priced]
        priced |= {rank: _weights(name, card, shape, _with(rank, settings, card)) for rank in new}
        if any(0 <= budget - weights <= NEAR * budget for weights in priced.values()):
            break
    allowed = [(weights, -rank) for rank, weights in priced.items() if weights <= budget]
    if not allowed:
        rank, least = min(priced.items(), key=lambda one: one[1])
        raise Refusal(
            f"{name}: it trains {least:,} weights at the least, with rank {rank}, and --rank-budget allows {budget:,}. "
            "Allow as many, or leave it out."
        )
    weights, negative = max(allowed)
    if budget - weights <= NEAR * budget:
        remark = ""
    elif -negative == max(priced) and weights == max(priced.values()):
        remark = _highest(name, weights, -negative, budget)
    else:
        remark = _far(name, weights, -negative, budget)
    return Sized(_with(-negative, settings, card), weights, remark)


def _highest(name: str, weights: int, rank: int, budget: int) -> str:
    return (
        f"{name} trains {count(weights)} weights with rank {rank}, the highest that is of use to it, where two thin "
        f"matrices are as large as the map they adapt or its setting ends: the budget of {count(budget)} is more than "
        "it can take."
    )


def _far(name: str, weights: int, rank: int, budget: int) -> str:
    return (
        f"{name} trains {count(weights)} weights with rank {rank}: nearer to the budget of {count(budget)} its ranks "
        "don't come without exceeding it."
    )


def _ranks(
    name: str, card: Card, setting: Setting, settings: Mapping[str, Any], shape: ModelShape
) -> Iterator[Iterable[int]]:
    """Give the ranks that a method may have on a model: first those that make sense, then what else there is.

    Where two thin matrices have as many weights as the smallest map that is adapted, a higher rank saves nothing any
    more, and some methods can't have one; unless the recipe itself asks for it, or a rank costs the method far less.
    """
    begin = max(1, int(setting.minimum or 1))
    step = begin  # one whose least rank is 2 works in pairs
    for divisor in DIVISORS:
        value = settings.get(divisor)
        if isinstance(value, int) and value > 1:
            step = value
    try:
        maps = [*shape.adapted(targets_of(settings))]
    except KeyError as error:
        raise Refusal(f"{name}: method.settings.targets: the model has no matrix {error}.") from None
    first, highest = -(-begin // step) * step, min(int(setting.maximum or MOST), MOST)
    worth = min([d_out * d_in // (d_out + d_in) for _, _, d_out, d_in in maps] or [highest])
    worth = min(max(first, worth, settings["rank"]), highest)
    yield range(first, worth + 1, step)
    pairs = sum(layers * worth * (d_out + d_in) for layers, _, d_out, d_in in maps)
    if _weights(name, card, shape, _with(worth, settings, card)) < CHEAP * pairs:
        yield range(first, highest + 1, step)


def _with(rank: int, settings: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """Change the rank; an alpha that is a plain multiple of it stays that multiple, since it means a scale."""
    changed = {**settings, "rank": rank}
    alpha, before = settings.get("alpha"), settings["rank"]
    if isinstance(alpha, int | float) and alpha and alpha % before == 0:
        scaled = type(alpha)(alpha // before * rank)
        if any(one.name == "alpha" and one.accepts(scaled) for one in card.settings):
            changed["alpha"] = scaled
    return changed


def _weights(name: str, card: Card, shape: ModelShape, settings: Mapping[str, Any]) -> int:
    try:
        return card.price(shape, settings).trainable_weights
    except Exception as error:
        raise Refusal(
            f"{name}: its card can't price this model with rank {settings.get('rank', '-')}, so nothing can be chosen "
            f"for --rank-budget: {one_line_of(error)}."
        ) from error
