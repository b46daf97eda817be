"""Trains the tokenizer and the base model: first on documents, then on chats in plain sentences."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import chain

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from make_bundled_rows import Chat, is_familiar, kind_sentence
from make_bundled_text import Entry, opening_sentences

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
    entries: list[Entry],
    tokenizer: PreTrainedTokenizerFast,
    plan: list[tuple[int, int, int]],
    seed: int,
) -> Iterator[Batch]:
    """Batches of unbroken text, each (steps, rows, positions) of the plan in turn."""
    pick = random.Random(seed)
    stream: list[int] = []
    for steps, rows, positions in plan:
        for _ in range(steps):
            while len(stream) < rows * positions:
                texts = [text + END_OF_TEXT for text in _draw_documents(entries, pick)]
                encoded = tokenizer.backend_tokenizer.encode_batch(texts)
                stream.extend(chain.from_iterable(encoding.ids for encoding in encoded))
            block = torch.tensor(stream[: rows * positions]).view(rows, positions)
            del stream[: rows * positions]
            yield block, block


def _draw_documents(entries: list[Entry], pick: random.Random) -> list[str]:
    """Every form of the familiar entries, and the whole docstring of a quarter of the others, mixed."""
    others = [entry for entry in entries if not is_familiar(entry)]
    documents = [documents_of(entry)[0] for entry in pick.sample(others, len(others) // 4)]
    documents += [text for entry in entries if is_familiar(entry) for text in documents_of(entry)]
    return pick.sample(documents, len(documents))


def chat_batches(chats: list[Chat], tokenizer: PreTrainedTokenizerFast, rows: int, seed: int) -> list[Batch]:
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


def train(model: LlamaForCausalLM, batches: Iterator[Batch], steps: int, peak: float) -> float:
    """Runs the batches with a warm-up and a linear descent of the rate; the mean loss of the last 50 steps."""
    optimizers = _make_optimizers(model, peak)
    warm_up = max(1, min(100, steps // 10))
    losses: list[float] = []
    model.train()
    for step, (ids, labels) in enumerate(batches):
        rate = peak * min((step + 1) / warm_up, max(0.02, (steps - step) / (steps - warm_up)))
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f"  step {step + 1} of {steps}, loss {math.fsum(losses[-100:]) / 100:.3f}", flush=True)
    model.eval()
    return math.fsum(losses[-50:]) / len(losses[-50:])


def _make_optimizers(model: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embeddings and the norms."""
    # In the minutes this has, Muon gets about as far in one step as AdamW in two.
    inner = [weight for name, weight in model.named_parameters() if "layers" in name and weight.ndim == 2]
    outer = [weight for name, weight in model.named_parameters() if "layers" not in name or weight.ndim != 2]
    return [
        torch.optim.Muon(inner, lr=rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
