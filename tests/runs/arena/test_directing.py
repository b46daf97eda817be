"""Directors are started where no closed terminal reaches them, and one wins."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Failed, Finished, Started
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import lanes, start
from pegbox_runs.arena.directing.lanes import LaneSupply
from pegbox_runs.arena.directing.start import start_director
from pegbox_runs.arena.outcomes import OutcomeReader
from pegbox_runs.continuing import continue_run
from pegbox_runs.process_mark import process_mark
from pegbox_runs.supervision.owner import Ownership, read_owner
from pegbox_runs.viewing import state_of
from tests.commands import wait_until
from tests.runs.arena import pretended_director
from tests.runs.arena.directed import (
    InThisProcess,
    add,
    await_end,
    carry,
    done_losses,
    launched,
    made,
    outcomes_of,
    plan_of,
    pretend_everywhere,
    running,
    told,
)

SLOW_STEPS = 0.05


def test_a_director_is_in_a_session_of_its_own_and_answers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path, step_seconds=SLOW_STEPS), monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PEGBOX_HOME", "pegbox-home")
    folder = made(search=False)
    start_director(ComparisonFolder(folder.path))
    owner = read_owner(folder)
    assert owner is not None
    assert os.getsid(owner.pid) == owner.pid
    assert Path(f"/proc/{owner.pid}/cwd").readlink() == Path("/")
    assert f"PEGBOX_HOME={tmp_path}".encode() in Path(f"/proc/{owner.pid}/environ").read_bytes()
    with pytest.raises(Refusal, match=f"process {owner.pid} on .* `pegbox stop"):
        start_director(folder)
    with pytest.raises(Refusal, match="running already"):
        continue_run(folder)
    os.kill(owner.pid, 1)
    running(folder, "lora.seed-1")
    os.kill(owner.pid, 15)
    assert await_end(folder).status == "stopped"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder.entries, *folder.entries.rglob("*")))
    continue_run(folder)
    assert await_end(folder).status == "finished"


def test_of_several_directors_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made(search=False)
    refused: list[str] = []

    def go_on() -> None:
        try:
            start_director(folder)
        except Refusal as refusal:
            refused.append(refusal.sentence)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
    assert await_end(folder).status == "finished"
    assert len(told(folder, Finished)) == 1
    assert all(len(told(folder.entry(id_), Finished)) == 1 for id_ in outcomes_of(folder))


def test_a_comparison_that_cannot_be_read_is_refused_and_one_that_began_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made(search=False)
    folder.events.write_bytes(b'{"event":"notice","seq":1,"text":"t"}\n')
    folder.comparison.write_bytes(b"nonsense")
    with pytest.raises(Refusal, match="can't be read"):
        start_director(folder)
    assert folder.path.exists()
    assert not folder.owner.exists()


def test_who_waits_for_a_director_that_has_told_its_end_gets_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made("lora", search=False)
    launched(plan_of(tmp_path), folder)
    wait_until(lambda: state_of(folder).over)
    add(folder, "late")
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert set(done_losses(folder)) == {"lora.seed-1", "late.seed-1"}


def test_the_lanes_workers_end_side_by_side_before_who_waits_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    real = pretended_director.pretended

    def supply(plan: str, gpu: str | None) -> LaneSupply:
        given = real(plan, gpu)
        monkeypatch.setattr(given, "close", lambda: both.wait(5))
        return given

    monkeypatch.setattr(pretended_director, "pretended", supply)
    folder = made("lora", "dora", search=False, gpus=("0", "1"))
    assert carry(folder, plan_of(tmp_path))
    assert not both.broken
    assert start.RELEASE_SECONDS > lanes.LEAVING_SECONDS + 5


def test_a_comparison_is_taken_before_its_entries_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("lora", search=False)
    taken = threading.Event()
    real = OutcomeReader.read

    def read(*arguments: Any) -> Any:
        assert taken.wait(10)
        return real(*arguments)

    monkeypatch.setattr(OutcomeReader, "read", read)
    carried = InThisProcess(plan_of(tmp_path), folder)
    assert len(told(folder, Started)) == 1
    taken.set()
    assert carried.finish()


def test_a_comparison_whose_log_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    folder.events.unlink()
    folder.events.mkdir()
    with pytest.raises(Refusal, match="can't be read or written: Is a directory"):
        launched(plan_of(tmp_path), folder)
    assert not folder.owner.exists()


def test_an_entry_is_not_continued_on_its_own_nor_a_comparison_under_other_settings(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    with pytest.raises(Refusal, match=f"pegbox resume {folder.id}"):
        continue_run(folder.entry("lora.seed-1"))
    with pytest.raises(Refusal, match="goes on as it was asked for"):
        continue_run(folder, epochs=3)


def test_another_owner_of_an_entry_is_no_failure_of_it(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    place = folder.entry("lora.seed-1")
    (place.path / "judged.json").unlink()
    lines = place.events.read_bytes().splitlines(keepends=True)
    place.events.write_bytes(b"".join(lines[:-1]))  # as if it had never finished
    ownership = Ownership.take(place)
    try:
        assert not carry(folder, plan_of(tmp_path))
    finally:
        ownership.release()
    assert "lora.seed-1" in told(folder, Failed)[0].where
    assert process_mark(os.getpid()) is not None
    assert carry(folder, plan_of(tmp_path))
