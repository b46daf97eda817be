"""The measures of answers: from 0 to 1, fair to any script, and quick whatever a model says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.recipe import Metric
from pegbox_runs.judging.text_metrics import MEASURES, exact_match, rouge_l, token_f1

Measure = Callable[[str, str], float]
measures = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES.keys())
words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "Straße", "U.S.", "北京", "42", "!"])).map(
    " ".join
)
texts = st.one_of(st.text(), words)


def test_every_measure_that_a_recipe_may_name_is_there() -> None:
    assert set(MEASURES) == set(get_args(Metric))


@measures
@given(texts)
def test_a_text_is_wholly_like_itself(measure: Measure, text: str) -> None:
    assert measure(text, text) == 1.0


@measures
@given(texts, texts)
def test_a_measure_lies_between_0_and_1_and_takes_no_side(measure: Measure, one: str, other: str) -> None:
    found = measure(one, other)
    assert 0.0 <= found <= 1.0
    assert found == measure(other, one)


@measures
@given(texts, texts)
def test_case_width_and_spaces_do_not_count(measure: Measure, one: str, other: str) -> None:
    assert measure(f"  {one}\n\t", other) == measure(one, other)
    assert measure(one.casefold(), other.casefold()) == measure(one.casefold().swapcase().casefold(), other.casefold())
    assert measure("Ｐｅｇ Ｂｏｘ ﬁne", "peg box FINE") == 1.0


@measures
@given(st.text(st.characters(categories=["L", "N"]), min_size=4))
def test_an_empty_answer_is_like_nothing_but_an_empty_one(measure: Measure, text: str) -> None:
    assert measure("", text) == measure(" \n", text) == 0.0
    assert measure("", "") == measure("", " \n") == 1.0


@given(texts, texts)
def test_what_matches_exactly_has_the_best_f1(one: str, other: str) -> None:
    if exact_match(one, other):
        assert token_f1(one, other) == 1.0


@given(st.lists(st.sampled_from("bcdefgh")), st.lists(st.sampled_from("bcdefgh")))
def test_rouge_l_is_no_more_than_f1_and_as_the_textbook_counts_it(one: list[str], other: list[str]) -> None:
    found = rouge_l(" ".join(one), " ".join(other))
    assert found <= token_f1(" ".join(one), " ".join(other)) + 1e-12
    if one and other:
        assert found == pytest.approx(2 * longest_shared(one, other) / (len(one) + len(other)))


def longest_shared(one: list[str], other: list[str]) -> int:
    """Count by the table that every textbook has."""
    row = [0] * (len(other) + 1)
    for left in one:
        former = row
        row = [0]
        for place, right in enumerate(other):
            row.append(former[place] + 1 if left == right else max(row[place], former[place + 1]))
    return row[-1]


@pytest.mark.parametrize(
    ("answer", "expected", "match", "f1", "rouge"),
    [
        ("The cat sat.", "a cat SAT", 1.0, 1.0, 2 / 3),  # articles don't count for SQuAD's measures
        ("in the U.S.", "in US", 1.0, 1.0, 2 / 6),
        ("Paris, France", "Paris", 0.0, 2 / 3, 2 / 3),
        ("the gunman kill police", "police kill the gunman", 0.0, 1.0, 1 / 2),  # Lin 2004, section 3.1
        ("police kill the gunman", "police killed the gunman", 0.0, 2 / 3, 3 / 4),  # and of the same
        ("中国的首都是北京。", "北京", 0.0, 2 * 2 / (8 + 2), 2 * 2 / (8 + 2)),
        ("हिन्दी भाषा", "हिन्दी", 0.0, 2 / 3, 2 / 3),  # vowel signs part no word
        ("!", "?", 0.0, 0.0, 0.0),
        ("the", "an", 0.0, 0.0, 0.0),
    ],
)
def test_known_pairs_come_to_what_is_known_of_them(
    answer: str, expected: str, match: float, f1: float, rouge: float
) -> None:
    assert exact_match(answer, expected) == match
    assert token_f1(answer, expected) == pytest.approx(f1)
    assert rouge_l(answer, expected) == pytest.approx(rouge)


@measures
def test_huge_answers_take_seconds_at_most(measure: Measure) -> None:
    """4096 tokens are the longest answer; what a row expects may be longer."""
    answer = " ".join(f"word{number * 7919 % 3001}" for number in range(10_000))
    expected = " ".join(f"word{number * 104729 % 2999}" for number in range(100_000))
    began = time.monotonic()
    assert 0.0 <= measure(answer, expected) < 1.0
    measure("a" * 1_000_000, "b" * 1_000_000)
    assert time.monotonic() - began < 20
