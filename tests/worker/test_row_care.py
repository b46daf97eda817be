"""What stops a run before its first step: rows that teach nothing or no end, and a collator that eats labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from pegbox_methods.events import Finished, Notice, Step, WorkerFailed
from pegbox_methods.recipe import Evaluation, Model, Recipe, Rows, Split, Training
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import create
from pegbox_runs.run_state import RunState
from pegbox_worker import job
from pegbox_worker.control import Control
from pegbox_worker.stop_flag import StopFlag

ENDLESS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def run(folder: Path, rows: list[tuple[str, str]], *, length: int = 512, **changes: Any) -> list[Any]:
    """Carry a run of one step on rows of a question and an answer. Returns: its events."""
    path = folder / "rows.jsonl"
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in rows]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in turns))
    model = {"chat_template": str(folder / "endless.jinja")} if changes.pop("endless", False) else {}
    (folder / "endless.jinja").write_text(ENDLESS)
    recipe = Recipe(
        model=Model(name="bundled", **model),
        rows=Rows(file=str(path), **changes),
        split=Split(share=0.2),
        training=Training(max_steps=1, length=length, precision="float32", accumulation=1),
        evaluation=Evaluation(samples=0),
    )
    checked = check(recipe, file="recipe.toml")
    made = create(checked.recipe, checked.environment())
    writer = EventWriter(made.events)
    job.carry(made, writer, Control(made, writer, StopFlag()), RunState())
    return [event for block in EventReader(made.events).new() for event in block]


def only(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


SHORT = [(f"Question {n}?", f"Answer {n}.") for n in range(20)]
LONG = "so many words that nothing of the answer is left " * 20


@pytest.mark.parametrize(
    ("rows", "changes", "says", "word"),
    [
        ([*SHORT, *[(f"{LONG} {n}", "An answer.") for n in range(20)]], {"length": 128}, "nothing", "untrained-rows"),
        ([(f"{LONG * 3} {n}", "a") for n in range(10)], {"length": 1024}, "less than 1 %", "few-trained-tokens"),
        (SHORT, {"endless": True}, "no end token is trained", "end-not-learned"),
    ],
    ids=["nothing", "little", "no end"],
)
def test_rows_that_teach_too_little_stop_the_run_and_are_shown_unless_the_recipe_allows_them(
    tmp_path: Path, rows: list[tuple[str, str]], changes: dict[str, Any], says: str, word: str
) -> None:
    events = run(tmp_path, rows, **changes)
    (failed,) = only(events, WorkerFailed)
    assert says in failed.what
    assert f'"{word}"' in failed.what
    assert "rows.jsonl, line " in failed.what
    assert "\n" in failed.what  # the row, below the sentence
    assert not only(events, Step)
    if word == "few-trained-tokens":
        return  # such rows are long, and a step on them takes its time
    allowed = run(tmp_path, rows, allow=(word,), **changes)
    assert only(allowed, Finished)
    assert len(only(allowed, Step)) == 1


def test_rows_left_out_because_they_teach_nothing_are_told(tmp_path: Path) -> None:
    rows = [*SHORT, *[(f"{LONG} {n}", "An answer.") for n in range(20)]]
    events = run(tmp_path, rows, length=128, allow=("untrained-rows",))
    told = " ".join(event.text for event in only(events, Notice))
    assert "of them have nothing left to learn and are left out" in told


def test_a_collator_that_masks_the_padding_tokens_label_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A padding token that is the end token too, masked wherever it stands, is why many models never stop."""
    collate = DataCollatorForLanguageModeling.torch_call

    def eating(self: Any, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(self, examples)
        end = [label for label in examples[0]["labels"] if label != -100][-1]
        batch["labels"][batch["labels"] == end] = -100
        return batch

    monkeypatch.setattr(DataCollatorForLanguageModeling, "torch_call", eating)
    (failed,) = only(run(tmp_path, SHORT), WorkerFailed)
    assert "Padding eats labels" in failed.what


def test_rows_that_can_not_be_taken_are_left_out_only_if_the_recipe_says_so(tmp_path: Path) -> None:
    from pegbox_methods.refusal import Refusal

    rows = [*SHORT, ("", "")]
    with pytest.raises(Refusal, match=r"1 of 21 rows can't be taken(.|\n)*rows.jsonl, line 21"):
        run(tmp_path, rows)
    events = run(tmp_path, rows, allow=("rejected-rows",))
    assert "1 row can't be taken" in next(e.text for e in only(events, Notice) if e.about == "rows")
    assert only(events, Finished)
