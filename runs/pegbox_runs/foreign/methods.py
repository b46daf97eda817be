"""Which of our methods another tool's LoRA settings mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_methods.card import Card
from pegbox_methods.registry import find_card
from pegbox_runs.foreign.carrying import Carrying
from pegbox_runs.foreign.values import number

PACKED = {"lora": "qlora", "dora": "qdora"}
"""What a method is called on a base in 4 bits."""


@dataclass(frozen=True)
class Variant:
    """A key that asks for a kin of LoRA."""

    key: str
    method: str


def choose(carrying: Carrying, variants: Sequence[Variant], *, packed: bool) -> Card:
    """Choose the method by the first variant that is asked for; the others are named as left."""
    chosen = "lora"
    for variant in variants:
        if not carrying.has(variant.key):
            continue
        if chosen == "lora" and not (packed and variant.method not in PACKED):
            chosen = variant.method
            carrying.translate(variant.key, "method.name", PACKED.get(chosen, chosen) if packed else chosen)
        else:
            beside = "a base in 4 bits" if chosen == "lora" else chosen
            carrying.leave(variant.key, f"Pegbox has no {variant.method} together with {beside}")
    name = PACKED.get(chosen, chosen) if packed else chosen
    carrying.put("method.name", name)
    return find_card(name)


def settings(carrying: Carrying, card: Card, keys: dict[str, str], defaults: dict[str, object]) -> None:
    """Carry the method's settings over; what the method hasn't is left."""
    known = {setting.name: setting for setting in card.settings}
    for key, name in keys.items():
        if not carrying.has(key):
            continue
        value = number(carrying.given[key])
        if name not in known:
            carrying.leave(key, f"the method {card.name} has no {name}")
        else:
            kind = known[name].kind
            carrying.carry(key, f"method.settings.{name}", float(value) if kind == "number" and _real(value) else value)
    for name, default in defaults.items():
        if name in known:
            carrying.assume(f"method.settings.{name}", default, "the other tool's default")


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
