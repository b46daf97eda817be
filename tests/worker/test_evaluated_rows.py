"""Which rows an evaluation judges, what it says of them, and what it does where memory runs out at the last of them."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pegbox_methods.recipe import Evaluation as EvaluationAsked
from pegbox_methods.recipe import Judging, Rows, Split
from pegbox_runs.evaluating.asking import EvaluateRequest
from pegbox_runs.tuned import tuned_run
from pegbox_worker.base_model import end_tokens
from pegbox_worker.evaluation import rows as judged_module
from pegbox_worker.evaluation import sides
from pegbox_worker.evaluation.questions import examples_at
from pegbox_worker.evaluation.rows import judged_rows
from tests.methods_at_work import one_thread
from tests.worker.test_evaluate_job import ROWS, evaluated, trained


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with one_thread():
        yield


def test_rows_that_a_run_without_held_out_rows_was_trained_on_are_told_too(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text("\n".join(ROWS.read_text().splitlines()[:20]) + "\n")
    folder = trained(rows=Rows(file=str(own)), split=Split(share=0.0), judging=Judging())
    seen = evaluated(folder, tmp_path, file=str(own), metrics=(), limit=15)
    assert (seen.rows.rows, seen.rows.of, seen.rows.trained_on) == (15, 20, 15)
    assert any("15 of these 15 rows were trained on" in remark for remark in seen.rows.remarks)
    other = tmp_path / "other.jsonl"
    other.write_text(own.read_text())
    own.unlink()
    seen = evaluated(folder, tmp_path, file=str(other), metrics=())
    assert seen.rows.trained_on is None
    assert any("Nothing tells whether" in remark for remark in seen.rows.remarks)


def test_rows_that_have_nothing_to_judge_by_do_not_hide_those_behind_them(
    tmp_path: Path, tokenizer: Any, model: Any
) -> None:
    lines = ROWS.read_text().splitlines()
    answer = {"role": "assistant", "content": "Yes."}
    dropped = [
        json.dumps({"messages": [{"role": "user", "content": f"{number} " + "word " * 400}, answer]})
        for number in range(2)
    ]
    apart = tmp_path / "held_out.jsonl"
    apart.write_text("\n".join([*dropped, *lines[100:200]]) + "\n")
    folder = trained(
        rows=Rows(file=str(ROWS), limit=60, allow=("untrained-rows",)),
        split=Split(share=0.0, file=str(apart)),
        judging=Judging(),
    )
    rows = judged_rows(tuned_run(str(folder.path)), EvaluateRequest(run=""), tokenizer, end_tokens(model))
    assert len(rows.rows) == 100 == len(rows.kept)
    assert len(examples_at(rows, range(100))) == 100


def test_a_limit_is_told_with_what_it_is_of_and_so_are_rows_that_are_cut(tmp_path: Path) -> None:
    folder = trained()
    lines = ROWS.read_text().splitlines()
    cut = {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "word " * 400}]}
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join([*lines[100:104], json.dumps(cut)]) + "\n")
    seen = evaluated(folder, tmp_path, file=str(other), limit=3, metrics=())
    assert (seen.rows.rows, seen.rows.of) == (3, 5)
    assert seen.rows.remarks == (
        "1 of all 5 rows, of which only the first 3 are judged, are longer than training.length; what lies "
        "beyond isn't judged.",
    )


def test_a_measure_that_there_is_nothing_for_is_left_out_with_a_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = EvaluationAsked(every=3, sample_tokens=250, samples=0)
    folder = trained(evaluation=asked, judging=Judging())
    monkeypatch.setattr(judged_module, "general_rows", lambda *_: None)
    seen = evaluated(folder, tmp_path)
    assert seen.tuned.scores == {}
    assert seen.tuned.general is None
    assert [remark.split(" has ")[0] for remark in seen.rows.remarks] == ["No general row", "No held-out row"]
    assert len(evaluated(folder, tmp_path, metrics=()).rows.remarks) == 1


def test_the_tuned_model_is_let_go_before_the_base_is_loaded_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained("full")
    put, held = sides.put_on, list[Any]()
    monkeypatch.setattr(sides, "put_on", lambda *given: _seen(put(*given), held))
    load, alive = sides.load_base_of, list[list[bool]]()

    def loading(*given: Any, **others: Any) -> Any:
        alive.append([one() is not None for one in held])
        return load(*given, **others)

    monkeypatch.setattr(sides, "load_base_of", loading)
    assert all(row.base_answer is not None for row in evaluated(folder, tmp_path, answers=1).gained)
    assert alive == [[], [False]]


def _seen(tuned: Any, held: list[Any]) -> Any:
    held.append(weakref.ref(tuned.model))
    return tuned


def test_memory_that_runs_out_at_the_shown_rows_costs_their_answers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained("full")
    load, loads = sides.load_base_of, list[int]()

    def scarce(*given: Any, **others: Any) -> Any:
        loads.append(1)
        if len(loads) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(*given, **others)

    monkeypatch.setattr(sides, "load_base_of", scarce)
    seen = evaluated(folder, tmp_path, answers=1)
    assert len(loads) == 2
    assert seen.rows.answered == 1
    assert any(row.base_answer is None for row in (*seen.gained, *seen.lost))
    assert any("Memory ran out" in remark for remark in seen.rows.remarks)
