"""Trains the tokenizer and the base model: first on documents, then on chats in plain sentences."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from make_bundled_rows import Chat, kind_sentence
from make_bundled_text import Entry, opening_sentences
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 1024  # tokens
VOCABULARY = 3072  # tokens, the three special ones included
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
IGNORED = -100  # the label that the loss passes over

# The generation marks enclose what the assistant says and the token that ends its turn, so training on
# answers only also teaches the model to stop.
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}
{{- message['content'] + '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- message['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the ChatML tokens, learned from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[TURN_START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained small Llama."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END),
            pad_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        )
    )


def documents_of(entry: Entry) -> list[str]:
    """The entry in each form that pretraining reads it in: the whole docstring first, then its opening."""
    if entry.kind == "module":
        return [f"Help on module {entry.module}:\n\n{entry.doc}"]
    first, called = entry.name.partition(".")[0], f"{entry.name}{entry.signature or '()'}"
    opening = " ".join(opening_sentences(entry.doc)) or entry.doc.partition("\n\n")[0]
    indented = entry.doc.replace("\n", "\n    ")
    return [
        f"Help on {entry.kind} {entry.name} in {entry.module}:\n\n{called}\n    {indented}",
        f"{kind_sentence(entry)} {opening}",
        f"from {entry.module} import {first}\n\n{called}\n    {opening}",
        f"{entry.full_name}: {opening}",
        f"{opening} See the {entry.kind} {entry.full_name}.",
    ]


Batch = tuple[Tensor, Tensor]  # token ids and labels, both (rows, positions)


def document_batches(
    draw_documents: Callable[[random.Random], list[str]],
    tokenizer: PreTrainedTokenizerFast,
    plan: list[tuple[int, int, int]],
    seed: int,
) -> Iterator[Batch]:
    """Batches of unbroken text; each (steps, rows, positions) of the plan in turn, drawing anew as it runs out."""
    pick = random.Random(seed)
    stream: list[int] = []
    for steps, rows, positions in plan:
        for _ in range(steps):
            while len(stream) < rows * positions:
                documents = draw_documents(pick)
                encoded = tokenizer.backend_tokenizer.encode_batch([text + END_OF_TEXT for text in documents])
                stream.extend(chain.from_iterable(encoding.ids for encoding in encoded))
            block = torch.tensor(stream[: rows * positions]).view(rows, positions)
            del stream[: rows * positions]
            yield block, block


def chat_batches(
    chats: list[Chat], tokenizer: PreTrainedTokenizerFast, rows: int, seed: int
) -> list[Batch]:
    """Padded batches of chats of like length, in a mixed order; only the assistant's tokens have labels."""
    encoded = [answer_labels(chat, tokenizer) for chat in chats]
    encoded.sort(key=lambda pair: len(pair[0]))
    pad = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    batches: list[Batch] = []
    for start in range(0, len(encoded), rows):
        part = encoded[start : start + rows]
        width = max(len(ids) for ids, _ in part)
        ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in part])
        labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in part])
        batches.append((ids, labels))
    return random.Random(seed).sample(batches, len(batches))


def answer_labels(chat: Chat, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The chat's token ids, and the same with everything but the assistant's turns ignored."""
    out = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    ids: list[int] = out["input_ids"]
    marks: list[int] = out["assistant_masks"]
    return ids, [token if mark else IGNORED for token, mark in zip(ids, marks, strict=True)]


def train(model: LlamaForCausalLM, batches: Iterator[Batch], steps: int, peak: float, log_every: int) -> float:
    """Runs the batches through AdamW with a warm-up and a linear descent; the mean loss of the last 50 steps."""
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    kept = [weight for weight in model.parameters() if weight.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.95),
    )
    warm_up = max(1, min(100, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, max(0.02, (steps - step) / (steps - warm_up)))
    )
    losses: list[float] = []
    model.train()
    for step, (ids, labels) in enumerate(batches, start=1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        if step % log_every == 0:
            recent = math.fsum(losses[-log_every:]) / log_every
            print(f"  step {step} of {steps}, loss {recent:.3f}", flush=True)
    model.eval()
    return math.fsum(losses[-50:]) / len(losses[-50:])
