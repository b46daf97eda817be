"""A recipe in the words of TRL's SFTConfig."""

from __future__ import annotations

from pathlib import Path

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
    recipe: Recipe, steps: Plan, number_format: NumberFormat, device: torch.device, *, evaluating: bool, folder: Path
) -> SFTConfig:
    """Translate; every value that TRL would default differently on some device is given."""
    training = recipe.training
    checkpointing = activation_checkpointing(recipe, device)
    return SFTConfig(
        output_dir=str(folder),
        use_cpu=device.type == "cpu",
        max_steps=steps.steps,
        per_device_train_batch_size=training.micro_batch,
        per_device_eval_batch_size=recipe.evaluation_batch,
        gradient_accumulation_steps=training.accumulation,
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
    )
