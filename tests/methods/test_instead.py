"""What is advised in place of a run: plain, with its source, and never a stop."""

from __future__ import annotations

from itertools import product

import pytest

from pegbox_methods.advice.instead import FEWEST_ROWS, IN_WORDS, QUESTIONS, instead


@pytest.mark.parametrize(
    ("answers", "rows", "verdict"),
    [
        ({}, None, "open"),
        ({}, 34, "more rows"),
        ({"facts": True}, 5000, "retrieval"),
        ({"facts": True, "manner": False, "tried": False}, 10, "retrieval"),
        ({"facts": True, "manner": True}, 5000, "both"),
        ({"facts": False, "manner": True, "tried": False}, 5000, "prompt"),
        ({"facts": False, "manner": True, "tried": True}, FEWEST_ROWS - 1, "more rows"),
        ({"facts": False, "manner": True, "tried": True}, FEWEST_ROWS, "tune"),
        ({"manner": True}, None, "tune"),
        ({"leaner": True}, 500, "tune"),
        ({"leaner": True, "manner": False, "tried": True}, 500, "tune"),
        ({"facts": False, "manner": False, "leaner": False, "tried": True}, 500, "doubtful"),
    ],
)
def test_each_case_leads_to_its_recommendation(answers: dict[str, bool], rows: int | None, verdict: str) -> None:
    assert instead(answers, rows).verdict == verdict


def test_whatever_is_answered_a_recommendation_names_its_source() -> None:
    for values in product((True, False, None), repeat=len(QUESTIONS)):
        answers = {asked: yes for asked, yes in zip(QUESTIONS, values, strict=True) if yes is not None}
        for rows in (None, 0, 10, 100_000):
            found = instead(answers, rows)
            assert found.text.endswith(".")
            assert bool(found.source) == (found.verdict != "open")


def test_the_number_of_rows_is_told_as_it_is() -> None:
    assert instead({}, 34).text.startswith("34 rows are few")


def test_each_question_fits_a_line() -> None:
    assert set(IN_WORDS) == set(QUESTIONS)
    assert all(len(words) <= 60 and words.endswith("?") for words in IN_WORDS.values())


def test_answers_to_questions_nobody_asked_change_nothing() -> None:
    assert instead({"[bold]": True}, None).verdict == "open"
