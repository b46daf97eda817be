"""Which checkpoints are whole: nothing that was torn, changed or half written is ever gone on from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.checkpoints import (
    FORMAT,
    MANIFEST,
    Manifest,
    Progress,
    Unfit,
    checkpoint_folders,
    folder_of,
    free_bytes,
    mark,
    newest_good,
    sealed,
    superfluous,
    tree_bytes,
    verify,
)
from pegbox_runs.run_folder import RunFolder

FILES = {"trained.safetensors": b"w" * 5000, "optimizer.safetensors": bytes(range(256)) * 10, "training.json": b"{}"}


def write(run: Path, step: int, files: dict[str, bytes] = FILES) -> Path:
    """Write a checkpoint as a run does."""
    path = folder_of(RunFolder(run).checkpoints, step)
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    seal(path, step)
    return path


def seal(path: Path, number: int, /, **changes: object) -> None:
    files = {file.name: mark(file) for file in path.iterdir() if file.is_file() and file.name != MANIFEST}
    manifest = Manifest(
        format=FORMAT, step=number, time=1.0, reason="planned", progress=Progress(step=number, tokens=7), files=files
    )
    (path / MANIFEST).write_bytes(sealed(msgspec.structs.replace(manifest, **changes)))


def test_the_newest_whole_one_is_found_with_how_far_the_run_had_come(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        write(tmp_path, step)
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is not None
    assert (found.step, found.path.name, found.progress.tokens) == (100, "checkpoint-100", 7)
    assert found.bytes == sum(map(len, FILES.values()))
    assert rejected == []


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert newest_good(RunFolder(tmp_path)) == (None, [])
    RunFolder(tmp_path).checkpoints.mkdir()
    assert newest_good(RunFolder(tmp_path)) == (None, [])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", [flip, cut, empty, grow, as_folder, Path.unlink])
def test_whatever_is_wrong_with_whichever_file_the_one_before_it_is_taken(
    tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    write(tmp_path, 4)
    path = write(tmp_path, 8)
    damage(path / name)
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is not None
    assert found.step == 4
    assert [one.path for one in rejected] == [path]
    assert rejected[0].reason


def test_any_byte_of_any_file_counts(tmp_path: Path) -> None:
    path = write(tmp_path, 1, {"a": b"0123456789"})
    for place in range(10):
        content = bytearray(b"0123456789")
        content[place] ^= 0x80
        (path / "a").write_bytes(bytes(content))
        with pytest.raises(Unfit, match="SHA-256"):
            verify(path)


def test_a_half_written_one_and_a_half_deleted_one_are_not_even_looked_at(tmp_path: Path) -> None:
    write(tmp_path, 4)
    place = RunFolder(tmp_path).checkpoints
    shutil.copytree(place / "checkpoint-4", place / ".checkpoint-8.part")
    shutil.copytree(place / "checkpoint-4", place / ".checkpoint-2.gone.part")
    (place / "checkpoint-9").write_bytes(b"a file")
    (place / "checkpoint-x").mkdir()
    (place / "checkpoint-10").symlink_to(place / "checkpoint-4")
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is not None
    assert found.step == 4
    assert rejected == []
    assert list(checkpoint_folders(place)) == [(4, place / "checkpoint-4")]


def test_a_changed_digit_of_the_manifest_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, 8)
    text = (path / MANIFEST).read_text()
    (path / MANIFEST).write_text(text.replace('"tokens": 7', '"tokens": 8'))
    with pytest.raises(Unfit, match="seal"):
        verify(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": FORMAT + 1}, "format"),
        ({"step": 3}, "step 3"),
        ({"progress": Progress(step=3)}, "says"),
        ({"files": {}}, "no files"),
    ],
)
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = write(tmp_path, 8)
    seal(path, 8, **change)
    with pytest.raises(Unfit, match=said):
        verify(path)


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a/../../secret", ".", "", "a\0b"])
def test_a_manifest_that_names_a_file_outside_is_refused_without_reading_it(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, 8)
    (tmp_path / "secret").write_bytes(b"")
    seal(path, 8, files={name: mark(tmp_path / "secret")})
    with pytest.raises(Unfit):
        verify(path)


def test_files_in_a_folder_of_the_checkpoint_count_too(tmp_path: Path) -> None:
    path = write(tmp_path, 8)
    (path / "second").mkdir()
    (path / "second" / "adapter").write_bytes(b"abc")
    seal(path, 8, files={"second/adapter": mark(path / "second" / "adapter")})
    assert verify(path).bytes == 3
    (path / "second" / "adapter").write_bytes(b"abd")
    with pytest.raises(Unfit, match="second/adapter"):
        verify(path)


def test_all_bad_ones_are_listed_newest_first(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        (write(tmp_path, step) / MANIFEST).unlink()
    found, rejected = newest_good(RunFolder(tmp_path))
    assert found is None
    assert [one.path.name for one in rejected] == ["checkpoint-10", "checkpoint-4", "checkpoint-2"]


STEPS = st.sets(st.integers(1, 60), min_size=1, max_size=20)


@given(steps=STEPS, places=st.tuples(st.integers(0, 59), st.integers(-1, 59)), limit=st.integers(1, 12))
def test_rotation_never_takes_the_newest_or_the_best_and_leaves_as_many_as_asked(
    steps: set[int], places: tuple[int, int], limit: int
) -> None:
    known = sorted(steps)
    newest = known[places[0] % len(known)]
    best = None if places[1] < 0 else known[places[1] % len(known)]
    gone = superfluous(known, newest=newest, best=best, limit=limit)
    left = steps - set(gone)
    assert newest in left
    assert best is None or best in left
    assert len(gone) == len(set(gone))
    assert all(step <= newest or step == best for step in left)
    older = {step for step in steps if step <= newest or step == best}
    assert len(left) == min(len(older), max(limit, len({newest, best} - {None})))
    kept_plain = left - {newest, best}
    assert not kept_plain or min(kept_plain) > max((s for s in gone if s < newest), default=0)


def test_sizes_and_room_are_read_from_the_disk(tmp_path: Path) -> None:
    path = write(tmp_path, 8)
    assert tree_bytes(path) == sum(map(len, FILES.values())) + (path / MANIFEST).stat().st_size
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, abs=2**30)  # others write meanwhile
