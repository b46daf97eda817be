"""Figures of an evaluation: means that are the run's own, ranges that tell chance, and the sentence made of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec import structs

from pegbox_runs.arena.results import Interval
from pegbox_runs.evaluating.changed_rows import changed_rows
from pegbox_runs.evaluating.evaluated import Evaluated, RowsFrom, perplexity
from pegbox_runs.evaluating.figures import figures
from pegbox_runs.evaluating.keeping import EVALUATIONS, evaluations, keep
from pegbox_runs.evaluating.verdict import verdict
from pegbox_runs.judging.judged import Judgement, RowLosses
from pegbox_runs.run_folder import RunFolder
from tests.runs.told_runs import evaluated


def losses(change: float = 0.0, *, spread: float = 0.0, rows: int = 40) -> RowLosses:
    """Rows of unlike lengths; each token's loss is changed by so much, and each row's by `spread`, up or down."""
    tokens = [5 + 3 * (row % 9) for row in range(rows)]
    mean = [2 + math.sin(row) + change + spread * (-1) ** row for row in range(rows)]
    return RowLosses(nats=tuple(m * t for m, t in zip(mean, tokens, strict=True)), tokens=tuple(tokens))


def judgement(change: float = 0.0, *, score: float = 0.2, forgot: float = 0.0, **others: float) -> Judgement:
    return Judgement(
        held_out=losses(change, **others),  # type: ignore[arg-type]
        general=losses(forgot, rows=64),
        scores={"token-f1": tuple(min(1.0, score + 0.01 * (row % 5)) for row in range(20))},
    )


def test_losses_weigh_tokens_and_their_difference_has_a_range() -> None:
    found = figures(judgement(), judgement(-0.5, spread=0.1))
    loss = found[0]
    assert loss.base == pytest.approx(losses().mean)
    assert loss.difference.value == pytest.approx(loss.tuned - loss.base)
    assert loss.difference.low is not None
    assert loss.difference.high is not None
    assert loss.difference.low < loss.difference.value < loss.difference.high < 0
    assert loss.finding == "better"
    assert [one.measure for one in found] == ["loss", "token-f1", "general-loss"]


def test_what_chance_explains_is_no_difference() -> None:
    loss = figures(judgement(), judgement(0.0, spread=0.5))[0]
    assert loss.finding == "no difference shown"


def test_what_rounding_explains_is_none_either_however_sure_it_is() -> None:
    assert figures(judgement(), judgement(5e-5))[0].finding == "no difference shown"
    assert figures(judgement(), judgement(5e-3))[0].finding == "worse"


def test_a_higher_score_is_better_and_a_higher_loss_is_worse() -> None:
    loss, f1, general = figures(judgement(), judgement(0.3, score=0.6, forgot=0.2))
    assert (loss.finding, f1.finding, general.finding) == ("worse", "better", "worse")


def test_one_row_has_no_range_and_shows_nothing() -> None:
    one, other = (Judgement(held_out=losses(change, rows=1)) for change in (0.0, -1.0))
    (loss,) = figures(one, other)
    assert loss.difference == Interval(value=pytest.approx(-1.0))
    assert loss.finding == "no difference shown"


def test_the_sentence_says_what_the_figures_show() -> None:
    said = verdict(figures(judgement(), judgement(-0.5, score=0.7, spread=0.1)), held_out=True)
    assert said.startswith("The tuned model is better than its base on the held-out rows: its loss is ")
    assert "lower" in said
    assert "token F1 rose" in said
    assert "general rows don't show that it forgot anything" in said
    assert "−" not in said  # a range of what is lower has no minus
    said = verdict(figures(judgement(), judgement(0.4, score=0.0, forgot=0.5, spread=0.1)), held_out=False)
    assert "is worse than its base on these rows" in said
    assert "token F1 fell" in said
    assert "it forgot: its loss on general rows is 0.5" in said
    same = verdict(figures(judgement(), judgement()), held_out=True)
    assert "isn't shown to differ" in same


def test_the_rows_that_changed_most_come_first_by_their_loss_per_token() -> None:
    base = RowLosses(nats=(10.0, 10.0, 10.0, 10.0), tokens=(10, 1, 5, 2))
    tuned = RowLosses(nats=(5.0, 9.0, 10.0, 14.0), tokens=(10, 1, 5, 2))
    assert changed_rows(base, tuned, 10) == ((1, 0), (3,))
    assert changed_rows(base, tuned, 1) == ((1,), (3,))


def test_a_perplexity_that_no_number_holds_is_infinite() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(1e6) == math.inf


def record(made: str, source: RowsFrom = "held-out") -> Evaluated:
    told = evaluated(RunFolder(Path("r")), "c")
    rows = structs.replace(told.rows, source=source)
    found = figures(judgement(), judgement(-0.5))
    return structs.replace(told, made=made, rows=rows, figures=found, verdict="Well.", worse=False)


def test_evaluations_are_kept_whole_and_private_the_newest_last(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first = keep(record("1"), folder)
    keep(record("2"), folder)
    keep(record("3", "file"), folder)
    assert first.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / EVALUATIONS).stat().st_mode & 0o777 == 0o700
    assert [one.made for one in evaluations(folder)] == ["1", "2", "3"]
    (tmp_path / EVALUATIONS / "zzz.json").write_text('{"form": 1')
    assert [one.made for one in evaluations(folder)] == ["1", "2", "3"]


def test_an_evaluation_that_gets_more_measures_is_written_in_its_place(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = keep(record("1"), folder)
    assert keep(record("2"), folder, path=path) == path
    assert [one.made for one in evaluations(folder)] == ["2"]
