"""The GPUs that were chosen for a run over several, from whoever starts it to what its processes see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine
from pegbox_hardware.model_config import shape_of
from pegbox_methods.advice.choose import advise
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.kinds import NAME_THEM
from pegbox_methods.advice.places import places_of
from pegbox_methods.advice.ranking import RANKED
from pegbox_methods.advice.records import Advice
from pegbox_methods.recipe import Devices
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.registry import find_card
from pegbox_runs.advising import recipe_of
from pegbox_runs.crew.gpus import launch_here
from pegbox_runs.crew.launching import environment
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.rungs import Ground
from pegbox_runs.supervision import workers
from pegbox_runs.supervision.starting import start_supervisor
from tests.commands import write_recipe_text
from tests.hardware.fake_nvml import Card, install
from tests.methods.advice_situations import PROFILES
from tests.runs.made_up_machines import GIB, gpu, machine

TOLD = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"


def test_both_chosen_cards_reach_the_processes_through_supervisor_and_crew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *(Card(uuid=f"GPU-{name}") for name in "abcd"))
    process = start_supervisor([sys.executable, "-c", TOLD], receipts=subprocess.PIPE, gpu="GPU-b,GPU-d")
    assert process.communicate(timeout=30)[0].decode().strip() == "GPU-b,GPU-d"

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,GPU-d")  # as the supervisor has it
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(workers.WorkerProcess, "start", lambda _command, given, _log: started.append(given))
    workers.start_crew(RunFolder(tmp_path))
    assert started[0]["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-d"

    launch = launch_here(tmp_path, 1, Devices(processes=2))
    assert launch.gpus == ("GPU-b", "GPU-d")
    assert environment(launch, started[0])["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-d"


def test_the_forecast_of_a_run_is_for_the_cards_that_its_processes_get(tmp_path: Path) -> None:
    roomy = gpu(index=0, uuid="A", name="NVIDIA A100-SXM4-80GB", memory_total=80 * GIB, memory_free=79 * GIB)
    four = [gpu(index=n, uuid=f"B{n}", memory_free=free * GIB) for n, free in enumerate((23, 22, 20, 21), start=1)]
    here = machine(roomy, *four)
    training = {"micro_batch": 1, "accumulation": 4}
    recipe = read_recipe(write_recipe_text(tmp_path, training=training, devices={"processes": 4}))
    place = Ground(recipe, "cuda", here).place
    assert launch_here(tmp_path, 1, recipe.devices, machine=here).gpus == ("B1", "B2", "B3", "B4")
    assert (place.name, place.memory_free) == ("NVIDIA GeForce RTX 4090", 20 * GIB)
    assert place.team is not None
    assert place.team.devices == 4
    spread = Ground(recipe, "cuda", here, nodes=2).place
    assert spread.team is not None
    assert (spread.team.nodes, spread.team.between(4).kind) == (2, "network")


KINDS = (
    ("NVIDIA RTX A6000", 48, "8.6"),
    ("NVIDIA GeForce RTX 4090", 24, "8.9"),
    ("NVIDIA L40S", 46, "8.9"),
    ("NVIDIA GeForce RTX 3090", 24, "8.6"),
    ("NVIDIA A100-SXM4-80GB", 80, "8.0"),
    ("Tesla T4", 15, "7.5"),
)


def mixed(*groups: tuple[str, int, str, tuple[float, ...]]) -> Machine:
    """A machine of several kinds of cards. Of each: name, GiB, compute capability, the free shares of its cards."""
    found: list[Gpu] = []
    for name, size, capability, frees in groups:
        for free in frees:
            total, here = size * GIB, len(found)
            card = gpu(index=here, uuid=f"U{here}", name=name, memory_total=total, memory_free=int(free * total))
            found.append(msgspec.structs.replace(card, compute_capability=capability))
    return machine(*found, memory_total=512 * GIB, memory_available=480 * GIB)


@pytest.fixture(scope="module")
def llama_8b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the model's config, which is all that a forecast needs."""
    folder = tmp_path_factory.mktemp("llama-8b")
    sizes = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128256}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "bfloat16", **sizes, **heads}))
    return folder


def advised(here: Machine, model: Path, priority: Any = "balanced") -> Advice:
    shape, why = shape_of(json.loads((model / "config.json").read_text()))
    assert shape is not None, why
    cards = [find_card(name) for name in sorted(RANKED)]
    return advise(places_of(here, PROFILES), shape, None, Goal(priority=priority), cards, profiles=PROFILES)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=3, unique=True),
    frees=st.lists(
        st.lists(st.sampled_from((0.98, 0.9, 0.8, 0.5)), min_size=1, max_size=4).map(tuple), min_size=3, max_size=3
    ),
    priority=st.sampled_from(("balanced", "speed", "memory")),
)
def test_the_recipe_of_an_advice_starts_by_itself_on_the_cards_that_were_advised(
    kinds: list[tuple[str, int, str]], frees: list[tuple[float, ...]], priority: str, llama_8b: Path
) -> None:
    here = mixed(*((*kind, free) for kind, free in zip(kinds, frees, strict=False)))
    advice = advised(here, llama_8b, priority)
    if advice.devices is None:
        return
    recipe = recipe_of(advice, str(llama_8b), Path("/tmp/rows.jsonl"))
    launch = launch_here(Path("/nowhere"), 1, recipe.devices, machine=here, recipe=recipe)
    assert sorted(launch.gpus) == sorted(advice.devices.uuids) or NAME_THEM in advice.warnings


def test_of_two_kinds_that_suffice_the_faster_is_taken_by_advice_and_start_and_the_roomier_where_it_must_be(
    llama_8b: Path,
) -> None:
    here = mixed((*KINDS[0], (0.98, 0.98)), (*KINDS[2], (0.98, 0.98)))
    advice = advised(here, llama_8b)
    assert advice.devices is not None
    assert (advice.place.name, advice.devices.uuids) == ("NVIDIA L40S", ("U2", "U3"))
    recipe = recipe_of(advice, str(llama_8b), Path("/tmp/rows.jsonl"))
    assert launch_here(Path("/nowhere"), 1, recipe.devices, machine=here, recipe=recipe).gpus == ("U2", "U3")
    assert Ground(recipe, None, here).place.name == "NVIDIA L40S"
    wide = msgspec.structs.replace(recipe.training, micro_batch=64, accumulation=2, activation_checkpointing="off")
    wide_recipe = msgspec.structs.replace(recipe, training=wide)  # it fits on neither
    assert launch_here(Path("/nowhere"), 1, recipe.devices, machine=here, recipe=wide_recipe).gpus == ("U0", "U1")
