"""What a place to serve can take of each method, held against the cards and the certificates."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pegbox_methods
from pegbox_methods.advice.serving import (
    MLX_KNOWS,
    SAVED,
    SOURCES,
    TARGETS,
    VLLM_ADAPTS,
    VLLM_ADAPTS_NOT,
    VLLM_RANKS,
    about_model,
    needed,
    saved_rank,
    vllm_rank,
    why_no_lora,
    why_not,
)
from pegbox_methods.card import Card
from pegbox_methods.registry import all_cards

CARDS = {card.name: card for card in all_cards()[0]}
CERTIFICATES = json.loads((Path(pegbox_methods.__file__).parent / "capabilities.json").read_text())
EVERY = pytest.mark.parametrize("name", sorted(CERTIFICATES))


def settings(card: Card, **changes: Any) -> dict[str, Any]:
    return {setting.name: setting.default for setting in card.settings} | changes


def told(target: Any, name: str, **changes: Any) -> str:
    return why_not(target, CARDS[name], settings(CARDS[name], **changes)) or ""


def test_of_each_method_of_ours_it_is_known_what_it_leaves_behind() -> None:
    assert set(SAVED) == set(CERTIFICATES)
    assert set(SOURCES) == set(TARGETS)


@EVERY
def test_what_the_certificate_merged_can_be_merged_and_nothing_else(name: str) -> None:
    merges = next(check["outcome"] for check in CERTIFICATES[name]["checks"] if check["name"] == "merge")
    assert (not told("merged", name)) == (merges == "passed")
    for made_of_it in ("mlx", "gguf", "ollama"):
        assert bool(told(made_of_it, name)) == bool(told("merged", name))


@EVERY
def test_peft_by_itself_loads_what_its_certificate_says(name: str) -> None:
    loads = next(check["outcome"] for check in CERTIFICATES[name]["checks"] if check["name"] == "peft")
    assert not told("transformers", name)
    assert (loads == "not-applicable") == (SAVED[name] == "model")


@EVERY
def test_each_sentence_says_what_to_do_where_something_can_be_done(name: str) -> None:
    for target in TARGETS:
        said = told(target, name)
        if not said:
            continue
        assert said.endswith(".")
        if target == "vllm":
            assert ("erge it" in said) == (not told("merged", name))
            assert ("--via lora" in said) == (why_no_lora(CARDS[name]) is None)


@EVERY
def test_what_must_be_done_names_pegbox_own_command(name: str) -> None:
    for target in ("merged", "gguf", "ollama", "mlx"):
        said = needed(target, CARDS[name], settings(CARDS[name]))
        expected = not told(target, name) and SAVED[name] != "model"
        assert bool(said) == expected
        assert said is None or ("`pegbox merge`" if target == "merged" else f"`pegbox export --to {target}`") in said


@EVERY
def test_what_cannot_become_lora_is_said_with_the_reason(name: str) -> None:
    why = why_no_lora(CARDS[name])
    assert (why is not None) == (SAVED[name] in ("tokens", "model") or name in ("ln-tuning", "trainable-tokens"))
    assert why is None or why.endswith(".")


@pytest.mark.parametrize(
    ("target", "name", "said"),
    [
        ("vllm", "lora", ""),
        ("vllm", "rslora", ""),
        ("vllm", "full", ""),
        ("vllm", "dora", "vllm#10849"),
        ("vllm", "vera", "loads LoRA adapters alone"),
        ("vllm", "prompt-tuning", "can't be merged either"),
        ("vllm", "loftq", "isn't known"),
        ("ollama", "qlora", ""),
        ("ollama", "rslora", ""),
        ("ollama", "qdora", ""),
        ("ollama", "prompt-tuning", "is given a merged model"),
        ("gguf", "dora", ""),
        ("gguf", "p-tuning", "made of a merged model"),
        ("mlx", "lora", ""),
        ("mlx", "prefix-tuning", "adapters of its own kind"),
        ("merged", "p-tuning", "no weights of the base model could hold"),
    ],
)
def test_each_place_takes_what_it_is_known_to_take(target: str, name: str, said: str) -> None:
    found = told(target, name)
    assert said in found
    assert bool(said) == bool(found)


def test_a_rank_that_vllm_has_no_room_for_is_refused_and_a_smaller_one_needs_a_flag() -> None:
    assert "ranks up to 512" in told("vllm", "lora", rank=600)
    assert "this adapter's is 1024" in told("vllm", "pissa", rank=512)
    lora, pissa = CARDS["lora"], CARDS["pissa"]
    assert needed("vllm", lora, settings(lora, rank=16)) is None
    assert "--max-lora-rank 64" in (needed("vllm", lora, settings(lora, rank=33)) or "")
    assert "--max-lora-rank 32" in (needed("vllm", pissa, settings(pissa, rank=16)) or "")
    assert needed("vllm", lora, settings(lora, rank=600)) is None


def test_the_rank_that_is_saved_is_twice_that_of_methods_that_took_it_out_of_the_base() -> None:
    ranks = {name: saved_rank(CARDS[name], {"rank": 8}) for name in ("lora", "pissa", "olora", "vera", "full")}
    assert ranks == {"lora": 8, "pissa": 16, "olora": 16, "vera": None, "full": None}
    assert saved_rank(CARDS["lora"], {"rank": "[bold]"}) is None


def test_of_a_guests_method_nothing_is_claimed() -> None:
    stranger = replace(CARDS["lora"], name="stranger", title="Stranger")
    assert "It isn't known" in (why_not("vllm", stranger, {}) or "")
    for target in ("merged", "gguf", "ollama", "mlx"):
        assert why_not(target, stranger, {}) is None
    assert why_no_lora(stranger) is None
    assert "plugin must be there" in (needed("transformers", stranger, {}) or "")


def test_what_is_known_of_a_models_type_is_said_and_what_is_not_known_too() -> None:
    lora, full = CARDS["lora"], CARDS["full"]
    assert about_model("vllm", lora, "llama") is None
    assert "loads no adapters on models of the type gpt2" in (about_model("vllm", lora, "gpt2") or "")
    assert about_model("vllm", full, "gpt2") is None
    assert "isn't known" in (about_model("vllm", lora, "llama9") or "")
    assert "isn't known" in (about_model("mlx", lora, "llama9") or "")
    assert about_model("mlx", lora, "qwen3") is None
    assert about_model("merged", lora, "llama9") is None
    assert not VLLM_ADAPTS & VLLM_ADAPTS_NOT


@pytest.mark.slow
def test_the_types_of_models_are_those_that_transformers_has() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert known >= VLLM_ADAPTS | VLLM_ADAPTS_NOT | MLX_KNOWS


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, saved in SAVED.items() if saved != "model"))
def test_what_a_torch_half_writes_is_what_is_said_of_it(name: str, tmp_path: Path) -> None:
    from pegbox_methods.torch_half import load_torch_half
    from tests.methods_at_work import FEW_STEPS, attach, recipe

    load_torch_half(CARDS[name]).save(attach(name, **FEW_STEPS.get(name, {})), tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    kind = (written["peft_type"] == "LORA", bool(written.get("use_dora")), bool(written.get("use_rslora")))
    plain, of_own_kind = (True, False, False), (False, False, False)
    expected = {"rslora": (True, False, True), "dora": (True, True, False)} | dict.fromkeys(
        ("own kind", "tokens"), of_own_kind
    )
    assert kind == expected.get(SAVED[name], plain)
    assert not written.get("modules_to_save")
    if kind[0]:
        assert written["r"] == saved_rank(CARDS[name], recipe(name).method.settings)
        assert not written["rank_pattern"]


def test_vllms_ranks_are_in_order() -> None:
    assert list(VLLM_RANKS) == sorted(VLLM_RANKS)
    assert import_module("pegbox_methods.advice.serving").VLLM_DEFAULT_RANK in VLLM_RANKS
    assert [vllm_rank(rank) for rank in (1, 9, 33, 512, 1000)] == [1, 16, 64, 512, 512]
