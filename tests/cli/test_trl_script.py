"""`pegbox export --to trl-script`: the script repeats the run's losses, and knows nothing of Pegbox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pegbox_hardware.machine import processor
from pegbox_methods.events import Prepared, Step
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, read_artefact
from pegbox_runs.exporting import trl_script
from pegbox_runs.exporting.targets import ExportOptions
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import tuned_run
from tests.commands import events_of, pegbox, write_recipe_text
from tests.smollm2 import smollm2

CLOSE = 1e-4
WITHOUT_PEGBOX = """
import runpy, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("pegbox"):
            raise ImportError(f"the script asked for {name}")

sys.meta_path.insert(0, Block())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def trained(folder: Path, home: Path, **tables: dict[str, Any]) -> RunFolder:
    done = pegbox("train", str(write_recipe_text(folder, **tables)), "--plain", home=home, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    (path,) = (home / "runs").iterdir()
    return RunFolder(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("trained")
    return trained(place, place / "home")


def exported(run: RunFolder, place: Path, *, prove: bool) -> Artefact:
    told: list[Any] = []
    return trl_script.export(tuned_run(str(run.path)), place, ExportOptions(prove=prove), told.append)


def run_alone(place: Path, steps: int, aside: Path) -> list[float]:
    """Run the script where nothing of Pegbox can be imported. Returns: its losses."""
    asked = [sys.executable, "-I", "-c", WITHOUT_PEGBOX, str(place / "train.py"), "--steps", str(steps)]
    done = subprocess.run([*asked, "--output", str(aside)], capture_output=True, text=True, cwd=aside, check=False)
    assert done.returncode == 0, done.stderr
    return [float(line.split()[3]) for line in done.stdout.splitlines() if line.startswith("step ")]


def test_the_script_takes_the_runs_steps_without_pegbox(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    place = tmp_path / "script"
    artefact = exported(run, place, prove=False)
    assert artefact.unproven
    assert "pegbox" not in (place / "train.py").read_text().lower().replace("pegbox-", "")
    assert {"train.py", "requirements.txt", "rows.jsonl"} <= artefact.files.keys()
    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()]
    assert all(len(row["input_ids"]) == len(row["labels"]) for row in rows)
    result = tmp_path / "result"
    result.mkdir()
    losses = run_alone(place, 6, result)
    told = [event.loss for event in events_of(run) if isinstance(event, Step)]
    assert max(abs(one - other) for one, other in zip(losses, told, strict=True)) < CLOSE
    assert (result / "adapter_model.safetensors").is_file()
    assert exported(run, place, prove=False) == artefact, "it lies there already"
    monkeypatch.setattr(trl_script, "_proved", lambda *_: ("", ("shown.",)))
    later = exported(run, place, prove=True)
    assert later.proven, "what lies there unproven is proven when it is asked for"
    assert later.remarks == (*artefact.remarks, "shown.")
    monkeypatch.delattr(trl_script, "_proved")
    assert exported(run, place, prove=False) == exported(run, place, prove=True) == later


def test_the_room_that_is_looked_for_holds_the_rows_of_a_large_vocabulary(run: RunFolder) -> None:
    tuned = tuned_run(str(run.path))
    prepared = next(event for event in events_of(run) if isinstance(event, Prepared))
    row = {"input_ids": [128255] * prepared.tokens, "labels": [128255] * prepared.tokens}
    model = replace(tuned.model, name="other", config={**tuned.model.config, "vocab_size": 128256})
    assert trl_script._disk_bytes(replace(tuned, model=model)) >= len(json.dumps(row))


@pytest.mark.slow
@pytest.mark.skipif(not {"avx512_bf16", "amx_bf16"} & {*processor()[1]}, reason="computes bfloat16 in software")
def test_in_sixteen_bits_the_script_rounds_where_the_run_rounded(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = trained(tmp_path, home, training={"precision": "bfloat16", "max_steps": 4})
    monkeypatch.setitem(trl_script.CLOSE, "bfloat16", CLOSE)
    artefact = exported(run, tmp_path / "script", prove=True)
    assert artefact.unproven == ""


@pytest.mark.slow
def test_the_first_twenty_losses_of_a_real_model_are_the_runs(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run = trained(
        tmp_path,
        home,
        model={"name": str(smollm2())},
        training={"max_steps": 20, "micro_batch": 1, "accumulation": 1, "length": 64},
        evaluation={"every": 20, "samples": 0},
    )
    artefact = exported(run, tmp_path / "script", prove=True)
    assert artefact.unproven == ""
    assert "its first 20 losses were the run's" in artefact.remarks[-1]


def test_a_method_that_does_more_than_its_config_says_is_refused_by_its_reason(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "eva")
    shutil.copytree(run.path, other.path)
    other.recipe.write_text(other.recipe.read_text().replace('name = "lora"', 'name = "eva"'))
    with pytest.raises(Refusal, match="begins from what it sees of the rows"):
        exported(other, tmp_path / "script", prove=False)
    assert not (tmp_path / "script").exists()


@pytest.mark.slow
def test_a_script_whose_losses_are_others_is_not_called_proven(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other = RunFolder(tmp_path / "other")
    shutil.copytree(run.path, other.path)
    told = other.events.read_text()
    other.events.write_text(told.replace('"loss":4.', '"loss":4.9'))
    assert other.events.read_text() != told
    place = tmp_path / "script"
    artefact = exported(other, place, prove=True)
    assert "losses differ from the run's by up to" in artefact.unproven
    assert read_artefact(place) == artefact
