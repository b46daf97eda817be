"""Tasks of plugins and of lm-eval on both models of a run: the figures are what the models say, and guests are held."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from pegbox_methods.event import Event
from pegbox_methods.job_events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_methods.task import TaskRow
from pegbox_runs.evaluating.asking import EvaluateRequest
from pegbox_runs.evaluating.outside.asking import HARNESS_ANSWER, HarnessRequest, TasksRequest
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.outside import harness
from pegbox_worker.outside.pairs import answer_both
from pegbox_worker.outside.sides import sides
from pegbox_worker.outside.task_scores import prompt_of, score_tasks
from tests.commands import pegbox, write_recipe_text
from tests.methods.guests import drop

TASK = """
from pegbox_methods import Task, TaskRow, hookimpl


def rows():
    {rows}


def score(answer, expected):
    {score}


@hookimpl
def pegbox_task():
    return Task(name="{name}", summary="Asks.", rows=rows, score=score, max_tokens={tokens})
"""
ASKS = "return [TaskRow(question=q, expected=a) for q, a in [('Look up os.', 'Name'), ('What is re for?', 'x')]]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the bundled model so far that it answers otherwise than its base. Returns: the home."""
    folder = tmp_path_factory.mktemp("outside")
    recipe = write_recipe_text(folder, training={"max_steps": 12, "learning_rate": 1e-2})
    done = pegbox("train", str(recipe), "--json", home=folder / "home")
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture
def run(trained: Path) -> TunedRun:
    (folder,) = (trained / "runs").iterdir()
    return tuned_run(str(folder))


def put(home: Path, name: str, *, rows: str = ASKS, score: str = "return float(expected in answer)") -> None:
    text = TASK.format(name=name, rows=rows, score=score, tokens=8)
    drop(home, f"{name}.py", text, folder_name="tasks")


def scored(run: TunedRun, *names: str, tell: Callable[[Event], None] = lambda _: None) -> list[Any]:
    return score_tasks(run, TasksRequest(run=run.id, tasks=names), tell)


def test_a_tasks_scores_are_those_of_what_each_model_says(home: Path, run: TunedRun) -> None:
    put(home, "names")
    put(home, "length", score="return min(1.0, len(answer) / 100)")
    told: list[Event] = []
    by_name = {one.name: one for one in scored(run, "names", "length", tell=told.append)}
    for side in sides(run):
        ids = prompt_of(TaskRow(question="Look up os.", expected=""), side.tokenizer)
        with torch.no_grad():
            output = side.model.generate(
                input_ids=torch.tensor([ids]),
                max_new_tokens=8,
                do_sample=False,
                pad_token_id=side.tokenizer.pad_token_id,
            )
        said = side.tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True).strip()
        assert getattr(by_name["names"], side.name)[0] == float("Name" in said), said
        assert getattr(by_name["length"], side.name)[0] == pytest.approx(len(said) / 100)
    assert by_name["length"].base != by_name["length"].tuned
    assert Progress(doing="task names, tuned model", done=2, of=2) in told


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"score": "raise ValueError('odd')"}, "row 1: ValueError: odd"),
        ({"score": "raise SystemExit"}, "row 1: SystemExit"),
        ({"score": "return 2"}, "a number from 0 to 1"),
        ({"score": "return ("}, 'the task "bad" is left out: SyntaxError'),
        ({"rows": "return []"}, "its rows can't be read: ValueError: it has no rows"),
        ({"rows": "1 / 0"}, "its rows can't be read: ZeroDivisionError"),
        ({"rows": "return [TaskRow(question='word ' * 9000, expected='a')]"}, "no row leaves room for 8 tokens"),
    ],
)
def test_what_a_tasks_code_does_wrong_costs_it_alone(
    home: Path, run: TunedRun, changes: dict[str, str], says: str
) -> None:
    put(home, "bad", **changes)
    put(home, "good")
    bad, good = scored(run, "bad", "good")
    assert says in bad.fault
    assert not bad.base
    assert (good.fault, len(good.base), len(good.tuned)) == ("", 2, 2)


def test_a_fault_names_its_row_as_the_task_counts_them_though_others_were_left_out(home: Path, run: TunedRun) -> None:
    two = "return [TaskRow(question=q, expected='a') for q in ('word ' * 9000, 'Look up os.')]"
    put(home, "bad", rows=two, score="raise ValueError('odd')")
    (bad,) = scored(run, "bad")
    assert bad.fault == "row 2: ValueError: odd"


def test_a_question_may_be_a_conversation(run: TunedRun) -> None:
    tokenizer = next(iter(sides(run))).tokenizer
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look up os."}]
    ids = prompt_of(TaskRow(question=turns, expected="a"), tokenizer)
    expected = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(ids) == expected


def test_the_judge_gets_both_models_answers_to_the_first_held_out_questions(run: TunedRun) -> None:
    pairs = answer_both(run, EvaluateRequest(run=run.id, answers=3), lambda _: None)
    assert len(pairs) == 3
    assert all(pair.question and pair.expected for pair in pairs)
    assert any(pair.base != pair.tuned for pair in pairs)


LETTERS = """
task: letters
tag: ours
dataset_path: json
dataset_kwargs:
  data_files: {test: letters.jsonl}
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
"""


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a task of lm-eval with its rows beside it."""
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "letters.yaml").write_text(LETTERS)
    rows = [
        {"question": f"which word is number {n}?", "choices": [f"word{n}", "name", "of the function"], "answer": n % 3}
        for n in range(12)
    ]
    (folder / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def likeliest(side: Any, question: str, choices: list[str]) -> int:
    """Choose among answers by the sum of their tokens' log probabilities, the long way."""
    sums = []
    for choice in choices:
        before = side.tokenizer(question)["input_ids"]
        ids = side.tokenizer(f"{question} {choice}")["input_ids"]
        with torch.no_grad():
            logits = side.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
        places = range(len(before), len(ids))
        sums.append(sum(float(logits[place - 1, ids[place]]) for place in places))
    return max(range(len(sums)), key=sums.__getitem__)


def test_lm_evals_accuracy_is_that_of_each_model_worked_out_by_hand(run: TunedRun, letters: Path) -> None:
    request = HarnessRequest(run=run.id, tasks=("ours",), folder=str(letters))
    (figure,) = harness.measure(run, request, lambda _: None)
    rows = [json.loads(line) for line in (letters / "letters.jsonl").read_text().splitlines()]
    for side in sides(run):
        right = [
            float(likeliest(side, f"Question: {row['question']}\nAnswer:", row["choices"]) == row["answer"])
            for row in rows
        ]
        assert getattr(figure, f"{side.name}_values") == tuple(right)
        assert getattr(figure, side.name) == pytest.approx(sum(right) / 12)
    assert (figure.task, figure.measure, figure.rows, figure.higher_is_better) == ("letters", "acc", 12, True)


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_of_lm_evals_that_is_no_number_costs_it_alone(
    run: TunedRun, monkeypatch: pytest.MonkeyPatch, side: str, value: float
) -> None:
    def results(which: Any, *_: Any) -> dict[str, Any]:
        spoilt = value if which.name == side else 0.5
        rows = [{"filter": "none", "doc_id": n, "ppl": spoilt, "acc": float(n)} for n in (0, 1)]
        told = {"ppl,none": spoilt, "ppl_stderr,none": value, "acc,none": 0.5}
        return {"results": {"t": told}, "samples": {"t": rows}, "n-samples": {"t": {"effective": 2}}}

    monkeypatch.setattr(harness, "_evaluated", results)
    monkeypatch.setattr(harness, "_manager", lambda *_, **__: None)
    found = harness.measure(run, HarnessRequest(run=run.id, tasks=("t",)), lambda _: None)
    spoilt, well = msgspec.json.decode(msgspec.json.encode(found), type=HARNESS_ANSWER)
    assert getattr(spoilt, side) is None
    assert (spoilt.base_values, spoilt.tuned_values) == ((), ())
    assert (well.base, well.tuned, well.base_values) == (0.5, 0.5, (0.0, 1.0))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{{question}}", "{{ cycler.__init__.__globals__.os.mkdir('made') }}", "reaches into Python"),
        ("metric: acc", "metric: nobodys", 'no measure called "nobodys"'),
        ("dataset_path: json", "dataset_path: pegbox-test/nowhere", "Nothing is fetched unasked"),
        ("letters.jsonl", "gone.jsonl", "can't read the rows"),
        pytest.param(
            "task: letters",
            "task: others\ntag: theirs",
            'no task, group or tag called "letters"',
            marks=pytest.mark.slow,  # the harness reads its own thousands of tasks
        ),
    ],
)
def test_the_harness_runs_no_code_and_fetches_nothing_unasked(
    run: TunedRun, letters: Path, old: str, new: str, says: str
) -> None:
    text = (letters / "letters.yaml").read_text()
    assert old in text
    (letters / "letters.yaml").write_text(text.replace(old, new).replace("tag: theirs\ntag: ours", "tag: theirs"))
    with pytest.raises(Refusal) as refused:
        harness.measure(run, HarnessRequest(run=run.id, tasks=("letters",), folder=str(letters)), lambda _: None)
    assert says in refused.value.sentence
    assert not (letters / "made").exists()


def test_the_harness_itself_is_kept_from_a_users_functions(letters: Path) -> None:
    from lm_eval.tasks._yaml_loader import load_yaml

    from pegbox_worker.outside.harness_guard import guarded

    (letters / "bad.yaml").write_text("task: bad\nprocess_docs: !function ours.f\n")
    (letters / "ours.py").write_text("def f(docs): return docs\n")
    with guarded(allow_code=False, metrics=set()), pytest.raises(Refusal, match="--allow-task-code"):
        load_yaml(letters / "bad.yaml")
    with guarded(allow_code=True, metrics=set()):
        assert load_yaml(letters / "bad.yaml")["process_docs"]([1]) == [1]
