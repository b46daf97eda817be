"""What a step of each method costs on a CPU, relative to LoRA's, against the ratio on the method's card.

A step is the training loop's own: forward, loss at labelled positions, backward, clipping, what the method does
beside it, optimizer. Methods stand at their cards' defaults, on SmolLM2-135M-Instruct, 2 rows of 128 tokens, in the
number format that `auto` takes. LoRA and the method take turns in one process, and the median of the turns' ratios is
told; in CPU seconds, which neighbours disturb least. The card may be 15 % off, or say that it doesn't know.

BENCH_MODEL=bundled takes the small model. Names on the command line choose methods; none: all that are installed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW
from transformers import TrainerControl, TrainerState, TrainingArguments, set_seed

from pegbox_hardware.model_config import shape_of
from pegbox_methods.abilities import packs_base
from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.registry import find_card, method_names
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.models import find_model
from pegbox_worker.adapter_care import keep_float32
from pegbox_worker.assembly import quiet
from pegbox_worker.base_model import admit_bitsandbytes, load_model, load_packed_model
from pegbox_worker.first_look import show_rows
from pegbox_worker.labelled_loss import labelled_loss_of
from pegbox_worker.precision import decide
from pegbox_worker.token_rows import TokenRows
from tests.smollm2 import smollm2

ROWS, LENGTH = 2, 128
TURNS = 4
WARM_UP = 1
"""Steps before the turns: buffers grow, caches fill."""
ALLOWED = 0.15
CPU = torch.device("cpu")


def steps_of(name: str, model_name: str) -> Callable[[], float]:
    """Attach a method to a model of its own. Returns: a function that takes a step and gives its CPU seconds."""
    card = find_card(name)
    model, method = Model(name=model_name), Method(name=name)
    asked = Recipe(model=model, rows=Rows(file="none"), method=method, training=Training(max_steps=1000))
    recipe = complete_recipe(asked, card, file="bench")
    form = decide("float32" if "bfloat16" in card.cannot else "auto", CPU)
    found = find_model(recipe.model)
    base: Any = (
        load_packed_model(found, form.weights, form.compute, CPU)
        if packs_base(recipe, card)
        else load_model(found, form.weights, CPU)
    )
    ids = torch.randint(10, base.config.vocab_size, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    set_seed(0)
    attached = load_torch_half(card).attach(base, recipe)
    rows = TokenRows.of(ids.tolist(), ids.tolist())
    show_rows(attached, rows, ROWS, 0, CPU)
    tuned: Any = attached.model.train()
    keep_float32(tuned)
    weights = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = attached.optimizer or AdamW(weights, lr=1e-6, fused=True)
    labelled = labelled_loss_of(tuned, ids[:1], ids[:1], form.compute)
    taken = 0

    def step() -> float:
        nonlocal taken
        begin = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=form.compute is torch.bfloat16):
            loss = tuned(**batch).loss if labelled is None else labelled.sum(batch) / (ROWS * (LENGTH - 1))
        if attached.added_loss is not None:
            loss = loss + attached.added_loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        for callback in attached.callbacks:
            arguments = TrainingArguments(output_dir="none", use_cpu=True)
            callback.on_optimizer_step(arguments, TrainerState(global_step=taken), TrainerControl(), model=tuned)
        optimizer.zero_grad()
        taken += 1
        return time.process_time() - begin

    return step


def compare(name: str, lora: Callable[[], float], model_name: str) -> tuple[float, float]:
    """Let LoRA and a method take turns. Returns: (median ratio of the turns, median CPU seconds of a step)."""
    step = steps_of(name, model_name)
    for _ in range(WARM_UP):
        step()
        lora()
    turns = [(step(), lora()) for _ in range(TURNS)]
    return statistics.median(one / other for one, other in turns), statistics.median(one for one, _ in turns)


def main() -> None:
    warnings.simplefilter("ignore")
    quiet()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    admit_bitsandbytes()
    model_name = os.environ.get("BENCH_MODEL") or str(smollm2())
    shape, why = shape_of(find_model(Model(name=model_name)).config)
    assert shape is not None, why
    lora = steps_of("lora", model_name)
    print(f"{'method':<18} {'CPU s':>7} {'x LoRA':>7} {'card':>7}")
    wrong = []
    for name in sys.argv[1:] or method_names():
        card = find_card(name)
        told = card.footprint(shape, {s.name: s.default for s in card.settings}).cpu_step_time_ratio
        ratio, seconds = compare(name, lora, model_name)
        off = told is not None and abs(ratio / told - 1) > ALLOWED
        wrong += [name] if off else []
        print(f"{name:<18} {seconds:>7.2f} {ratio:>7.2f} {told or 'unknown':>7}{'  off' if off else ''}", flush=True)
    print(f"more than {ALLOWED:.0%} off: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()
