"""A method's own settings for one situation: the rank and what hangs on it, where its card has them."""

from __future__ import annotations

from typing import Any

from pegbox_hardware.shape import ALL_LINEAR, ATTENTION
from pegbox_methods.advice.goals import FEW_ROWS, LARGE_WEIGHTS, QLORA, QUALITY_RANK_OF, RANK_FLOOR, REGRET
from pegbox_methods.advice.records import Choice
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card

FEW_ROWS_DROPOUT = 0.1
USUAL_DROPOUT = 0.05


def method_choices(card: Card, now: Situation, rank_limit: int | None = None) -> tuple[Choice, ...]:
    """Choose each setting of a method; what advice knows nothing of keeps its author's default.

    `rank_limit`: the highest rank that is left, after higher ones didn't fit.
    """
    chosen: list[Choice] = []
    rank = _rank(card, now, rank_limit)
    makers = {"rank": lambda: rank, "alpha": lambda: _alpha(card, rank), "targets": lambda: _targets(now)}
    for setting in card.settings:
        made = None
        if setting.name in makers and (setting.name == "targets" or tabled(card, now)):
            made = makers[setting.name]()
        elif setting.name == "dropout" and tabled(card, now):
            made = _dropout(setting.default, now)
        if made is None or not setting.accepts(made.value):
            made = Choice(key="", value=setting.default, why="the method's default", source=card.source)
        chosen.append(_named(made, f"method.settings.{setting.name}"))
    return tuple(chosen)


def settings_of(choices: tuple[Choice, ...]) -> dict[str, Any]:
    """Give chosen settings by their name, as the card's functions take them."""
    return {choice.key.rpartition(".")[2]: choice.value for choice in choices}


def tabled(card: Card, now: Situation) -> bool:
    """Whether the profile table knows the method, so that the rules of thumb were made for it."""
    return card.name in now.place.policy.methods


def learning_rate(card: Card, now: Situation) -> Choice:
    """Choose the peak learning rate: the method's own, halved for very large models."""
    rate, source = card.learning_rate, card.learning_rate_source
    why = "the method's own rate"
    if now.shape.weights > LARGE_WEIGHTS:
        rate, why, source = rate / 2, f"half of the method's {rate:g}, above 20 B weights", f"{QLORA}, table 9"
    return Choice(key="training.learning_rate", value=rate, why=why, source=source)


def ranks_to_try(card: Card, now: Situation) -> list[int]:
    """List a method's ranks from the one it should have down to the least that answers the goal.

    Empty for a method without a rank, or one that the profile table doesn't know.
    """
    if not tabled(card, now) or all(setting.name != "rank" for setting in card.settings):
        return []
    top = _rank(card, now, None).value
    least = min(top, max(now.rank.value, RANK_FLOOR.get(card.name, 1)))
    return [top >> halvings for halvings in range(top.bit_length()) if top >> halvings >= least]


def _rank(card: Card, now: Situation, limit: int | None) -> Choice:
    wanted, ceiling = now.rank, now.place.policy.rank_ceiling
    floor = RANK_FLOOR.get(card.name, 1)
    if now.goal.priority == "quality" and wanted.value >= floor:
        floor = max(floor, QUALITY_RANK_OF.get(card.name, 1))
    value = min(max(wanted.value, floor), ceiling)
    if limit is not None and limit < value:
        why = f"halved until it fits; {value} was wanted"
        return Choice(key="", value=limit, why=why, source="its forecast")
    if value == wanted.value:
        return Choice(key="", value=value, why=wanted.why, source=wanted.source)
    return Choice(key="", value=value, why="the rank that the method was made for", source=card.source)


def _alpha(card: Card, rank: Choice) -> Choice:
    """Keep the method's own ratio of alpha to rank, so that its learning rate stays right."""
    defaults = {setting.name: setting.default for setting in card.settings}
    ratio = defaults["alpha"] / defaults["rank"] if defaults.get("rank") else 1.0
    why = "twice the rank" if ratio == 2 else "as much as the rank" if ratio == 1 else f"{ratio:g} times the rank"
    return Choice(key="", value=float(ratio * rank.value), why=why, source=f"{card.title}'s defaults")


def _targets(now: Situation) -> Choice:
    if now.shape.expert_weights:
        return Choice(
            key="",
            value=ATTENTION,
            why="experts are stacked parameters, which are no linear maps; all-linear means the same there",
            source="PEFT 0.21, ParamWrapper",
        )
    why = "adapters on every linear map learn more than on attention alone"
    return Choice(key="", value=ALL_LINEAR, why=why, source=f"{QLORA}; {REGRET}")


def _dropout(default: float, now: Situation) -> Choice:
    if default == 0:
        return Choice(key="", value=0.0, why="the method's default", source="its card")
    if now.rows is not None and now.rows < FEW_ROWS:
        why = f"under {FEW_ROWS} rows are soon known by heart"
        return Choice(key="", value=FEW_ROWS_DROPOUT, why=why, source="rule of thumb: 0.1 for few rows")
    if now.goal.priority == "speed":
        return Choice(key="", value=0.0, why="a little faster without", source="rule of thumb: 0 to 0.05")
    return Choice(key="", value=USUAL_DROPOUT, why="the usual little", source="rule of thumb: 0 to 0.05")


def _named(choice: Choice, key: str) -> Choice:
    return Choice(key=key, value=choice.value, why=choice.why, source=choice.source)
