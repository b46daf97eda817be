"""What a place to serve can take of each method, held against the cards and the certificates."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pegbox_methods
from pegbox_methods.advice.serving import SAVED, SOURCES, TARGETS, VLLM_RANKS, needed, saved_rank, why_not
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
    assert bool(told("mlx", name)) == bool(told("merged", name))


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
        if target in ("vllm", "ollama"):
            assert ("erge it" in said) == (not told("merged", name))


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
        ("ollama", "rslora", "too weakly"),
        ("ollama", "qdora", "magnitudes"),
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
    for target in ("vllm", "ollama"):
        assert "It isn't known" in (why_not(target, stranger, {}) or "")
    assert why_not("merged", stranger, {}) is None
    assert "plugin must be there" in (needed("transformers", stranger, {}) or "")


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
