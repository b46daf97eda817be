"""A model's shape, read from its config.json."""

from __future__ import annotations

from typing import Any

import pytest

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from tests.models_by_name import CONFIGS

LLAMA = CONFIGS["llama-3.1-8b"]
PUBLISHED = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.2-3b": 3_212_749_824,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-4b": 4_022_468_096,
    "gemma-2-2b": 2_614_341_888,
    "gemma-3-1b": 999_885_952,
    "phi-3-mini": 3_821_079_552,
    "phi-2": 2_779_683_840,
    "mixtral-8x7b": 46_702_792_704,
    "qwen3-30b-a3b": 30_532_122_624,
}
"""Parameters as the model's page on the Hugging Face Hub counts them in its safetensors."""


def shape(config: dict[str, Any]) -> ModelShape:
    found, why = shape_of(config)
    assert found is not None, why
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_models_weights_are_counted_to_the_last_one(name: str) -> None:
    assert shape(CONFIGS[name]).weights == PUBLISHED[name]


def test_a_llamas_shape_is_read_from_its_config() -> None:
    found = shape(LLAMA)
    assert found.matrices["k_proj"] == (1024, 4096)
    assert found.matrices["down_proj"] == (4096, 14336)
    assert (found.layers, found.positions, found.tied_head) == (32, 131072, False)


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"])
def test_a_missing_size_is_named(field: str) -> None:
    found, why = shape_of({key: value for key, value in LLAMA.items() if key != field})
    assert found is None
    assert field in why


@pytest.mark.parametrize("value", [0, -1, 2.5, "4096", True, 2**40])
def test_an_absurd_size_is_named_with_what_is_accepted(value: Any) -> None:
    found, why = shape_of({**LLAMA, "hidden_size": value})
    assert found is None
    assert f"hidden_size = {value!r}" in why
    assert "expected a whole number" in why


def test_heads_that_do_not_divide_are_told() -> None:
    assert "isn't a multiple" in shape_of({**LLAMA, "num_attention_heads": 33})[1]
    assert "num_key_value_heads = 7" in shape_of({**LLAMA, "num_key_value_heads": 7})[1]


def test_more_active_experts_than_there_are_is_told() -> None:
    assert "num_experts_per_tok = 9" in shape_of({**CONFIGS["mixtral-8x7b"], "num_experts_per_tok": 9})[1]


def test_an_unknown_type_is_read_as_a_llama_and_says_so() -> None:
    found = shape({**LLAMA, "model_type": "zebra"})
    assert not found.known
    assert found.weights == shape(LLAMA).weights
    assert "'zebra' is not known" in found.assumed[0]


def test_a_config_without_a_type_is_read_too_and_says_so() -> None:
    found = shape({key: value for key, value in LLAMA.items() if key != "model_type"})
    assert "model_type is missing" in found.assumed[0]


def test_a_missing_number_of_key_heads_is_assumed_and_noted_and_a_null_is_not() -> None:
    without = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    assert "num_key_value_heads is missing" in shape(without).assumed[0]
    assert shape({**LLAMA, "num_key_value_heads": None}).assumed == ()


def test_targets_are_matched_by_the_end_of_their_name_as_peft_does() -> None:
    gpt2 = shape(CONFIGS["gpt2-medium"])
    assert [name for _, name, _, _ in gpt2.adapted(["c_proj"])] == ["attn.c_proj", "mlp.c_proj"]
    assert [name for _, name, _, _ in shape(LLAMA).adapted(["self_attn.q_proj"])] == ["q_proj"]


def test_the_words_for_sets_of_targets_are_understood() -> None:
    assert [name for _, name, _, _ in shape(LLAMA).adapted(["attention"])] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert len(list(shape(LLAMA).adapted(["all-linear"]))) == 7
    phi = shape(CONFIGS["phi-3-mini"])
    assert [name for _, name, _, _ in phi.adapted(["attention"])] == ["qkv_proj", "o_proj"]


def test_a_target_the_model_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="w_pack"):
        list(shape(LLAMA).adapted(["q_proj", "w_pack"]))


def test_a_model_of_two_kinds_of_layers_has_the_maps_of_both() -> None:
    found = shape(CONFIGS["deepseek-v2-lite"])
    counts = {(count, name) for count, name, _, _ in found.adapted(["down_proj"])}
    assert counts == {(1, "down_proj"), (26, "shared_experts.down_proj")}


def test_an_unknown_mixture_is_read_as_one() -> None:
    found = shape({**CONFIGS["qwen3-30b-a3b"], "model_type": "zebra_moe"})
    assert not found.known
    assert found.expert_weights == shape(CONFIGS["qwen3-30b-a3b"]).expert_weights


def test_a_model_that_does_not_write_is_refused() -> None:
    found, why = shape_of({**LLAMA, "model_type": "bert", "architectures": ["BertForMaskedLM"]})
    assert found is None
    assert "expected a causal language model" in why


def test_a_model_that_sees_is_counted_by_its_language_part_and_says_so() -> None:
    text = {key: value for key, value in CONFIGS["gemma-3-1b"].items() if key not in ("vocab_size", "model_type")}
    found = shape({"model_type": "gemma3", "vision_config": {"hidden_size": 1152}, "text_config": text})
    assert found.vocabulary == 262208
    assert "only the language part" in found.assumed[0]


def test_weights_that_are_stored_quantized_are_told() -> None:
    assert "stored quantized (gptq)" in shape({**LLAMA, "quantization_config": {"quant_method": "gptq"}}).assumed[0]
