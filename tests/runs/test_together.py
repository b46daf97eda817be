"""Several processes carry one run: what its state, its lists and its sentences say of them."""

from __future__ import annotations

import msgspec
import pytest

from pegbox_methods.events import (
    AnyEvent,
    Finished,
    Member,
    Memory,
    RankFailed,
    Resumed,
    WorkerEnded,
    WorkerFailed,
    event_decoder,
    event_encoder,
)
from pegbox_runs.advisor import hints
from pegbox_runs.hints.processes import waited_share
from pegbox_runs.listing import Listing
from pegbox_runs.over_processes import KEPT_LOSSES
from pegbox_runs.run_report.course import read_course
from pegbox_runs.run_report.facts import read_facts
from pegbox_runs.run_report.markdown import run_markdown
from pegbox_runs.run_report.report import report_of
from pegbox_runs.run_state import fold
from pegbox_runs.summary import Summary, summarise
from pegbox_runs.timeline import setback_sentence
from pegbox_runs.together import carried_by
from tests.runs.test_listing import run_of
from tests.stories import STORY, prepared, started
from tests.together import GIB, cpu_steps, failed, joined, member, told_together

DONE = Finished(reason="completed", steps=3, kept_step=2, adapter="adapter", seconds=6.0)
HOSTILE = "node\x1b[31m\u202e\n" + "x" * 5000


def test_a_log_of_one_process_tells_of_no_others() -> None:
    state = fold(STORY)
    assert (state.joined, state.rank_failures, state.mean_peak) == (None, (), Memory())
    assert carried_by(state) is None
    assert waited_share(state) is None


def test_an_event_of_an_earlier_version_is_of_one_process() -> None:
    line = event_encoder().encode(prepared()).replace(b',"processes":1', b"")
    assert b"processes" not in line
    assert event_decoder().decode(line) == prepared()


def test_the_worst_and_the_mean_of_the_processes_are_both_kept() -> None:
    state = fold(told_together())
    assert state.peak == Memory(process_peak=30, device_peak=300)
    assert state.mean_peak.process_peak == 15
    assert fold(told_together()[:5]).mean_peak == Memory()
    assert fold([*told_together(), *cpu_steps(4)]).mean_peak.process_peak == 3 * GIB // 2


def test_folding_a_run_of_several_processes_can_be_cut_anywhere() -> None:
    story = [*told_together(), failed(0), failed(1, first=True), started(attempt=2), joined(), *cpu_steps(3)]
    story = [msgspec.structs.replace(event, seq=number) for number, event in enumerate(story, start=1)]
    for cut in range(len(story) + 1):
        assert fold(story[cut:], fold(story[:cut])) == fold(story)


def test_a_new_worker_has_processes_of_its_own() -> None:
    state = fold([*told_together(), started(attempt=2)])
    assert state.joined is None
    assert carried_by(state) == "2 processes"  # as the one before it told
    assert fold([joined()], state).joined == joined()


def test_a_failed_process_is_told_and_those_that_lost_it_are_only_counted() -> None:
    lost = [failed(rank) for rank in range(4096) if rank != 7]
    state = fold([*told_together(), *lost[:900], failed(7, first=True, host="node-b"), *lost[900:]])
    assert state.losses.count == 4096
    assert len(state.rank_failures) == KEPT_LOSSES
    assert state.rank_failures[0].rank == 7
    assert [remark for remark in state.remarks if isinstance(remark, RankFailed)] == [
        failed(7, first=True, host="node-b")
    ]


def test_a_setback_names_the_process_that_was_its_cause() -> None:
    ended = WorkerEnded(attempt=1, exit_code=1, signal=None)
    trouble = WorkerFailed(
        kind="crash", what="rank 1 on node-a was killed by SIGKILL", where="training", remedy="None.", step=3
    )
    resumed = Resumed(step=2, folder="checkpoints/checkpoint-2")
    story: list[AnyEvent] = [*told_together(), failed(0), failed(1, first=True), trouble, ended]
    state = fold([*story, started(attempt=2), resumed])
    (lost,) = state.setbacks
    assert setback_sentence(lost) == (
        "worker 1 lost rank 1 on node-a (SIGKILL) at step 3; gone on from the checkpoint of step 2: "
        "1 step is taken anew"
    )
    assert "node-a" not in setback_sentence(lost, names=False)
    # The next worker ends of something else: the earlier one's process isn't blamed for that.
    again = [WorkerEnded(attempt=2, exit_code=None, signal="SIGKILL"), started(attempt=3), resumed]
    assert setback_sentence(fold(again, state).setbacks[-1]).startswith("worker 2 was killed (SIGKILL) at step 2")


@pytest.mark.parametrize(
    ("members", "engine", "said"),
    [
        ((member(0), member(1)), "ddp", "2 processes, DDP on node-a (cuda:0, cuda:1)"),
        ((member(0, device="cpu"), member(1, device="cpu")), "ddp", "2 processes, DDP on node-a (cpu)"),
        ((member(0, device="cpu"),), "ddp", "1 process, DDP on node-a (cpu)"),
        (tuple(map(member, range(8))), "fsdp2", "8 processes, FSDP2 on node-a (cuda:0 to cuda:7)"),
        (
            tuple(member(rank, device=f"cuda:{rank + 4}") for rank in range(4)),
            "ddp",
            "4 processes, DDP on node-a (cuda:4, cuda:5 and 2 more)",
        ),
        (
            tuple(member(rank, f"node-{rank // 8}", f"cuda:{rank % 8}") for rank in range(16)),
            "ddp",
            "16 processes, DDP on 2 machines (node-0, node-1)",
        ),
        (
            tuple(member(rank, f"n{rank // 8}") for rank in range(4096)),
            "fsdp2",
            "4,096 processes, FSDP2 on 512 machines (n0, n1 and 510 more)",
        ),
    ],
)
def test_who_carries_a_run_fits_into_a_line(members: tuple[Member, ...], engine: str, said: str) -> None:
    event = msgspec.structs.replace(joined(*members), engine=engine)
    assert carried_by(fold([event])) == said


def test_names_of_machines_and_devices_come_out_printable_and_bounded() -> None:
    event = joined(*(member(rank, f"{rank}{HOSTILE}", HOSTILE) for rank in range(3)))
    state = fold([*told_together(first=event), failed(1, first=True, host=HOSTILE)])
    told = [carried_by(state) or "", *(hint.text for hint in hints(state))]
    told += [carried_by(fold([joined(member(0, HOSTILE, HOSTILE))])) or ""]
    for said in told:
        assert said.isprintable()
        assert len(said) < 600


def test_the_summary_and_the_list_count_the_processes() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *told_together(), DONE, ended=True)
    live = run_of("20260102-000000-lora-bbbb", *told_together())
    alone = run_of("20260103-000000-lora-cccc", *STORY)
    runs = {run.id: run for run in list(Listing().look())[-1].runs}
    for folder_ in (folder, live):
        assert (runs[folder_.id].processes, runs[folder_.id].engine) == (2, "ddp")
    assert (runs[alone.id].processes, runs[alone.id].engine) == (1, None)


def test_a_summary_of_an_earlier_version_is_of_one_process() -> None:
    table = msgspec.to_builtins(summarise("run", fold(told_together())))
    assert (table.pop("processes"), table.pop("engine")) == (2, "ddp")
    earlier = msgspec.convert(table, Summary)
    assert (earlier.processes, earlier.engine) == (1, None)


def test_a_report_counts_machines_and_names_none() -> None:
    ended = WorkerEnded(attempt=1, exit_code=1, signal=None)
    trouble = WorkerFailed(
        kind="crash", what="rank 1 on node-b was killed by SIGKILL", where="training", remedy="None.", step=3
    )
    story = [*told_together(), failed(1, first=True, host="node-b"), trouble, ended, started(attempt=2)]
    story += [Resumed(step=2, folder="checkpoints/checkpoint-2"), joined(member(0), member(1, "node-b")), DONE]
    folder = run_of("20260101-000000-lora-aaaa", *story, ended=True)
    page = run_markdown(report_of(read_facts(folder))).decode()
    assert "2 processes, DDP on 2 machines" in page
    assert "rank 1 failed at step 3 (SIGKILL)" in page
    assert "the worker couldn't go on while training: rank 1 was killed by SIGKILL" in page
    assert "on the average" in page
    assert "node-a" not in page
    assert "node-b" not in page
    assert read_course(folder).state.setbacks[0].rank is not None
