"""The GPUs that were chosen for a run over several, from whoever starts it to what its processes see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Devices
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.crew.gpus import launch_here
from pegbox_runs.crew.launching import environment
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.rungs import Ground
from pegbox_runs.supervision import workers
from pegbox_runs.supervision.starting import start_supervisor
from tests.commands import write_recipe_text
from tests.hardware.fake_nvml import Card, install
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
