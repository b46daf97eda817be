"""The machine with the disks that Pegbox will write to."""

from __future__ import annotations

from pegbox_hardware.disk import model_cache
from pegbox_hardware.machine import Machine, probe
from pegbox_runs.run_folder import runs_root


def this_machine() -> Machine:
    """Read the machine now, with the disks of `runs` and of `models`, the Hub's cache."""
    return probe({"runs": runs_root(), "models": model_cache()})
