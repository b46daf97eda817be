"""How long rows are, what a limit costs, and what each order of rows wastes, against the libraries that order them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.trainer_pt_utils import get_length_grouped_indices

from pegbox_methods.advice.data_card import KEPT
from pegbox_methods.refusal import Refusal
from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows.example import Completion, Conversation, Message, PlainText
from pegbox_runs.rows.lengths import count_lengths, histogram
from pegbox_runs.rows.masking import mask_rows
from pegbox_runs.rows.padding import grouped, padded_share, paddings
from tests.example_rows import examples_of

MODEL = BUNDLED / "model"
EXAMPLES = examples_of(BUNDLED / "rows.jsonl", 120)
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


def test_counts_are_those_of_the_masked_rows() -> None:
    tokenizer = LightTokenizer(MODEL)
    rows = list(mask_rows(EXAMPLES, tokenizer))
    found = count_lengths(EXAMPLES, tokenizer, len(EXAMPLES))
    assert (found.rows_counted, found.tokens) == (120, sum(len(row.ids) for row in rows))
    assert found.tokens_trained == sum(row.trained for row in rows)
    assert found.percentiles["max"] == max(len(row.ids) for row in rows)
    assert found.estimate is None
    for at in found.limits:
        assert at.rows_truncated == sum(len(row.ids) > at.length for row in rows) / 120
        kept = sum(label != -100 for row in rows for label in row.labels[: at.length])
        assert at.trained_kept == pytest.approx(kept / found.tokens_trained)


def test_the_recommended_length_is_the_least_that_keeps_nearly_all_that_is_trained() -> None:
    found = count_lengths(EXAMPLES, MODEL, len(EXAMPLES))
    by_length = {at.length: at.trained_kept for at in found.limits}
    assert by_length[found.recommended] >= KEPT
    assert all(kept < KEPT for length, kept in by_length.items() if length < found.recommended)
    assert "the least that" in found.why


def test_a_sample_is_told_as_one() -> None:
    found = count_lengths(EXAMPLES, MODEL, 5000)
    assert "120 of 5000 rows" in found.counted_with


def test_without_a_tokenizer_or_a_fitting_template_counts_are_estimates(tmp_path: Path) -> None:
    guessed = count_lengths(EXAMPLES, tmp_path, len(EXAMPLES))
    assert "tokenizer.json" in str(guessed.estimate)
    assert guessed.tokens == pytest.approx(count_lengths(EXAMPLES, MODEL, 120).tokens, rel=0.5)


def test_a_template_that_leaves_answers_out_makes_an_estimate_and_no_refusal(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((MODEL / name).read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}{% endfor %}")
    with pytest.raises(Refusal, match="leaves turn 2 out"):
        list(mask_rows(EXAMPLES, LightTokenizer(tmp_path)))
    assert "leaves turn 2 out" in str(count_lengths(EXAMPLES, tmp_path, 120).estimate)


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS)
def test_every_row_is_in_one_bar_of_the_histogram(lengths: list[int]) -> None:
    bars = histogram(lengths)
    assert sum(bar.rows for bar in bars) == len(lengths)
    assert [bar.stop for bar in bars[:-1]] == [bar.begin for bar in bars[1:]]
    assert bars[0].begin == 0
    assert len(bars) <= 18


def test_an_outlier_does_not_flatten_the_histogram() -> None:
    bars = histogram([*range(1, 500), 1_000_000])
    assert bars[0].stop <= 50
    assert (bars[-1].stop, sum(bar.rows for bar in bars)) == (1_000_001, 500)


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, batch=st.integers(1, 8), seed=st.integers(0, 99))
def test_grouping_is_that_of_transformers(lengths: list[int], batch: int, seed: int) -> None:
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).tolist()
    theirs = get_length_grouped_indices(lengths, batch, generator=torch.Generator().manual_seed(seed))
    assert grouped([lengths[place] for place in order], batch) == [lengths[place] for place in theirs]


def test_the_share_of_padding_is_counted_by_micro_batches() -> None:
    assert padded_share([4, 4, 1, 3, 2], 2) == pytest.approx(1 - 14 / (8 + 6 + 2))
    assert padded_share([7] * 9, 4) == 0


def test_grouping_wastes_less_than_shuffling_and_packing_least() -> None:
    chance = random.Random(1)  # noqa: S311 - the same rows in every run
    lengths = [chance.choice([20, 60, 200, 500]) + chance.randrange(20) for _ in range(2000)]
    shares = {found.order: found.share for found in paddings(lengths, 1024, 2000, 4, 4)}
    assert shares["packed"] == 0 < shares["grouped"] < shares["shuffled"]
    assert 0.3 < shares["shuffled"] < 0.7


def test_rows_of_every_kind_can_be_counted_together() -> None:
    mixed = [Completion("One and one is", " two."), PlainText("A text."), *EXAMPLES[:2]]
    mixed.append(Conversation((Message("user", "A list?"), Message("assistant", "Mutable."))))
    assert count_lengths(mixed, MODEL, 5).rows_counted == 5
