"""From checked recipes to runs that go on by themselves, each with its forecast beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Recipe
from pegbox_runs.crew.nodes.place import Nodes, write_nodes
from pegbox_runs.expected import Expected
from pegbox_runs.expecting import expect
from pegbox_runs.launch import WarmSupervisor, launch
from pegbox_runs.preflight import CheckedRecipe, check
from pegbox_runs.run_folder import RunFolder, create, discard
from pegbox_runs.secrets import redactor
from pegbox_runs.whole_file import write_whole


@dataclass(frozen=True)
class Begun:
    """Runs that go on by themselves."""

    folders: list[RunFolder]
    keep_forecasts: Callable[[], None]
    """Writes the forecast beside each run: some seconds where rows are many. To be called once; raises nothing that
    the runs' start is to blame for."""


def start_runs(
    recipes: Sequence[tuple[Recipe, str]],
    supervisor: WarmSupervisor | None = None,
    *,
    gpu: str | None = None,
    nodes: Nodes | None = None,
) -> list[RunFolder]:
    """Start runs as `begin_runs` does, and write their forecasts before returning. Raises: Refusal: as there."""
    begun = begin_runs(recipes, supervisor, gpu=gpu, nodes=nodes)
    begun.keep_forecasts()
    return begun.folders


def begin_runs(
    recipes: Sequence[tuple[Recipe, str]],
    supervisor: WarmSupervisor | None = None,
    *,
    gpu: str | None = None,
    nodes: Nodes | None = None,
) -> Begun:
    """Check all recipes, and only then make their runs' folders and hand them to one supervisor, which carries them in
    this order.

    Each recipe comes with the name that faults are reported under. `supervisor`: one that was warmed up, which is used
    up by this; None: a new one. `gpu`: what CUDA_VISIBLE_DEVICES shall name for these runs, as `Place.uuid` has it; a
    warm supervisor's worker has chosen its device already, so a new one is started then, and the other left alone.
    `nodes`: the machines that carry each together; None: this one alone.
    Raises: Refusal: nothing was left behind.
    """
    machines = 1 if nodes is None else nodes.nodes
    checked = [check(recipe, file=file, nodes=machines) for recipe, file in recipes]
    environments = [one.environment() for one in checked]
    folders: list[RunFolder] = []
    try:
        folders.extend(create(one.recipe, there) for one, there in zip(checked, environments, strict=True))
        if nodes is not None:
            for folder in folders:
                write_nodes(folder, nodes)
    except BaseException:
        for folder in folders:
            discard(folder)
        raise
    if supervisor is None or gpu is not None:
        launch(folders, gpu=gpu)
    else:
        supervisor.take(folders)

    def keep_forecasts() -> None:  # behind the start, so that the worker loads its libraries meanwhile
        for folder, one, there in zip(folders, checked, environments, strict=True):
            _keep_forecast(folder, one, seen_by_worker(there.machine, gpu), machines)

    return Begun(folders, keep_forecasts)


def seen_by_worker(machine: Machine, gpu: str | None) -> Machine:
    """Leave out the devices that a worker isn't shown which was started for some of them. `gpu`: UUIDs, with commas."""
    named = () if gpu is None else gpu.split(",")
    chosen = tuple(one for one in machine.gpus if one.uuid and one.uuid in named)
    return msgspec.structs.replace(machine, gpus=chosen) if chosen else machine


def _keep_forecast(folder: RunFolder, checked: CheckedRecipe, machine: Machine, nodes: int) -> None:
    """Write the forecast into the run's folder; the run goes on already, and nothing here may trouble it."""
    try:
        write_expected(expect(checked, machine, nodes=nodes), folder.forecast)
    except OSError:
        return  # the folder is gone again, or the disk is full: a run without forecast.json is shown without one


def write_expected(expected: Expected, path: Path) -> None:
    """Write the record, without what the environment hides. Raises: OSError."""
    told = redactor().clean_values(msgspec.to_builtins(expected))
    write_whole(path, msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
