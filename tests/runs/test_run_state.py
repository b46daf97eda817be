"""The fold: a run's whole story in one immutable state."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from pegbox_methods.events import (
    AnyEvent,
    Change,
    Checkpoint,
    CommandAnswer,
    Continued,
    Failed,
    Finished,
    Memory,
    Notice,
    Paused,
    Queued,
    Ranks,
    Replanned,
    Restarting,
    Resumed,
    Step,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_state import KEPT_REMARKS, RunState, fold
from pegbox_runs.summary import summarise
from pegbox_runs.supervision.owner import OwnerRecord
from pegbox_runs.viewing import mark_lost
from tests.stories import STORY, evaluation, made, started, step


def test_a_story_is_folded_into_its_figures() -> None:
    state = fold(STORY)
    assert state.status == "running"
    assert state.phase is not None
    assert state.phase.phase == "training"
    assert list(state.loss.steps) == [1, 2, 3]
    assert state.tokens == 21
    assert state.training_seconds == 6.0
    assert state.peak == Memory(process_peak=30, device_peak=300)
    assert state.best_evaluation == evaluation(2, 2.5)
    assert state.untrained_evaluation == evaluation(0, 3.0)
    assert state.seconds_left == 7 * 2.0
    assert not state.over


def test_folding_is_pure_and_can_be_cut_anywhere() -> None:
    for cut in range(len(STORY) + 1):
        first = fold(STORY[:cut])
        before = (first.loss, first.tokens, len(first.loss))
        assert fold(STORY[cut:], first) == fold(STORY)
        assert (first.loss, first.tokens, len(first.loss)) == before


def test_folding_many_at_once_is_folding_one_after_the_other() -> None:
    state = RunState()
    for event in STORY:
        state = state.after(event)
    assert state == fold(STORY)


def test_each_end_gives_its_status() -> None:
    done = Finished(reason="completed", steps=3, kept_step=2, adapter="adapter", seconds=6.0)
    assert fold([*STORY, done]).status == "finished"
    assert fold([*STORY, msgspec.structs.replace(done, reason="stopped")]).status == "stopped"
    failed = Failed(what="w", where="training", remedy="r")
    assert fold([*STORY, failed]).status == "failed"
    assert fold([*STORY, failed]).seconds_left is None


def test_remarks_are_kept_up_to_a_bound_and_bad_lines_are_counted() -> None:
    answer = CommandAnswer(command="stop", id="1", taken=True, text="t", latency=0.1)
    state = fold([*[Notice(text=str(i)) for i in range(KEPT_REMARKS + 50)], BadLine(3, "x"), answer])
    assert len(state.remarks) == KEPT_REMARKS
    assert state.remarks[-1] == answer
    assert state.bad_lines == 1


def test_a_summary_says_what_the_state_says() -> None:
    done = Finished(time=200.0, reason="completed", steps=3, kept_step=2, adapter="adapter", seconds=6.0)
    summary = summarise("id", fold([*STORY, done]))
    assert (summary.status, summary.steps, summary.steps_planned) == ("finished", 3, 10)
    assert (summary.untrained_loss, summary.best_loss, summary.best_step, summary.kept_step) == (3.0, 2.5, 2, 2)
    assert summary.seconds == 100.0
    assert summary.failure is None


KILLED = [
    WorkerEnded(attempt=1, exit_code=None, signal="SIGKILL", oom_killer=False),
    Restarting(attempt=2, why="the worker was killed by SIGKILL", after_seconds=1.0, left=4),
    started(attempt=2),
]


def numbered(events: list[AnyEvent]) -> list[AnyEvent]:
    return [msgspec.structs.replace(event, seq=number) for number, event in enumerate(events, start=1)]


def test_a_run_that_went_back_to_a_checkpoint_has_the_curve_of_one_that_was_never_killed() -> None:
    resumed = Resumed(step=2, folder="checkpoints/checkpoint-2", tokens=14, padding=0, training_seconds=4.0)
    whole, broken = fold(STORY), fold([*STORY, *KILLED, resumed, step(3), evaluation(3, 2.6)])
    assert broken.loss == whole.loss
    assert broken.evaluations == whole.evaluations
    assert (broken.tokens, broken.training_seconds, broken.steps_done) == (21, 6.0, 3)
    assert broken.samples == whole.samples
    assert [type(remark) for remark in broken.remarks] == [WorkerEnded, Restarting, Resumed]
    assert broken.started is not None
    assert broken.started.attempt == 2


def test_memory_and_the_newest_steps_are_kept_and_forgotten_with_the_steps_taken_anew() -> None:
    taken = [Memory(device_now=9), Memory(process_now=7), Memory(device_now=8, process_now=7), Memory()]
    steps = [msgspec.structs.replace(step(n), memory=memory) for n, memory in enumerate(taken, start=1)]
    state = fold(numbered([started(), *steps, *map(step, range(5, 31))]))
    assert list(state.memory.values[:4]) == [9, 7, 8, 0]
    assert list(state.step_seconds.values) == [2.0] * 30
    assert [one.step for one in state.recent] == list(range(11, 31))
    assert state.peak == Memory(process_peak=10)
    back = state.after(Resumed(seq=99, step=12, folder="f"))
    assert [one.step for one in back.recent] == [11, 12]
    assert list(back.memory.steps)[-1] == 12


def test_a_run_without_a_good_checkpoint_forgets_all_and_begins_anew() -> None:
    state = fold([*STORY, *KILLED, Resumed(step=0, folder=None)])
    assert (len(state.loss), state.evaluations, state.samples, state.tokens, state.steps_done) == (0, (), (), 0, 0)
    assert state.peak == Memory(process_peak=30, device_peak=300)
    assert state.seconds_left is None


def test_going_back_leaves_earlier_states_as_they_were() -> None:
    before = fold(STORY)
    values = list(before.loss)
    fold([Resumed(step=1, folder="f", tokens=7), step(2), step(3), step(4)], before)
    assert list(before.loss) == values


def test_a_line_that_is_there_twice_happened_once() -> None:
    story = numbered([*STORY, Checkpoint(step=3, folder="f"), Notice(text="n"), Notice(text="n")])
    doubled = [again for event in story for again in (event, event)]
    assert fold(doubled) == fold(story)
    steps = [event for event in story if isinstance(event, Step)]
    assert fold([*story, *steps]) == fold(story)


def test_each_part_of_a_life_gives_its_status() -> None:
    life: list[tuple[AnyEvent, str]] = [
        (Queued(place=1, host="h", supervisor_pid=1, supervisor_mark="m"), "queued"),
        (started(), "running"),
        (Paused(step=3, memory="kept"), "paused"),
        (Continued(step=3, seconds=2.0), "running"),
        (Paused(step=4, memory="released"), "paused"),
        (started(attempt=2), "running"),
        (WorkerFailed(kind="device-memory", what="w", where="training", remedy="r", step=4), "running"),
        (KILLED[0], "running"),
        (KILLED[1], "restarting"),
        (started(attempt=3), "running"),
        (Finished(reason="aborted", steps=4, kept_step=0, adapter=None, seconds=1.0), "aborted"),
        (started(attempt=4), "running"),
    ]
    state = RunState()
    for event, status in life:
        state = state.after(event)
        assert state.status == status
    assert not state.over
    assert state.trouble is not None


def test_an_evaluation_made_only_because_the_run_ended_is_none_of_the_continued_run() -> None:
    extra = msgspec.structs.replace(evaluation(3, 0.1), extra=True)
    stopped = Finished(reason="stopped", steps=3, kept_step=3, adapter="adapter", seconds=6.0)
    ended = fold([*STORY[:-1], Checkpoint(step=3, folder="f"), extra, stopped])
    assert ended.best_evaluation == extra
    resumed = Resumed(step=3, folder="f", tokens=21, training_seconds=6.0)
    assert fold([started(attempt=2), resumed], ended).best_evaluation == evaluation(2, 2.5)
    assert fold([started(attempt=2), resumed], ended).checkpoint == Checkpoint(step=3, folder="f")
    begun_anew = fold([started(attempt=2), Resumed(step=0, folder=None)], ended)
    assert begun_anew.checkpoint is None


def test_a_checkpoint_that_was_passed_over_is_no_longer_the_newest_and_ranks_go_back_too() -> None:
    ranks = Ranks(step=3, ranks={"q": 2}, before=4)
    told = fold([*STORY, Checkpoint(step=2, folder="two"), Checkpoint(step=3, folder="three", bytes=7), ranks])
    back = fold([started(attempt=2), Resumed(step=2, folder="two", tokens=14)], told)
    assert back.checkpoint == Checkpoint(step=2, folder="two")
    assert back.ranks is None
    assert fold([started(attempt=2), Resumed(step=3, folder="three")], told).ranks == ranks


def test_the_time_left_counts_steps_that_the_log_lost() -> None:
    resumed = Resumed(step=8, folder="f", tokens=56, training_seconds=16.0)
    assert fold([*STORY, *KILLED, resumed, step(9)]).seconds_left == 2.0


def test_what_was_changed_on_the_way_is_in_the_summary() -> None:
    change = Change(key="training.micro_batch", before=4, after=2)
    replanned = Replanned(step=2, why="memory", changes=(change,), text="t")
    summary = summarise("id", fold([*STORY, replanned, *KILLED]))
    assert summary.changes == (change,)
    assert summary.attempts == 2


GONE = {"supervisor_mark": "another boot:1", "worker_mark": "another boot:2"}


def test_a_run_whose_processes_are_gone_is_lost() -> None:
    assert mark_lost(fold([started(**GONE)]), made()).status == "lost"


def test_a_run_is_not_lost_while_one_of_its_processes_lives_or_where_it_cannot_be_seen() -> None:
    assert mark_lost(fold([started(supervisor_mark="x")]), made()).status == "running"
    elsewhere, folder = fold([started(**GONE, host="elsewhere")]), made()
    owner = OwnerRecord(host="elsewhere", pid=1, process_mark="m")
    folder.owner.write_bytes(msgspec.json.encode(owner))
    assert mark_lost(elsewhere, folder).status == "running"
    folder.owner.unlink()  # as it does itself at its end, or a person does whose machine is gone for good
    assert mark_lost(elsewhere, folder).status == "lost"


def test_a_run_that_no_supervisor_ever_took_is_lost_after_a_while() -> None:
    folder = made()
    assert mark_lost(RunState(), folder).status == "new"
    os.utime(folder.recipe, (1.0, 1.0))
    assert mark_lost(RunState(), folder).status == "lost"


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    mine = process_mark(os.getpid())
    assert mine is not None
    assert process_mark(os.getpid()) == mine
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_mark(child.pid) not in {None, mine}
    child.communicate()
    assert process_mark(child.pid) is None
