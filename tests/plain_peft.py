"""The evaluation of a run's adapter by nothing but transformers and PEFT: the judge of what a run told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.models import find_model
from pegbox_runs.rows.example import Conversation
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.run_folder import RunFolder


def evaluation_loss(folder: RunFolder) -> float:
    """Give the token-weighted loss of the run's adapter on its held-out rows, one row at a time, in float32."""
    recipe = read_recipe(folder.recipe)
    base = find_model(recipe.model).folder
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(model, folder.adapter).eval()
    total, count = 0.0, 0
    for prompt, whole in _rendered(folder, tokenizer):
        ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
        context = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        ids = ids[:, : recipe.training.length]
        answer = ids[0, context:]
        if not len(answer):
            continue
        with torch.no_grad():
            logits = tuned(input_ids=ids).logits[0, context - 1 : -1]
        total += float(cross_entropy(logits, answer, reduction="sum"))
        count += len(answer)
    return total / count


def _rendered(folder: RunFolder, tokenizer: Any) -> Iterator[tuple[str, str]]:
    """Render question and whole row by hand in ChatML, which both test models speak.

    The bundled model's template marks an answer up to its end token; SmolLM2's marks nothing, and the line break behind
    the end token is learned with it, as TRL's training templates have it.
    """
    end = "<|im_end|>" if "generation" in tokenizer.chat_template.split() else "<|im_end|>\n"
    for example in load_rows(read_recipe(folder.recipe)).held_out:
        assert isinstance(example, Conversation)
        turns = [{"role": m.role, "content": m.content} for m in example.messages]
        prompt = tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
        yield prompt, prompt + turns[-1]["content"] + end
