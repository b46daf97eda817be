"""Which runs become GGUF files, and by which way: known before anything is made, and without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pegbox_hardware.disk import Disk
from pegbox_methods.recipe import Method, Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Target
from pegbox_runs.environment import describe, prints_of
from pegbox_runs.exporting import gguf, gguf_room, ollama
from pegbox_runs.exporting.gguf_architectures import cannot_write, remarks_on, rope_of
from pegbox_runs.exporting.gguf_quants import QUANTS, file_bytes, quant_named
from pegbox_runs.exporting.targets import ExportOptions, refuse_strange
from pegbox_runs.models import find_model
from pegbox_runs.run_folder import create
from pegbox_runs.tuned import TunedRun, tuned_run

LLAMA = {"model_type": "llama", "hidden_act": "silu", "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}


def run_of(method: str = "lora") -> TunedRun:
    recipe = Recipe(model=Model(name="bundled"), rows=Rows(file="/rows.jsonl"), method=Method(name=method))
    found = find_model(recipe.model)
    stands_on = describe(rows_sha256="r", held_out_sha256=None, base=prints_of(found, recipe.model))
    folder = create(recipe, stands_on)
    folder.adapter.mkdir()
    save_file({"a": np.ones(3, dtype=np.float32)}, folder.adapter / "adapter_model.safetensors")
    return tuned_run(folder.id)


def with_config(run: TunedRun, **config: Any) -> TunedRun:
    return dataclasses.replace(run, model=dataclasses.replace(run.model, config={**run.model.config, **config}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "gemma3"}, "model type is gemma3, and Pegbox itself writes llama, mistral, qwen2, qwen3"),
        ({"model_type": None}, "model type is None"),
        ({"attention_bias": True}, "has attention_bias"),
        ({"mlp_bias": True}, "has mlp_bias"),
        ({"hidden_act": "gelu"}, "activation is gelu"),
        ({"use_sliding_window": True}, "a window of the text"),
        ({"partial_rotary_factor": 0.5}, "only a part of each of its heads"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "scaled by yarn"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic"}}, "scaled by dynamic"),
    ],
)
def test_a_model_that_can_not_be_written_is_said_by_its_config(changed: dict[str, Any], said: str) -> None:
    assert cannot_write(LLAMA) is None
    assert said in str(cannot_write(LLAMA | changed))


def test_a_rope_is_read_as_older_configs_write_it_too() -> None:
    old = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}
    new = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}}
    assert rope_of(old)[:2] == rope_of(new)[:2] == ("llama3", 5e5)
    assert rope_of({})[:2] == ("default", 1e4)


def test_mistrals_window_is_told_where_it_is_shorter_than_the_context() -> None:
    assert (
        "4096 tokens"
        in remarks_on({"model_type": "mistral", "sliding_window": 4096, "max_position_embeddings": 8192})[0]
    )
    assert remarks_on({"model_type": "mistral", "sliding_window": None, "max_position_embeddings": 8192}) == ()


@pytest.mark.parametrize("target", [gguf, ollama])
def test_what_can_not_be_made_is_refused_before_anything_is_made(target: Any, tmp_path: Path) -> None:
    run = with_config(run_of(), model_type="gemma3")
    options = ExportOptions(quant="f16")
    plan = target.plan(run, tmp_path / "out", options)
    assert "--llama-cpp DIR" in plan.cannot
    with pytest.raises(Refusal) as refused:
        target.export(run, tmp_path / "out", options, lambda _: None)
    assert refused.value.sentence == plan.cannot
    assert list(tmp_path.iterdir()) == [tmp_path / "pegbox-home"]
    assert not (run.folder.path / "exports").exists()


def test_a_tokenizer_of_another_kind_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "BPE", "byte_fallback": true}}')
    other = dataclasses.replace(run, model=dataclasses.replace(run.model, folder=tmp_path))
    monkeypatch.setattr(type(run.model), "complete", property(lambda _: False))
    cannot = str(gguf.plan(other, tmp_path / "out", ExportOptions()).cannot)
    assert "of the kind SentencePiece" in cannot
    assert "--llama-cpp DIR" in cannot


def test_a_method_that_can_not_be_merged_is_refused(tmp_path: Path) -> None:
    cannot = str(gguf.plan(run_of("prompt-tuning"), tmp_path / "out", ExportOptions()).cannot)
    assert cannot.startswith("A GGUF file holds a whole model, and")


def test_a_number_format_of_llama_cpp_is_refused_without_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cannot = str(gguf.plan(run_of(), tmp_path / "out", ExportOptions(quant="Q4_K_M")).cannot)
    assert "llama-quantize makes it, and it is neither on the PATH" in cannot
    assert "f32, f16, bf16, q8_0" in cannot
    (tmp_path / "llama-quantize").write_text("#!/bin/sh\n")
    (tmp_path / "llama-quantize").chmod(0o755)
    assert gguf.plan(run_of(), tmp_path / "out", ExportOptions(quant="Q4_K_M")).cannot is None


def test_a_folder_without_llama_cpp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"there is no convert_hf_to_gguf\.py in it.*git clone"):
        gguf.plan(run_of(), tmp_path / "out", ExportOptions(llama_cpp=str(tmp_path)))


@pytest.mark.parametrize("name", ["q4", "../x", "F8"])
def test_an_unknown_number_format_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(Refusal, match=r"there is no such format; (did you mean|known)"):
        gguf.folder_name(ExportOptions(quant=name))


def test_a_number_format_may_be_written_in_capitals() -> None:
    assert quant_named("Q8_0") == "q8_0"
    assert quant_named(None) == "f16"
    assert ollama.folder_name(ExportOptions()) == "ollama-q8_0"


@pytest.mark.parametrize("name", ["../evil", "a b", "", "-x", "x" * 200])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="--name"):
        gguf.file_name(run_of(), ExportOptions(name=name))


def test_the_room_that_is_asked_for_is_near_what_is_taken() -> None:
    for name, quant in QUANTS.items():
        assert file_bytes(8_000_000_000, 500_000_000, name) >= 8e9 * quant.bits / 8
    assert file_bytes(1000, 100, "f16") == 2000


def free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    def read(what: str, path: Path) -> Disk:
        return Disk(what=what, path=str(path), total=2**40, free=free, writable=True)

    monkeypatch.setattr(gguf_room, "read_disk", read)


def test_a_full_disk_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of()
    free_bytes(monkeypatch, 2**20)
    for target, helps in ((gguf, "Free some."), (ollama, "wherever --output is: free some there|Free some.")):
        with pytest.raises(Refusal, match=f"of disk.*for the merged model.*(?:{helps})"):
            target.export(run, tmp_path / "out", ExportOptions(), lambda _: None)
    assert not (tmp_path / "out").exists()
    assert not (run.folder.exports / "merged").exists()


@pytest.mark.parametrize(
    ("free", "merged", "one_disk", "movable", "said"),
    [
        (3, 2, True, True, r"out: needs about .* of it for the merged model .* on another disk with --output"),
        (1, 2, True, True, r"for the merged model .* are free\. Free some\.$"),
        (3, 2, True, False, r"The GGUF file goes into the run's own folder, wherever --output is"),
        (1, 2, False, True, r"exports/merged: needs .* for the merged model, and .* It goes into the run's own folder"),
        (1, 0, True, True, r"out: needs about 2\.1 GiB of disk, and 1\.0 GiB are free\. Free some, or name a place"),
    ],
)
def test_where_a_disk_is_full_it_says_what_helps_the_part_that_has_no_room(
    free: int, merged: int, one_disk: bool, movable: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_room, "share_a_disk", lambda *_: one_disk)
    free_bytes(monkeypatch, free * 2**30)
    with pytest.raises(Refusal, match=said):
        gguf_room.refuse_no_room(run_of(), tmp_path / "out", 2 * 2**30, merged * 2**30, movable=movable)
    gguf_room.refuse_no_room(run_of(), tmp_path / "out", 0, 0)


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("gguf", {"dtype": "float32"}, "--dtype belongs to --to merged; gguf has no use for it"),
        ("merged", {"quant": "q8_0"}, "--quant belongs to --to gguf and --to ollama"),
        ("lora", {"llama_cpp": "/cpp"}, "--llama-cpp belongs to"),
        ("adapter", {"rank": 8}, "--rank belongs to --to lora and --to vllm"),
        ("mlx", {"via": "merged"}, "--via belongs to --to vllm"),
        ("trl-script", {"name": "mine"}, "--name belongs to"),
        ("vllm", {"rank": 8}, "add --via lora"),
    ],
)
def test_an_option_that_is_not_the_targets_is_refused(target: Target, options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        refuse_strange(target, ExportOptions(**options))


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("gguf", {"quant": "q8_0", "name": "mine", "llama_cpp": "/cpp"}),
        ("merged", {"dtype": "float32"}),
        ("vllm", {"via": "lora", "rank": 8}),
        ("adapter", {"prove": False}),
    ],
)
def test_an_option_of_the_target_is_taken(target: Target, options: dict[str, Any]) -> None:
    refuse_strange(target, ExportOptions(**options))


def test_what_is_found_beforehand_loads_no_torch() -> None:
    program = (
        "import sys, pegbox_runs.exporting.gguf, pegbox_runs.exporting.ollama, pegbox_runs.exporting.ollama_modelfile;"
        "assert not {'torch', 'transformers', 'gguf', 'numpy'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True)


def test_the_commands_name_what_was_made(tmp_path: Path) -> None:
    run = run_of()
    options = ExportOptions(quant="q8_0", name="mine")
    assert gguf.commands(run, tmp_path / "a b", options) == [f"llama-server --jinja -m '{tmp_path}/a b/mine.q8_0.gguf'"]
    assert ollama.commands(run, tmp_path / "o", options)[0] == f"ollama create mine -f {tmp_path}/o/Modelfile"
