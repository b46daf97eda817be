"""Each advised value with its reason: the batch, the number formats, and what the run does that has no key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pegbox_hardware.forecast.setup import Optimizer, TrainingSetup
from pegbox_methods.advice.method_settings import learning_rate
from pegbox_methods.advice.pricing import Pricing
from pegbox_methods.advice.records import Choice, DevicePlan
from pegbox_methods.advice.search import Found
from pegbox_methods.advice.situation import HELD_OUT, Situation
from pegbox_methods.card import Card
from pegbox_methods.suitability import BITSANDBYTES_FROM

GIB = 2**30
PRECISIONS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
EIGHT_BIT = frozenset(("adamw_8bit", "paged_adamw_8bit"))
KERNELS = {"flash": "flash", "efficient": "memory-efficient", "math": "math"}


def optimizer_for(now: Situation, card: Card | None = None) -> Choice:
    """Choose the optimizer: the policy's, and a paged 8-bit one where least memory is the goal and it can be had.

    `card`: of the method that is advised; one that brings its own optimizer leaves no choice, and a sharded base none.
    """
    if card is not None and "optimizer" in card.cannot:
        why = f"the method brings its own: {card.cannot['optimizer']}"
        return Choice(key="training.optimizer", value="adamw", why=why, source=f"the card of {card.title}")
    if now.sharded:
        why = "of what each device holds a part, plain averages alone can be parted with it"
        return Choice(key="training.optimizer", value="adamw", why=why, source="torch's FSDP2")
    policy, place = now.place.policy, now.place
    value: Optimizer = policy.optimizer
    source = f"profile {policy.name}: {policy.source.where}"
    capable = place.accelerator == "cuda" and (place.capability or (0, 0)) >= BITSANDBYTES_FROM
    if now.goal.priority == "memory" and capable:
        value = "paged_adamw_8bit"
    why = "its states are small beside the base model's weights"
    if value in EIGHT_BIT:
        why = "8-bit states that may move to the RAM: here hundreds of MiB matter"
    return Choice(key="training.optimizer", value=value, why=why, source=source)


def all_choices(winner: Found, method: Choice, settings: Sequence[Choice], optimizer: Choice) -> tuple[Choice, ...]:
    """List every advised value in the order in which people ask."""
    now, setup = winner.pricing.now, winner.best.setup
    rule = now.batch
    rows = "row" if rule.value == 1 else "rows"
    accumulation = Choice(
        key="training.accumulation",
        value=setup.accumulation * setup.processes,
        why=_step(setup, rows) + f": {rule.why}",
        source=rule.source,
    )
    passes = Choice(key="training.epochs", value=float(now.epochs.value), why=now.epochs.why, source=now.epochs.source)
    return (
        method,
        *settings,
        learning_rate(winner.pricing.card, now),
        passes,
        now.length,
        _micro_batch(winner),
        accumulation,
        _checkpointing(winner),
        _precision(winner.pricing),
        optimizer,
        _evaluation(setup.micro_batch),
        _split(now),
        _attention(now, setup.micro_batch),
        _packing(),
    )


def _step(setup: TrainingSetup, rows: str) -> str:
    whole = setup.accumulation * setup.processes
    said = f"{setup.micro_batch} x {whole} = {setup.micro_batch * whole} {rows} a step"
    return said if setup.processes == 1 else f"{said}, {setup.accumulation} such micro-batches on each device"


def device_choices(plan: DevicePlan) -> tuple[Choice, ...]:
    """Choose how many devices carry the run, and by which engine."""
    source = "memory and time forecasts"
    held = {
        "ddp": "the base model fits on each, so nothing but the adapter's gradients goes over the link",
        "fsdp2": "no device holds the whole base model: each gets the others' parts layer by layer",
    }[plan.engine]
    return (
        Choice(key="devices.processes", value=plan.processes, why=plan.why, source=source),
        Choice(key="devices.engine", value=plan.engine, why=held, source="torch's DistributedDataParallel, FSDP2"),
    )


def recipe_tables(choices: Sequence[Choice]) -> dict[str, dict[str, Any]]:
    """Put the values into a recipe's tables; what has no key there is left out."""
    tables: dict[str, dict[str, Any]] = {"method": {"settings": {}}, "training": {}, "evaluation": {}, "split": {}}
    for choice in choices:
        *path, name = choice.key.split(".")
        if not path:
            continue
        inner: dict[str, Any] = tables
        for part in path:
            inner = inner.setdefault(part, {})
        inner[name] = choice.value
    return tables


def _micro_batch(winner: Found) -> Choice:
    best = winner.best
    why = "the smallest that is about as fast as any that fits; only memory and speed depend on it"
    if not best.fits:
        why = "the least there is, and it doesn't fit"
    elif best.setup.micro_batch == winner.pricing.now.batch.value:
        why = "a whole step at once fits, and is the fastest"
    elif winner.pricing.now.goal.priority == "memory":
        why = "the least memory; a step stays the same by accumulation"
    return Choice(key="training.micro_batch", value=best.setup.micro_batch, why=why, source="memory and time forecasts")


def _checkpointing(winner: Found) -> Choice:
    best, goal = winner.best, winner.pricing.now.goal
    without = any(trial.fits for trial in winner.tried if not trial.setup.checkpointing)
    if not winner.pricing.checkpoints:
        why = f"the method can't train with it: {winner.pricing.card.cannot['checkpointing']}"
    elif not best.setup.checkpointing:
        why = "all activations fit, so nothing needs to be computed twice"
    elif not best.fits:
        why = "without it still more would be lacking"
    elif goal.priority == "memory":
        why = "least memory is the goal; it costs 20 to 30 % more time"
    elif without:
        why = "larger micro-batches with it are about as fast as small ones without, or faster"
    else:
        why = "without it the activations don't fit; it costs 20 to 30 % more time"
    value = "on" if best.setup.checkpointing else "off"
    return Choice(key="training.activation_checkpointing", value=value, why=why, source="memory and time forecasts")


def _precision(pricing: Pricing) -> Choice:
    now, compute = pricing.now, pricing.compute
    place = now.place
    why = {
        "bf16": "the device computes in it, with fp32's range",
        "fp16": "it has no bfloat16 (compute capability 8.0 and up has); the adapter stays fp32, or gradients vanish",
        "fp32": "no faster format here",
    }[compute]
    source = {"fp16": "lit-llama#230; CUDA C++ programming guide"}.get(compute, f"profile {place.policy.name}")
    if compute != now.compute:
        why = f"the method can't train in bfloat16: {pricing.card.cannot['bfloat16']}"
        source = f"the card of {pricing.card.title}"
    if place.accelerator == "cpu":
        why += "; the frozen weights stay fp32 on a processor"
    return Choice(key="training.precision", value=PRECISIONS[compute], why=why, source=source)


def _evaluation(micro_batch: int) -> Choice:
    why = "as in training, so that an evaluation never takes more memory than a step"
    return Choice(key="evaluation.micro_batch", value=micro_batch, why=why, source="transformers#32282")


def _split(now: Situation) -> Choice:
    why = "held out, to see when it learns by heart"
    if now.data is not None and now.rows is not None:
        why = f"{now.data.rows - now.rows} rows {why}"
    return Choice(key="split.share", value=HELD_OUT, why=why, source="rule of thumb: 5 to 20 %")


def _attention(now: Situation, micro_batch: int) -> Choice:
    if now.shape.attention_cap:
        why = "the model caps its scores, which only plain attention does"
        return Choice(
            key="attention", value="eager", why=why, source="transformers' Gemma 2; the run takes it by itself"
        )
    kernel = now.place.policy.attention_kernel
    if kernel == "flash" and micro_batch > 1:
        kernel = "efficient"  # a mask for padded rows rules flash out
    why = f"what the run takes by itself; torch picks its {KERNELS[kernel]} kernel"
    if micro_batch > 1 and now.place.policy.attention_kernel == "flash":
        why += ", as padded rows need a mask"
    return Choice(key="attention", value="sdpa", why=why, source="torch sdp_utils.cpp")


def _packing() -> Choice:
    why = "rows stay apart; grouping them by length already saves most padding"
    return Choice(key="packing", value="off", why=why, source="training.order = grouped")
