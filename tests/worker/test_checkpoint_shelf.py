"""Writing checkpoints on a disk that fails: what is whole stays whole, and nothing half written gets a name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pegbox_runs.checkpoints import Progress, newest_good
from pegbox_runs.run_folder import RunFolder
from pegbox_worker import checkpoint_shelf
from pegbox_worker.checkpoint_shelf import CheckpointShelf, LittleRoom

BOUNDARIES = (
    "checkpoint-write",
    "checkpoint-write",
    "checkpoint-fsync",
    "checkpoint-fsync",
    "checkpoint-manifest",
    "checkpoint-rename",
)


def parts(content: bytes = b"x" * 100) -> list[Callable[[Path], None]]:
    def write(name: str) -> Callable[[Path], None]:
        def part(folder: Path) -> None:
            (folder / name).write_bytes(content)

        return part

    return [write("one"), write("two")]


def put(shelf: CheckpointShelf, step: int) -> int:
    return shelf.write(step, parts(), "planned", Progress(step=step))


def steps(run: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in (run / "checkpoints").glob("checkpoint-*"))


@pytest.fixture
def shelf(tmp_path: Path) -> CheckpointShelf:
    return CheckpointShelf(RunFolder(tmp_path).checkpoints, limit=2)


@pytest.mark.parametrize("number", range(len(BOUNDARIES)))
@pytest.mark.parametrize("number_of_error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_wherever_the_disk_fails_the_older_one_stays_and_nothing_is_left_of_the_new(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, number_of_error: int
) -> None:
    put(shelf, 2)
    passed: list[str] = []

    def strike(boundary: str, *, step: int | None = None) -> None:
        assert step == 4
        passed.append(boundary)
        if len(passed) == number + 1:
            raise OSError(number_of_error, "broken")

    monkeypatch.setattr(checkpoint_shelf, "strike", strike)
    with pytest.raises(OSError, match="broken"):
        put(shelf, 4)
    assert tuple(passed) == BOUNDARIES[: number + 1]
    assert [path.name for path in shelf.place.iterdir()] == ["checkpoint-2"]
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is not None
    assert (found.step, rejected, shelf.newest) == (2, [], 2)
    monkeypatch.setattr(checkpoint_shelf, "strike", lambda *_, **__: None)
    put(shelf, 4)
    assert newest_good(RunFolder(tmp_path))[0].step == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("number", range(len(BOUNDARIES)))
def test_wherever_the_worker_is_killed_the_older_one_is_the_newest_good(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put(shelf, 2)
    kept = tmp_path / "kept"
    passed: list[str] = []

    def strike(boundary: str, **_: object) -> None:
        passed.append(boundary)
        if len(passed) == number + 1:
            shutil.copytree(shelf.place, kept / "checkpoints")  # what a disk would hold if nothing more were done

    monkeypatch.setattr(checkpoint_shelf, "strike", strike)
    put(shelf, 4)
    found, rejected = newest_good(RunFolder(kept))
    assert found is not None
    assert (found.step, rejected) == (2, [])
    again = CheckpointShelf(RunFolder(kept).checkpoints, limit=2)
    again.clear_leftovers()
    assert [path.name for path in again.place.iterdir()] == ["checkpoint-2"]


def test_old_ones_go_once_the_new_one_is_there_but_never_the_best(shelf: CheckpointShelf, tmp_path: Path) -> None:
    for step, best in ((2, 2), (4, 2), (6, 2), (8, 8), (10, 8)):
        put(shelf, step)
        assert step in steps(tmp_path)
        shelf.rotate(best)
        assert {step, best} <= set(steps(tmp_path))
        assert len(steps(tmp_path)) <= 2
    assert steps(tmp_path) == [8, 10]


def test_an_old_one_that_cannot_be_removed_costs_nothing_but_its_room(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4, 6):
        put(shelf, step)

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "rename", refuse)
    shelf.rotate(None)
    assert steps(tmp_path) == [2, 4, 6]


def test_half_of_a_deleted_one_never_lies_under_a_good_name(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4, 6):
        put(shelf, step)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed before the first file went
    shelf.rotate(None)
    assert steps(tmp_path) == [4, 6]


def test_a_torn_one_of_the_same_step_makes_way(shelf: CheckpointShelf, tmp_path: Path) -> None:
    put(shelf, 4)
    (shelf.place / "checkpoint-4" / "one").write_bytes(b"")
    put(shelf, 4)
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is not None
    assert (found.step, rejected) == (4, [])


def test_what_would_go_afterwards_goes_before_where_room_is_short_and_the_last_good_one_stays(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4, 6):
        put(shelf, step)
    room = iter([10, 10 * 2**20])
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: next(room))
    shelf.make_room(8, 5 * 2**20, best=None)
    assert steps(tmp_path) == [6]


def test_without_room_it_says_what_it_takes_and_what_there_is(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4):
        put(shelf, step)
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: 3 * 2**20)
    with pytest.raises(LittleRoom, match=r"it takes 52 MiB, and the disk has 3 MiB left"):
        shelf.make_room(6, 50 * 2**20, best=2)
    assert steps(tmp_path) == [2, 4]


def test_room_for_a_better_one_is_not_made_from_the_best_one_there_is(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4, 6):
        put(shelf, step)
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: 0)
    with pytest.raises(LittleRoom):
        shelf.make_room(8, 2**20, best=8, former=2)
    assert steps(tmp_path) == [2, 6]


def test_a_whole_one_of_a_later_step_is_never_removed_and_a_torn_one_is(
    shelf: CheckpointShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (20, 30):
        put(shelf, step)
    (shelf.place / "checkpoint-30" / "one").write_bytes(b"")
    for step in (1, 2):
        put(shelf, step)
        shelf.rotate(None)
    assert steps(tmp_path) == [1, 2, 20]
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: 0)
    with pytest.raises(LittleRoom):
        shelf.make_room(3, 2**20, None)
    assert steps(tmp_path) == [2, 20]
