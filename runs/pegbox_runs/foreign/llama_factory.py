"""LLaMA-Factory's recipe in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.foreign.carrying import Carrying
from pegbox_runs.foreign.llama_factory_rows import rows
from pegbox_runs.foreign.methods import Variant, choose, settings
from pegbox_runs.foreign.tables import tables
from pegbox_runs.foreign.values import batches, held_out, model_place, number, optimizer, schedule, warmup

TABLES = tables("llama_factory")
DEFAULTS: dict[str, Any] = {
    "training.epochs": 3.0,
    "training.micro_batch": 8,
    "training.accumulation": 1,
    "training.learning_rate": 5e-5,
    "training.length": 2048,
    "training.schedule": "linear",
    "training.warmup": 0.0,
    "training.order": "shuffled",
    "training.activation_checkpointing": "on",
    "split.share": 0.0,
    "evaluation.keep": "last",
    "seeds.training": 42,
}
"""Source: the same files, and transformers' TrainingArguments, which it hands on."""


def read(carrying: Carrying, folders: tuple[Path, ...]) -> None:
    """Take every key that means a choice. Raises: Refusal: what it asks for isn't in Pegbox at all."""
    stage = carrying.value("stage", "sft")
    if stage != "sft":
        raise Refusal(
            f"stage: {stage}: Pegbox tunes on rows with answers (sft); it has neither rewards and preferences nor "
            "LLaMA-Factory's pre-training."
        )
    if carrying.has("stage"):
        carrying.same("stage", "tuning on rows with answers is what Pegbox does")
    name = model_place(str(carrying.given["model_name_or_path"]), folders)
    carrying.translate("model_name_or_path", "model.name", name)
    _method(carrying)
    rows(carrying, folders)
    if carrying.has("template"):
        carrying.leave("template", "a template of LLaMA-Factory's; Pegbox takes the model's own, as serving it does")
    warmup(carrying, nought_counts=False)  # as in transformers, which reads both
    batches(carrying, {key: to for key, to in TABLES.named.items() if not _says_nothing(carrying, key)})
    _precision(carrying)
    _order(carrying)
    optimizer(carrying, "optim")
    schedule(carrying, "lr_scheduler_type")
    _evaluation(carrying)


def _says_nothing(carrying: Carrying, key: str) -> bool:
    """Note a key whose value means what no key means with us."""
    if key == "max_steps" and carrying.has(key) and number(carrying.given[key]) == -1:
        carrying.same(key, "no limit but the epochs")
        return True
    if key == "model_revision" and carrying.value(key) == "main":
        carrying.same(key, "the main branch is the default")
        return True
    return False


def _method(carrying: Carrying) -> None:
    kind = carrying.value("finetuning_type", "lora")
    bits = number(carrying.value("quantization_bit"))
    packed = bits == 4
    if carrying.has("quantization_bit") and not packed:
        carrying.leave("quantization_bit", "Pegbox packs a base into 4 bits (NF4) or not at all")
    for key, usual in (("quantization_type", "nf4"), ("double_quantization", True)):
        if carrying.has(key):
            if carrying.given[key] == usual:
                carrying.same(key, "Pegbox packs into NF4, its scales packed too")
            else:
                carrying.leave(key, "Pegbox packs into NF4, its scales packed too")
    if kind == "oft":
        return _oft(carrying)
    if kind == "full":
        return _full(carrying)
    if kind != "lora":
        raise Refusal(f"finetuning_type: {kind}: Pegbox has lora, oft and full of those.")
    variants = [Variant("use_dora", "dora"), Variant("use_rslora", "rslora"), Variant("pissa_init", "pissa")]
    variants.append(Variant("loraplus_lr_ratio", "lora-plus"))
    for variant in variants[:3]:
        if carrying.has(variant.key) and not carrying.given[variant.key]:
            carrying.same(variant.key, "plain LoRA is what it is")
    card = choose(carrying, variants, packed=packed)
    for key in ("finetuning_type", "quantization_bit"):
        if carrying.has(key):
            carrying.translate(key, "method.name", card.name)
    if card.name == "lora-plus":
        carrying.put("method.settings.ratio", number(carrying.given["loraplus_lr_ratio"]))
    _targets(carrying, "lora_target")
    rank = number(carrying.value("lora_rank", 8))
    settings(
        carrying,
        card,
        {"lora_rank": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout"},
        {"rank": 8, "alpha": float(2 * rank) if isinstance(rank, int) else 16.0, "dropout": 0.0},
    )
    _leave(carrying, ("oft_block_size", "oft_target"), "only OFT has it")
    return None


def _oft(carrying: Carrying) -> None:
    card = find_card("oft")
    carrying.put("method.name", "oft")
    if carrying.has("finetuning_type"):
        carrying.translate("finetuning_type", "method.name", "oft")
    if carrying.has("quantization_bit"):
        carrying.leave("quantization_bit", "Pegbox has no OFT on a packed base; it is taken in full precision")
    _targets(carrying, "oft_target")
    settings(carrying, card, {"oft_block_size": "block_size"}, {"block_size": 32})
    _leave(carrying, LORA_KEYS, "only LoRA has it")


LORA_KEYS = (
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_target",
    "use_dora",
    "use_rslora",
    "pissa_init",
    "loraplus_lr_ratio",
)


def _full(carrying: Carrying) -> None:
    carrying.put("method.name", "full")
    if carrying.has("finetuning_type"):
        carrying.translate("finetuning_type", "method.name", "full")
    if carrying.has("quantization_bit"):
        carrying.leave("quantization_bit", "a packed base can't be trained whole")
    _leave(carrying, (*LORA_KEYS, "oft_block_size", "oft_target"), "the whole model is trained, without an adapter")


def _leave(carrying: Carrying, keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if carrying.has(key):
            carrying.leave(key, why)


def _targets(carrying: Carrying, key: str) -> None:
    if not carrying.has(key):
        return
    told = carrying.given[key]
    names = told if isinstance(told, list) else [one.strip() for one in str(told).split(",") if one.strip()]
    if names == ["all"]:
        carrying.translate(key, "method.settings.targets", "all-linear")
    else:
        carrying.translate(key, "method.settings.targets", names)


def _precision(carrying: Carrying) -> None:
    told = [key for key in ("bf16", "fp16") if carrying.has(key)]
    bf16, fp16 = (carrying.value(key) is True for key in ("bf16", "fp16"))
    chosen = "bfloat16" if bf16 else "float16" if fp16 else "float32" if told else "auto"
    for key in told:
        carrying.translate(key, "training.precision", chosen)


def _order(carrying: Carrying) -> None:
    packing, neat = bool(carrying.value("packing")), bool(carrying.value("neat_packing"))
    strategy = carrying.value("train_sampling_strategy")
    grouped = bool(carrying.value("group_by_length")) or strategy == "group_by_length"
    order = "packed" if packing or neat else "grouped" if grouped else "shuffled"
    for key in ("packing", "neat_packing", "group_by_length", "train_sampling_strategy"):
        if carrying.has(key):
            why = "packed rows don't see each other here" if order == "packed" and not neat else ""
            carrying.translate(key, "training.order", order, why)
    off = carrying.value("disable_gradient_checkpointing") is True or carrying.value("gradient_checkpointing") is False
    for key in ("disable_gradient_checkpointing", "gradient_checkpointing", "activation_checkpointing"):
        if carrying.has(key):
            carrying.translate(key, "training.activation_checkpointing", "off" if off else "on")


def _evaluation(carrying: Carrying) -> None:
    held_out(carrying, "val_size")
    if carrying.has("eval_steps"):
        steps = number(carrying.given["eval_steps"])
        if isinstance(steps, int | float) and float(steps).is_integer() and steps >= 1:
            carrying.carry("eval_steps", "evaluation.every", int(steps))
        else:
            carrying.leave("eval_steps", "a share of the run; Pegbox counts steps")
    if carrying.has("load_best_model_at_end"):
        kept = "best" if carrying.given["load_best_model_at_end"] else "last"
        carrying.translate("load_best_model_at_end", "evaluation.keep", kept)
