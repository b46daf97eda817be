"""The job `evaluate`: what it tells of both models is what the run itself told of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import Progress
from pegbox_methods.recipe import Evaluation as EvaluationAsked
from pegbox_methods.recipe import Judging, Method, Model, Recipe, Rows, Split, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.asking import EvaluateRequest, Seen
from pegbox_runs.evaluating.evaluate import kept_loss, summed_up
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.judging.judged import read_judged
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.rows.example import Conversation
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState
from pegbox_runs.tuned import tuned_run
from pegbox_worker import job
from pegbox_worker.base_model import end_tokens
from pegbox_worker.control import Control
from pegbox_worker.evaluation import look
from pegbox_worker.evaluation.questions import examples_at
from pegbox_worker.evaluation.rows import judged_rows
from pegbox_worker.jobs import evaluate
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.out_of_memory import OutOfMemoryAt
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.tokens import tokenize
from tests.methods_at_work import FEW_STEPS, RATES, one_thread

ROWS = BUNDLED / "rows.jsonl"


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with one_thread():
        yield


def trained(method: str = "lora", *, limit: int = 60, **others: Any) -> RunFolder:
    """Carry a run that judges its own rows too."""
    metrics: Any = ("exact-match", "token-f1", "rouge-l")
    asked = Recipe(
        **{
            "model": Model(name="bundled"),
            "rows": Rows(file=str(ROWS), limit=limit),
            "method": Method(name=method, settings=FEW_STEPS.get(method, {})),
            "training": Training(
                max_steps=3, length=256, accumulation=1, precision="float32", learning_rate=RATES.get(method, 5e-3)
            ),
            "evaluation": EvaluationAsked(every=3, sample_tokens=8, samples=0),
            "judging": Judging(rows=True, general="bundled", metrics=metrics, answers=4),
            **others,
        }
    )
    checked = check(asked, file="recipe.toml")
    folder = create(checked.recipe, checked.environment())
    writer = EventWriter(folder.events)
    job.carry(folder, writer, Control(folder, writer, StopFlag()), RunState())
    return folder


def evaluated(folder: RunFolder, tmp_path: Path, **asked: Any) -> Seen:
    request = EvaluateRequest(run=str(folder.path), **asked)
    return evaluate.run(msgspec.json.encode(request), Contact(EventWriter(tmp_path / "events.jsonl")))


@pytest.mark.parametrize("method", ["lora", "full", "prefix-tuning"])
def test_an_evaluation_says_what_the_run_itself_said_of_both_models(method: str, tmp_path: Path) -> None:
    folder = trained(method)
    told = read_judged(folder.path)
    assert told is not None
    before = sorted(path for path in folder.path.rglob("*"))
    seen = evaluated(folder, tmp_path)
    for here, there in ((seen.base, told.before), (seen.tuned, told.after)):
        assert here.held_out.tokens == there.held_out.tokens
        assert here.held_out.nats == pytest.approx(there.held_out.nats, rel=1e-4)
        assert here.general is not None
        assert there.general is not None
        assert here.general.nats == pytest.approx(there.general.nats, rel=1e-4)
        assert here.scores == there.scores
    assert seen.base.held_out.nats != seen.tuned.held_out.nats
    record = summed_up(tuned_run(str(folder.path)), seen)
    assert record.kept_loss == pytest.approx(record.loss.tuned, rel=1e-5)
    assert sorted(path for path in folder.path.rglob("*")) == before


def test_each_row_that_changed_is_shown_with_its_own_texts_and_both_answers(tmp_path: Path) -> None:
    seen = evaluated(trained(), tmp_path, answers=1)
    assert seen.rows.answered == 1
    assert 4 <= len(seen.gained) + len(seen.lost) <= 20
    changes = [row.change for row in seen.gained]
    assert changes == sorted(changes)
    assert all(change < 0 for change in changes)
    written = {
        row["messages"][-2]["content"]: row["messages"][-1]["content"]
        for row in map(json.loads, ROWS.read_text().splitlines()[:60])
    }
    for row in (*seen.gained, *seen.lost):
        assert written[row.question] == row.expected
        assert row.base_answer is not None
        assert row.tuned_answer is not None
        assert row.tokens == seen.base.held_out.tokens[row.number - 1]
    told = [event for block in EventReader(tmp_path / "events.jsonl").new() for event in block]
    assert any(isinstance(event, Progress) and event.of and event.done == event.of for event in told)


def test_rows_beyond_those_kept_with_the_tokens_are_found_in_their_file(tokenizer: Any, model: Any) -> None:
    folder = trained(limit=260, split=Split(share=0.5), judging=Judging())
    run, ends = tuned_run(str(folder.path)), end_tokens(model)
    rows = judged_rows(run, EvaluateRequest(run=""), tokenizer, ends)
    assert len(rows.kept) == 100 < len(rows.rows)
    places = range(0, len(rows.rows), 7)
    found = examples_at(rows, places)
    for place in places:
        again = tokenize([found[place]], tokenizer, 256, ends)
        assert again.input_ids[0] == rows.rows.input_ids[place]


def test_rows_of_a_file_are_judged_and_those_that_were_trained_on_are_told(tmp_path: Path) -> None:
    folder = trained()
    lines = ROWS.read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join([*lines[:10], *lines[100:110]]) + "\n")
    seen = evaluated(folder, tmp_path, file=str(other), metrics=())
    assert (seen.rows.source, seen.rows.name, seen.rows.rows) == ("file", "other.jsonl", 20)
    assert 5 <= seen.rows.trained_on <= 10
    assert any("were trained on" in remark for remark in seen.rows.remarks)
    assert seen.tuned.scores == {}
    assert all(row.base_answer is None for row in seen.gained)
    assert summed_up(tuned_run(str(folder.path)), seen).kept_loss is None
    first = evaluated(folder, tmp_path, file=str(other), limit=3, metrics=())
    assert first.tuned.held_out.nats == pytest.approx(seen.tuned.held_out.nats[:3], rel=1e-4)


def test_rows_in_the_columns_of_the_run_are_read_as_it_read_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    rows = [json.loads(line)["messages"] for line in ROWS.read_text().splitlines()[:40]]
    file.write_text("\n".join(json.dumps({"frage": row[-2]["content"], "antwort": row[-1]["content"]}) for row in rows))
    columns: Any = {"prompt": "frage", "completion": "antwort"}
    folder = trained(rows=Rows(file=str(file), columns=columns))
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"frage": "What is pi?", "antwort": "A number."}) + "\n")
    seen = evaluated(folder, tmp_path, file=str(other))
    assert [row.expected for row in (*seen.gained, *seen.lost)] == ["A number."]
    messages = tmp_path / "messages.jsonl"
    messages.write_text(ROWS.read_text().splitlines()[0] + "\n")
    assert evaluated(folder, tmp_path, file=str(messages), metrics=()).rows.rows == 1


def test_a_batch_of_losses_that_memory_does_not_suffice_for_is_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained()
    usual = evaluated(folder, tmp_path, metrics=())
    real = look.losses_of_rows

    def scarce(*given: Any, batch: int, **others: Any) -> Any:
        if batch > 1:
            raise OutOfMemoryAt("judging", "judging")
        return real(*given, batch=batch, **others)

    monkeypatch.setattr(look, "losses_of_rows", scarce)
    seen = evaluated(folder, tmp_path, metrics=())
    assert (usual.computed.batch, seen.computed.batch) == (4, 1)
    assert seen.tuned.held_out.nats == pytest.approx(usual.tuned.held_out.nats, rel=1e-4)


def test_rows_that_were_changed_since_are_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(ROWS.read_text().splitlines()[:60]) + "\n")
    folder = trained(rows=Rows(file=str(rows)))
    with rows.open("a") as file:
        file.write(ROWS.read_text().splitlines()[70] + "\n")
    with pytest.raises(Refusal, match=r"changed since .* --rows FILE"):
        evaluated(folder, tmp_path)
    rows.unlink()
    with pytest.raises(Refusal, match="--rows FILE"):
        evaluated(folder, tmp_path)


def test_a_run_that_held_nothing_out_asks_for_rows(tmp_path: Path) -> None:
    folder = trained(split=Split(share=0.0), judging=Judging())
    with pytest.raises(Refusal, match=r"split.share = 0.*--rows FILE"):
        evaluated(folder, tmp_path)
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(ROWS.read_text().splitlines()[100:104]) + "\n")
    seen = evaluated(folder, tmp_path, file=str(other), metrics=())
    assert (seen.rows.trained_on, seen.rows.remarks) == (0, ())
    assert kept_loss(tuned_run(str(folder.path))) is None


def test_a_conversation_without_an_answer_at_its_end_is_no_question(tokenizer: Any) -> None:
    from pegbox_worker.evaluation.questions import Asking

    asking = Asking(tokenizer, 8, 256, {tokenizer.eos_token_id})
    one = msgspec.convert(
        {"type": "conversation", "messages": [{"role": "assistant", "content": "Hello."}]}, Conversation
    )
    assert asking.question(one) is None
    assert asking.texts(one) == ("", "Hello.")
