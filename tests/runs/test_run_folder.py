"""Run folders: private, whole or absent, and found by a part of their name."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs import commands
from pegbox_runs.environment import Environment
from pegbox_runs.run_folder import all_runs, find
from tests.stories import RECIPE, made


def test_a_run_folder_is_private_and_holds_its_files(home: Path) -> None:
    folder = made()
    assert folder.path.parent == home / "runs"
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "checkpoints",
        "commands.jsonl",
        "environment.json",
        "events.jsonl",
        "recipe.toml",
        "worker.log",
    ]
    for file in folder.path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert read_recipe(folder.recipe) == RECIPE
    assert msgspec.json.decode(folder.environment.read_bytes(), type=Environment).machine.cores >= 1


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PEGBOX_HOME", str(blocked))
    with pytest.raises(Refusal, match=r"can't write the run's folder: .*PEGBOX_HOME"):
        made()
    assert blocked.read_text() == ""


def test_a_folder_that_fails_half_way_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pegbox_runs.run_folder.write_recipe", refuse)
    with pytest.raises(Refusal, match="No space left on device"):
        made()
    assert list((home / "runs").iterdir()) == []


def test_runs_are_found_by_id_prefix_and_last(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="there are no runs"):
        find("last")
    ids = ["20260101-000000-lora-aaaa", "20260101-000000-lora-aabb", "20260102-000000-lora-cccc"]
    template = made().path
    for name in ids:
        (template.parent / name).mkdir()
        (template.parent / name / "recipe.toml").write_text("")
    assert find("last").id == max(ids[-1], template.name)
    assert find(ids[0]).id == ids[0]
    assert find("20260102").id == ids[2]
    with pytest.raises(Refusal, match='"20260101" is the beginning of 2 runs'):
        find("20260101")
    with pytest.raises(Refusal, match="no run is called"):
        find("nothing")
    assert [folder.id for folder in all_runs()] == sorted([*ids, template.name])


def test_runs_of_one_second_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    begun = [made().id for _ in range(30)]
    assert [folder.id for folder in all_runs()] == begun
    assert find("last").id == begun[-1]


def test_an_id_that_is_also_a_beginning_of_another_is_found() -> None:
    root = made().path.parent
    for name in ("x", "xy"):
        (root / name).mkdir()
        (root / name / "recipe.toml").write_text("")
    assert find("x").id == "x"


def test_commands_are_read_once_and_nonsense_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    reader = commands.CommandReader(path)
    assert list(reader.new()) == []
    sent = commands.send(path, "stop")
    with path.open("ab") as file:
        file.write(b'nonsense\n{"command": 3}\n')
    commands.send(path, "dance")
    read = list(reader.new())
    assert [command.command for command in read] == ["stop", "dance"]
    assert read[0] == sent
    assert abs(read[0].time - time.time()) < 60
    assert list(reader.new()) == []
