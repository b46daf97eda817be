"""Two real processes, started by torchrun: one run, one log, one opinion, and each one's trouble by its own word."""

from __future__ import annotations

import json

import pytest

from pegbox_methods.events import (
    Checkpoint,
    CommandAnswer,
    Continued,
    Finished,
    Joined,
    Paused,
    Step,
    WorkerFailed,
)
from pegbox_runs.commands import send
from pegbox_runs.crew.rank_files import read_ranks
from tests.commands import events_of
from tests.worker.ranks.rank_runs import ended, launched, made_run, seen

pytestmark = pytest.mark.slow


def test_two_processes_heed_every_command_in_the_same_step() -> None:
    folder = made_run(training={"max_steps": 400}, evaluation={"every": 200})
    with launched(folder) as launcher:
        seen(folder, launcher, lambda event: isinstance(event, Step) and event.step == 2)
        send(folder.commands, "pause")
        seen(folder, launcher, lambda event: isinstance(event, Paused))
        send(folder.commands, "checkpoint")
        seen(folder, launcher, lambda event: isinstance(event, Checkpoint))
        send(folder.commands, "resume")
        seen(folder, launcher, lambda event: isinstance(event, Continued))
        send(folder.commands, "stop")
        assert ended(folder, launcher) == 0, folder.log.read_text()[-3000:]
    events = events_of(folder)
    (joined,) = [event for event in events if isinstance(event, Joined)]
    assert joined.engine == "ddp"
    assert len({member.pid for member in joined.members}) == len(joined.members) == 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert all(event.across is not None and event.memory.process_peak for event in steps)
    assert all(event.taken for event in events if isinstance(event, CommandAnswer))
    assert [event.reason for event in events if isinstance(event, Checkpoint)] == ["asked", "ending"]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.steps) == ("stopped", len(steps))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {(one.doing, one.step) for one in read_ranks(folder, 1).values()} == {("ended", len(steps))}
    assert (folder.adapter / "adapter_model.safetensors").is_file()


def test_one_process_that_fails_is_told_from_the_one_that_lost_it_and_its_last_step_is_saved() -> None:
    folder = made_run()
    fault = {"at": "step-begin", "do": "device-memory", "step": 5, "rank": 1, "attempt": 1}
    with launched(folder, PEGBOX_FAULTS=json.dumps([fault])) as launcher:
        assert ended(folder, launcher) == 1
    leading, other = read_ranks(folder, 1).values()
    assert other.trouble is not None
    assert leading.trouble is not None
    assert (other.trouble.kind, other.trouble.lost_peer, other.step) == ("device-memory", False, 4)
    assert (leading.trouble.lost_peer, leading.trouble.what) == (True, "the connection to another process was lost")
    told = events_of(folder)
    assert not any(isinstance(event, WorkerFailed) for event in told)
    assert [(event.reason, event.step) for event in told if isinstance(event, Checkpoint)][-1] == ("rescue", 4)
