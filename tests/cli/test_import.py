"""`pegbox import`: what becomes of each key is said, and the recipe is written where nothing lies."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pegbox_methods.recipe_file import read_recipe
from tests.commands import BUNDLED, pegbox

AXOLOTL = """
base_model: bundled
adapter: lora
learning_rate: 2e-4
micro_batch_size: 2
gradient_accumulation_steps: 4
lora_r: 8
deepspeed: zero3.json
micro_batch_sise: 3
"""


def test_every_key_is_told_and_the_written_recipe_is_one(tmp_path: Path, home: Path) -> None:
    theirs, ours = tmp_path / "axolotl.yml", tmp_path / "recipe.toml"
    theirs.write_text(AXOLOTL)
    done = pegbox("import", str(theirs), "--write", str(ours), "--json", home=home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {entry["key"]: entry["fate"] for entry in told["entries"]} == {
        "base_model": "translated",
        "adapter": "translated",
        "learning_rate": "carried",
        "micro_batch_size": "carried",
        "gradient_accumulation_steps": "carried",
        "lora_r": "carried",
        "deepspeed": "left",
        "micro_batch_sise": "left",
    }
    recipe = read_recipe(ours)
    assert (recipe.method.settings["rank"], recipe.training.learning_rate, recipe.split.share) == (8, 2e-4, 0.0)
    assert "# deepspeed: Pegbox trains on one GPU" in ours.read_text()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, home: Path) -> None:
    theirs, ours = tmp_path / "axolotl.yml", tmp_path / "recipe.toml"
    theirs.write_text(AXOLOTL)
    ours.write_text("mine")
    done = pegbox("import", str(theirs), "--write", str(ours), home=home)
    assert done.returncode == 2
    assert "nothing is overwritten" in done.stderr
    assert ours.read_text() == "mine"


@pytest.mark.parametrize("command", ["import", "advise"])
def test_a_recipe_that_cant_be_written_whole_isnt_there_at_all(command: str, tmp_path: Path, home: Path) -> None:
    theirs, ours = tmp_path / "axolotl.yml", tmp_path / "recipe.toml"
    theirs.write_text(AXOLOTL)
    given = ["import", theirs] if command == "import" else ["advise", "bundled", "--data", BUNDLED / "rows.jsonl"]
    words = shlex.join([sys.executable, "-P", "-m", "pegbox", *map(str, given), "--write", str(ours)])
    done = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 0; exec {words}"],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "File too large" in done.stderr) == (2, True), done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["axolotl.yml"]


def test_what_was_left_stands_out_for_people(tmp_path: Path, home: Path) -> None:
    theirs = tmp_path / "axolotl.yml"
    theirs.write_text(AXOLOTL)
    done = pegbox("import", str(theirs), home=home, COLUMNS="80")
    assert done.returncode == 0
    assert "NOT carried over: 2" in done.stdout
    assert "misspelt" in done.stdout


def test_the_default_warm_up_is_not_said_to_be_where_the_file_says_nothing(tmp_path: Path, home: Path) -> None:
    theirs = tmp_path / "axolotl.yml"
    theirs.write_text(AXOLOTL + "warmup_steps: 10\n")
    done = pegbox("import", str(theirs), home=home)
    assert "where the file says nothing, or nothing that could be carried over, Axolotl's defaults" in done.stdout


@pytest.mark.parametrize("asked", [("~nosuch/x",), ("FILE", "--write", "~nosuch/x")])
def test_the_home_of_a_user_who_is_not_here_is_named(asked: tuple[str, ...], tmp_path: Path, home: Path) -> None:
    theirs = tmp_path / "axolotl.yml"
    theirs.write_text(AXOLOTL)
    done = pegbox("import", *(str(theirs) if word == "FILE" else word for word in asked), home=home)
    assert done.returncode == 2
    assert "no such user's home" in done.stderr
    assert "Traceback" not in done.stderr
