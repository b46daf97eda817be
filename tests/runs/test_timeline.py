"""What happened on the way is told in sentences, and how a run is continued."""

from __future__ import annotations

import pytest

from pegbox_methods.events import (
    AnyEvent,
    Change,
    Check,
    Checkpoint,
    CommandAnswer,
    Continued,
    Failed,
    Finished,
    Inspected,
    Notice,
    Paused,
    Queued,
    RankFailed,
    Replanned,
    Restarting,
    Resumed,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_state import Remark, RunState, fold
from pegbox_runs.setbacks import Setback
from pegbox_runs.timeline import ending, how_to_go_on, sentence, setback_sentence
from tests.stories import STORY, started, step

MICRO = Change(key="training.micro_batch", before=8, after=4)
FAILED = Failed(what="it broke", where="training at step 3", remedy="Mend it.", kind="crash")


def ended(code: int | None, signal: str | None = None, *, oom: bool = False) -> WorkerEnded:
    return WorkerEnded(attempt=1, exit_code=code, signal=signal, oom_killer=oom, evidence="oom_kill rose from 1 to 2")


def answer(*, taken: bool) -> CommandAnswer:
    return CommandAnswer(command="stop", id="a", taken=taken, text="the run ends", latency=0.1)


def queued(place: int) -> Queued:
    return Queued(place=place, host="h", supervisor_pid=1, supervisor_mark="m")


def inspected(*checks: Check) -> Inspected:
    return Inspected(step=3, checks=checks, seconds=0.1)


PASSED = Check(name="gradients", verdict="passed", text="all have one")
UNSURE = Check(name="throughput", verdict="unsure", text="half of the forecast")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Notice(text="mind this"), "notice: mind this"),
        (answer(taken=True), "stop: the run ends"),
        (answer(taken=False), "stop refused: the run ends"),
        (BadLine(7, "odd"), "notice: line 7 of the event log is damaged and left out (odd)"),
        (Checkpoint(step=4, folder="f", reason="asked"), "checkpoint of step 4 written, as it was asked for"),
        (Checkpoint(step=4, folder="f"), None),
        (inspected(PASSED, PASSED), "looked at after step 3: 2 checks passed"),
        (inspected(PASSED, UNSURE), "looked at after step 3: throughput: half of the forecast"),
        (queued(1), "queued: it is the next"),
        (queued(2), "queued behind 1 other run"),
        (queued(4), "queued behind 3 other runs"),
        (Resumed(step=0, folder=None), "goes on from the beginning: there is no good checkpoint"),
        (Resumed(step=9, folder="checkpoints/checkpoint-9"), "goes on from the checkpoint of step 9"),
        (Paused(step=3, memory="kept"), "paused after step 3, with its memory kept"),
        (Paused(step=3, memory="released"), "paused after step 3, with its memory released"),
        (Continued(step=3, seconds=70), "goes on after a pause of 1 min 10 s"),
        (
            Replanned(step=3, why="memory", changes=(MICRO,), text="micro_batch is 4"),
            "changed after step 3 for memory: micro_batch is 4",
        ),
        (
            WorkerFailed(kind="error", what="it broke", where="loading", remedy="Mend it."),
            "the worker couldn't go on while loading: it broke",
        ),
        (
            RankFailed(rank=1, host="node-b", pid=7, what="it ran out of memory", first=True, step=3, exit_code=1),
            "rank 1 on node-b failed at step 3 (exit code 1): it ran out of memory",
        ),
        (
            RankFailed(rank=1, host="node-b", pid=7, what="rank 1 on node-b was killed", first=True, step=3),
            "rank 1 on node-b failed at step 3: was killed",
        ),
        (
            RankFailed(rank=0, host="node-a", pid=6, what="a connection broke", first=False, signal="SIGTERM"),
            "rank 0 on node-a lost the others before its first step (SIGTERM): a connection broke",
        ),
        (ended(None, "SIGKILL"), "the worker was killed by SIGKILL"),
        (ended(None, "SIGKILL", oom=True), "the kernel killed the worker for memory (oom_kill rose from 1 to 2)"),
        (ended(0), None),
        (ended(1), None),
        (ended(3), "the worker ended with exit code 3"),
        (
            Restarting(attempt=2, why="it was killed", after_seconds=2, left=1),
            "starts again in 2 s, 1 more restart left: it was killed",
        ),
        (FAILED, "failed while training at step 3: it broke\nMend it."),
        (
            Finished(reason="aborted", steps=3, kept_step=0, adapter=None, seconds=61),
            "aborted after 3 steps in 1 min 01 s",
        ),
    ],
)
def test_events_are_told_in_sentences(event: AnyEvent | BadLine, said: str | None) -> None:
    assert sentence(event) == said


def test_every_kind_of_remark_has_a_sentence_of_its_own() -> None:
    told = {Notice, CommandAnswer, BadLine, Resumed, Paused, Continued, Replanned, WorkerFailed, WorkerEnded}
    assert set(Remark.__args__) == told | {Restarting, Inspected, RankFailed}  # a new one needs a row above


CHECKPOINT = Checkpoint(step=4, folder="f")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([FAILED], "`pegbox resume r` goes on from its beginning, for want of a checkpoint."),
        ([CHECKPOINT, FAILED], "`pegbox resume r` goes on from the checkpoint of step 4."),
        ([Failed(what="w", where="w", remedy="r", kind="diverged")], None),
        ([Failed(what="w", where="w", remedy="Then `pegbox resume` does it.", kind="disk")], None),
        (
            [CHECKPOINT, Finished(reason="stopped", steps=4, kept_step=4, adapter="a", seconds=1)],
            "`pegbox resume r` goes on from the checkpoint of step 4.",
        ),
        ([Finished(reason="completed", steps=4, kept_step=4, adapter="a", seconds=1)], None),
        ([CHECKPOINT], None),
    ],
)
def test_who_sees_an_end_is_told_how_to_go_on_where_that_makes_sense(events: list[AnyEvent], said: str | None) -> None:
    assert how_to_go_on("r", fold(events, RunState())) == said


@pytest.mark.parametrize(
    ("how", "step_done", "back_to", "said"),
    [
        (
            ended(None, "SIGKILL"),
            39,
            0,
            "was killed (SIGKILL) at step 39; begun again from step 0: 39 steps are taken anew",
        ),
        (
            ended(None, "SIGKILL", oom=True),
            9,
            8,
            "was killed by the kernel for memory at step 9; gone on from the checkpoint of step 8: "
            "1 step is taken anew",
        ),
        (ended(3), 8, 8, "ended with exit code 3 at step 8; gone on from the checkpoint of step 8"),
        (ended(1), 0, 0, "couldn't go on before its first step; begun again from step 0"),
        (None, 5, 4, "was lost at step 5; gone on from the checkpoint of step 4: 1 step is taken anew"),
    ],
)
def test_what_a_dead_worker_cost_is_told(how: WorkerEnded | None, step_done: int, back_to: int, said: str) -> None:
    lost = Setback(worker=1, ended=how, step=step_done, back_to=back_to)
    assert setback_sentence(lost) == f"worker 1 {said}"


def test_only_a_worker_that_died_or_lost_steps_is_a_setback() -> None:
    again = (started(attempt=2), Resumed(step=3, folder="f"))
    assert fold([*STORY, ended(0), *again]).setbacks == ()
    assert fold([*STORY, Paused(step=3, memory="released"), *again]).setbacks == ()
    assert fold([*STORY, *again[:1], Resumed(step=2, folder="f")]).setbacks == (
        Setback(worker=1, ended=None, step=3, back_to=2),
    )
    died = fold([*STORY, ended(None, "SIGKILL"), *again])
    assert [(lost.step, lost.steps_anew) for lost in died.setbacks] == [(3, 0)]
    twice = fold([started(attempt=3), Resumed(step=0, folder=None)], died)
    assert [lost.ended is None for lost in twice.setbacks] == [False, True], "the end of an earlier worker isn't its"


@pytest.mark.parametrize("between", [(), (queued(1),)], ids=["at-once", "queued"])
@pytest.mark.parametrize("killed", [(), (ended(None, "SIGKILL"),)], ids=["heeded", "killed"])
def test_a_run_that_was_aborted_and_continued_tells_no_death(
    between: tuple[AnyEvent, ...], killed: tuple[AnyEvent, ...]
) -> None:
    aborted = Finished(reason="aborted", steps=3, kept_step=0, adapter=None, seconds=6.0)
    again = (*between, started(attempt=2), Resumed(step=2, folder="f"))
    state = fold([*STORY, *killed, aborted, *again])
    assert [setback_sentence(lost) for lost in state.setbacks] == [
        "worker 1 was aborted at step 3; gone on from the checkpoint of step 2: 1 step is taken anew"
    ]
    nothing_lost = (started(attempt=2), Resumed(step=3, folder="f"))
    assert fold([*STORY, *killed, aborted, *nothing_lost]).setbacks == ()
    later = fold([step(3), started(attempt=3), Resumed(step=2, folder="f")], state)
    assert "worker 2 was lost at step 3" in setback_sentence(later.setbacks[-1]), "only the first was aborted"


def test_a_worker_that_died_before_the_run_was_aborted_died() -> None:
    died = (ended(None, "SIGKILL"), Restarting(attempt=2, why="w", after_seconds=60.0, left=1))
    aborted = Finished(reason="aborted", steps=3, kept_step=0, adapter=None, seconds=6.0)
    (lost,) = fold([*STORY, *died, aborted, started(attempt=2), Resumed(step=2, folder="f")]).setbacks
    assert setback_sentence(lost).startswith("worker 1 was killed (SIGKILL) at step 3")


def test_the_end_of_a_run_tells_the_time_of_all_its_workers() -> None:
    done = Finished(reason="aborted", steps=1, kept_step=1, adapter=None, seconds=2.0, time=500.0)
    assert ending(fold([*STORY, done])) == "aborted after 1 steps in 2 s"
    state = fold([*STORY, started(attempt=2), Resumed(step=0, folder=None), step(1), done])
    assert ending(state) == "aborted after 1 steps: 6 min 40 s in all with 2 workers, 2 s of it in these steps"
    assert ending(fold(STORY)) is None
