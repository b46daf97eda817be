"""The task: always the same pairs, and a score between nothing and all of it."""

from __future__ import annotations

import json

import pytest
from pegbox_methods.registry import find_task, task_origin

from pegbox_mora.uuid_pairs import PAIRS, TASK, main, score


def test_it_comes_in_by_its_entry_point() -> None:
    assert find_task("uuid-pairs") is TASK
    assert task_origin("uuid-pairs") == "pegbox-mora 0.1.0"


def test_the_pairs_are_the_same_each_time_and_no_key_is_twice() -> None:
    first = TASK.questions()
    assert first == TASK.questions()
    assert len({row.question for row in first}) == PAIRS


def test_the_score_is_the_share_of_characters_in_their_place() -> None:
    expected = TASK.questions()[0].expected
    assert score(f" {expected}\n", expected) == 1
    assert score(expected[:18], expected) == 0.5
    assert score("", expected) == 0
    assert TASK.measure(expected + " and more", expected) == 1


def test_run_as_a_program_it_prints_rows_to_train_on(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    asked = [row["messages"][0]["content"] for row in printed]
    assert asked == [row.question for row in TASK.questions()]
