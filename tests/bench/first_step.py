"""From `pegbox train` to the first step on the bundled model, against the bare imports.

Goals: cold at most 1.5x the time of `import torch, transformers, peft, trl, datasets`; prewarmed at most 2 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pegbox_methods.events import Step
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.launch import WarmSupervisor
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from tests.commands import PATIENCE_SECONDS, start_detached, wait_for, write_recipe_text

ROUNDS = 5
WARM_UP_SECONDS = 15.0
IMPORTS = "import torch, transformers, peft, trl, datasets"


def imports() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, timeout=PATIENCE_SECONDS)
    return time.perf_counter() - begin


def first_step_of(folder: RunFolder) -> float:
    """Wait for the run's end. Returns: when its first step was told, in seconds since 1970."""
    step = wait_for(folder, lambda event: isinstance(event, Step))
    wait_for(
        folder, lambda event: not isinstance(event, Step) and "kept_step" in getattr(event, "__struct_fields__", ())
    )
    assert isinstance(step, Step)
    return step.time


def cold(recipe: Path, home: Path) -> float:
    begin = time.time()
    return first_step_of(start_detached(recipe, home)) - begin


def prewarmed(recipe: Path) -> float:
    with WarmSupervisor() as supervisor:
        time.sleep(WARM_UP_SECONDS)
        begin = time.time()
        checked = check(read_recipe(recipe), file="recipe.toml")
        folder = create(checked.recipe, checked.environment())
        supervisor.take([folder])
        return first_step_of(folder) - begin


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        os.environ["PEGBOX_HOME"] = str(home)
        recipe = write_recipe_text(
            Path(scratch), training={"max_steps": 2}, evaluation={"every": 2, "sample_tokens": 64}
        )
        imports()
        rows = [(imports(), cold(recipe, home), prewarmed(recipe)) for _ in range(ROUNDS)]
    bare, first, warm = (statistics.median(side) for side in zip(*rows, strict=True))
    print(
        f"the imports {bare:.2f} s, pegbox train to its first step {first:.2f} s: {first / bare:.2f}x (goal 1.5x); "
        f"prewarmed {warm:.2f} s (goal 2 s)"
    )


if __name__ == "__main__":
    main()
