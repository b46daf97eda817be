"""Base models that a machine's RAM can't hold as often as it has processes, told before anything exists."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe import Devices, Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs import preflight
from pegbox_runs.crew.lacking import lacking
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from tests.runs.made_up_machines import GIB, gpu, machine

LLAMA_70B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
CARDS = tuple(
    gpu(
        index=n,
        uuid=f"GPU-{n}",
        name="NVIDIA H100 80GB HBM3",
        memory_total=80 * GIB,
        memory_free=79 * GIB,
        compute_capability="9.0",
    )
    for n in range(8)
)


def recipe_of(folder: Path, method: str, **training: object) -> Recipe:
    (folder / "config.json").write_text(json.dumps(LLAMA_70B))
    training = {"accumulation": 8, "micro_batch": 1, **training}
    recipe = Recipe(
        model=Model(name=str(folder)),
        rows=Rows(file="rows.jsonl"),
        training=msgspec.convert(training, Training),
        devices=Devices(processes=8, engine="fsdp2"),
        method=Method(name=method),
    )
    return complete_recipe(recipe, find_card(method), file="recipe.toml")


def test_eight_processes_that_each_pack_70b_are_refused_by_name_on_256_gb(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "qlora")
    (fault,) = lacking(recipe, machine(*CARDS, memory_total=238 * GIB), file="recipe.toml")
    assert fault.key == "devices.processes"
    assert "8 processes take about 271.1 GiB of RAM (265.5 to 311.0) while they load: each packs" in fault.problem
    assert "This machine has 238.0 GiB, and its kernel would kill one of them; expected fewer" in fault.problem
    assert lacking(recipe, machine(*CARDS, memory_total=512 * GIB), file="recipe.toml") == []
    assert lacking(recipe, machine(*CARDS[:4], memory_total=238 * GIB), file="recipe.toml", nodes=2) == []


def test_weights_in_the_format_that_is_wanted_are_shared_and_others_are_not(tmp_path: Path) -> None:
    here = machine(*CARDS, memory_total=238 * GIB)
    assert lacking(recipe_of(tmp_path, "lora"), here, file="recipe.toml") == []
    (fault,) = lacking(recipe_of(tmp_path, "lora", precision="float16"), here, file="recipe.toml")
    assert "each converts the weights from bf16 to fp16 in its RAM" in fault.problem


def test_a_start_is_refused_for_it_before_there_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = machine(cores=2, memory_total=GIB // 2, memory_available=GIB // 2)
    monkeypatch.setattr(preflight, "probe", lambda: tiny)
    recipe = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl")),
        training=Training(accumulation=2),
        devices=Devices(processes=2),
    )
    with pytest.raises(Refusal, match=r"devices.processes = 2: 2 processes take about .* GiB of RAM"):
        check(recipe, file=str(tmp_path / "recipe.toml"))


def test_on_a_processor_rows_that_may_be_long_refuse_nothing_for_they_may_all_be_short() -> None:
    here = machine(cores=4, memory_total=16 * GIB, memory_available=15 * GIB)
    recipe = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl")),
        training=Training(length=1024, micro_batch=128, accumulation=4),
        devices=Devices(processes=4),
    )
    assert lacking(complete_recipe(recipe, find_card("lora"), file="r.toml"), here, file="r.toml") == []
