"""A comparison from the command line to its report, with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import pegbox, write_recipe_text


@pytest.mark.slow
def test_two_methods_are_compared_and_the_verdict_is_taken_away(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(tmp_path, rows={"limit": 100}, training={"max_steps": 12, "learning_rate": 2e-3})
    words = ("compare", str(recipe), "--methods", "lora,b=lora", "--seeds", "1", "--no-search", "--json")
    done = pegbox(*words, home=home)
    assert done.returncode == 0, done.stderr
    first, *news, results = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["plan"]["entries"] == 2
    ended = [one["entry"]["id"] for one in news if one["event"] == "entry" and one["state"] == "done"]
    assert ended == ["lora.seed-42", "b.seed-42"]
    assert results["complete"]
    assert results["groups"] == [["lora", "b"]], "the same under two names is tied"
    assert "2 trainings of 12 steps, with seed 42" in done.stderr
    folder = Path(first["folder"])
    for name in ("report.html", "report.md", "results.csv", "results.json"):
        assert (folder / name).stat().st_size > 0
    shown = pegbox("compare", "last", home=home)
    assert shown.returncode == 0
    assert f"The report: {folder / 'report.html'}" in shown.stdout
    (listed,) = json.loads(pegbox("compare", "--json", home=home).stdout)
    assert (listed["comparison"], listed["status"], listed["best"]) == (folder.name, "finished", ["lora", "b"])
