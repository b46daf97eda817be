"""Measures what LoRA fine-tuning on the bundled rows does to the bundled model, at several learning rates."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from make_bundled_rows import Chat
from make_bundled_train import IGNORED, Batch, chat_batches

RATES = (2e-4, 5e-4, 1e-3, 2e-3)
HELD_OUT = 0.12
BATCH_ROWS = 8
EPOCHS = 3
SAMPLES = 4


@dataclass(frozen=True)
class Outcome:
    """One fine-tuning run; losses are means over the held-out answers' tokens."""

    rate: float
    before: float
    after: float
    seconds: float  # of the training loop alone
    right: int  # greedy answers that equal the held-out row's, word for word
    asked: int
    samples: list[tuple[str, str, str]]  # a held-out question, the answer before, the answer after


def measure(model_folder: Path, rows_file: Path) -> list[Outcome]:
    """One outcome a learning rate, all on the same split of the rows."""
    rows: list[Chat] = [json.loads(line)["messages"] for line in rows_file.read_text("utf-8").splitlines()]
    mixed = random.Random(0).sample(rows, len(rows))
    cut = round(len(rows) * HELD_OUT)
    return [_fine_tune(model_folder, mixed[cut:], mixed[:cut], rate) for rate in RATES]


def _fine_tune(folder: Path, train: list[Chat], held_out: list[Chat], rate: float) -> Outcome:
    """Trains a fresh adapter of rank 16 on every linear layer and asks before and after."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    held_batches = chat_batches(held_out, tokenizer, BATCH_ROWS, 0)
    before = answer_loss(base, held_batches)
    answers_before = [greedy_answer(base, tokenizer, row[:1]) for row in held_out[:SAMPLES]]
    adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, adapter)
    seconds = _train_adapter(model, train, tokenizer, rate)
    answers = [greedy_answer(model, tokenizer, row[:1]) for row in held_out]
    return Outcome(
        rate=rate,
        before=before,
        after=answer_loss(model, held_batches),
        seconds=seconds,
        right=sum(answer == row[1]["content"] for answer, row in zip(answers, held_out, strict=True)),
        asked=len(held_out),
        samples=[
            (row[0]["content"], old, new) for row, old, new in zip(held_out, answers_before, answers, strict=False)
        ],
    )


def _train_adapter(model: PeftModel, train: list[Chat], tokenizer: PreTrainedTokenizerFast, rate: float) -> float:
    """A plain loop with a short warm-up and a linear descent; the seconds it took."""
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
    model.eval()
    return time.perf_counter() - start


def answer_loss(model: PreTrainedModel, batches: list[Batch]) -> float:
    """The mean loss over the labelled tokens, each token counting the same."""
    total, count = 0.0, 0
    for ids, labels in batches:
        tokens = int((labels != IGNORED).sum())
        with torch.no_grad():
            total += model(input_ids=ids, labels=labels).loss.item() * tokens
        count += tokens
    return total / count


def greedy_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, chat: Chat) -> str:
    """What the model says next, with "(no end)" where it does not stop by itself within 100 tokens."""
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    width = prompt["input_ids"].shape[1]
    out = model.generate(**prompt, max_new_tokens=100, do_sample=False)[0][width:]
    stopped = int(out[-1]) == tokenizer.eos_token_id
    answer: str = tokenizer.decode(out, skip_special_tokens=True)
    return answer if stopped else f"{answer} (no end)"
