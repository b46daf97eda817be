"""What comes after a worker's end, as a table."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswer,
    Failed,
    Finished,
    Paused,
    Restarting,
    Resumed,
    Trouble,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_methods.recipe import Recovery
from pegbox_runs.supervision.attempts import Attempts
from pegbox_runs.supervision.policy import Again, Decision, End, GiveUp, Replan, RestartPolicy, Stay, Told
from tests.stories import started, step

POLICY = RestartPolicy()
EXIT_1 = WorkerEnded(attempt=1, exit_code=1, signal=None, oom_killer=False)
KILLED = WorkerEnded(attempt=1, exit_code=None, signal="SIGKILL", oom_killer=False)
SEGFAULT = WorkerEnded(attempt=1, exit_code=None, signal="SIGSEGV", oom_killer=False)
FOR_MEMORY = WorkerEnded(attempt=1, exit_code=None, signal="SIGKILL", oom_killer=True, evidence="oom_kill rose")
UNSEEN = WorkerEnded(attempt=1, exit_code=None, signal=None)


def failed(kind: Trouble, what: str = "it broke", at: int = 2) -> WorkerFailed:
    return WorkerFailed(kind=kind, what=what, where="training", remedy="Mend it.", step=at)


def answered(command: str) -> CommandAnswer:
    return CommandAnswer(command=command, id="1", taken=True, text="t", latency=0.1)


def attempts(*events: AnyEvent) -> Attempts:
    state = Attempts()
    for event in events:
        state = state.after(event)
    return state


def decide(ended: WorkerEnded, *events: AnyEvent, **recovery: Any) -> Decision:
    return POLICY.decide(attempts(*events), ended, Recovery(**recovery), "training at step 2")


TWO_STEPS = (started(), step(1), step(2))


@pytest.mark.parametrize(
    ("ended", "events", "decision"),
    [
        (EXIT_1, [failed("refused")], GiveUp),
        (EXIT_1, [failed("diverged")], GiveUp),
        (EXIT_1, [failed("inspection")], GiveUp),
        (EXIT_1, [failed("disk")], GiveUp),
        (EXIT_1, [failed("device-memory")], Replan),
        (EXIT_1, [failed("host-memory")], Replan),
        (FOR_MEMORY, [], Replan),
        (EXIT_1, [failed("device-lost")], Again),
        (EXIT_1, [failed("error")], Again),
        (EXIT_1, [failed("crash")], Again),
        (EXIT_1, [], Again),
        (msgspec.structs.replace(EXIT_1, exit_code=0), [], Again),
        (SEGFAULT, [], Again),
        (KILLED, [], Again),
        (msgspec.structs.replace(KILLED, oom_killer=None), [], Again),
        (UNSEEN, [], Again),
        (EXIT_1, [Finished(reason="completed", steps=2, kept_step=2, adapter="adapter", seconds=1.0)], Told),
        (KILLED, [Finished(reason="aborted", steps=2, kept_step=0, adapter=None, seconds=1.0)], Told),
        (EXIT_1, [Failed(what="w", where="w", remedy="r")], Told),
        (msgspec.structs.replace(EXIT_1, exit_code=0), [Paused(step=2, memory="released")], Stay),
        (KILLED, [Paused(step=2, memory="kept")], Stay),
        (KILLED, [answered("abort")], End),
        (KILLED, [answered("stop")], Again),
    ],
)
def test_each_end_of_a_worker_has_its_consequence(
    ended: WorkerEnded, events: list[AnyEvent], decision: type[Decision]
) -> None:
    assert type(decide(ended, *TWO_STEPS, *events)) is decision


def test_a_stop_that_a_worker_took_before_its_first_step_needs_no_other_worker() -> None:
    assert decide(KILLED, started(), answered("stop")) == End("stopped")


def test_a_full_disk_ends_a_run_and_says_once_how_it_goes_on() -> None:
    told = WorkerFailed(kind="disk", what="no room", where="saving", remedy="Make room, and continue the run.", step=2)
    decision = decide(EXIT_1, *TWO_STEPS, told)
    assert isinstance(decision, GiveUp)
    assert decision.failed.remedy == "Make room, and continue the run. The command for that is `pegbox resume`."


def test_out_of_memory_ends_a_run_that_shall_not_be_changed() -> None:
    decision = decide(FOR_MEMORY, *TWO_STEPS, out_of_memory="stop")
    assert isinstance(decision, GiveUp)
    assert "oom_kill rose" in decision.failed.what
    assert "training.micro_batch" in decision.failed.remedy


def again(*events: AnyEvent, ended: WorkerEnded = EXIT_1) -> list[AnyEvent]:
    """The first worker's end, and the second's beginning behind the checkpoint of step 1."""
    restarting = Restarting(attempt=2, why="w", after_seconds=1.0, left=4)
    return [*TWO_STEPS, *events, ended, restarting, started(attempt=2), Resumed(step=1, folder="c")]


@pytest.mark.parametrize(
    ("first", "second", "hopeless"),
    [
        ((failed("error"), EXIT_1), (failed("error"), EXIT_1), True),
        ((failed("error"), EXIT_1), (failed("error", at=1), EXIT_1), True),
        ((failed("error"), EXIT_1), (failed("error", at=3), EXIT_1), False),
        ((failed("error"), EXIT_1), (failed("error", "something else"), EXIT_1), False),
        ((failed("error"), EXIT_1), (failed("device-lost"), EXIT_1), False),
        ((None, SEGFAULT), (None, SEGFAULT), True),
        ((None, SEGFAULT), (None, EXIT_1), False),
        ((None, KILLED), (None, KILLED), False),
        ((None, UNSEEN), (None, UNSEEN), False),
    ],
)
def test_the_same_error_no_further_than_before_is_not_tried_a_third_time(
    first: tuple[WorkerFailed | None, WorkerEnded], second: tuple[WorkerFailed | None, WorkerEnded], hopeless: bool
) -> None:
    history = again(*([first[0]] if first[0] else []), ended=first[1])
    decision = decide(second[1], *history, *([second[0]] if second[0] else []))
    assert isinstance(decision, GiveUp) is hopeless
    if isinstance(decision, GiveUp):
        assert "same step" in decision.failed.remedy


def test_restarts_are_counted_down_and_then_the_run_ends() -> None:
    decision = decide(KILLED, *again(ended=KILLED))
    assert isinstance(decision, Again)
    assert (decision.left, decision.after_seconds) == (3, 2.0)
    last = attempts(*TWO_STEPS, KILLED, Restarting(attempt=6, why="w", after_seconds=1.0, left=0), started(attempt=6))
    decision = POLICY.decide(last, KILLED, Recovery(), "training at step 2")
    assert isinstance(decision, GiveUp)
    assert "started again 5 times" in decision.failed.remedy
    assert "memory" in decision.failed.remedy
    assert isinstance(decide(KILLED, *TWO_STEPS, restarts=0), GiveUp)


def test_a_re_plan_costs_no_restart() -> None:
    decision = decide(FOR_MEMORY, *again(ended=KILLED))
    assert isinstance(decision, Replan)
    assert decision.left == 4


def test_a_run_that_a_person_continued_counts_anew() -> None:
    ended = [*again(ended=KILLED), Failed(what="w", where="w", remedy="r"), started(attempt=3)]
    decision = decide(KILLED, *ended)
    assert isinstance(decision, Again)
    assert decision.left == 4


def test_waits_double_up_to_a_minute() -> None:
    assert [POLICY.wait_seconds(n) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert POLICY.wait_seconds(10_000) == 60


def test_the_failure_names_the_workers_own_words_and_how_it_ended() -> None:
    decision = decide(EXIT_1, *TWO_STEPS, failed("disk", "the disk is full"))
    assert isinstance(decision, GiveUp)
    assert (decision.failed.what, decision.failed.kind, decision.failed.exit_code) == ("the disk is full", "disk", 1)
    assert decision.failed.remedy.startswith("Mend it.")
    assert "pegbox resume" in decision.failed.remedy


def test_reading_the_own_lines_back_changes_nothing() -> None:
    """Where the disk takes no line, a supervisor folds what it told; where it does, it folds it twice."""
    once = attempts(*again(failed("error")))
    twice = attempts(*[event for event in again(failed("error")) for _ in range(2)])
    assert once == twice


LOST = WorkerEnded(attempt=1, exit_code=None, signal=None, oom_killer=False, evidence="node-7 was lost (on node-7)")
SAVED = Checkpoint(step=2, folder="checkpoint-2", bytes=1, seconds=0.1)


def test_a_node_that_was_lost_costs_a_run_that_had_saved_something_none_of_its_restarts() -> None:
    decision = decide(LOST, *TWO_STEPS, SAVED, restarts=3)
    assert isinstance(decision, Again)
    assert decision.left == 3
    last = Restarting(attempt=2, why="w", after_seconds=1.0, left=0)
    story = (*TWO_STEPS, SAVED, EXIT_1, last, started(attempt=2), Resumed(step=2, folder="c"), step(3))
    further = Checkpoint(step=3, folder="checkpoint-3", bytes=1, seconds=0.1)
    assert isinstance(decide(LOST, *story, further), Again), "none is left, and none is needed"
    for nothing in ([], [SAVED]):
        assert isinstance(decide(LOST, *story, *nothing), GiveUp), "what comes no further would be lost for ever"
    assert isinstance(decide(LOST, *TWO_STEPS, SAVED, restarts=0), GiveUp)


def test_a_lost_nodes_failure_sends_to_the_cluster_and_not_to_a_log_that_was_never_begun() -> None:
    decision = decide(LOST, *TWO_STEPS, restarts=0)
    assert isinstance(decision, GiveUp)
    assert "the cluster" in decision.failed.remedy
    assert "worker.log" not in decision.failed.remedy
    assert "for memory" not in decision.failed.remedy, "it is known that it wasn't"
