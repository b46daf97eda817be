"""A folder of one machine reaches those that don't see its disk, whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from pegbox_runs.run_folder import RunFolder
from pegbox_worker.ranks import mirroring
from pegbox_worker.ranks.mirroring import seen_by_all

Came = TypeVar("Came")


class InThreads:
    """Processes' group among threads of this one. Each is on a machine of its own."""

    local_rank = 0

    def __init__(self, rank: int, board: list[bytes], barrier: threading.Barrier) -> None:
        self.rank, self.leads, self.processes = rank, rank == 0, len(board)
        self._board, self._barrier = board, barrier

    def agree(self, content: bytes) -> bytes:
        return self.collect(content)[0]

    def collect(self, content: bytes) -> list[bytes]:
        self._board[self.rank] = content
        self._barrier.wait(20)
        found = list(self._board)
        self._barrier.wait(20)
        return found

    def gather(self, figures: Sequence[float]) -> list[tuple[float, ...]]:
        raise NotImplementedError

    def total(self, figures: Sequence[float]) -> tuple[float, ...]:
        raise NotImplementedError

    def wait(self) -> None:
        self._barrier.wait(20)


def together(count: int, do: Callable[[InThreads], Came]) -> list[Came | BaseException]:
    """Let so many do the same at once. Returns: what came of it, by rank."""
    board, barrier = [b""] * count, threading.Barrier(count)
    came: list[Came | BaseException] = [RuntimeError()] * count

    def go(rank: int) -> None:
        try:
            came[rank] = do(InThreads(rank, board, barrier))
        except BaseException as error:  # noqa: BLE001  # looked at by the test
            came[rank] = error

    threads = [threading.Thread(target=go, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    """Two machines' folders; the first has a checkpoint of a large and an empty file."""
    monkeypatch.setattr(mirroring, "BLOCK_BYTES", 1000)
    folders = [RunFolder(tmp_path / name) for name in ("first", "second")]
    for folder in folders:
        folder.path.mkdir()
    place = folders[0].checkpoints / "checkpoint-5"
    (place / "sub").mkdir(parents=True)
    (place / "weights").write_bytes(os.urandom(4321))
    (place / "sub" / "empty").touch()
    return folders


def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody see another one's disk: what is put there to be looked for isn't found."""
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path, **kind: not path.name.startswith(".seen-") and real(path, **kind))


def brought(machines: list[RunFolder]) -> list[Path | BaseException]:
    place = machines[0].checkpoints / "checkpoint-5"
    return together(2, lambda group: seen_by_all(group, machines[group.rank], place))


def test_who_sees_the_disk_reads_there_and_nothing_is_sent(machines: list[RunFolder]) -> None:
    place = machines[0].checkpoints / "checkpoint-5"
    assert brought(machines) == [place, place]
    assert not machines[1].checkpoints.exists()
    assert not list((machines[0].path / "launch").iterdir())


def test_who_doesnt_see_it_gets_every_byte(machines: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    apart(monkeypatch)
    came = brought(machines)
    place = machines[0].checkpoints / "checkpoint-5"
    there = machines[1].checkpoints / "checkpoint-5"
    assert came[1] == there
    files = {file.relative_to(place): file.read_bytes() for file in place.rglob("*") if file.is_file()}
    assert {file.relative_to(there): file.read_bytes() for file in there.rglob("*") if file.is_file()} == files
    assert [path.name for path in machines[1].checkpoints.iterdir()] == ["checkpoint-5"]


def test_a_full_disk_of_one_machine_ends_all_alike_and_names_it(
    machines: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(monkeypatch)

    def full(file: Path, _: bytes) -> str:
        return f"28:{file} on nodeb (No space left on device)"

    monkeypatch.setattr(mirroring, "_appended", full)
    for error in brought(machines):
        assert isinstance(error, OSError)
        assert error.errno == 28
        assert "nodeb" in str(error)
    assert not (machines[1].checkpoints / "checkpoint-5").exists()
    assert not list(machines[1].checkpoints.iterdir())


def test_what_cant_be_read_on_the_leading_machine_ends_all_alike(
    machines: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(monkeypatch)
    (machines[0].checkpoints / "checkpoint-5" / "weights").unlink()
    (machines[0].checkpoints / "checkpoint-5" / "weights").symlink_to(
        "/proc/self/mem"
    )  # whose beginning no process may read
    assert all(isinstance(error, OSError) for error in brought(machines))
    assert not (machines[1].checkpoints / "checkpoint-5").exists()


@pytest.mark.parametrize("name", ["../weights", "/etc/weights", "sub/../../weights"])
def test_nothing_is_written_outside_the_runs_folder_whatever_is_offered(
    machines: list[RunFolder], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    apart(monkeypatch)
    real = mirroring._offer

    def hostile(*asked: Any) -> Any:
        return msgspec.structs.replace(real(*asked), files=((name, 4321),))

    monkeypatch.setattr(mirroring, "_offer", hostile)
    assert [type(came) for came in brought(machines)] == [OSError, OSError]
    assert not list(machines[1].path.rglob("*"))
