"""`pegbox export`, typed by a person and called by a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pegbox.options.export import TARGETS
from pegbox_runs.artefacts import artefact
from pegbox_runs.run_folder import RunFolder
from tests.commands import pegbox, wait_until, write_recipe_text
from tests.runs.exporting.left_behind import contents


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    """A run of DoRA of some steps, and its home."""
    home = tmp_path_factory.mktemp("tuned")
    recipe = write_recipe_text(home, method={"name": "dora"}, training={"learning_rate": 2e-3})
    done = pegbox("train", str(recipe), home=home)
    assert done.returncode == 0, done.stderr
    (folder,) = (home / "runs").iterdir()
    return RunFolder(folder), home


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_command_line_knows_every_target() -> None:
    assert TARGETS == artefact.TARGETS


def test_an_export_is_proven_and_the_runs_own_files_stay_as_they_are(tuned: tuple[RunFolder, Path]) -> None:
    run, home = tuned
    before = contents(run.path)
    done = pegbox("export", "last", "--to", "adapter", "--json", home=home)
    assert done.returncode == 0, done.stderr
    found = answer(done)
    assert found["proven"]
    assert found["artefact"]["proofs"][0]["largest_difference"] == 0
    assert Path(found["folder"], "adapter_model.safetensors").is_file()
    assert any("PeftModel" in command for command in found["commands"])
    assert contents(run.path) == before
    again = pegbox("export", "last", "--to", "adapter", home=home)
    assert again.returncode == 0
    assert "proven: the same model" in again.stdout
    assert "To use it:" in again.stdout


def test_a_dry_run_says_what_it_takes_and_makes_nothing(tuned: tuple[RunFolder, Path], tmp_path: Path) -> None:
    _, home = tuned
    for target in ("adapter", "merged", "lora", "vllm", "mlx"):
        place = tmp_path / "made" / target
        done = pegbox("export", "last", "--to", target, "--dry-run", "--output", str(place), "--json", home=home)
        assert done.returncode == 0, done.stderr
        found = answer(done)
        assert found["place"] == str(place)
        assert found["disk_bytes"] > 0
        assert found["makes"]
    assert not (tmp_path / "made").exists()
    shown = pegbox("export", "last", "--to", "lora", "--dry-run", home=home)
    assert "Nothing was made." in shown.stdout
    assert "disk: about" in shown.stdout
    cannot = pegbox("export", "last", "--to", "vllm", "--via", "adapter", "--dry-run", home=home)
    assert cannot.returncode == 2, "a dry run finds what the export itself would be refused for"
    assert "magnitudes" in cannot.stdout


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--to", "floppy"), "invalid choice"),
        ((), "--to"),
        (("--to", "lora", "--rank", "many"), "is no rank"),
        (("--to", "lora", "--rank", "0"), "--rank 0"),
        (("--to", "vllm", "--via", "adapter"), "magnitudes"),
        (("--to", "gguf", "--dtype", "float32", "--dry-run"), "--dtype belongs to --to merged"),
        (("--to", "adapter", "--base", "./nowhere"), "no such model folder"),
    ],
)
def test_what_cannot_be_done_is_one_clear_message(
    tuned: tuple[RunFolder, Path], asked: tuple[str, ...], said: str
) -> None:
    run, home = tuned
    before = contents(run.path)
    done = pegbox("export", "last", *asked, home=home)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(run.path) == before


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_nothing_under_its_name_and_can_be_made_again(
    tuned: tuple[RunFolder, Path], tmp_path: Path
) -> None:
    run, home = tuned
    place = tmp_path / "lora"
    asked = ["export", run.id, "--to", "lora", "--output", str(place), "--json"]
    killed = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox", *asked],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: (tmp_path / ".lora.part" / "pegbox-conversion.json").is_file())
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not place.exists()
    made = (tmp_path / ".lora.part" / "adapter_model.safetensors").stat().st_ino
    done = pegbox(*asked, home=home)
    assert done.returncode == 0, done.stderr
    found = answer(done)
    assert found["artefact"]["cost"]["rows"] > 1
    assert (place / "adapter_model.safetensors").stat().st_ino == made
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
