"""Third parties' methods: installed beside Pegbox, or dropped into a folder, they are methods like any other."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Evaluation, Finished
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.run_folder import RunFolder
from tests.commands import events_of, pegbox, write_recipe_text
from tests.plugins.installing import DROP_INS, PLUGINS, method_of, run_python

GUESTS = ("pegbox-road", "pegbox-mora")
CONTRACT = {"pegbox_methods"}
HEAVY = {"torch", "peft", "transformers", "safetensors"}
LIGHT = {"msgspec"}
"""What the contract's records are made of: a setting is changed with msgspec.structs.replace."""


@pytest.fixture
def dropped(home: Path) -> Path:
    """Put the drop-in files into this test's home."""
    folder = home / "methods"
    folder.mkdir(parents=True, mode=0o700)
    for file in DROP_INS:
        shutil.copyfile(file, folder / file.name)
        (folder / file.name).chmod(0o600)
    return home


def test_guests_stand_in_the_list_without_a_warning(guests: Path, dropped: Path) -> None:
    done = pegbox("methods", "--json", home=dropped, PYTHONPATH=str(guests))
    answer = json.loads(done.stdout)
    listed = {method["name"] for method in answer["methods"]}
    assert {"road", "mora", *map(method_of, DROP_INS)} <= listed
    assert not [warning for warning in answer["warnings"] if "pegbox-" in warning or "drop-in" in warning]


def test_a_guests_task_is_listed_with_whose_it_is(guests: Path, home: Path) -> None:
    listed = json.loads(pegbox("methods", "--tasks", "--json", home=home, PYTHONPATH=str(guests)).stdout)
    assert [(task["name"], task["origin"]) for task in listed["tasks"]] == [("uuid-pairs", "pegbox-mora 0.1.0")]
    assert not listed["warnings"]


def test_nobody_else_sees_them(home: Path) -> None:
    listed = {method["name"] for method in json.loads(pegbox("methods", "--json", home=home).stdout)["methods"]}
    assert not {"road", "mora", *map(method_of, DROP_INS)} & listed


def test_a_guest_is_described_like_any_method(guests: Path, home: Path) -> None:
    shown = pegbox("methods", "mora", home=home, PYTHONPATH=str(guests)).stdout
    for said in ("MoRA (mora)", "arXiv:2405.12130", "pegbox-mora 0.1.0", 'compression = "rotation"', "112,368"):
        assert said in shown.replace("'", '"')


@pytest.mark.parametrize("wrong", ["rank=0", 'compression="folding"', "ranks=8"])
def test_a_guests_settings_are_checked_like_any_methods(guests: Path, home: Path, tmp_path: Path, wrong: str) -> None:
    recipe = write_recipe_text(tmp_path, method={"name": "mora"})
    asked = ("train", str(recipe), "--set", f"method.settings.{wrong}")
    done = pegbox(*asked, home=home, PYTHONPATH=str(guests))
    assert done.returncode == 2
    assert f"method.settings.{wrong.partition('=')[0]}" in done.stderr
    assert not (home / "runs").exists()


@pytest.mark.slow
def test_the_guests_own_tests_pass_where_they_are_installed(guests: Path, home: Path) -> None:
    folders = [str(PLUGINS / guest) for guest in GUESTS]
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", *folders, seeing=guests, home=home)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_trains_with_each_guest_on_a_packed_base_too(guests: Path, dropped: Path, tmp_path: Path) -> None:
    names, recipes = ["road", "mora", *map(method_of, DROP_INS)], []
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        training: dict[str, Any] = {"learning_rate": 5e-3}
        recipes.append(
            write_recipe_text(folder, method={"name": name}, model={"quantization": "nf4"}, training=training)
        )
    done = pegbox("train", *map(str, recipes), "--plain", home=dropped, PYTHONPATH=str(guests))
    assert done.returncode == 0, done.stdout[-1000:]
    for name, path in zip(names, sorted((dropped / "runs").iterdir()), strict=True):
        assert read_recipe(RunFolder(path).recipe).method.name == name
        events = events_of(RunFolder(path))
        losses = [event.loss for event in events if isinstance(event, Evaluation)]
        assert min(losses[1:]) < losses[0], name
        assert isinstance(events[-1], Finished)


def sources() -> list[Path]:
    own = [PLUGINS / guest / "src" for guest in GUESTS]
    return sorted(DROP_INS + [file for folder in own for file in folder.rglob("*.py")])


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(PLUGINS)))
def test_a_guest_imports_the_contract_alone_and_torch_in_its_half_alone(file: Path) -> None:
    tree = ast.parse(file.read_text())
    itself = {part.name for part in file.parents} | {file.stem}
    allowed = CONTRACT | LIGHT | sys.stdlib_module_names | itself
    is_half = file.name in {"half_torch.py", "square.py"}
    for node in ast.walk(tree):
        late = node not in tree.body  # inside a function, or for type checkers
        assert imported_by(node) <= allowed | (HEAVY if is_half or late else set()), ast.unparse(node)


def imported_by(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()


@pytest.mark.parametrize("guest", [*GUESTS, "broken-on-purpose"])
def test_a_guest_is_a_whole_distribution_with_the_same_name_on_both_sides_of_the_door(guest: str) -> None:
    folder = PLUGINS / guest
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"].removeprefix("pegbox-") == guest.removeprefix("pegbox-")
    assert (folder / "README.md").read_text().startswith("# ")
    for module in project["entry-points"]["pegbox"].values():
        file = folder / "src" / f"{module.replace('.', '/')}.py"
        assert file.is_file() == ("no_such_module" not in module)


def test_the_front_door_of_the_wing_names_every_guest() -> None:
    text = (PLUGINS / "README.md").read_text()
    there = [path.parent.name for path in PLUGINS.glob("*/pyproject.toml")]
    for name in (*there, *(f"dropins/{file.name}" for file in DROP_INS)):
        assert f"]({name})" in text, name
