"""A run of the bundled model that goes on until it is stopped, for benchmarks that look at it from outside."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from pegbox_methods.events import Finished, Started, Step
from pegbox_runs.asking import ask
from pegbox_runs.run_folder import RunFolder
from tests.commands import start_detached, wait_for, write_recipe_text


class EndlessRun(NamedTuple):
    """The run, and its two processes."""

    folder: RunFolder
    supervisor: psutil.Process
    worker: psutil.Process


@contextlib.contextmanager
def endless_run(*, first_step: bool = True) -> Iterator[EndlessRun]:
    """Start one with the demo's settings, wait for its first steps unless told not to, and stop it at the end."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        os.environ["PEGBOX_HOME"] = str(home)
        recipe = write_recipe_text(
            Path(scratch),
            rows={"limit": 400},
            training={"max_steps": 100_000, "epochs": 1000.0, "micro_batch": 8, "accumulation": 1, "length": 512},
            evaluation={"every": 50_000, "samples": 0},
        )
        folder = start_detached(recipe, home)
        started = wait_for(folder, lambda event: isinstance(event, Started))
        assert isinstance(started, Started)
        if first_step:
            wait_for(folder, lambda event: isinstance(event, Step) and event.step >= 5)
        try:
            yield EndlessRun(folder, psutil.Process(started.supervisor_pid), psutil.Process(started.worker_pid))
        finally:
            ask(folder, "stop", 60)
            wait_for(folder, lambda event: isinstance(event, Finished))
