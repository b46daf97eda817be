"""What a recipe asks of its method, held against what the method's card says it can't."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe, Training
from pegbox_methods.refusal import Fault


def packs_base(recipe: Recipe, card: Card) -> bool:
    """Tell whether a run loads its base model in 4 bits: the method needs it, or the recipe wants it."""
    wanted = recipe.model.quantization
    return card.needs.quantized_base if wanted == "auto" else wanted == "nf4"


def within_abilities(training: Training, card: Card) -> Training:
    """Decide each `auto` that the method leaves no choice in."""
    if training.activation_checkpointing == "auto" and "checkpointing" in card.cannot:
        training = msgspec.structs.replace(training, activation_checkpointing="off")
    if training.precision == "auto" and "bfloat16" in card.cannot:
        training = msgspec.structs.replace(training, precision="float32")
    return training


def sharding_obstacle(card: Card) -> str | None:
    """Say why a method can't train where each process holds a part of the base model; None: it can.

    Returns: a whole clause, to be put behind the name of a key or of a plan.
    """
    if "processes" in card.cannot:
        return f'the method "{card.name}" can\'t be shared by several processes: {card.cannot["processes"]}'
    if card.sharding is None:
        return None
    return f'the method "{card.name}" can\'t train on a sharded base model: {card.sharding}'


def inabilities(recipe: Recipe, card: Card, *, file: str, processes: int = 1) -> Iterator[Fault]:
    """Find what a complete recipe asks of its method that the card says the method can't, or can't do without."""

    def refused(key: str, value: str, problem: str) -> Fault:
        return Fault(file=file, key=key, value=value, problem=f'the method "{card.name}" {problem}')

    training = recipe.training
    if recipe.model.quantization == "none" and card.needs.quantized_base:
        yield refused("model.quantization", "'none'", 'trains on a 4-bit base alone; take "auto" or "nf4"')
    if packs_base(recipe, card) and "4-bit" in card.cannot:
        yield refused("model.quantization", "'nf4'", f"can't train on a 4-bit base: {card.cannot['4-bit']}")
    if training.activation_checkpointing == "on" and "checkpointing" in card.cannot:
        problem = f'can\'t train with it: {card.cannot["checkpointing"]}; take "off" or "auto"'
        yield refused("training.activation_checkpointing", "'on'", problem)
    if training.precision == "bfloat16" and "bfloat16" in card.cannot:
        yield refused("training.precision", "'bfloat16'", f"can't train in it: {card.cannot['bfloat16']}")
    if training.optimizer != "adamw" and "optimizer" in card.cannot:
        problem = f'brings its own optimizer: {card.cannot["optimizer"]}; leave training.optimizer at "adamw"'
        yield refused("training.optimizer", repr(training.optimizer), problem)
    if processes > 1 and "processes" in card.cannot:
        yield refused("devices.processes", str(processes), f"can't be shared by several: {card.cannot['processes']}")
    elif recipe.devices.shards and (why := sharding_obstacle(card)) is not None:
        yield Fault(file=file, key="devices.engine", value="'fsdp2'", problem=f"{why}; take 'ddp' or 'auto'")
