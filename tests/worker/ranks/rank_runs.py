"""A run that real processes carry together: torchrun starts them as the crew does, and nobody watches."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pegbox_methods.recipe_file import recipe_from_table
from pegbox_runs.event_log import EventWriter
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import CheckedRecipe, check
from pegbox_runs.run_folder import RunFolder, create
from tests.commands import events_of
from tests.stories import started

PATIENCE_SECONDS = 240
STEPS = 6
SMALL: dict[str, dict[str, Any]] = {
    "model": {"name": "bundled"},
    "rows": {"file": str(BUNDLED / "rows.jsonl"), "limit": 40},
    "method": {"name": "lora", "settings": {"rank": 4}},
    "training": {"max_steps": STEPS, "micro_batch": 2, "accumulation": 2, "length": 96, "precision": "float32"},
    "evaluation": {"every": 3, "samples": 1, "sample_tokens": 4},
    "devices": {"processes": 2, "engine": "ddp"},
}


def checked_run(**tables: dict[str, Any]) -> CheckedRecipe:
    """Check a recipe: six steps on the bundled model, unless `tables` say otherwise."""
    table = {name: {**SMALL.get(name, {}), **tables.get(name, {})} for name in {**SMALL, **tables}}
    return check(recipe_from_table(table, file="a test", folder=Path("/")), file="a test")


def made_run(**tables: dict[str, Any]) -> RunFolder:
    """Make such a run's folder."""
    checked = checked_run(**tables)
    return create(checked.recipe, checked.environment())


@contextlib.contextmanager
def launched(
    folder: RunFolder, attempt: int = 1, processes: int = 2, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run's processes as the crew would, and end what is left of them."""
    with (folder.path / "launcher.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={processes}"),
                *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost", "--max-restarts=0"),
                *("-m", "pegbox_worker", "--rank", str(folder.path), str(attempt)),
            ],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONSAFEPATH": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "TOKENIZERS_PARALLELISM": "false",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        with contextlib.closing(EventWriter(folder.events)) as writer:
            writer.emit(started(worker_pid=process.pid, attempt=attempt))
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ended(folder: RunFolder, process: subprocess.Popen[bytes]) -> int:
    """Wait for the launcher's end, which is behind that of all processes. Returns: its exit code."""
    try:
        return process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{events_of(folder)[-3:]}, {folder.log.read_text()[-3000:]}") from None


def seen(folder: RunFolder, process: subprocess.Popen[bytes], wanted: Callable[[Any], bool]) -> None:
    """Wait until the log holds such an event; not for longer than the launcher lives."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(wanted(event) for event in events_of(folder)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{events_of(folder)[-3:]}, {folder.log.read_text()[-3000:]}")
        time.sleep(0.05)
