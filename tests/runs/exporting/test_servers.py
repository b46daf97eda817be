"""What a server is given, the command that starts it, and what is said of it before."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.artefacts.artefact import Artefact, read_artefact
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.exporting import linking, lora, proving, vllm
from pegbox_runs.exporting.gguf_merged import Merged
from pegbox_runs.exporting.linking import with_old_rope
from pegbox_runs.exporting.servable import unserved
from pegbox_runs.exporting.targets import ExportOptions, default_place, exporting
from pegbox_runs.models import BUNDLED
from pegbox_runs.tuned import TunedRun
from tests.runs.exporting.left_behind import PROOF, Worker, left_behind

PLAIN = ExportOptions()


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Answer in the worker's place, and merge by copying the base."""
    monkeypatch.setattr(proving, "ask_worker", Worker())
    monkeypatch.setattr(lora, "ask_worker", proving.ask_worker)

    def merged_of(run: TunedRun, _told: Any, *, prove: bool) -> Merged:
        folder = BUNDLED / "model"
        artefact = Artefact(
            target="merged",
            order="",
            run=run.id,
            method=run.recipe.method.name,
            base="bundled",
            base_sha256=None,
            adapter_sha256=run.adapter_sha256(),
            number_format="bfloat16",
            files={path.name: made_file(path) for path in folder.iterdir()},
            proofs=(PROOF,) if prove else (),
            unproven="" if prove else "not asked",
            libraries={},
            seconds=1.0,
        )
        return Merged(artefact, folder)

    monkeypatch.setattr(linking, "merged_of", merged_of)


def exported(run: TunedRun, target: str, options: ExportOptions = PLAIN) -> Path:
    place = default_place(run, target, options)  # type: ignore[arg-type]
    exporting(target).export(run, place, options, lambda _: None)  # type: ignore[arg-type]
    return place


def arguments(place: Path, tmp_path: Path) -> list[str]:
    """Run serve.sh from elsewhere with a `vllm` that writes down how it was called."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "vllm").write_text('#!/bin/sh\npwd\nfor one in "$@"; do echo "$one"; done\n')
    (tools / "vllm").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(place / "serve.sh")], env={"PATH": path}, cwd="/", capture_output=True, text=True, check=True
    )
    where, *given = done.stdout.splitlines()
    assert Path(where) == place
    return given


def test_vllm_gets_the_adapter_and_room_for_its_rank(tmp_path: Path) -> None:
    run = left_behind(r=33)
    given = arguments(exported(run, "vllm"), tmp_path)
    assert given[:2] == ["serve", run.model.reference]
    assert given[given.index("--max-lora-rank") + 1] == "64"
    assert given[given.index("--lora-modules") + 1] == f"{run.id}=."
    assert given[given.index("--dtype") + 1] == "bfloat16"
    assert "--chat-template" not in given


def test_vllm_needs_no_flag_for_a_rank_that_it_loads_by_itself(tmp_path: Path) -> None:
    assert "--max-lora-rank" not in arguments(exported(left_behind(r=16), "vllm"), tmp_path)


def test_vllm_is_told_of_the_template_that_the_run_was_taught(tmp_path: Path) -> None:
    template = tmp_path / "own.jinja"
    template.write_text((BUNDLED / "model" / "chat_template.jinja").read_text() + "{# own #}")
    place = exported(left_behind(model=Model(name="bundled", chat_template=str(template))), "vllm")
    given = arguments(place, tmp_path)
    assert (place / given[given.index("--chat-template") + 1]).read_text() == template.read_text()


def test_a_name_is_what_clients_ask_for(tmp_path: Path) -> None:
    options = ExportOptions(name="our-team/support_2.1")
    given = arguments(exported(left_behind(), "vllm", options), tmp_path)
    assert "our-team/support_2.1=." in given
    ask = vllm.commands(left_behind(), tmp_path, options)[1]
    assert json.loads(shlex.split(ask)[-1])["model"] == options.name


@pytest.mark.parametrize("name", ["a=b c", "it's; rm -rf $HOME `x`", "a\nb"])
def test_a_name_that_vllm_cannot_be_told_is_refused_before_anything_is_made(name: str) -> None:
    run, options = left_behind(), ExportOptions(name=name)
    place = default_place(run, "vllm", options)
    for ask in (
        lambda: vllm.plan(run, place, options),
        lambda: vllm.export(run, place, options, lambda _: None),
    ):
        with pytest.raises(Refusal, match="--name"):
            ask()
    assert not place.exists()


def test_a_line_end_in_the_bases_place_begins_no_command_in_the_script(tmp_path: Path) -> None:
    base = tmp_path / "base\ntouch touched"
    shutil.copytree(BUNDLED / "model", base)
    place = exported(left_behind(model=Model(name=str(base))), "vllm")
    assert str(base) in "\n".join(arguments(place, tmp_path))
    comment = (place / "serve.sh").read_text().splitlines()[1]
    assert comment.startswith("# Serves")
    assert "touched" in comment
    assert not (place / "touched").exists()


def test_what_vllm_can_serve_in_no_way_is_refused_with_what_to_do() -> None:
    run = left_behind("prompt-tuning")
    planned = vllm.plan(run, default_place(run, "vllm", PLAIN), PLAIN)
    assert planned.cannot is not None
    assert "--to adapter" in planned.cannot
    with pytest.raises(Refusal, match="--to adapter"):
        exported(run, "vllm")


@pytest.mark.parametrize(("target", "below"), [("mlx", "."), ("vllm", "model")])
def test_what_is_edited_in_an_export_leaves_the_merged_model_as_it_was(target: str, below: str) -> None:
    place = exported(left_behind("dora"), target) / below
    for path in place.iterdir():
        source = BUNDLED / "model" / path.name
        if source.is_file():
            assert path.samefile(source) == (path.suffix == ".safetensors"), path.name


def test_what_vllm_does_not_load_is_merged_and_the_reason_is_said(tmp_path: Path) -> None:
    run = left_behind("dora")
    place = exported(run, "vllm")
    assert arguments(place, tmp_path) == ["serve", "./model", "--served-model-name", run.id]
    found = read_artefact(place)
    assert found is not None
    assert found.target == "vllm"
    assert found.proofs == (PROOF,)
    assert any("magnitudes" in remark for remark in found.remarks)
    weights = "model.safetensors"
    assert (place / "model" / weights).read_bytes() == (BUNDLED / "model" / weights).read_bytes()


def test_via_lora_converts_what_vllm_does_not_load(tmp_path: Path) -> None:
    run = left_behind("dora")
    given = arguments(exported(run, "vllm", ExportOptions(via="lora")), tmp_path)
    assert given[given.index("--max-lora-rank") + 1] == "32"
    with pytest.raises(Refusal, match="magnitudes"):
        exported(run, "vllm", ExportOptions(via="adapter"))


@pytest.mark.parametrize("field", ["modules_to_save", "rank_pattern", "trainable_token_indices"])
def test_an_adapter_with_what_vllm_does_not_load_is_refused(field: str) -> None:
    run = left_behind(**{field: {"lm_head": 4}})
    with pytest.raises(Refusal, match=field):
        exported(run, "vllm", ExportOptions(via="adapter"))
    assert not default_place(run, "vllm", ExportOptions(via="adapter")).exists()


def test_mlx_gets_a_whole_folder_that_takes_no_room_twice() -> None:
    place = exported(left_behind("dora"), "mlx")
    names = {path.name for path in place.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "MLX.txt", "pegbox-artefact.json"} <= names
    assert "mlx_lm.generate --model ." in (place / "MLX.txt").read_text()
    assert json.loads((place / "config.json").read_text())["rope_theta"] == 10000.0


def test_a_rope_is_said_as_older_tools_read_it_too() -> None:
    llama3 = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}}
    told = with_old_rope(llama3)
    assert told["rope_theta"] == 5e5
    assert told["rope_scaling"] == {"rope_type": "llama3", "factor": 8.0}
    assert told["rope_parameters"] == llama3["rope_parameters"]
    by_kind = {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}
    assert with_old_rope(by_kind) == by_kind
    assert with_old_rope({"rope_theta": 1e4}) == {"rope_theta": 1e4}


@pytest.mark.parametrize(
    ("target", "method", "config", "said"),
    [
        ("vllm", "lora", {"model_type": "llama"}, ""),
        ("vllm", "dora", {"model_type": "gpt2"}, "magnitudes"),
        ("vllm", "lora", {"model_type": "gpt2"}, "loads no adapters"),
        ("gguf", "lora", {"model_type": "falcon"}, "--llama-cpp"),
        ("ollama", "lora", {"model_type": "llama"}, ""),
        ("mlx", "lora", {"model_type": "own"}, "isn't known"),
        ("mlx", "lora", {}, ""),
        ("merged", "prompt-tuning", {"model_type": "llama"}, "can't be merged"),
    ],
)
def test_what_a_place_cannot_take_is_known_before_the_training(
    target: Any, method: str, config: dict[str, Any], said: str
) -> None:
    card = find_card(method)
    settings = {setting.name: setting.default for setting in card.settings}
    found = " ".join(unserved(target, card, settings, config))
    assert said in found
    assert bool(said) == bool(found)
