"""`pegbox compare` from words to what is asked of the arena, and what is refused before anything is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pegbox import asked_comparison, comparison_watch
from pegbox.__main__ import main
from pegbox.commands import compare
from pegbox_hardware.disk import Disk
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking import costs, creating
from pegbox_runs.arena.asking.budget import Budget
from pegbox_runs.arena.comparison_folder import ComparisonFolder, all_comparisons, comparisons_root
from pegbox_runs.arena.directing import start as directing
from pegbox_runs.arena.report import writing
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.run_folder import RunFolder
from tests.cli.made_comparisons import COMPLETED, ID, final, made_comparison, run_entry
from tests.commands import write_recipe_text
from tests.runs.arena.made_up_results import usual
from tests.stories import made, started

SMALL = Disk(what="comparisons", path="/x", total=2**20, free=2**20, writable=True)
GONE = {"supervisor_mark": "gone", "worker_mark": "gone"}


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    return str(write_recipe_text(tmp_path, rows={"limit": 100}, training={"max_steps": 24}))


@pytest.fixture
def directed(monkeypatch: pytest.MonkeyPatch) -> list[ComparisonFolder]:
    """Start nothing, and keep what would have been."""
    kept: list[ComparisonFolder] = []
    monkeypatch.setattr(directing, "start_director", kept.append)
    return kept


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[creating.Wanted]:
    """Keep what is asked for, and refuse it."""
    kept: list[creating.Wanted] = []

    def check(asked: creating.Wanted) -> None:
        kept.append(asked)
        raise Refusal("enough")

    monkeypatch.setattr(creating, "check_comparison", check)
    return kept


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"seeds": (42, 43, 44), "search": True, "budget": None, "rank_budget": None, "gpus": ()}),
        (["--seeds", "1"], {"seeds": (42,)}),
        (["--seeds", "7, 8"], {"seeds": (7, 8)}),
        (["--seeds", "2", "--set", "seeds.training=4294967295"], {"seeds": (2**32 - 1, 0)}),
        (["--budget", "90m"], {"budget": Budget(seconds=5400.0)}),
        (["--budget", "500"], {"budget": Budget(steps=500)}),
        (["--no-search", "--rank-budget", "1000"], {"search": False, "rank_budget": 1000}),
        (["--on", "ray://head:10001", "--at-once", "3"], {"on": "ray://head:10001", "at_once": 3}),
    ],
)
def test_options_come_to_what_is_wanted(
    recipe: str, wanted: list[creating.Wanted], words: list[str], asked: dict[str, Any]
) -> None:
    assert main(["compare", recipe, "--methods", "lora,dora,b=lora", *words]) == 2
    (found,) = wanted
    assert [*found.contestants] == ["lora", "dora", "b"]
    assert {name: getattr(found, name) for name in asked} == asked


def judging(recipe: str, wanted: list[creating.Wanted], *words: str) -> Mapping[str, Any]:
    wanted.clear()
    assert main(["compare", recipe, "--methods", "lora,dora", *words]) == 2
    (found,) = {tuple(sorted(_judging(one).items())) for one in wanted[0].contestants.values()}
    return dict(found)


def _judging(one: Recipe) -> dict[str, Any]:
    return {"rows": one.judging.rows, "general": one.judging.general, "metrics": one.judging.metrics}


def test_what_is_judged_hangs_on_options_and_then_on_the_recipe(
    recipe: str, wanted: list[creating.Wanted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual_way = {"rows": True, "general": "bundled", "metrics": ()}
    assert judging(recipe, wanted) == usual_way
    assert judging(recipe, wanted, "--general", "none") == {**usual_way, "general": None}
    assert judging(recipe, wanted, "--set", "judging.rows=true") == {**usual_way, "general": None}
    measures = judging(recipe, wanted, "--metrics", "rouge-l,exact-match")
    assert measures == {**usual_way, "metrics": ("exact-match", "rouge-l")}
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text("{}")
    assert judging(recipe, wanted, "--general", "mine.jsonl") == {**usual_way, "general": str(tmp_path / "mine.jsonl")}


def test_several_recipes_take_part_as_they_are(tmp_path: Path, wanted: list[creating.Wanted]) -> None:
    files = []
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
        files.append(str(write_recipe_text(tmp_path / name).rename(tmp_path / f"{name}.toml")))
    assert main(["compare", *files]) == 2
    assert [*wanted[0].contestants] == ["low", "high"]


def refusals(recipe: str, tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    return {
        "nothing to compare": ([recipe], "one recipe is nothing to compare"),
        "methods of several": ([recipe, recipe, "--methods", "lora"], "--methods makes contestants of one recipe"),
        "unknown method": ([recipe, "--methods", "lora,dorra"], 'did you mean "dora"?'),
        "unknown measure": ([recipe, "--methods", "lora,dora", "--metrics", "f2"], "f2 is no measure; known: exact"),
        "no general rows": (
            [recipe, "--methods", "lora,dora", "--general", "gone"],
            "--general gone: there is no",
        ),
        "no seeds": ([recipe, "--methods", "lora,dora", "--seeds", "x"], "expected how many trainings"),
        "seed zero": ([recipe, "--methods", "lora,dora", "--seeds", "0"], "expected from 1 to 100"),
        "seeds twice": ([recipe, "--methods", "lora,dora", "--seeds", "5,5"], "a seed is there twice"),
        "huge seed": ([recipe, "--methods", "lora,dora", "--seeds", "9" * 5000 + ","], "expected how many trainings"),
        "no budget": ([recipe, "--methods", "lora,dora", "--budget", "soon"], "--budget soon: expected a time"),
        "budget below nothing": (
            [recipe, "--methods", "lora,dora", "--budget", "-1h"],
            "--budget -1h: expected a time",
        ),
        "small budget": ([recipe, "--methods", "lora,dora", "--budget", "12"], "the budget is too small"),
        "no GPU": ([recipe, "--methods", "lora,dora", "--gpus", "all"], "no GPU can be used here"),
        "AdaLoRA in few steps": (
            [recipe, "--methods", "lora,adalora", "--set", "training.max_steps=6"],
            "adalora needs at least 20 steps",
        ),
        "one held-out row": (
            [recipe, "--methods", "lora,dora", "--set", "split.share=0.01"],
            "one row is held out",
        ),
        "gone recipe": ([str(tmp_path / "gone.toml"), "--methods", "lora,dora"], "can't read the recipe"),
        "recipe and comparison": ([recipe, "2026"], "recipe.toml is a recipe, and 2026 would be a comparison"),
        "two comparisons": (["2026", "2027"], "one comparison is shown at a time, and 2 were named"),
        "adding to a recipe": ([recipe, "--add", "dora"], "--add is for a comparison that is there"),
        "options without a recipe": (["--methods", "lora"], "name the recipe, as in `pegbox compare RECIPE --methods"),
        "options of a recipe": (["2026", "--methods", "lora"], "To add methods to it, write --add"),
        "retrying nothing": (["--retry"], "--retry is for a comparison that is there"),
        "no comparison": (["2026"], "there are no comparisons in"),
    }


@pytest.mark.parametrize("case", [*refusals("", Path())])
def test_what_cannot_be_done_is_refused_in_words_before_anything_is_there(
    recipe: str,
    tmp_path: Path,
    directed: list[ComparisonFolder],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr(asked_comparison, "this_machine", lambda: SimpleNamespace(gpus=()))
    words, said = refusals(recipe, tmp_path)[case]
    assert main(["compare", *words, "--json"]) == 2
    told = capsys.readouterr()
    assert said in " ".join(told.err.split())
    assert said in " ".join(json.loads(told.out)["error"].split())
    assert directed == []
    assert not comparisons_root().exists()


def test_a_disk_that_is_too_small_for_all_is_refused(
    recipe: str, directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "read_disk", lambda name, path: SMALL)
    assert main(["compare", recipe, "--methods", "lora,dora"]) == 2
    assert "the disk is too small for all" in capsys.readouterr().err
    assert (directed, all_comparisons()) == ([], [])


def gpu(uuid: str) -> SimpleNamespace:
    return SimpleNamespace(uuid=uuid)


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, ()), ("all", ("GPU-a", "1")), ("1", ("1",)), ("1,0", ("1", "GPU-a")), ("GPU-a", ("GPU-a",))],
)
def test_gpus_are_named_as_cuda_does(monkeypatch: pytest.MonkeyPatch, text: str | None, found: tuple[str, ...]) -> None:
    monkeypatch.setattr(asked_comparison, "this_machine", lambda: SimpleNamespace(gpus=(gpu("GPU-a"), gpu(""))))
    assert asked_comparison.read_gpus(text) == found


@pytest.mark.parametrize("text", ["2", "0,0", "", ",", "x", "-1"])
def test_gpus_that_are_not_here_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(asked_comparison, "this_machine", lambda: SimpleNamespace(gpus=(gpu("GPU-a"), gpu(""))))
    with pytest.raises(Refusal):
        asked_comparison.read_gpus(text)


def test_a_dry_run_says_what_would_be_trained_and_starts_nothing(
    recipe: str, directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", recipe, "--methods", "lora,b=lora", "--seeds", "2", "--dry-run"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "lora, b (lora) on bundled" in said
    assert "4 trainings of 24 steps, with seeds 42, 43, after 10 tries of learning rates of 5 and 10 steps" in said
    assert "b: lora, rank 16; rates 6e-05, 0.0002, 0.0006" in said
    assert "of disk at most" in said
    assert main([*words, "--json"]) == 0
    told = capsys.readouterr()
    plan = json.loads(told.out)
    assert [one["name"] for one in plan["contestants"]] == ["lora", "b"]
    assert (plan["entries"], plan["steps"], plan["seeds"]) == (14, 24, [42, 43])
    assert plan["seconds"]["low"] < plan["seconds"]["likely"] < plan["seconds"]["high"]
    assert "4 trainings of 24 steps" in told.err
    assert (directed, all_comparisons()) == ([], [])


def test_a_comparison_is_made_and_given_to_a_director(
    recipe: str, directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", recipe, "--methods", "lora,dora", "--detach", "--json"]) == 0
    told = capsys.readouterr()
    (folder,) = directed
    record = json.loads(told.out)
    assert (record["comparison"], record["folder"]) == (folder.id, str(folder.path))
    assert record["plan"]["seeds"] == [42, 43, 44]
    assert read_comparison(folder).asked.contestants == ("lora", "dora")
    assert f"`pegbox compare {folder.id}` shows it, `pegbox stop {folder.id}` ends it" in told.err


@pytest.fixture
def over() -> ComparisonFolder:
    return made_comparison(events=[COMPLETED], results=usual())


@pytest.mark.parametrize("name", [ID, "20260102", "last"])
def test_a_comparison_that_has_ended_is_told_by_its_verdict(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["compare", name]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Take lora: it is tied with dora for the lowest loss" in said
    assert "full failed for memory: CUDA out of memory" in said
    assert f"The numbers so far: {over.results}" in said
    assert main(["compare", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["winner"] is None


def test_comparisons_are_listed(over: ComparisonFolder, capsys: pytest.CaptureFixture[str]) -> None:
    broken = made_comparison("20260103-030405-compare-abcd", names=("lora",))
    broken.comparison.write_text("contestants = 3")
    lost = made_comparison("20260104-030405-compare-abcd", events=[started(attempt=2, **GONE)])
    assert main(["compare"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines()[:6])) <= 80
    assert " ".join(said.split()).count("lora, dora (tied)") == 1
    assert "comparison.toml: can't be read" in said
    assert main(["compare", "--json"]) == 0
    first, second, third = json.loads(capsys.readouterr().out)
    assert (first["comparison"], first["status"], first["best"]) == (ID, "finished", ["lora", "dora"])
    assert first["contestants"] == ["lora", "dora"]
    assert "can't be read" in second["fault"]
    assert (third["comparison"], third["status"], third["complete"]) == (lost.id, "lost", False)


def test_runs_tell_that_there_are_comparisons(over: ComparisonFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert "There is a comparison too: `pegbox compare` lists it." in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_methods_are_added_and_a_director_is_started_where_none_lives(
    over: ComparisonFolder,
    directed: list[ComparisonFolder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    added: list[list[str]] = []

    def add(folder: ComparisonFolder, contestants: Mapping[str, Recipe]) -> tuple[str, ...]:
        added.append([*contestants])
        return ("mind this",)

    monkeypatch.setattr(creating, "add_contestants", add)
    assert main(["compare", ID, "--add", "rslora,b=dora", "--detach", "--json"]) == 0
    told = capsys.readouterr()
    assert (added, directed) == ([["rslora", "b"]], [over])
    assert json.loads(told.out) == {"comparison": ID, "folder": str(over.path)}
    assert "mind this" in told.err


def test_what_goes_on_is_added_to_without_another_director(
    directed: list[ComparisonFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_comparison()
    monkeypatch.setattr(creating, "add_contestants", lambda folder, contestants: ())
    assert main(["compare", ID, "--add", "rslora", "--detach"]) == 0
    assert directed == []


@pytest.mark.parametrize(("failed", "code"), [(0, 2), (2, 0)])
def test_what_failed_is_run_again_if_anything_did(
    over: ComparisonFolder,
    directed: list[ComparisonFolder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failed: int,
    code: int,
) -> None:
    monkeypatch.setattr(creating, "retry_failed", lambda folder: failed)
    assert main(["compare", "last", "--retry", "--detach"]) == code
    told = capsys.readouterr()
    assert ("2 trainings are run again" in told.out) == (failed > 0)
    assert ("nothing has failed" in told.err) == (failed == 0)
    assert directed == [over] * (failed > 0)


def test_the_report_is_written_anew(
    over: ComparisonFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(_results: object, folder: ComparisonFolder) -> None:
        (folder.path / "report.html").touch()

    monkeypatch.setattr(writing, "write_report", write)
    assert main(["compare", "last", "--report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"comparison": ID, "files": [str(over.path / name) for name in ("report.html", "results.json")]}


def test_a_report_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    made_comparison()
    assert main(["compare", "last", "--report"]) == 2
    assert "has no results yet" in capsys.readouterr().err


def test_a_comparison_is_taken_where_a_run_is_and_last_stays_the_last_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = made_comparison(events=[COMPLETED])
    assert main(["stop", folder.id[:8], "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {"comparison": folder.id, "status": "finished", "answer": None}
    assert main(["stop", "last"]) == 2
    assert "there are no runs" in capsys.readouterr().err
    run = made()
    assert main(["stop", "last", "--wait", "0", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["run"] == run.id
    assert main(["stop", "nothing"]) == 2
    assert "no run and no comparison is called" in capsys.readouterr().err


def test_a_name_that_fits_a_run_and_a_comparison_is_refused_with_both(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = made()
    folder = made_comparison(f"{run.id[:4]}0102-030405-compare-abcd")
    assert main(["watch", run.id[:4]]) == 2
    said = capsys.readouterr().err
    assert run.id in said
    assert folder.id in said
    assert "the beginning of the run" in said


def test_a_command_that_nobody_answers_says_how_a_comparison_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    made_comparison()
    assert main(["pause", ID, "--wait", "0"]) == 1
    assert "has not answered within 0 s" in capsys.readouterr().out


def test_a_comparison_goes_on_by_a_new_director(
    directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison(events=[started(attempt=2, **GONE)])
    assert main(["resume", folder.id, "--set", "training.epochs=3"]) == 2
    assert "whose trainings must stay alike" in capsys.readouterr().err
    assert main(["resume", folder.id, "--detach", "--json"]) == 0
    assert directed == [folder]
    told = capsys.readouterr()
    assert json.loads(told.out) == {"comparison": folder.id, "folder": str(folder.path)}
    assert f"`pegbox compare {folder.id}` shows it" in told.err


def test_a_complete_comparison_is_not_resumed(
    directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison(events=[COMPLETED])
    run_entry(folder, final("lora"))
    assert main(["resume", folder.id, "--detach"]) == 0, "dora isn't trained yet"
    run_entry(folder, final("dora"))
    assert main(["resume", folder.id, "--detach"]) == 0, "its results, which nobody wrote, are made anew"
    assert main(["resume", folder.id, "--detach"]) == 2
    assert "is complete: nothing is left to run" in capsys.readouterr().err
    assert directed == [folder]


def test_who_resumes_or_adds_watches_what_comes(
    directed: list[ComparisonFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []

    def show(folder: RunFolder, **how: Any) -> int:
        shown.append(how)
        return 0

    monkeypatch.setattr(comparison_watch, "show_comparison", show)
    monkeypatch.setattr(compare, "show_comparison", show)
    monkeypatch.setattr(creating, "add_contestants", lambda folder, contestants: ())
    made_comparison(events=[started(attempt=2, **GONE)])
    assert main(["resume", ID]) == 0
    assert main(["compare", ID, "--add", "rslora"]) == 0
    assert main(["watch", ID]) == 0
    assert [how.get("past", True) for how in shown] == [False, False, True]


def test_a_fault_that_is_there_twice_is_told_once(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", recipe, "--methods", ","]) == 2
    assert capsys.readouterr().err.count("expected METHOD or NAME=METHOD") == 1


def test_a_folder_that_lost_its_comparison_is_listed_with_its_fault(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    made_comparison("20260103-030405-compare-abcd").comparison.unlink()
    assert main(["compare", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["fault"] is None
    assert second["comparison"] == "20260103-030405-compare-abcd"
    assert "comparison.toml" in second["fault"]


def test_a_plan_says_what_its_time_leaves_out(
    recipe: str, directed: list[ComparisonFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", recipe, "--methods", "lora,dora", "--dry-run", "--metrics", "rouge-l"]
    left_out = "Not in that time: answering 10 held-out questions"
    assert main([*words, "--general", "none"]) == 0
    said = capsys.readouterr().out
    assert f"{left_out}, before and after each training." in said
    assert main([*words, "--budget", "2h"]) == 0
    said = capsys.readouterr().out
    assert f"{left_out} and the look at the general rows, before and after each training. The budget counts" in said
    assert main(["compare", recipe, "--methods", "lora,dora", "--dry-run", "--general", "none"]) == 0
    assert "Not in that time" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "rai"], 'did you mean "ray"?'),
        (["--on", "ray:head"], "expected ray (the cluster that this machine is a node of)"),
        (["--on", "ray:127.0.0.1:1"], "nothing answers there"),
        (["--on", "ray", "--at-once", "0"], "--at-once 0: expected a number of entries"),
        (["--at-once", "2"], "--at-once is for a comparison on a cluster"),
    ],
)
def test_a_cluster_that_cannot_be_meant_or_reached_is_refused_before_anything_is_there(
    recipe: str, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["compare", recipe, "--methods", "lora,dora", *words]) == 2
    assert said in capsys.readouterr().err
    assert all_comparisons() == []
