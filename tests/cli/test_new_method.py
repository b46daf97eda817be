"""`pegbox new-method`: a whole plugin or nothing, and one that is certified before a line of it is changed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.commands import pegbox
from tests.plugins.installing import install, run_python

FILES = [
    "README.md",
    "pyproject.toml",
    "recipe.toml",
    "rows.jsonl",
    "src/pegbox_two_words/__init__.py",
    "src/pegbox_two_words/card.py",
    "src/pegbox_two_words/half_torch.py",
    "tests/test_certified.py",
]


@pytest.fixture
def written(tmp_path: Path, home: Path) -> Path:
    """Write a plugin. Returns: its folder."""
    folder = tmp_path / "a new folder"
    done = pegbox("new-method", "two-words", "--folder", str(folder), home=home)
    assert done.returncode == 0, done.stderr
    return folder


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_it_writes_a_distribution_and_names_the_next_three_commands(tmp_path: Path, home: Path) -> None:
    done = pegbox("new-method", "two-words", "--folder", str(tmp_path / "new"), "--json", home=home)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["method"], answer["distribution"], answer["package"]) == (
        "two-words",
        "pegbox-two-words",
        "pegbox_two_words",
    )
    folder = Path(answer["folder"])
    assert answer["files"] == files_in(folder) == FILES
    assert [" ".join(command.split()[-2:]) for command in answer["next"]] == [
        f"--editable {folder}",
        "certify two-words",
        f"train {folder / 'recipe.toml'}",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name != home.name] == ["new"]


def test_without_a_folder_it_is_called_like_the_distribution_and_lies_here(tmp_path: Path, home: Path) -> None:
    asked = [sys.executable, "-P", "-m", "pegbox", "new-method", "two-words"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert files_in(tmp_path / "pegbox-two-words") == FILES
    assert "pip install --editable pegbox-two-words\n" in done.stdout
    assert "pegbox train pegbox-two-words/recipe.toml" in done.stdout


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    before = folder.stat().st_ino
    assert pegbox("new-method", "two-words", "--folder", str(folder), home=home).returncode == 0
    assert (files_in(folder), folder.stat().st_ino) == (FILES, before)


@pytest.mark.parametrize(
    "name", ["", "Two", "two_words", "two words", "-two", "two-", "two--words", "zwölf", "../two", "two.words", "two\n"]
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, home: Path, name: str) -> None:
    done = pegbox("new-method", "--folder", str(tmp_path / "new"), "--", name, home=home)
    assert done.returncode == 2
    assert 'as in "my-method"' in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("lora", '"lora" is taken by pegbox '), ("methods", "pegbox_methods"), ("worker", "pegbox_worker")],
)
def test_a_name_that_is_taken_is_refused(tmp_path: Path, home: Path, name: str, says: str) -> None:
    done = pegbox("new-method", name, "--folder", str(tmp_path / "new"), home=home)
    assert done.returncode == 2
    assert says in done.stderr
    assert "take another name" in done.stderr
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(written: Path, home: Path) -> None:
    (written / "README.md").write_text("mine")
    done = pegbox("new-method", "two-words", "--folder", str(written), "--json", home=home)
    assert done.returncode == 2
    assert "nothing is overwritten" in json.loads(done.stdout)["error"]
    assert (written / "README.md").read_text() == "mine"
    done = pegbox("new-method", "two-words", "--folder", str(written / "README.md"), home=home)
    assert (done.returncode, "such a file already" in done.stderr) == (2, True)
    done = pegbox("new-method", "two-words", "--folder", str(written / "no" / "such"), home=home)
    assert (done.returncode, "no such folder" in done.stderr) == (2, True)
    assert files_in(written) == FILES


def test_nothing_half_made_is_left_where_it_cannot_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pegbox.commands import new_method

    class FullDisk(OSError):
        pass

    fill = new_method._fill

    def failing(file: Path, *rest: object) -> str:
        if file.name.startswith("half"):
            raise FullDisk(28, "No space left on device")
        return fill(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(new_method, "_fill", failing)
    there = tmp_path / "there"
    there.mkdir()
    for folder in (there, tmp_path / "new"):
        with pytest.raises(FullDisk):
            new_method._write(folder, new_method._words("two-words", "pegbox_two_words"))
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("pegbox-")] == ["there"]
    assert not list(there.iterdir())


def test_what_it_writes_is_clean_and_its_two_sides_of_the_door_agree(written: Path) -> None:
    for check in (["check", "--select", "E,F,W,I,UP,B,SIM,RET,PTH"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", str(written)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["name"] == "pegbox-two-words"
    assert project["entry-points"]["pegbox"] == {"two-words": "pegbox_two_words.card"}
    for file in FILES:
        assert "$" not in (written / file).read_text(), file


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a certificate and a run, beside busy neighbours
def test_it_is_certified_and_trains_before_a_line_is_changed(written: Path, tmp_path: Path, home: Path) -> None:
    seeing = install(tmp_path / "installed", written)
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(written), seeing=seeing, home=home)
    assert done.returncode == 0, done.stdout
    recipe = str(written / "recipe.toml")
    done = run_python("-m", "pegbox", "train", recipe, "--set", "training.epochs=1", "--json", seeing=seeing, home=home)
    assert done.returncode == 0, done.stdout[-1000:]
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "finished"
