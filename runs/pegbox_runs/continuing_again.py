"""The same command, started again by a cluster that ended it: its run goes on, in place of another one."""

from __future__ import annotations

import os

import msgspec

from pegbox_methods.events import Finished
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.continuing import continue_run
from pegbox_runs.crew.launching import LAUNCH
from pegbox_runs.crew.nodes.place import Nodes, write_nodes
from pegbox_runs.event_log import EventReader
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.whole_file import write_whole

JOB_VARIABLES = ("SLURM_JOB_ID", "SKYPILOT_TASK_ID")
"""Variables in which a cluster names a job; the name stays the same where it starts the job once more.

Source: sbatch(1), --requeue: "with the same job ID"; docs.skypilot.co, running-jobs/environment-variables: the same for
all recoveries of a managed job.
"""
LONGEST_JOB = 1000


def go_on_with(recipe: Recipe, file: str, nodes: Nodes | None) -> RunFolder | None:
    """Continue the newest run of this very recipe. Returns: None: there is none, or it was completed.

    `nodes`: the machines that carry it from here on; the first one may be another than before.
    Raises: Refusal: it can't go on; or another machine carries it, and no earlier start of this very job did.
    """
    wanted = check(recipe, file=file, nodes=1 if nodes is None else nodes.nodes).recipe
    for folder in reversed(all_runs()):
        if not _is_of(folder, wanted):
            continue
        ended = catch_up(EventReader(folder.events), RunState()).ended
        if isinstance(ended, Finished) and ended.reason == "completed":
            return None
        if _is_ours(folder):
            _forget_former_machine(folder)
        if nodes is not None:
            write_nodes(folder, nodes)
        continue_run(folder)
        remember_job(folder)
        return folder
    return None


def remember_job(folder: RunFolder) -> None:
    """Keep which job of a cluster carries a run, so that only that one takes it from a machine that is gone.

    Raises: OSError.
    """
    job = _job()
    if job is not None:
        place = folder.path / LAUNCH / "job"
        place.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(place, job.encode())


def _job() -> str | None:
    for name in JOB_VARIABLES:
        if value := os.environ.get(name):
            return f"{name}={value}"[:LONGEST_JOB]
    return None


def _is_ours(folder: RunFolder) -> bool:
    """Tell whether the job that this command belongs to carried the run before: the cluster ended that start of it."""
    try:
        said = (folder.path / LAUNCH / "job").read_bytes()
    except OSError:
        return False
    job = _job()
    return job is not None and said == job.encode()


def _is_of(folder: RunFolder, wanted: Recipe) -> bool:
    """Tell whether a run began with that recipe, as far as its folder can be read."""
    try:
        return msgspec.json.encode(read_recipe(folder.recipe)) == msgspec.json.encode(wanted)
    except Refusal:
        return False


def _forget_former_machine(folder: RunFolder) -> None:
    """Let go of an owner on another machine: the cluster ended what ran there before it started this job again."""
    owner = read_owner(folder)
    if owner is not None and owner.elsewhere:
        folder.owner.unlink(missing_ok=True)
