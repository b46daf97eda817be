"""One side of step_cost: a loop in bare PyTorch over the batches that the worker gets."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import get_cosine_schedule_with_warmup, set_seed
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from pegbox_methods.recipe_file import complete_recipe, read_recipe
from pegbox_methods.registry import find_card
from pegbox_runs.models import find_model
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.base_model import load_model, load_tokenizer
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.precision import decide
from pegbox_worker.tokens import tokenize

Loss = Callable[[dict[str, Any]], torch.Tensor]


def loss_of(kind: str, tuned: Any, compute: torch.dtype) -> Loss:
    """Make the loss (a sum over labelled tokens) of that kind."""
    causal = tuned.get_base_model()
    if kind == "labelled":
        return LabelledLoss(causal, compute).sum
    if kind == "plain":

        def plain(batch: dict[str, Any]) -> torch.Tensor:
            count = (batch["labels"][:, 1:] != IGNORED).sum()
            return tuned(**batch).loss * count

        return plain

    def autograd(batch: dict[str, Any]) -> torch.Tensor:
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        hidden = causal.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        targets = batch["labels"][:, 1:]
        kept = targets != IGNORED
        return cross_entropy(causal.lm_head(hidden[kept]).float(), targets[kept], reduction="sum")

    return autograd


def main() -> None:
    kind, path, steps, skipped = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    recipe = complete_recipe(read_recipe(path), find_card("lora"), file=str(path))
    cpu = torch.device("cpu")
    form = decide(recipe.training.precision, cpu)
    found = find_model(recipe.model)
    tokenizer = load_tokenizer(found, recipe.model)
    model = load_model(found, form.weights, cpu)
    rows = tokenize(load_rows(recipe).trained, tokenizer, recipe.training.length)
    set_seed(recipe.seeds.training)
    settings = recipe.method.settings
    tuned = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=settings["rank"],
            lora_alpha=settings["alpha"],
            lora_dropout=settings["dropout"],
            target_modules="all-linear",
        ),
    ).train()
    data = [{"input_ids": i, "labels": label} for i, label in zip(rows.input_ids, rows.labels, strict=True)]
    collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)
    loader = DataLoader(data, recipe.training.micro_batch, collate_fn=collate)  # type: ignore[arg-type]
    weights = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.training.learning_rate or 0.0, weight_decay=0.0, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, 0, steps + 2)
    loss_sum = loss_of(kind, tuned, form.compute)
    mixed = form.compute is torch.bfloat16
    begin = (0.0, 0.0)
    loss = torch.zeros(())
    for number, batch in enumerate(loader, start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = loss_sum(batch) / (batch["labels"][:, 1:] != IGNORED).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, recipe.training.max_gradient_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss.item()
        now = (sum(os.times()[:2]), time.perf_counter())
        if number == skipped:
            begin = now
        if number == steps:
            count = steps - skipped
            answer = {"cpu": (now[0] - begin[0]) / count, "wall": (now[1] - begin[1]) / count, "loss": loss.item()}
            print(json.dumps(answer))
            return


if __name__ == "__main__":
    main()
