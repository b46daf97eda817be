"""`pegbox evaluate`: its table, its exit codes, its JSON, and what it refuses before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pegbox.__main__ import main
from pegbox.evaluate_view import show_evaluation
from pegbox.parser import build_parser
from pegbox_runs.arena.results import Interval
from pegbox_runs.evaluating.evaluated import Evaluated, EvaluatedRow, Figure
from pegbox_runs.jobs import JobFailed
from tests.commands import pegbox, wait_until, write_recipe_text
from tests.runs.evaluating.test_figures import judgement, record


def with_rows(found: Evaluated, **fields: Any) -> Evaluated:
    row = EvaluatedRow(
        number=3,
        question="What is \x1b[31mred?" + " and why" * 100,
        expected="A colour.",
        tokens=4,
        base_loss=3.0,
        tuned_loss=1.0,
        base_answer="",
        tuned_answer="A \x9bcolour.",
    )
    lost = msgspec.structs.replace(row, number=4, tuned_loss=5.0, base_answer=None, tuned_answer=None)
    return msgspec.structs.replace(found, gained=(row,), lost=(lost,), **fields)


def test_both_models_stand_side_by_side_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_evaluation(with_rows(record("now"), kept_loss=9.0), Path("e.json"))
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "\x1b" not in said
    assert "\x9b" not in said
    for wanted in (
        "loss on general rows",
        "no difference shown",
        "perplexity",
        "The row that gained most",
        "The row that lost most",
        "row 3: loss 3.000 to 1.000",
        "(nothing)",
        "The run itself told a loss of 9.0000",
        "Well.",
        "kept as e.json",
    ):
        assert wanted in said
    assert said.count("A colour.") == 2


NARROW, PIPE = "30", ""


@pytest.mark.parametrize("columns", [NARROW, "66", "80", PIPE])
def test_no_figure_is_cut_however_narrow_the_terminal_is(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    figure = Figure(
        measure="general-loss",
        rows=9,
        base=119.1234,
        tuned=110.5934,
        difference=Interval(value=-8.53, low=-8.7301, high=-8.3109),
        finding="no difference shown",
        higher_is_better=False,
    )
    found = record("now")
    found = msgspec.structs.replace(found, figures=(*found.figures, figure), gained=(), lost=())
    show_evaluation(found, Path("e.json"))
    said = capsys.readouterr().out
    assert "…" not in said
    table = said[: said.index("Difference:")]
    assert all(len(line) <= int(columns or 1000) for line in table.splitlines())
    words = " ".join(table.split())
    for wanted in ("119.1234", "110.5934", "−8.53", "−8.73", "−8.31", "perplexity", "difference", "shown"):
        assert wanted in words
    if columns == PIPE:
        assert "−8.73 to −8.31" in table
        assert "no difference shown" in table


def test_with_ascii_nothing_else_is_printed_and_each_difference_has_its_sign(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Figure(
        measure="token-f1",
        rows=9,
        base=0.2,
        tuned=0.163,
        difference=Interval(value=-0.037, low=-0.079, high=0.005),
        finding="no difference shown",
        higher_is_better=True,
    )
    found = record("now")
    found = msgspec.structs.replace(found, figures=(found.loss, answers), gained=(), lost=())
    show_evaluation(found, Path("e.json"))
    assert "−7.9 to +0.5 %" in capsys.readouterr().out
    monkeypatch.setenv("PEGBOX_ASCII", "1")
    show_evaluation(found, Path("e.json"))
    said = capsys.readouterr().out
    assert said.isascii()
    assert "-7.9 to +0.5 %" in said
    assert build_parser().parse_args(["evaluate", "last", "--ascii"]).ascii


def test_a_run_that_is_unknown_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "nobody", "--json"]) == 2
    assert "error" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (["--limit", "0"], "1 or more"),
        (["--answers", "-1"], "0 or more"),
        (["--answer-batch", "0"], "1 or more"),
        (["--metrics", "rouge"], 'did you mean "rouge-l"'),
        (["--metrics", ","], "or none"),
        (["--metrics", "none,rouge-l"], "none stands alone"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_looked_at(
    option: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "last", *option]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (JobFailed("the adapter doesn't fit", log_tail="Traceback", told=True), "the adapter doesn't fit"),
        (JobFailed("ended by SIGSEGV", log_tail="Fatal error"), "ended by SIGSEGV\nFatal error"),
    ],
)
def test_a_failure_of_the_worker_keeps_its_own_words(
    failed: JobFailed, said: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pegbox.commands import evaluate as command

    def fails(*_: object) -> None:
        raise failed

    run = SimpleNamespace(folder=SimpleNamespace(path=home), moved_base=None)
    monkeypatch.setattr(command, "tuned_run", lambda *_, **__: run)
    monkeypatch.setattr(command, "evaluate", fails)
    assert main(["evaluate", "last", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == said


@pytest.mark.slow
def test_a_run_is_held_against_its_base_from_the_command_line(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(tmp_path, training={"learning_rate": 5e-3})
    made = json.loads(pegbox("train", str(recipe), "--detach", "--json", home=home).stdout)
    folder = Path(made["folder"])
    wait_until(lambda: (folder / "summary.json").is_file())
    done = pegbox("evaluate", folder.name, "--json", "--answers", "2", home=home)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["kept_loss"] == pytest.approx(said["figures"][0]["tuned"], rel=1e-4)
    assert Path(said["file"]).parent == folder / "evaluations"
    assert "the tuned model's answers" in done.stderr
    other = tmp_path / "none.jsonl"
    refused = pegbox("evaluate", "last", "--rows", str(other), "--json", home=home)
    assert refused.returncode == 2
    assert len(list((folder / "evaluations").iterdir())) == 1


def test_a_tuned_model_that_is_shown_to_be_worse_answers_no(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pegbox.commands import evaluate as command

    for worse in (True, False):
        found = with_rows(record("now"), worse=worse)
        run = SimpleNamespace(folder=SimpleNamespace(path=home), moved_base=None)
        monkeypatch.setattr(command, "tuned_run", lambda _, run=run, **__: run)
        monkeypatch.setattr(command, "refuse_extras", lambda *_: None)
        monkeypatch.setattr(command, "run_extras", lambda *_: ())
        monkeypatch.setattr(command, "evaluate", lambda *_, found=found: (found, home / "e.json"))
        assert main(["evaluate", "last", "--json"]) == int(worse)
        said = json.loads(capsys.readouterr().out)
        assert said["worse"] is worse
        assert said["perplexity"]["base"] > 1
        assert judgement().held_out.mean == pytest.approx(said["figures"][0]["base"])
