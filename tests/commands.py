"""Running the `pegbox` command as a person would, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pegbox_methods.events import AnyEvent
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.models import BUNDLED
from pegbox_runs.run_folder import RunFolder

PATIENCE_SECONDS = 480
"""Far more than anything here takes, even on a busy machine."""


def pegbox(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pegbox", *arguments],
        env={**os.environ, "PEGBOX_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def write_recipe_text(folder: Path, **tables: dict[str, Any]) -> Path:
    """Write a recipe of the bundled model and rows: a few steps, unless `tables` say otherwise."""
    whole: dict[str, dict[str, Any]] = {
        "model": {"name": "bundled"},
        "rows": {"file": str(BUNDLED / "rows.jsonl"), "limit": 60},
        "training": {"max_steps": 6, "micro_batch": 4, "accumulation": 2, "length": 256, "precision": "float32"},
        "evaluation": {"every": 3, "sample_tokens": 8},
    }
    for name, table in tables.items():
        whole[name] = {**whole.get(name, {}), **table}
    lines = []
    for name, table in whole.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def start_detached(recipe: Path, home: Path) -> RunFolder:
    """Start a run with `pegbox train --detach`."""
    done = pegbox("train", str(recipe), "--detach", "--json", home=home)
    assert done.returncode == 0, done.stderr
    return RunFolder(Path(json.loads(done.stdout)["folder"]))


def events_of(folder: RunFolder) -> list[AnyEvent | BadLine]:
    """Read a run's whole log."""
    return [event for block in EventReader(folder.events).new() for event in block]


def wait_for(folder: RunFolder, wanted: Callable[[AnyEvent | BadLine], bool]) -> AnyEvent | BadLine:
    """Wait until the log holds such an event."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for event in events_of(folder):
            if wanted(event):
                return event
        time.sleep(0.05)
    raise AssertionError(f"it never came; the log ends with {events_of(folder)[-3:]}, {folder.log.read_text()[-2000:]}")


def wait_until(wanted: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)
