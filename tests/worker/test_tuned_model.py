"""An adapter that can't be put on its base: one sentence, which names the file and says what to do."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pegbox_methods.refusal import Refusal
from pegbox_runs.tuned import TunedRun
from pegbox_worker.tuned_model import load_tuned
from tests.worker.made_run import CPU, made_run

WEIGHTS = "adapter_model.safetensors"


def refused(run: TunedRun) -> str:
    with pytest.raises(Refusal) as found:
        load_tuned(run, device=CPU)
    return found.value.sentence


@pytest.mark.parametrize("kept", [0, 1000, 5])
def test_weights_that_were_cut_short_are_named_with_what_to_do(kept: int) -> None:
    run = made_run("lora")
    file = run.adapter / WEIGHTS
    file.write_bytes(file.read_bytes()[:kept])
    said = refused(run)
    assert said.startswith(f"{file}: is damaged. Put back the adapter that {run.id} made")


def test_a_config_that_was_cut_short_is_named() -> None:
    run = made_run("lora")
    file = run.adapter / "adapter_config.json"
    file.write_bytes(file.read_bytes()[:40])
    assert refused(run).startswith(f"{file}: is damaged: it isn't JSON any more.")


def test_weights_of_another_shape_are_told_without_the_librarys_own_words() -> None:
    run = made_run("lora")
    weights = load_file(run.adapter / WEIGHTS)
    name = next(name for name in weights if "lora_A" in name)
    save_file({**weights, name: torch.zeros(3, 3)}, run.adapter / WEIGHTS)
    said = refused(run)
    assert "has another shape there" in said
    assert name.removesuffix(".lora_A.weight") in said
    assert "state_dict" not in said


def test_a_target_that_the_base_lacks_keeps_its_name() -> None:
    run = made_run("lora")
    config = run.adapter / "adapter_config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "target_modules": ["no_such_module"]}))
    assert "no_such_module" in refused(run)
