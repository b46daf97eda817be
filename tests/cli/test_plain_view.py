"""A run as plain lines: what is on the way stays unsaid, and the answers come before and after."""

from __future__ import annotations

import msgspec
import pytest

from pegbox.plain_view import lines
from pegbox_methods.events import AnyEvent, Finished, Load, Sample, WorkerFailed
from pegbox_runs.run_state import RunState
from tests.stories import STORY, evaluation, prepared, started, step
from tests.together import failed, joined, told_together

DONE = Finished(reason="completed", steps=10, kept_step=10, adapter="adapter", seconds=20.0)


def sample(at: int, answer: str, index: int = 0) -> Sample:
    return Sample(step=at, index=index, question=f"question {index}", answer=answer, expected="e")


def said(events: list[AnyEvent]) -> list[str]:
    state, told = RunState(), []
    for event in events:
        state = state.after(event)
        told += lines(event, state)
    return told


def test_of_the_answers_those_before_and_the_last_after_are_told() -> None:
    ready = msgspec.structs.replace(prepared(), steps=10)
    answers = [sample(0, "before"), sample(0, "before too", 1), sample(5, "on the way"), sample(5, "so too", 1)]
    story: list[AnyEvent] = [started(), ready, *answers, step(10), sample(10, "after"), sample(10, "after too", 1)]
    told = said([*story, DONE])
    assert [line for line in told if "answer:" in line] == [
        "  answer: before",
        "  answer: before too",
        "  answer: after",
        "  answer: after too",
    ]
    assert told[-2].startswith("completed") or "adapter" in told[-2]
    assert told[-1] == f"next: pegbox evaluate, chat or export {started().run}"
    assert "after: question 1" in told


@pytest.mark.parametrize("at", [4, 7])
def test_an_answer_from_the_way_is_named_by_its_step_where_none_came_after(at: int) -> None:
    aborted = Finished(reason="aborted", steps=7, kept_step=0, adapter=None, seconds=14.0)
    told = said([started(), prepared(), sample(0, "early"), step(7), sample(at, "on the way"), aborted])
    assert f"step {at}: question 0" in told
    assert not [line for line in told if line.startswith("after:")]
    one_later = said([*STORY, sample(4, "on the way", 1), sample(10, "late"), DONE])
    assert [line for line in one_later if "question" in line] == ["step 4: question 1", "after: question 0"]


def test_a_run_whose_answers_never_came_ends_without_any() -> None:
    assert not [line for line in said([*STORY, DONE]) if line.startswith("after")]


def test_the_device_s_load_gives_no_line() -> None:
    load = Load(step=1, device_use=0.5, temperature_c=50.0, power_w=None, power_limit_w=None)
    assert list(lines(load, RunState())) == []
    assert list(lines(evaluation(2, 2.5), RunState())) == ["step 2: evaluation loss 2.5000, perplexity 1"]


def test_the_processes_that_carry_a_run_are_told_once_and_a_step_has_their_worst_peak() -> None:
    told = said([*told_together(), DONE])
    carried = [line for line in told if line.startswith("carried by")]
    assert carried == ["carried by 2 processes, DDP on node-a (cuda:0, cuda:1); all were there after 3.2 s"]
    assert ["worst peak" in line for line in told if "tokens/s" in line] == [True] * 3
    assert not [line for line in said([*STORY, DONE]) if "worst" in line or "carried by" in line]


def test_of_thousands_of_processes_that_failed_the_cause_is_told_and_once() -> None:
    culprit = failed(1, first=True)
    worker = WorkerFailed(kind="crash", what=culprit.what, where="training", remedy="")
    events: list[AnyEvent] = [started(), joined(), *(failed(rank) for rank in range(2, 4000)), culprit, worker]
    told = said(events)
    assert told[-1].startswith("rank 1 on node-a failed at step 3 (SIGKILL)")
    assert "lost the others" not in " ".join(told)
    alone = said([started(), worker])
    assert alone[-1] == f"the worker couldn't go on while training: {culprit.what}"
    assert said([*events, started(attempt=2), worker])[-1] == alone[-1], "another worker's trouble is its own"
