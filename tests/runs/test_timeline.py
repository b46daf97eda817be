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
    Replanned,
    Restarting,
    Resumed,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_state import Remark, RunState, fold
from pegbox_runs.timeline import how_to_go_on, sentence

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
    assert set(Remark.__args__) == told | {Restarting, Inspected}  # a new one needs a row above


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
