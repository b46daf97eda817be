"""How tasks come in: by a door of their own, held to the contract, and the broken ones fenced off like methods."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods import Task, TaskRow, registry
from pegbox_methods.door import TASKS
from pegbox_methods.guests import names_of
from pegbox_methods.refusal import Refusal
from pegbox_methods.task_check import task_faults
from tests.methods.guests import distribution, drop
from tests.methods.guests import source as method_source

ROOT = Path(__file__).parents[2]
SOURCE = """
from pegbox_methods import Task, TaskRow, hookimpl


@hookimpl
def pegbox_task():
    rows = lambda: [TaskRow(question="q", expected="a")]
    return Task(name="{name}", summary="Asks.", rows=rows, score=lambda answer, expected: 1.0, **dict({changes}))
"""


def source(name: str, changes: str = "") -> str:
    return SOURCE.format(name=name, changes=changes)


def put(home: Path, file: str, text: str) -> Path:
    return drop(home, file, text, folder_name="tasks")


def made(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "made",
        "summary": "Asks.",
        "rows": lambda: [TaskRow(question="q", expected="a")],
        "score": lambda answer, expected: 1.0,
    }
    return Task(**{**fields, **changes})


def test_a_file_in_the_folder_of_tasks_is_a_task_and_no_method(home: Path) -> None:
    put(home, "my_task.py", source("my-task"))
    assert names_of(TASKS) == ("my-task",)
    assert registry.find_task("my-task").max_tokens == 64
    assert registry.task_origin("my-task") == "drop-in my_task.py"
    assert "my-task" not in registry.method_names()


def test_a_distribution_brings_a_task_by_a_group_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = distribution(tmp_path / "site", "their-task", source("their-task"), group="pegbox_tasks")
    monkeypatch.syspath_prepend(str(folder))
    assert registry.find_task("their-task").summary == "Asks."
    assert registry.task_origin("their-task") == "a-guest 1.2"
    assert "their-task" not in registry.method_names()


def test_a_task_and_a_method_of_one_name_are_two_things(home: Path) -> None:
    put(home, "twin.py", source("twin"))
    drop(home, "twin.py", method_source("twin"))
    assert registry.find_card("twin").title == "A guest"
    assert registry.find_task("twin").summary == "Asks."
    assert registry.find_card("twin").title == "A guest"


def test_listing_names_runs_no_task(home: Path) -> None:
    put(home, "loud.py", "raise SystemExit(3)")
    assert names_of(TASKS) == ("loud",)


def test_the_task_of_the_documentation_works(home: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "outside-judges.md").read_text(), re.DOTALL)
    put(home, "short_answers.py", block)
    task = registry.find_task("short-answers")
    assert [task.measure(row.expected + ".", row.expected) for row in task.questions()] == [1, 1]


def test_an_unknown_task_is_refused_with_the_nearest_name_or_where_to_put_one(home: Path) -> None:
    with pytest.raises(Refusal, match=r'no task is called "mine"; none is installed, and none lies in \$PEGBOX_HOME'):
        registry.find_task("mine")
    put(home, "mime.py", source("mime"))
    with pytest.raises(Refusal, match='did you mean "mime"'):
        registry.find_task("mine")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("raise SystemExit", "SystemExit"),
        ("", "doesn't answer the hook pegbox_task"),
        (method_source("bad"), "doesn't answer the hook pegbox_task"),
        (source("other"), 'installed as "bad" but its task is called "other"'),
        (source("bad", "max_tokens=0"), "task.max_tokens = 0: expected a whole number from 1"),
        (source("bad", "higher_is_better=3"), "task.higher_is_better: expected True or False, got int"),
        ("from pegbox_methods import hookimpl\n@hookimpl\ndef pegbox_task(): return 3", "in place of a Task"),
    ],
)
def test_a_broken_task_is_one_warning_and_the_others_stay(home: Path, text: str, says: str) -> None:
    put(home, "bad.py", text)
    put(home, "good.py", source("good"))
    tasks, (warning,) = registry.all_tasks()
    assert [task.name for task in tasks] == ["good"]
    assert warning.startswith('drop-in bad.py: the task "bad" is left out: ')
    assert says in warning
    with pytest.raises(Refusal, match="take another task"):
        registry.find_task("bad")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "My Task"}, "task.name"),
        ({"summary": "two\nlines"}, "task.summary: expected a text of one line"),
        ({"rows": "rows.jsonl"}, "task.rows: expected a Path or a function"),
        ({"rows": lambda wanted: ()}, "task.rows: expected a function of nothing"),
        ({"score": lambda answer: 1.0}, "task.score: expected a function of answer and expected"),
        ({"higher_is_better": "yes"}, "task.higher_is_better: expected True or False"),
        ({"max_tokens": True}, "task.max_tokens = True"),
    ],
)
def test_each_wrong_field_is_named(changes: dict[str, Any], says: str) -> None:
    (fault,) = task_faults(made(**changes))
    assert says in fault
    assert not [*task_faults(made())]


def test_rows_come_from_a_file_of_json_lines_too(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    turns = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]'
    file.write_text('{"question": "ü?", "expected": "ja"}\n\n{"question": ' + turns + ', "expected": "a"}\n')
    first, second = made(rows=file).questions()
    assert first == TaskRow(question="ü?", expected="ja")
    assert isinstance(second.question, list)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "q"}', "rows.jsonl, line 1: .*expected"),
        ("not json", "rows.jsonl, line 1"),
        ("", "it has no rows"),
        ('{"question": " ", "expected": "a"}', "row 1: question: it is empty"),
        ('{"question": [{"role": "assistant", "content": "q"}], "expected": "a"}', "the user speaks last"),
        ('{"question": [], "expected": "a"}', "the user speaks last"),
    ],
)
def test_rows_that_are_none_are_named_by_their_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(line)
    with pytest.raises((ValueError, TypeError), match=says):
        made(rows=file).questions()


def test_rows_of_a_function_are_held_to_the_contract() -> None:
    with pytest.raises(TypeError, match="row 1: expected a TaskRow, got dict"):
        made(rows=lambda: [{"question": "q", "expected": "a"}]).questions()
    with pytest.raises(TypeError, match="row 1: expected: a text, got int"):
        made(rows=lambda: [TaskRow(question="q", expected=3)]).questions()  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [7, -0.1, float("nan"), float("inf"), None, "1", [1.0]])
def test_a_score_that_is_no_number_from_0_to_1_is_refused(given: object) -> None:
    score: Callable[[str, str], Any] = lambda answer, expected: given  # noqa: E731
    with pytest.raises(TypeError, match="a number from 0 to 1"):
        made(score=score).measure("a", "b")


@pytest.mark.parametrize(("given", "value"), [(True, 1.0), (0, 0.0), (0.25, 0.25)])
def test_a_score_may_be_a_truth_value(given: float, value: float) -> None:
    assert made(score=lambda answer, expected: given).measure("a", "b") == value
