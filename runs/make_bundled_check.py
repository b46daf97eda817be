"""Measures what LoRA fine-tuning on the bundled rows does to the bundled model, at several learning rates."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from make_bundled_rows import Chat
from make_bundled_train import IGNORED, Batch, answer_labels, chat_batches
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

RATES = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3)
HELD_OUT = 0.12
BATCH_ROWS = 8
EPOCHS = 3


@dataclass(frozen=True)
class Outcome:
    """One fine-tuning run; losses are means over the held-out answers' tokens."""

    rate: float
    before: float
    after: float
    seconds: float
    question: str
    answers: tuple[str, str]  # the held-out question's greedy answer before and after


def measure(model_folder: Path, rows_file: Path, question_row: int = 0) -> list[Outcome]:
    """One outcome a learning rate, all on the same split of the rows."""
    rows: list[Chat] = [json.loads(line)["messages"] for line in rows_file.read_text("utf-8").splitlines()]
    mixed = random.Random(0).sample(rows, len(rows))
    cut = round(len(rows) * HELD_OUT)
    return [_fine_tune(model_folder, mixed[cut:], mixed[:cut], rate, question_row) for rate in RATES]


def _fine_tune(folder: Path, train: list[Chat], held_out: list[Chat], rate: float, question_row: int) -> Outcome:
    """Trains a fresh adapter of rank 16 on every linear layer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    question = held_out[question_row][:1]
    held_batches = chat_batches(held_out, tokenizer, BATCH_ROWS, 0)
    before, answer_before = answer_loss(base, held_batches), greedy_answer(base, tokenizer, question)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    batches = [batch for epoch in range(EPOCHS) for batch in chat_batches(train, tokenizer, BATCH_ROWS, epoch)]
    start = time.perf_counter()
    model.train()
    for step, (ids, labels) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 5, 1 - step / len(batches))
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - start
    model.eval()
    answers = (answer_before, greedy_answer(model, tokenizer, question))
    return Outcome(rate, before, answer_loss(model, held_batches), seconds, question[0]["content"], answers)


@torch.no_grad()
def answer_loss(model: PreTrainedModel, batches: list[Batch]) -> float:
    """The mean loss over the labelled tokens, each token counting the same."""
    total, count = 0.0, 0
    for ids, labels in batches:
        tokens = int((labels != IGNORED).sum())
        total += float(model(input_ids=ids, labels=labels).loss) * tokens
        count += tokens
    return total / count


@torch.no_grad()
def greedy_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, chat: Chat) -> str:
    """What the model says next, with "(no end)" where it does not stop by itself within 120 tokens."""
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    width = prompt["input_ids"].shape[1]
    out = model.generate(**prompt, max_new_tokens=120, do_sample=False)[0][width:]
    stopped = int(out[-1]) == tokenizer.eos_token_id
    return tokenizer.decode(out, skip_special_tokens=True) + ("" if stopped else " (no end)")
