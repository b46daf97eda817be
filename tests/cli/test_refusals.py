"""Bad input at the front door: one clear message, exit code 2, and nothing half-made left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pegbox_runs.models import BUNDLED
from tests.commands import pegbox, write_recipe_text


def no_rows(folder: Path) -> str:
    write_recipe_text(folder, rows={"file": "nowhere.jsonl"})
    return "there is no such file or folder of rows"


def empty_rows(folder: Path) -> str:
    (folder / "rows.jsonl").write_text("")
    write_recipe_text(folder, rows={"file": "rows.jsonl"})
    return "the file holds no rows"


def strange_rows(folder: Path) -> str:
    (folder / "rows.jsonl").write_text('{"q": "why?", "a": "because"}\n')
    write_recipe_text(folder, rows={"file": "rows.jsonl"})
    return "none of the 1 rows looked at is in"


def no_model(folder: Path) -> str:
    write_recipe_text(folder, model={"name": "./nowhere"})
    return "there is no such model folder"


def no_hub(folder: Path) -> str:
    write_recipe_text(folder, model={"name": "nobody/nothing"})
    return "nor in the local Hub cache"


def no_tokenizer(folder: Path) -> str:
    shutil.copytree(BUNDLED / "model", folder / "model")
    (folder / "model" / "tokenizer.json").unlink()
    write_recipe_text(folder, model={"name": "./model"})
    return "the model has no tokenizer"


def no_template(folder: Path) -> str:
    shutil.copytree(BUNDLED / "model", folder / "model")
    (folder / "model" / "chat_template.jinja").unlink()
    write_recipe_text(folder, model={"name": "./model"})
    return "the tokenizer has no chat template"


def unknown_method(folder: Path) -> str:
    write_recipe_text(folder, method={"name": "lorra"})
    return 'no method is called "lorra"; did you mean "lora"?'


def unknown_key(folder: Path) -> str:
    write_recipe_text(folder, training={"epocs": 3})
    return 'training.epocs = 3: unknown key; did you mean "epochs"?'


def no_recipe(folder: Path) -> str:
    return "can't read the recipe: No such file or directory"


CASES: list[Callable[[Path], str]] = [
    *(no_rows, empty_rows, strange_rows, no_model, no_hub, no_tokenizer, no_template),
    *(unknown_method, unknown_key, no_recipe),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_bad_input_is_one_message_exit_code_2_and_no_run(
    case: Callable[[Path], str], tmp_path: Path, home: Path
) -> None:
    says = case(tmp_path)
    done = pegbox("train", str(tmp_path / "recipe.toml"), "--json", home=home)
    assert done.returncode == 2
    assert says in done.stderr
    assert says in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_run_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    done = pegbox("train", str(write_recipe_text(tmp_path)), home=blocked)
    assert done.returncode == 2
    assert "can't write the run's folder" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["watch", "nothing"], ["stop", "nothing"], ["watch"]])
def test_a_run_that_is_not_there(command: list[str], home: Path) -> None:
    done = pegbox(*command, home=home)
    assert done.returncode == 2
    assert "there are no runs" in done.stderr


@pytest.mark.parametrize(
    "command", [["dance"], ["train"], ["train", "a", "--watch", "--detach"], ["schema", "dog"], []]
)
def test_usage_is_exit_code_2(command: list[str], home: Path) -> None:
    assert pegbox(*command, home=home).returncode == 2


def test_a_reader_that_goes_away_is_no_error_to_shout_about(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox", "schema", "event"],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()  # as `| head` does, before the first word comes
    _, errors = process.communicate()
    assert errors == b""
    assert process.returncode == 1
