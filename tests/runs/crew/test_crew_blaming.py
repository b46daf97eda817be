"""Which of several processes is told to have gone wrong."""

from __future__ import annotations

from typing import Any

import pytest

from pegbox_methods.events import Failed, RankFailed, Started, WorkerEnded, WorkerFailed
from pegbox_methods.recipe import Recovery
from pegbox_runs.crew.blaming import MOST_TOLD, Ends, blame
from pegbox_runs.crew.launched import RankExit
from pegbox_runs.crew.rank_files import RankRecord, RankTrouble
from pegbox_runs.crew.watching import Broken
from pegbox_runs.replanning import work_in_hand
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision import policy
from pegbox_runs.supervision.attempts import Attempts
from pegbox_runs.supervision.policy import RestartPolicy
from tests.stories import started

OWN = RankTrouble(kind="disk", what="no room", where="saving", remedy="Make some.", doing="saving")
LOST = RankTrouble(kind="error", what="gloo: closed", where="training", remedy="r", lost_peer=True)


def records(*troubles: RankTrouble | None) -> dict[int, RankRecord]:
    common: dict[str, Any] = {"attempt": 1, "began": 0.0, "beat": 1.0, "doing": "training", "advanced": 1.0}
    return {
        rank: RankRecord(rank=rank, host=f"h{rank}", pid=100 + rank, step=4, trouble=trouble, **common)
        for rank, trouble in enumerate(troubles)
    }


def blamed(ends: Ends) -> tuple[list[RankFailed], WorkerFailed]:
    return blame(ends, "training at step 4", 4)


def test_what_a_process_said_itself_goes_before_the_loss_that_others_saw() -> None:
    exits = [RankExit(0, 100, 1), RankExit(1, 101, 1)]
    ranks, failed = blamed(Ends(records(LOST, OWN), exits, launcher=1))
    assert (failed.kind, failed.what, failed.where) == ("disk", "rank 1 on h1: no room", "saving")
    assert (failed.remedy, failed.doing, failed.step) == ("Make some.", "saving", 4)
    assert [(one.rank, one.first) for one in ranks] == [(1, True), (0, False)]
    assert ranks[1].what == "it lost its connection to another process"


def test_what_all_say_alike_is_nobodys_own() -> None:
    ranks, failed = blamed(Ends(records(OWN, OWN), [RankExit(1, 101, 1), RankExit(0, 100, 1)], launcher=1))
    assert failed.what == "no room"
    assert [one.first for one in ranks] == [True, False]
    assert ranks[0].rank == 0


def test_a_known_kind_goes_before_a_plain_error() -> None:
    plain = RankTrouble(kind="error", what="RuntimeError: odd", where="w", remedy="r")
    _, failed = blamed(Ends(records(plain, OWN), [RankExit(0, 100, 1)], launcher=1))
    assert failed.kind == "disk"


def test_a_killed_process_is_named_with_its_signal_and_no_number_in_the_sentence() -> None:
    ranks, failed = blamed(Ends(records(LOST, None), [RankExit(1, 101, -9), RankExit(0, 100, 1)], launcher=1))
    assert (failed.kind, failed.what) == ("crash", "rank 1 on h1 was killed by SIGKILL")
    assert (ranks[0].rank, ranks[0].pid, ranks[0].signal, ranks[0].exit_code) == (1, 101, "SIGKILL", None)
    assert (ranks[1].exit_code, ranks[1].signal) == (1, None)


def test_one_that_the_kernel_killed_for_memory_is_replanned_as_a_single_process_is() -> None:
    ends = Ends(records(None, None), [RankExit(1, 101, -9)], launcher=1, memory="oom_kill in x rose from 0 to 1")
    ranks, failed = blamed(ends)
    assert (failed.kind, ranks[0].rank) == ("host-memory", 1)
    attempts = Attempts()
    for event in (started(), *ranks, failed):
        attempts = attempts.after(event)
    ended = WorkerEnded(attempt=1, exit_code=1, signal=None)
    assert isinstance(RestartPolicy().decide(attempts, ended, Recovery(), "training"), policy.Replan)
    state = RunState().after(started()).after(failed)
    assert work_in_hand(state) == "training"


def test_what_the_watcher_saw_is_told_where_no_process_told_more() -> None:
    broken = Broken(1, "rank 1 on h1 is held")
    ranks, failed = blamed(Ends(records(None, None), [], launcher=None, broken=broken))
    assert (failed.kind, failed.what) == ("crash", "rank 1 on h1 is held")
    assert [(one.rank, one.first) for one in ranks] == [(1, True), (0, False)]
    assert blamed(Ends(records(None, OWN), [], launcher=None, broken=broken))[1].kind == "disk"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-9, "the processes' launcher was killed by SIGKILL"),
        (1, "the processes' launcher ended with exit code 1 before any of its processes came: port in use"),
    ],
)
def test_a_launcher_that_ends_by_itself_is_told_with_its_last_words(code: int, said: str) -> None:
    ranks, failed = blamed(Ends({}, [], launcher=code, last_words="port in use"))
    assert (ranks, failed.what) == ([], said)


def test_no_failure_tells_of_thousands() -> None:
    ranks, _ = blamed(Ends(records(*[LOST] * 300, OWN), [], launcher=1))
    assert len(ranks) == MOST_TOLD
    assert (ranks[0].rank, ranks[0].first) == (300, True)


def killed_by(signal: str) -> Attempts:
    attempts = Attempts()
    exits = [RankExit(1, 101, -9 if signal == "SIGKILL" else -11)]
    ranks, failed = blamed(Ends(records(None, None), exits, launcher=1))
    for event in (started(), *ranks, failed):
        attempts = attempts.after(event)
    return attempts


def test_a_person_who_kills_a_process_twice_says_nothing_about_the_run() -> None:
    for signal, by_hand in (("SIGKILL", True), ("SIGSEGV", False)):
        attempts = killed_by(signal)
        ended = WorkerEnded(attempt=1, exit_code=1, signal=None)
        fault = attempts.fault(ended)
        assert (fault.by_hand, signal in fault.what) == (by_hand, True)
        again = Attempts(attempt=2, before=fault, trouble=attempts.trouble, culprit=attempts.culprit)
        decision = RestartPolicy().decide(again, ended, Recovery(), "training")
        assert isinstance(decision, policy.Again if by_hand else policy.GiveUp)
        if isinstance(decision, policy.GiveUp):
            assert isinstance(decision.failed, Failed)


def test_another_worker_begins_without_the_culprit_of_the_one_before() -> None:
    next_one: Started = started(attempt=2)
    assert killed_by("SIGKILL").after(next_one).culprit is None
