"""Prefix tuning's torch half."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from peft import PrefixTuningConfig, initialize_kv_prefix_from_past_key_values
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.prompt_tuning.half_torch import ADAPTER, VirtualTokensHalf, look_at_rows

UNEVEN = (
    'the method "prefix-tuning" needs a model that keeps keys and values of one size for every head and layer, and '
    'this one doesn\'t. Take "prompt-tuning" or "lora".'
)
KeysAndValues = list[tuple[Tensor, Tensor]]
"""Of each layer, each (1, heads, positions, width)."""


@dataclass(frozen=True)
class PrefixTuningHalf(VirtualTokensHalf):
    """PEFT's prefix tuning, begun from what the model itself makes of tokens.

    PEFT begins with random numbers, which no attention expects: SmolLM2-135M's loss went from 2.93 to 7.1 with 16 of
    them and to 10.2 with 64; with zeros to 3.1 and 3.5.
    """

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model; its prefix is one of drawn tokens until it has looked at the rows.

        Raises: Refusal: the model keeps no keys and values of one size in every layer; it is a GPT-2 whose activations
        are recomputed.
        """
        _refuse_checkpointed(model, recipe)
        attached = super().attach(model, recipe)
        words = cast(Any, model).get_input_embeddings().num_embeddings
        drawn = torch.randint(0, words, (recipe.method.settings["virtual_tokens"],))
        _begin_as(attached.model, drawn)
        _keep_under_checkpointing(attached.model)
        return replace(attached, look=look_at_rows(recipe, lambda ids: _begin_as(attached.model, ids)))


def _refuse_checkpointed(model: nn.Module, recipe: Recipe) -> None:
    """Refuse what would fail in the first step: GPT-2 itself takes the cache away, before its layers could keep it.

    Raises: Refusal.
    """
    causal, wanted = cast(Any, model), recipe.training.activation_checkpointing
    on = wanted == "on" or (wanted == "auto" and causal.device.type == "cuda")
    if on and causal.config.model_type == "gpt2":
        raise Refusal(
            f"training.activation_checkpointing = {wanted!r}: GPT-2 loses its prefix where activations are recomputed. "
            'Set it to "off".'
        )


def _begin_as(tuned: nn.Module, ids: Tensor) -> None:
    """Make the prefix what the base model keeps of tokens (virtual tokens)."""
    model = cast(Any, tuned)
    past = keys_and_values(model.get_base_model(), ids)
    numbers = 2 * sum(keys.shape[1] * keys.shape[-1] for keys, _ in past)
    if model.prompt_encoder[ADAPTER].embedding.embedding_dim != numbers:  # PEFT overrules the sizes it is given
        raise Refusal(UNEVEN)
    initialize_kv_prefix_from_past_key_values(model, adapter_name=ADAPTER, past_key_values=past)


def _keep_under_checkpointing(tuned: nn.Module) -> None:
    """Let layers see the prefix while their activations are recomputed.

    transformers takes the cache that a prefix comes in away from them, since a layer adds its own keys and values to
    it, and would do so once more when it is recomputed. In training nobody reads those: there it gets a cache that
    gives the sum and keeps the prefix alone.
    """
    model = cast(Any, tuned)
    for layer in model.get_base_model().modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer._can_checkpoint_with_cache = True  # transformers' own switch for such layers
    prompt = model.get_prompt

    def get_prompt(*arguments: Any, **named: Any) -> Any:
        cache = prompt(*arguments, **named)
        for layer in cache.layers if model.training else ():
            layer.update = partial(_beside, layer.keys, layer.values)
        return cache

    model.get_prompt = get_prompt


def _beside(past_keys: Tensor, past_values: Tensor, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.cat([past_keys, keys], -2), torch.cat([past_values, values], -2)


def keys_and_values(model: nn.Module, ids: Tensor) -> KeysAndValues:
    """Let a model read tokens (positions), and give what it keeps of them.

    Raises: Refusal: some layers keep something else.
    """
    causal, training = cast(Any, model), model.training
    causal.eval()
    with torch.no_grad():
        cache = causal(input_ids=ids[None].to(causal.device), use_cache=True).past_key_values
    causal.train(training)
    kept = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in getattr(cache, "layers", ())]
    sizes = {None if part is None else tuple(part.shape) for pair in kept for part in pair}
    if len(sizes) != 1 or None in sizes:
        raise Refusal(UNEVEN)
    return cast(KeysAndValues, kept)


def prefix_tuning_config(model: nn.Module, recipe: Recipe) -> PrefixTuningConfig:
    """Give PEFT the sizes as they are: it looks for them in the config, under names that not every type has.

    Raises: Refusal: see `keys_and_values`.
    """
    past = keys_and_values(model, torch.zeros(1, dtype=torch.long))
    _, heads, _, width = past[0][0].shape
    return PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=recipe.method.settings["virtual_tokens"],
        num_layers=len(past),
        num_attention_heads=heads,
        token_dim=heads * width,
    )


half = PrefixTuningHalf(prefix_tuning_config)
