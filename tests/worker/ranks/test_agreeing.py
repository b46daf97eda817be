"""Whatever a run is asked for, and whenever: all processes do it in the same step."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pegbox_methods.events import Continued, Event, Paused
from pegbox_runs.commands import send
from pegbox_runs.crew.rank_files import read_ranks
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.control import Control
from pegbox_worker.ranks import agreeing
from pegbox_worker.ranks.agreeing import AgreedControl
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.stop_flag import StopFlag
from tests.commands import events_of, wait_until
from tests.worker.ranks.threads import Sitting, together


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def hearing(folder: RunFolder) -> Control:
    return Control(folder, EventWriter(folder.events), StopFlag())


def agreed(group: Sitting, hearing: Control, folder: RunFolder) -> AgreedControl:
    return AgreedControl(group, hearing if group.leads else None, Beat(folder, 1, group.rank))


def test_a_stop_that_comes_at_any_moment_ends_all_processes_in_the_same_step(
    folder: RunFolder, hearing: Control
) -> None:
    def steps(group: Sitting) -> int:
        control = agreed(group, hearing, folder)
        for step in range(1, 10_000):
            time.sleep(0.001 * group.rank)  # they aren't alike in pace
            control.advanced(step, 0.0)
            if control.stopping:
                return step
        raise AssertionError("it was never told")

    hearing.listen()
    threading.Timer(0.3, lambda: send(folder.commands, "stop")).start()
    ends = together(3, steps)
    hearing.close()
    assert len(set(ends)) == 1


def test_a_pause_holds_all_up_and_they_say_so_while_it_lasts(
    folder: RunFolder, hearing: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreeing, "TURN_SECONDS", 0.3)
    told: list[Event] = []

    def pausing(group: Sitting) -> float:
        control = agreed(group, hearing, folder)
        control._beat.doing("training")
        control._beat.start()
        control.wait_while_paused(3, told.append if group.leads else lambda _: pytest.fail("another told it"))
        control._beat.end()
        return time.monotonic()

    send(folder.commands, "pause")
    hearing.poll()
    hearing.listen()
    releasing = threading.Thread(target=_resume_once_paused, args=(folder,))
    releasing.start()
    ends = together(2, pausing)
    releasing.join()
    hearing.close()
    assert max(ends) - min(ends) < 1
    assert [type(event) for event in told] == [Paused, Continued]


def _resume_once_paused(folder: RunFolder) -> None:
    wait_until(lambda: [one.doing for one in read_ranks(folder, 1).values()] == ["paused", "paused"])
    send(folder.commands, "resume")


def test_a_checkpoint_that_is_asked_for_is_wanted_once_and_by_all(folder: RunFolder, hearing: Control) -> None:
    send(folder.commands, "checkpoint")
    hearing.poll()

    def wanting(group: Sitting) -> tuple[bool, bool]:
        control = agreed(group, hearing, folder)
        return control.wants_checkpoint(), control.wants_checkpoint()

    assert together(2, wanting) == [(True, False), (True, False)]


def test_memory_is_released_by_all_or_by_none(folder: RunFolder, hearing: Control) -> None:
    send(folder.commands, "pause-release")
    hearing.poll()

    def leaving(group: Sitting) -> tuple[bool, bool]:
        control = agreed(group, hearing, folder)
        return control.releasing, control.release(4)

    assert together(2, leaving) == [(True, True), (True, True)]
    assert [event.memory for event in events_of(folder) if isinstance(event, Paused)] == ["released"]


def test_without_a_word_from_the_others_only_the_hearing_one_knows_of_a_wish(
    folder: RunFolder, hearing: Control
) -> None:
    send(folder.commands, "stop")
    hearing.poll()
    assert together(2, lambda group: agreed(group, hearing, folder).wished) == [True, False]
    assert together(2, lambda group: agreed(group, hearing, folder).stopping_here) == [True, False]
