"""Whether processes can still come to their run's end, judged by what was seen of them."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.crew.rank_files import RankRecord, RankTrouble, write_rank
from pegbox_runs.crew.sight import Sight
from pegbox_runs.crew.watching import (
    COMING_SECONDS,
    GONE_SECONDS,
    LONGEST_STEPS,
    READING,
    RESTING,
    SILENT_LOADING_SECONDS,
    SILENT_SECONDS,
    STEPPING,
    STILL_AT_FIRST_SECONDS,
    STILL_SECONDS,
    STOPPED_SECONDS,
    Facts,
    Seen,
    judge,
)
from pegbox_runs.run_folder import RunFolder
from tests.commands import wait_until
from tests.stories import made

WELL = Seen(rank=0, host="here", step=41, doing="training", quiet=1.0, still=1.0)


def seen(rank: int, **changes: object) -> Seen:
    return dataclasses.replace(WELL, rank=rank, **changes)  # type: ignore[arg-type]


def facts(*ranks: Seen, expected: int = 2, since_first: float = 10.0, longest: float | None = 2.0) -> Facts:
    return Facts(ranks, expected, since_first, longest)


def said(*ranks: Seen, **given: object) -> str:
    broken = judge(facts(*ranks, **given))  # type: ignore[arg-type]
    assert broken is not None
    return broken.what


def test_processes_that_get_on_are_left_alone() -> None:
    assert judge(facts(seen(0), seen(1))) is None


def test_one_that_is_gone_while_others_live_is_named() -> None:
    broken = judge(facts(seen(0), seen(1, gone=GONE_SECONDS + 1)))
    assert broken is not None
    assert (broken.rank, broken.what) == (1, "rank 1 on here ended, and told no reason")
    assert judge(facts(seen(0), seen(1, gone=GONE_SECONDS - 1))) is None, "the launcher may see it yet"
    assert judge(facts(seen(0), seen(1, gone=99.0, doing="ended"))) is None, "it had done its part"


def test_one_that_is_held_is_named_soon_and_one_that_is_silent_later() -> None:
    assert "rank 1 on here is held" in said(seen(0), seen(1, quiet=STOPPED_SECONDS + 1, stopped=True))
    assert judge(facts(seen(0), seen(1, quiet=STOPPED_SECONDS + 1))) is None
    assert "rank 1 on here has said nothing for 60 s" in said(seen(0), seen(1, quiet=SILENT_SECONDS + 1))
    assert judge(facts(seen(0), seen(1, quiet=SILENT_SECONDS + 1, doing="loading"))) is None
    assert "nothing" in said(seen(0), seen(1, quiet=SILENT_LOADING_SECONDS + 1, doing="loading"))


def test_one_that_never_comes_is_named() -> None:
    assert "rank 1 hasn't come within" in said(seen(0), since_first=COMING_SECONDS + 1)
    assert "ranks 1, 3 haven't come" in said(seen(0), seen(2), expected=4, since_first=COMING_SECONDS + 1)
    assert "has started no process" in said(since_first=1000.0)
    assert judge(facts(since_first=100.0)) is None


def test_a_hang_tells_who_is_behind() -> None:
    stuck = STILL_SECONDS + 1
    told = said(seen(0, step=42, still=stuck), seen(1, step=41, still=stuck))
    assert told == "nothing was done for 120 s: rank 1 on here is in step 42, others wait in step 43"
    assert "all processes hang in step 42" in said(seen(0, still=stuck), seen(1, still=stuck))
    apart = said(seen(0, still=2000.0, doing="saving"), seen(1, still=2000.0))
    assert "rank 0 on here is saving; rank 1 on here is training" in apart


def test_long_steps_and_the_first_one_get_their_time() -> None:
    assert judge(facts(seen(0, still=500.0), seen(1, still=500.0), longest=60.0)) is None
    assert judge(facts(seen(0, still=601.0), seen(1, still=601.0), longest=60.0)) is not None
    assert judge(facts(seen(0, still=500.0), seen(1, still=500.0), longest=None)) is None
    assert judge(facts(seen(0, still=601.0), seen(1, still=601.0), longest=None)) is not None


@pytest.mark.parametrize(("doing", "patience"), [("judging", 600.0), ("saving", 600.0), ("loading", 1800.0)])
def test_work_of_which_little_is_told_has_its_own_time(doing: str, patience: float) -> None:
    for still, hangs in ((patience - 1, False), (patience + 1, True)):
        assert (judge(facts(seen(0, still=still, doing=doing), seen(1, still=still))) is not None) is hangs


def test_one_that_does_something_holds_no_hang_against_the_others() -> None:
    assert judge(facts(seen(0, still=1e5), seen(1, still=1.0))) is None


@pytest.mark.parametrize("doing", sorted(RESTING))
def test_a_paused_run_may_stand_still_for_days(doing: str) -> None:
    assert judge(facts(seen(0, still=1e6, doing=doing), seen(1, still=1e6, doing="training"))) is None


DOINGS = sorted({*STEPPING, *READING, *RESTING, "judging", "saving"})
SECONDS = st.floats(0, 10_000)
RANKS = st.lists(
    st.builds(
        Seen,
        rank=st.just(0),
        host=st.just("h"),
        step=st.integers(0, 100),
        doing=st.sampled_from(DOINGS),
        quiet=SECONDS,
        still=SECONDS,
        gone=st.none() | SECONDS,
        stopped=st.booleans(),
        failing=st.booleans(),
    ),
    max_size=6,
).map(lambda ranks: [dataclasses.replace(one, rank=rank) for rank, one in enumerate(ranks)])


@given(RANKS, st.integers(1, 6), SECONDS, st.none() | st.floats(0, 300))
def test_nobody_is_blamed_without_a_reason(
    ranks: list[Seen], expected: int, since_first: float, longest: float | None
) -> None:
    broken = judge(Facts(ranks, max(expected, len(ranks)), since_first, longest))
    least = min(STILL_SECONDS, COMING_SECONDS)
    if broken is None:
        for one in ranks:  # whatever else: nobody stays gone, held or silent for ever
            waits = one.gone is None and one.doing != "ended"
            assert one.doing == "ended" or one.gone is None or one.gone <= GONE_SECONDS
            assert not (waits and one.stopped and one.quiet > STOPPED_SECONDS)
            assert not (waits and one.quiet > SILENT_LOADING_SECONDS)
        return
    assert broken.what
    assert (
        any((one.gone or 0) > GONE_SECONDS or one.quiet > STOPPED_SECONDS for one in ranks)
        or since_first > COMING_SECONDS
        or min(one.still for one in ranks) > least
    )


@given(st.floats(0, 1e4), st.floats(0.1, 1e3))
def test_more_time_makes_no_hang_go_away(still: float, longest: float) -> None:
    def hangs(seconds: float) -> bool:
        return judge(facts(seen(0, still=seconds), seen(1, still=seconds), longest=longest)) is not None

    assert not hangs(still) or hangs(still + 1)
    assert hangs(max(STILL_SECONDS, LONGEST_STEPS * longest) + 1)
    assert STILL_AT_FIRST_SECONDS > STILL_SECONDS


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def record(rank: int, **changes: object) -> RankRecord:
    import socket

    whole: dict[str, object] = {
        "attempt": 1,
        "rank": rank,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "began": 0.0,
        "beat": 1.0,
        "step": 0,
        "doing": "training",
        "advanced": 1.0,
        **changes,
    }
    return RankRecord(**whole)  # type: ignore[arg-type]


def test_silence_is_counted_by_the_watchers_own_clock_whatever_the_records_say() -> None:
    folder = made()
    sight = Sight(folder, 1, 1, now=0.0)
    write_rank(folder, record(0, beat=5e9, advanced=5e9))  # a clock that goes ahead by a century
    assert sight.look(1.0).ranks[0].quiet == 0.0
    for now in range(2, 12):
        found = sight.look(float(now)).ranks[0]
    assert (found.quiet, found.still) == (10.0, 10.0)
    write_rank(folder, record(0, beat=7.0, advanced=5e9))  # and was set back
    found = sight.look(12.0).ranks[0]
    assert (found.quiet, found.still) == (0.0, 11.0)


def test_a_watcher_that_slept_holds_that_against_nobody() -> None:
    folder = made()
    sight = Sight(folder, 1, 1, now=0.0)
    write_rank(folder, record(0))
    sight.look(1.0)
    assert sight.look(3601.0).ranks[0].quiet < 10.0


def test_the_longest_step_is_learned_from_the_files() -> None:
    folder = made()
    sight = Sight(folder, 1, 1, now=0.0)
    for now, advanced in enumerate([1.0, 1.0, 1.0, 2.0, 3.0], start=1):
        write_rank(folder, record(0, beat=float(now), advanced=advanced))
        found = sight.look(float(now))
    assert found.longest == 3.0


def test_a_file_of_another_worker_or_of_nobody_is_passed_over() -> None:
    folder = made()
    write_rank(folder, record(0, attempt=7))
    (folder.path / "ranks" / "1.json").write_text("{")
    assert sight_of(folder).look(1.0).ranks == []


def sight_of(folder: RunFolder) -> Sight:
    return Sight(folder, 1, 2, now=0.0)


def test_a_process_of_this_machine_is_looked_at_itself(other: subprocess.Popen[bytes]) -> None:
    folder = made()
    write_rank(folder, record(0, pid=other.pid))
    sight = sight_of(folder)
    found = sight.look(1.0).ranks[0]
    assert (found.gone, found.stopped) == (None, False)
    other.send_signal(signal.SIGSTOP)
    wait_until(lambda: sight.look(2.0).ranks[0].stopped)
    other.kill()
    wait_until(lambda: sight.look(3.0).ranks[0].gone is not None)
    assert sight.look(5.0).ranks[0].gone == 2.0


def test_a_process_of_another_machine_is_not_looked_for_here() -> None:
    folder = made()
    write_rank(folder, record(1, host="elsewhere", pid=2**22 - 1))
    sight = Sight(folder, 1, 2, now=0.0, local=range(1))
    assert sight.look(1.0).ranks[0].gone is None


def test_a_process_of_another_machine_of_the_same_name_is_never_taken_for_one_that_is_to_be_ended_here() -> None:
    folder = made()
    write_rank(folder, record(1, host=socket.gethostname(), pid=os.getpid()))
    sight = Sight(folder, 1, 2, now=0.0, local=range(1))
    sight.look(1.0)
    assert 1 in sight.records
    assert sight.here == []


def test_a_trouble_is_seen() -> None:
    folder = made()
    write_rank(folder, record(0, trouble=RankTrouble(kind="error", what="w", where="w", remedy="r")))
    assert sight_of(folder).look(time.monotonic()).ranks[0].failing
