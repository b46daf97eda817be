"""`pegbox train` with several processes, for real: torch's launcher, gloo, and a process that is killed on the way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pegbox_methods.events import Finished, Joined, Prepared, RankFailed, Resumed, Step, WorkerFailed
from pegbox_runs.crew.rank_files import read_ranks
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import state_of
from tests.commands import events_of, pegbox, start_detached, wait_for, wait_until, write_recipe_text


def losses(folder: RunFolder) -> dict[int, float]:
    """Give each step's loss; of one that was taken twice, the later."""
    return {event.step: event.loss for event in events_of(folder) if isinstance(event, Step)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_process_is_named_within_30_s_and_the_run_ends_as_it_would_have_and_goes_on_with_one(
    tmp_path: Path, home: Path
) -> None:
    recipe = write_recipe_text(
        tmp_path,
        devices={"processes": 2},
        training={"max_steps": 12},
        evaluation={"every": 3, "samples": 0},
        method={"name": "lora"},
        **{"method.settings": {"dropout": 0.0}},
    )
    folder = start_detached(recipe, home)
    wait_for(folder, lambda event: isinstance(event, Step) and event.step == 4)
    records = read_ranks(folder, 1)
    os.kill(records[1].pid, signal.SIGKILL)
    killed = time.time()
    failed = wait_for(folder, lambda event: isinstance(event, WorkerFailed))
    assert isinstance(failed, WorkerFailed)
    assert time.time() - killed < 30.0
    assert failed.what == f"rank 1 on {records[1].host} was killed by SIGKILL"

    ended = wait_for(folder, lambda event: isinstance(event, Finished))
    assert isinstance(ended, Finished)
    assert (ended.reason, ended.steps) == ("completed", 12)
    told = events_of(folder)
    first = next(event for event in told if isinstance(event, RankFailed))
    assert (first.rank, first.pid, first.signal) == (1, records[1].pid, "SIGKILL")
    (resumed,) = (event for event in told if isinstance(event, Resumed))
    assert resumed.step >= 3, "what was saved stays, and the other process may save its last step yet"
    joined = [event for event in told if isinstance(event, Joined)]
    assert [(event.engine, len(event.members)) for event in joined] == [("ddp", 2)] * 2
    assert (folder.adapter / "adapter_model.safetensors").is_file()
    wait_until(lambda: not folder.owner.exists())
    alone = pegbox("train", str(recipe), "--set", "devices.processes=1", "--json", home=home)
    assert alone.returncode == 0, alone.stderr
    (other,) = (run for run in folder.path.parent.iterdir() if run != folder.path)
    assert losses(folder) == pytest.approx(losses(RunFolder(other)), abs=1e-4)

    done = pegbox("resume", folder.id, "--max-steps", "14", "--set", "devices.processes=1", "--detach", home=home)
    assert done.returncode == 0, done.stderr
    wait_for(folder, lambda event: isinstance(event, Finished) and event.steps == 14)
    assert [event.processes for event in events_of(folder) if isinstance(event, Prepared)] == [2, 2, 1]
    assert state_of(folder).steps_done == 14
