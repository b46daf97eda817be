"""Runs of the bundled model that are broken on purpose, and what they came to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from pegbox_methods.recipe_file import recipe_from_table
from pegbox_runs import faults
from pegbox_runs.launch import launch
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of
from tests.commands import events_of
from tests.faults.forge import ForgedPopen

PATIENCE_SECONDS = 240
STEPS = 6
SMALL: dict[str, dict[str, Any]] = {
    "model": {"name": "bundled"},
    "rows": {"file": str(BUNDLED / "rows.jsonl"), "limit": 40},
    "method": {"name": "lora", "settings": {"rank": 4, "dropout": 0.1}},
    "training": {"max_steps": STEPS, "micro_batch": 2, "accumulation": 2, "length": 96, "precision": "float32"},
    "evaluation": {"every": 2, "sample_tokens": 4},
}


@contextlib.contextmanager
def forged() -> Iterator[None]:
    """Let this process start supervisors from the forge."""
    with mock.patch.object(subprocess, "Popen", ForgedPopen):
        yield


def make_run(**tables: dict[str, Any]) -> RunFolder:
    """Make the folder of a small run."""
    table = {name: {**SMALL.get(name, {}), **tables.get(name, {})} for name in {**SMALL, **tables}}
    checked = check(recipe_from_table(table, file="a test", folder=Path("/")), file="a test")
    return create(checked.recipe, checked.environment())


def start(folder: RunFolder, *planned: dict[str, Any]) -> None:
    """Hand a run to a forged supervisor, with what shall break."""
    with forged(), planned_faults(*planned):
        launch([folder])


@contextlib.contextmanager
def planned_faults(*planned: dict[str, Any]) -> Iterator[None]:
    """Let processes that are started meanwhile inherit a plan."""
    with mock.patch.dict(os.environ, {faults.VARIABLE: json.dumps(planned)} if planned else {}):
        yield


def await_end(folder: RunFolder) -> RunState:
    """Wait until a run is over or lost, and its supervisor is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        state = state_of(folder)
        if (state.over and not carried(folder)) or state.status == "lost":
            return state
        time.sleep(0.03)
    raise AssertionError(f"no end came: {folder.events.read_text()[-3000:]}\n{folder.log.read_text()[-3000:]}")


def finished(folder: RunFolder, *planned: dict[str, Any]) -> RunState:
    """Carry a run to its end."""
    start(folder, *planned)
    return await_end(folder)


def carried(folder: RunFolder) -> bool:
    """Whether a supervisor still holds the run."""
    owner = read_owner(folder)
    return owner is not None and owner.lives


def adapter_hash(folder: RunFolder) -> str:
    """Hash what a run came to."""
    return hashlib.sha256((folder.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def curve(folder: RunFolder) -> list[tuple[int, float]]:
    """Give the loss of each step as a viewer sees it."""
    return list(fold(events_of(folder)).loss)


def kill(pid: int) -> None:
    """Kill a process as the kernel would; it may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
