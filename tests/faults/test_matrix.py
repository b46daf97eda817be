"""The bundled model's run, broken at each boundary in each way: what it comes to, and what its log tells."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Any

import pytest

from pegbox_methods.events import (
    Failed,
    Finished,
    Notice,
    Restarting,
    Resumed,
    Started,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_methods.refusal import Refusal
from pegbox_runs import commands
from pegbox_runs.changes import current_recipe
from pegbox_runs.checkpoints import checkpoint_folders, newest_good, verify
from pegbox_runs.continuing import continue_run
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.run_state import RunState
from tests.commands import events_of, wait_for
from tests.faults import runs
from tests.faults.conftest import Unbroken, evaluations

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forge")]

ONE_WORKER = {"attempt": 1}


def fault(at: str, do: str, **narrowed: int) -> dict[str, Any]:
    return {"at": at, "do": do, **narrowed}


def name_of(value: Any) -> str | None:
    return f"{value['at']}:{value['do']}" if isinstance(value, dict) else None


def seems_whole(folder: RunFolder, state: RunState, unbroken: Unbroken) -> None:
    """See that a run that was broken is what the unbroken one was, for who looks at it now."""
    assert state.status == "finished", (state.ended, folder.log.read_text()[-1500:])
    assert runs.adapter_hash(folder) == unbroken.adapter
    assert list(state.loss) == unbroken.curve
    assert evaluations(state) == unbroken.evaluations
    told = [event for event in events_of(folder) if not isinstance(event, BadLine)]
    assert [event.time for event in told] == sorted(event.time for event in told)
    for _, path in checkpoint_folders(folder.checkpoints):
        verify(path)
    assert folder.summary.is_file()
    assert not list(folder.path.glob("**/*.part"))


def notices(state: RunState, about: str) -> list[str]:
    return [one.text for one in state.remarks if isinstance(one, Notice) and one.about == about]


@pytest.mark.parametrize(
    ("planned", "lacking"),
    [
        (fault("checkpoint-write", "errno:EIO", nth=1), ["step 2"]),
        (fault("checkpoint-write", "errno:ENOSPC"), ["step 2", "step 4", "step 6"]),
        (fault("checkpoint-fsync", "errno:EIO", nth=3), ["step 2"]),
        (fault("checkpoint-manifest", "errno:ENOSPC", nth=2), ["step 4"]),
        (fault("checkpoint-rename", "errno:EROFS", nth=1), ["step 2"]),
        (fault("checkpoint-rotate", "errno:EIO"), []),
    ],
    ids=name_of,
)
def test_a_disk_that_refuses_a_checkpoint_costs_the_checkpoint_and_says_so(
    planned: dict[str, Any], lacking: list[str], unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, planned)
    seems_whole(folder, state, unbroken)
    said = notices(state, "checkpoint-failed")
    assert len(said) == len(lacking)
    assert all(step in text for step, text in zip(lacking, said, strict=True))


@pytest.mark.parametrize(
    ("planned", "resumed"),
    [
        (fault("loading", "kill"), 0),
        (fault("preparing", "kill"), 0),
        (fault("sample", "kill", step=0), 0),
        (fault("step-begin", "kill", step=1), 0),
        (fault("evaluation", "kill", step=2), 0),
        (fault("checkpoint-write", "kill", nth=3), 0),
        (fault("checkpoint-rename", "kill", nth=1), 0),
        (fault("step-end", "kill", step=3), 2),
        (fault("update", "kill", step=4), 2),
        (fault("event-write", "kill", step=4), 2),
        (fault("checkpoint-manifest", "kill", nth=2), 2),
        (fault("checkpoint-fsync", "kill", step=6), 4),
        (fault("checkpoint-rotate", "kill", nth=1), 6),
        (fault("sample", "kill", step=6), 6),
        (fault("adapter-write", "kill"), 6),
        (fault("adapter-rename", "kill"), 6),
        (fault("step-end", "exit:3", step=5), 4),
    ],
    ids=name_of,
)
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_ends_with_the_same_adapter(
    planned: dict[str, Any], resumed: int, unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, {**planned, **ONE_WORKER})
    seems_whole(folder, state, unbroken)
    told = events_of(folder)
    kinds = [type(one) for one in told if isinstance(one, WorkerEnded | Restarting | Started | Resumed)]
    assert kinds == [Started, WorkerEnded, Restarting, Started, Resumed]
    (ended,) = (one for one in told if isinstance(one, WorkerEnded))
    assert (ended.signal, ended.exit_code) == (("SIGKILL", None) if planned["do"] == "kill" else (None, 3))
    assert [one.step for one in told if isinstance(one, Resumed)] == [resumed]


def test_a_device_that_vanishes_ends_the_worker_and_a_new_one_goes_on(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("step-end", "device-lost", step=3, attempt=1))
    seems_whole(folder, state, unbroken)
    assert [one.kind for one in events_of(folder) if isinstance(one, WorkerFailed)] == ["device-lost"]


@pytest.mark.parametrize(
    "planned",
    [
        fault("step-begin", "device-memory", step=3),
        fault("update", "host-memory", step=4),
        fault("evaluation", "device-memory", step=2),
    ],
    ids=name_of,
)
def test_out_of_memory_goes_on_with_less_at_the_same_effective_batch_and_says_what_changed(
    planned: dict[str, Any], unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, {**planned, **ONE_WORKER})
    assert state.status == "finished", state.ended
    assert state.steps_done == runs.STEPS
    assert [step for step, _ in state.loss] == [step for step, _ in unbroken.curve]
    assert [loss for _, loss in state.loss] == pytest.approx([loss for _, loss in unbroken.curve], abs=0.05)
    (replanned,) = state.replanned
    assert replanned.changes
    now, before = current_recipe(folder).training, {change.key: change.before for change in replanned.changes}
    effective = before.get("training.micro_batch", now.micro_batch) * before.get(
        "training.accumulation", now.accumulation
    )  # type: ignore[operator]
    assert now.micro_batch * now.accumulation == effective
    assert replanned.text


def test_out_of_memory_where_no_setting_helps_ends_the_run_with_what_would() -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("loading", "host-memory"))
    assert isinstance(state.ended, Failed)
    assert state.ended.kind == "host-memory"
    assert state.ended.remedy


def test_out_of_memory_is_not_replanned_where_the_recipe_says_stop() -> None:
    folder = runs.make_run(recovery={"out_of_memory": "stop"})
    state = runs.finished(folder, fault("step-begin", "device-memory", step=3))
    assert isinstance(state.ended, Failed)
    assert (state.ended.kind, state.replanned) == ("device-memory", ())
    assert newest_good(folder)[0] is not None


@pytest.mark.parametrize(
    ("action", "attempts"), [("error", 2), ("exit:3", 2), ("kill", 6)], ids=["error", "exit", "kill"]
)
def test_the_same_end_at_the_same_step_is_no_endless_loop_and_can_be_continued(
    action: str, attempts: int, unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("step-end", action, step=3))
    assert isinstance(state.ended, Failed)
    assert state.started is not None
    assert state.started.attempt == attempts
    with runs.forged():
        continue_run(folder)
    seems_whole(folder, runs.await_end(folder), unbroken)


def test_torn_and_repeated_lines_cost_nothing_but_a_remark(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(
        folder,
        fault("event-write", "torn", nth=9),
        fault("event-write", "twice", nth=16),
        fault("event-write", "twice", nth=20),
    )
    assert state.bad_lines == 1
    seems_whole(folder, state, unbroken)
    assert folder.events.read_bytes().count(b'"event":"step"') > runs.STEPS


def test_a_log_without_room_for_a_while_has_no_gap_afterwards_and_says_so(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("event-write", "errno:ENOSPC", step=3, times=6))
    seems_whole(folder, state, unbroken)
    (text,) = notices(state, "log-gap")
    assert "came late" in text


def test_a_log_without_room_to_the_end_does_not_stop_training_and_the_gap_is_told(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("event-write", "errno:ENOSPC", nth=14, times=10_000))
    assert state.status == "finished"
    assert runs.adapter_hash(folder) == unbroken.adapter
    assert [one.step for one in events_of(folder) if isinstance(one, Resumed)] == [runs.STEPS]
    assert any("missing" in text for text in notices(state, "log-gap"))


def test_a_clock_that_jumps_back_moves_no_time_in_the_log(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("step-end", "back:3600", step=3))
    seems_whole(folder, state, unbroken)
    assert state.last_time - state.first_time < 3000


def test_a_full_disk_at_the_end_waits_for_room(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("adapter-write", "errno:ENOSPC", times=1))
    seems_whole(folder, state, unbroken)
    assert notices(state, "waiting-for-room")


def test_a_read_only_folder_keeps_no_result_but_the_run_ends_when_asked_and_goes_on_later(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    boundaries = ("checkpoint-write", "adapter-write")
    runs.start(folder, *(fault(boundary, "errno:EROFS") for boundary in boundaries))
    wait_for(folder, lambda event: isinstance(event, Failed) or getattr(event, "about", "") == "waiting-for-room")
    commands.send(folder.commands, "stop")
    state = runs.await_end(folder)
    assert isinstance(state.ended, Failed)
    assert state.ended.kind == "disk"
    assert not folder.adapter.exists()
    with runs.forged():
        continue_run(folder)
    seems_whole(folder, runs.await_end(folder), unbroken)


@pytest.mark.parametrize("boundary", ["supervisor-start", "worker-start"])
def test_a_supervisor_that_dies_before_it_has_the_run_leaves_no_run(boundary: str) -> None:
    folder = runs.make_run()
    with pytest.raises(Refusal, match="nothing was started"):
        runs.start(folder, fault(boundary, "kill"))
    assert all_runs() == []


@pytest.mark.parametrize("boundary", ["worker-ended", "restarting"])
def test_a_supervisor_that_dies_between_two_workers_loses_nothing_that_a_person_could_not_continue(
    boundary: str, unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault(boundary, "kill"), fault("step-end", "kill", step=3, attempt=1))
    assert state.status == "lost"
    with runs.forged():
        continue_run(folder)
    seems_whole(folder, runs.await_end(folder), unbroken)


def test_a_worker_whose_supervisor_dies_gets_another_and_ends_as_ever(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    runs.start(folder, fault("step-end", "hang:1.5", step=2))
    started = wait_for(folder, lambda event: isinstance(event, Started))
    runs.kill(started.supervisor_pid)
    state = runs.await_end(folder)
    seems_whole(folder, state, unbroken)
    assert sum(isinstance(event, Started) for event in events_of(folder)) == 1


def test_both_dying_at_once_is_continued_by_a_person(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    runs.start(folder, fault("step-end", "hang:3", step=3, attempt=1))
    started = wait_for(folder, lambda event: isinstance(event, Started))
    wait_for(folder, lambda event: getattr(event, "step", 0) == 2)
    runs.kill(started.supervisor_pid)
    runs.kill(started.worker_pid)
    assert runs.await_end(folder).status == "lost"
    with runs.forged():
        continue_run(folder)
    seems_whole(folder, runs.await_end(folder), unbroken)


@dataclass(frozen=True)
class Damage:
    """What becomes of the newest checkpoint between two workers."""

    name: str
    cut: int


@pytest.mark.parametrize("damage", [Damage("trained.safetensors", 1), Damage("complete.json", 40)])
def test_a_checkpoint_that_is_not_what_was_written_is_passed_over_and_that_is_told(
    damage: Damage, unbroken: Unbroken
) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("step-end", "kill", step=5), fault("restarting", "kill"))
    assert state.status == "lost"
    newest, _ = newest_good(folder)
    assert newest is not None
    path = newest.path / damage.name
    path.write_bytes(path.read_bytes()[: -damage.cut] + b"x" * (damage.cut if damage.name.endswith("s") else 0))
    with runs.forged():
        continue_run(folder)
    state = runs.await_end(folder)
    seems_whole(folder, state, unbroken)
    assert [one.step for one in events_of(folder) if isinstance(one, Resumed)] == [2]
    assert len(notices(state, "checkpoint-rejected")) == 1


def test_all_that_a_run_leaves_is_its_owners_alone_and_no_pickle(unbroken: Unbroken) -> None:
    folder = runs.make_run()
    state = runs.finished(folder, fault("step-begin", "device-memory", step=3, attempt=1))
    assert isinstance(state.ended, Finished)
    assert unbroken.adapter
    assert folder.changes.is_file()
    for path in (folder.path, *folder.path.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
        assert path.is_dir() or not _is_pickle(path.read_bytes()), path


def _is_pickle(content: bytes) -> bool:
    """A pickle of protocol 2 and up begins with 0x80; torch's are zip files."""
    return content[:1] == b"\x80" or content[:4] == b"PK\x03\x04"
