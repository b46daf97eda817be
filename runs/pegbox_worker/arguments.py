"""A recipe in the words of TRL's SFTConfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import SFTConfig

from pegbox_methods.recipe import Recipe
from pegbox_runs.plan import Plan
from pegbox_worker.precision import NumberFormat

OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
}
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
ORDERS = {"grouped": "group_by_length", "shuffled": "random", "packed": "random"}


def activation_checkpointing(recipe: Recipe, device: torch.device) -> bool:
    """Decide `auto`: on where memory is the device's, off where it would only cost time."""
    wanted = recipe.training.activation_checkpointing
    return wanted == "on" or (wanted == "auto" and device.type == "cuda")


def training_arguments(
    recipe: Recipe,
    steps: Plan,
    number_format: NumberFormat,
    device: torch.device,
    *,
    evaluating: bool,
    folder: Path,
    processes: int = 1,
    find_unused: bool = False,
) -> SFTConfig:
    """Translate; every value that TRL would default differently on some device is given.

    `processes`: among how many the step's micro-batches are parted; `find_unused`: whether a step may leave out
    weights that train.
    """
    training = recipe.training
    checkpointing = activation_checkpointing(recipe, device)
    sharded = sharding() if recipe.devices.shards and processes > 1 else {}
    shared = {"ddp_find_unused_parameters": find_unused, "ddp_broadcast_buffers": False} if processes > 1 else {}
    return SFTConfig(
        output_dir=str(folder),
        use_cpu=device.type == "cpu",
        max_steps=steps.steps,
        per_device_train_batch_size=training.micro_batch,
        per_device_eval_batch_size=recipe.evaluation_batch,
        gradient_accumulation_steps=training.accumulation // processes,
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=steps.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_gradient_norm,
        optim=OPTIMIZERS[training.optimizer],
        train_sampling_strategy=ORDERS[training.order],
        padding_free=training.order == "packed",
        bf16=number_format.compute is torch.bfloat16,
        fp16=number_format.compute is torch.float16,
        activation_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        eval_strategy="steps" if evaluating else "no",
        eval_steps=steps.every if evaluating else None,
        eval_on_start=evaluating,
        prediction_loss_only=True,
        save_strategy="steps",
        save_steps=steps.every,
        save_total_limit=recipe.output.checkpoints,
        logging_steps=1,
        disable_tqdm=True,
        report_to=[],
        seed=recipe.seeds.training,
        data_seed=recipe.seeds.training,
        dataloader_pin_memory=device.type == "cuda",
        dataset_kwargs={"skip_prepare_dataset": True},  # rows come tokenized, labelled and cut
        max_length=None,  # and cut they are
        router_aux_loss_coef=0.0,  # the losses told are of the plain task, for mixtures of experts too
        **sharded,
        **shared,
    )


def sharding() -> dict[str, Any]:
    """Ask transformers for FSDP2: a part of each layer's weights on each process, gathered while the layer computes.

    Which layers those are it takes from the model's own `_no_split_modules`. Activations are recomputed by the model's
    own code: FSDP's wrapper around each layer would change the names of all that PEFT has to save.
    """
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
            "state_dict_type": "FULL_STATE_DICT",
            "cpu_ram_efficient_loading": False,  # each process reads the model from files: no weight is sent around
        },
    }
