"""Packing: several rows in a sequence that don't see each other, or rows grouped by length and the reason told."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pegbox_methods.events import Finished, Notice, Prepared, Step
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_worker import base_shelf, start
from pegbox_worker.assembly import load_base
from pegbox_worker.packing import keeps_apart, pack
from pegbox_worker.token_rows import TokenRows
from tests.methods_at_work import CPU, attach, run_job

ROWS = TokenRows.of(
    [list(range(20 + 7 * row, 30 + 7 * row + 5 * (row % 4))) for row in range(40)],
    [[-100, *range(21 + 7 * row, 30 + 7 * row + 5 * (row % 4))] for row in range(40)],
)


def events(folder: RunFolder) -> list[Any]:
    return [event for block in EventReader(folder.events).new() for event in block]


def only(folder: RunFolder, kind: type[Any]) -> list[Any]:
    return [event for event in events(folder) if isinstance(event, kind)]


def test_packing_keeps_every_row_whole_and_fills_the_sequences(tmp_path: Path) -> None:
    packed = pack(ROWS, 64, 42, tmp_path / "packed.arrow")
    found = []
    for sequence in packed.table:
        assert len(sequence["input_ids"]) == sum(sequence["seq_lengths"]) <= 64
        begin = 0
        for length in sequence["seq_lengths"]:
            place = slice(begin, begin + length)
            found.append((sequence["input_ids"][place], sequence["labels"][place]))
            begin += length
    assert sorted(found) == sorted(zip(ROWS.input_ids, ROWS.labels, strict=True))
    assert len(packed) <= 1.15 * ROWS.facts.tokens / 64
    assert packed.facts == ROWS.facts


def test_the_bundled_model_keeps_packed_rows_apart(model: nn.Module) -> None:
    assert keeps_apart(model, ROWS, CPU, 0)
    assert not model.training


class WithoutPositions(nn.Module):
    """A model that takes packed rows for one text, as one does whose code knows nothing of packing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        return self.model(input_ids=input_ids)


class Refusing(nn.Module):
    """A model that takes no packed rows."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        return SimpleNamespace(logits=torch.zeros(1, input_ids.shape[1], 5))


@pytest.mark.parametrize("kind", [WithoutPositions, lambda _: Refusing()])
def test_a_model_that_mixes_packed_rows_up_or_takes_none_is_found_out(model: nn.Module, kind: Any) -> None:
    assert not keeps_apart(kind(model), ROWS, CPU, 0)


def test_a_method_that_puts_tokens_before_a_row_does_not_keep_them_apart() -> None:
    assert not keeps_apart(attach("prompt-tuning").model, ROWS, CPU, 0)


def test_a_packed_run_wastes_nothing_and_learns_from_every_token() -> None:
    folder = run_job("lora", order="packed", micro_batch=1, max_steps=None, epochs=1.0)
    (prepared,) = only(folder, Prepared)
    assert prepared.order == "packed"
    assert prepared.sequences == prepared.steps < prepared.rows_trained / 1.5
    steps = only(folder, Step)
    assert sum(step.padding for step in steps) == 0
    assert sum(step.tokens for step in steps) == prepared.tokens
    assert only(folder, Finished)[0].reason == "completed"
    assert steps[-1].loss < steps[0].loss


def test_a_run_that_can_not_be_packed_says_so_and_groups_its_rows() -> None:
    folder = run_job("prompt-tuning", order="packed", max_steps=2)
    assert "doesn't keep packed rows apart" in next(e.text for e in only(folder, Notice) if e.about == "not-packed")
    (prepared,) = only(folder, Prepared)
    assert (prepared.order, prepared.sequences) == ("grouped", None)
    assert only(folder, Finished)


def test_a_base_that_is_given_up_leaves_the_memory_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    alive: list[int] = []

    def load(*arguments: Any) -> Any:
        gc.collect()
        alive.append(sum(model() is not None for model in loaded))
        base = load_base(*arguments)
        loaded.append(weakref.ref(base.model))
        return base

    monkeypatch.setattr(start, "keeps_apart", lambda *_: False)
    monkeypatch.setattr(base_shelf, "load_base", load)
    run_job("lora", order="packed", max_steps=1)
    assert alive == [0, 0]


def test_padding_is_counted_and_grouping_wastes_less_of_it_than_shuffling() -> None:
    wasted = {}
    for order in ("grouped", "shuffled"):
        steps = only(run_job("lora", order=order, max_steps=None, epochs=1.0), Step)
        positions = sum(step.tokens + step.padding for step in steps)
        wasted[order] = sum(step.padding for step in steps) / positions
    assert 0 < wasted["grouped"] < wasted["shuffled"]
