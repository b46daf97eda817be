"""owner.json: one supervisor a run, whoever dies, and wherever locks don't work."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import owner
from pegbox_runs.supervision.owner import OwnerRecord, Ownership, read_owner
from tests.stories import made

RACE = """
import sys, time
from pathlib import Path
from pegbox_methods.refusal import Refusal
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership
folder = RunFolder(Path(sys.argv[1]))
while time.time() < float(sys.argv[2]):
    pass
try:
    owned = Ownership.take(folder)
except Refusal as refusal:
    print("refused:", refusal.sentence, flush=True)
else:
    print("won", flush=True)
    sys.stdin.read()
"""


def mine(**changes: object) -> OwnerRecord:
    record = OwnerRecord(host=socket.gethostname(), pid=os.getpid(), process_mark=process_mark(os.getpid()) or "")
    return msgspec.structs.replace(record, **changes)


def record(folder: RunFolder, what: OwnerRecord) -> None:
    folder.owner.write_bytes(msgspec.json.encode(what) + b"\n")


def race(folder: RunFolder, count: int) -> tuple[list[subprocess.Popen[str]], list[str]]:
    """Let processes try for one run at the same moment. Returns: them, and what each said."""
    begin = time.time() + 1.0
    command = [sys.executable, "-P", "-c", RACE, str(folder.path), str(begin)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return racers, [racer.stdout.readline() for racer in racers if racer.stdout]


def test_of_many_that_race_for_a_run_exactly_one_wins_and_its_death_frees_the_run() -> None:
    folder = made()
    racers, said = race(folder, 6)
    assert said.count("won\n") == 1
    assert all("running already" in words or "just taking" in words for words in said if words != "won\n")
    winner = racers[said.index("won\n")]
    owner_now = read_owner(folder)
    assert owner_now is not None
    assert (owner_now.pid, owner_now.lives) == (winner.pid, True)
    with pytest.raises(Refusal, match=f"process {winner.pid} on"):
        Ownership.take(folder)
    winner.kill()
    winner.wait()
    ownership = Ownership.take(folder)
    assert ownership.former == owner_now
    ownership.release()
    assert not folder.owner.exists()
    for racer in racers:
        racer.communicate()


def test_a_run_changes_hands_many_times_without_a_gap() -> None:
    """The file is removed at each release: who waits for the removed one must not think that it owns the run."""
    folder = made()
    program = """
import sys
from pathlib import Path
from pegbox_methods.refusal import Refusal
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership
folder, won = RunFolder(Path(sys.argv[1])), 0
while won < 60:
    try:
        owned = Ownership.take(folder)
    except Refusal:
        continue
    proof = folder.path / "proof"
    proof.touch(exist_ok=False)
    proof.unlink()
    owned.release()
    won += 1
"""
    command = [sys.executable, "-P", "-c", program, str(folder.path)]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(racer.communicate()[1], racer.returncode) for racer in racers] == [("", 0)] * 3


def test_the_worker_is_in_the_record_and_inherits_no_lock() -> None:
    folder = made()
    ownership = Ownership.take(folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        ownership.tell_worker(child.pid, process_mark(child.pid))
        found = read_owner(folder)
        assert found is not None
        assert (found.worker_pid, found.worker_lives) == (child.pid, True)
        ownership.release()
        Ownership.take(folder).release()
        child.kill()
    assert not found.worker_lives


def test_a_record_of_a_process_whose_number_another_has_is_stale() -> None:
    folder = made()
    record(folder, mine(process_mark="of an earlier process", worker_pid=os.getpid(), worker_mark="another"))
    found = read_owner(folder)
    assert found is not None
    assert not found.lives
    assert not found.worker_lives
    Ownership.take(folder).release()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"host": 1}', b"[]\n"])
def test_a_record_that_is_none_doesnt_stop_anybody(content: bytes) -> None:
    folder = made()
    folder.owner.write_bytes(content)
    ownership = Ownership.take(folder)
    assert ownership.former is None
    assert read_owner(folder) == mine()
    ownership.release()


def test_the_record_of_another_machine_is_refused_with_what_to_do() -> None:
    folder = made()
    record(folder, mine(host="node-7"))
    with pytest.raises(Refusal) as refused:
        Ownership.take(folder)
    for said in (f"process {os.getpid()} on node-7", "Stop it there", "remove owner.json"):
        assert said in refused.value.sentence
    assert read_owner(folder) == mine(host="node-7")


def test_where_a_lock_is_given_to_everybody_the_record_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made()
    Ownership.take(folder)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(Refusal, match="running already"):
        Ownership.take(folder)


def test_where_there_are_no_locks_the_record_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(owner, "SETTLING_SECONDS", 0.0)
    folder = made()
    ownership = Ownership.take(folder)
    with pytest.raises(Refusal, match="running already"):
        Ownership.take(folder)
    ownership.release()

    def the_other_was_later(_seconds: float) -> None:
        record(folder, mine(pid=1, process_mark="other"))

    monkeypatch.setattr(time, "sleep", the_other_was_later)
    with pytest.raises(Refusal, match="process 1 on"):
        Ownership.take(folder)


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_full_disk_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    folder = made()
    stale = mine(process_mark="of a dead one", worker_pid=3, worker_mark="w")
    record(folder, stale)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(Refusal, match=r"owner\.json .* can't be written: No space left on device"):
            Ownership.take(folder)
    Ownership.take(folder).release()


def test_a_disk_that_became_read_only_stops_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    ownership = Ownership.take(made())

    def unlink(_path: Path, *, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", unlink)
    ownership.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ownership._descriptor)


def test_a_link_in_the_records_place_is_not_followed(tmp_path: Path) -> None:
    folder = made()
    folder.owner.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="can't be written"):
        Ownership.take(folder)
    assert not (tmp_path / "elsewhere").exists()
