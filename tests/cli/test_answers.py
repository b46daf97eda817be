"""The commands that only answer: in words, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pegbox import __version__
from tests.commands import pegbox


def test_the_version(home: Path) -> None:
    assert pegbox("--version", home=home).stdout == f"pegbox {__version__}\n"


def test_methods(home: Path) -> None:
    listed = json.loads(pegbox("methods", "--json", home=home).stdout)
    (lora,) = (method for method in listed["methods"] if method["name"] == "lora")
    assert [setting["name"] for setting in lora["settings"]] == ["rank", "alpha", "dropout", "targets"]
    assert listed["warnings"] == []
    assert "LoRA" in pegbox("methods", home=home).stdout
    one = pegbox("methods", "lora", home=home).stdout
    assert "rank = 16  (a whole number from 1 to 4096)" in one
    assert json.loads(pegbox("methods", "lora", "--json", home=home).stdout) == lora
    assert pegbox("methods", "lorra", home=home).returncode == 2


@pytest.mark.parametrize("record", ["recipe", "event", "summary", "results"])
def test_schemas(record: str, home: Path) -> None:
    done = pegbox("schema", record, "--json", home=home)
    assert done.returncode == 0
    assert json.loads(done.stdout)["$defs"]


def test_no_runs_yet(home: Path) -> None:
    assert json.loads(pegbox("runs", "--json", home=home).stdout) == []
    assert "There are no runs" in pegbox("runs", home=home).stdout


@pytest.mark.slow
def test_the_demo_lowers_the_loss_of_rows_it_was_not_trained_on_by_15_percent(home: Path) -> None:
    done = pegbox("demo", "--json", home=home)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["loss_fall"] >= 0.15
    samples = record["samples"]
    untrained, trained = samples[:2], samples[-2:]
    assert [(sample["step"], sample["index"]) for sample in untrained] == [(0, 0), (0, 1)]
    assert [(sample["step"], sample["index"]) for sample in trained] == [(135, 0), (135, 1)]
    for before, after in zip(untrained, trained, strict=True):
        assert before["question"] == after["question"]
        assert before["answer"] != after["answer"]
    assert Path(record["adapter"], "adapter_model.safetensors").is_file()
