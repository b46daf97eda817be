"""Axolotl's recipe in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pegbox_methods.refusal import Refusal
from pegbox_runs.foreign.axolotl_rows import rows, template
from pegbox_runs.foreign.carrying import Carrying
from pegbox_runs.foreign.methods import Variant, choose, settings
from pegbox_runs.foreign.tables import tables
from pegbox_runs.foreign.values import (
    batches,
    held_out,
    model_place,
    number,
    optimizer,
    schedule,
    warmup,
)

TABLES = tables("axolotl")
DEFAULTS: dict[str, Any] = {
    "training.epochs": 1.0,
    "training.micro_batch": 1,
    "training.accumulation": 1,
    "training.length": 512,
    "training.schedule": "cosine",
    "training.warmup": 0.03,
    "training.order": "shuffled",
    "training.activation_checkpointing": "off",
    "split.share": 0.0,
    "evaluation.keep": "last",
    "seeds.training": 42,
}
"""Source: the same files; the warm-up: `build` in core/trainer_builder.py, 3 % of the steps, at most 100."""
INITIAL = {"pissa": "pissa", "olora": "olora", "loftq": "loftq"}
"""How PEFT is told to begin -> our method."""


def read(carrying: Carrying, folders: tuple[Path, ...]) -> None:
    """Take every key that means a choice. Raises: Refusal: what it asks for isn't in Pegbox at all."""
    kind = carrying.value("rl")
    if kind not in (None, False, "none", "None"):
        raise Refusal(f"rl: {kind}: Pegbox tunes on rows with answers; it has neither rewards nor preferences.")
    carrying.translate("base_model", "model.name", model_place(str(carrying.given["base_model"]), folders))
    _method(carrying)
    rows(carrying, folders)
    template(carrying, folders)
    _batch(carrying)
    warmup(carrying, nought_counts=True)
    batches(carrying, TABLES.named)
    _precision(carrying)
    _order(carrying)
    optimizer(carrying, "optimizer")
    schedule(carrying, "lr_scheduler")
    _evaluation(carrying)


def _method(carrying: Carrying) -> None:
    adapter = carrying.value("adapter")
    packed = bool(carrying.value("load_in_4bit")) or adapter == "qlora"
    if adapter is None:
        carrying.put("method.name", "full")
        carrying.to_do.append('adapter is empty, which trains the whole model: method.name = "full".')
        if carrying.has("load_in_4bit") and packed:
            carrying.leave("load_in_4bit", "a packed base can't be trained whole")
    elif adapter not in ("lora", "qlora"):
        carrying.leave("adapter", f"Pegbox has no adapter {adapter}; lora is taken")
    variants = [Variant("peft_use_dora", "dora"), Variant("peft_use_rslora", "rslora")]
    variants.append(Variant("loraplus_lr_ratio", "lora-plus"))
    for variant in variants[:2]:
        if carrying.has(variant.key) and not carrying.given[variant.key]:
            carrying.same(variant.key, "plain LoRA is what it is")
    initial = str(carrying.value("peft_init_lora_weights", "")).partition("_")[0].lower()
    if initial in INITIAL and not (packed and initial != "loftq"):
        variants.append(Variant("peft_init_lora_weights", INITIAL[initial]))
    elif carrying.has("peft_init_lora_weights"):
        if carrying.given["peft_init_lora_weights"] is True:
            carrying.same("peft_init_lora_weights", "PEFT's own way is what it is")
        else:
            carrying.leave("peft_init_lora_weights", "Pegbox has no method that begins so; lora begins as PEFT does")
    if adapter is None:
        return _without_adapter(carrying, variants)
    card = choose(carrying, variants, packed=packed and initial != "loftq")
    for key in ("adapter", "load_in_4bit"):
        if carrying.has(key):
            carrying.translate(key, "method.name", card.name)
    _targets(carrying)
    if card.name == "lora-plus":
        carrying.put("method.settings.ratio", number(carrying.given["loraplus_lr_ratio"]))
    keys = {"lora_r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout"}
    settings(carrying, card, keys, {"dropout": 0.0})
    return None


def _without_adapter(carrying: Carrying, variants: list[Variant]) -> None:
    keys = ["lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_target_linear"]
    for key in (*keys, *(variant.key for variant in variants)):
        if carrying.has(key):
            carrying.leave(key, "the whole model is trained, without an adapter")


def _targets(carrying: Carrying) -> None:
    listed, linear = carrying.value("lora_target_modules"), bool(carrying.value("lora_target_linear"))
    if linear or listed in ("all-linear", ["all-linear"]):
        for key in ("lora_target_linear", "lora_target_modules"):
            if carrying.has(key):
                why = "together they mean all linear maps" if listed and linear else ""
                carrying.translate(key, "method.settings.targets", "all-linear", why)
        return
    if carrying.has("lora_target_linear"):
        carrying.same("lora_target_linear", "lora_target_modules counts")
    if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
        carrying.carry("lora_target_modules", "method.settings.targets")
    elif carrying.has("lora_target_modules"):
        carrying.leave("lora_target_modules", "a regular expression; Pegbox takes names, also with * in them")


def _batch(carrying: Carrying) -> None:
    if carrying.has("gradient_accumulation_steps"):
        carrying.carry("gradient_accumulation_steps", "training.accumulation")
        if carrying.has("batch_size"):
            carrying.leave("batch_size", "gradient_accumulation_steps says the same")
    elif carrying.has("batch_size"):
        whole, part = number(carrying.given["batch_size"]), number(carrying.value("micro_batch_size", 1))
        if isinstance(whole, int) and isinstance(part, int) and part > 0 and whole % part == 0:
            carrying.translate("batch_size", "training.accumulation", whole // part, "a step's rows by a micro-batch's")
        else:
            carrying.leave("batch_size", "it is no multiple of micro_batch_size")


def _precision(carrying: Carrying) -> None:
    keys = {"bf16": "bfloat16", "bfloat16": "bfloat16", "fp16": "float16", "float16": "float16", "float32": "float32"}
    told = {key: carrying.given[key] for key in keys if carrying.has(key)}
    chosen = next((keys[key] for key, value in told.items() if value is True or value == "full"), None)
    if chosen is None:
        chosen = "float32" if told.get("bf16") is False else "auto"
    for key in told:
        carrying.translate(key, "training.precision", chosen)


def _order(carrying: Carrying) -> None:
    packing, grouped = bool(carrying.value("sample_packing")), bool(carrying.value("group_by_length"))
    order = "packed" if packing else "grouped" if grouped else "shuffled"
    why = {"packed": "micro_batch counts packed sequences, in both", "grouped": "", "shuffled": ""}[order]
    for key in ("sample_packing", "group_by_length"):
        if carrying.has(key):
            carrying.translate(key, "training.order", order, why)
    if carrying.has("gradient_checkpointing"):
        wanted = carrying.given["gradient_checkpointing"]
        why = "on the device; Pegbox doesn't move activations elsewhere" if isinstance(wanted, str) else ""
        carrying.translate(
            "gradient_checkpointing", "training.activation_checkpointing", "on" if wanted else "off", why
        )
    if carrying.has("activation_checkpointing"):
        carrying.same("activation_checkpointing", "gradient_checkpointing counts")


def _evaluation(carrying: Carrying) -> None:
    held_out(carrying, "val_set_size")
    if carrying.has("eval_steps"):
        steps = number(carrying.given["eval_steps"])
        if isinstance(steps, int) and steps > 0:
            carrying.carry("eval_steps", "evaluation.every")
        else:
            carrying.leave(
                "eval_steps", "a share of the run; Pegbox counts steps, and a quarter of the run is its default"
            )
    for key in ("eval_strategy", "evaluation_strategy"):
        if carrying.has(key):
            carrying.same(key, "Pegbox looks at the held-out rows wherever there are any; split.share = 0 has none")
    if carrying.has("load_best_model_at_end"):
        kept = "best" if carrying.given["load_best_model_at_end"] else "last"
        carrying.translate("load_best_model_at_end", "evaluation.keep", kept)
