"""How rows are dealt out among processes: each one once, in the step that one process would take it in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, skip_first_batches
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from torch.utils.data import BatchSampler, Sampler

from pegbox_methods.abilities import sharding_obstacle
from pegbox_methods.card import UNTRIED
from pegbox_methods.recipe import Devices
from pegbox_methods.registry import all_cards, find_card
from pegbox_worker.random_state import RandomState, chance_in
from pegbox_worker.row_order import LongestFirst, RowOrder, fillers_for
from pegbox_worker.token_rows import TokenRows, with_fillers
from pegbox_worker.trainer import _tokens_of_rows
from tests.worker.tiny_runs import CPU, FLOAT32, plan, tiny_recipe, training_arguments

SIZES = {
    "rows": st.integers(1, 60),
    "micro": st.integers(1, 4),
    "share": st.integers(1, 3),
    "processes": st.integers(1, 5),
}


def dealt(order: Sampler[int], micro: int, processes: int) -> list[list[list[int]]]:
    """Deal an order out as Accelerate does. Returns: each process' micro-batches."""
    batches = BatchSampler(order, micro, drop_last=False)
    if processes == 1:
        return [list(batches)]
    return [list(BatchSamplerShard(batches, processes, rank)) for rank in range(processes)]


@given(**SIZES, epoch=st.integers(0, 3), grouped=st.booleans())
def test_each_row_comes_once_and_in_the_step_that_one_process_takes_it_in(
    rows: int, micro: int, share: int, processes: int, epoch: int, grouped: bool
) -> None:
    lengths = [5 + 7 * row % 23 for row in range(rows)] if grouped else None
    step_rows = micro * share * processes

    def order(fillers: int) -> RowOrder:
        made = RowOrder(rows, seed=3, lengths=lengths, step_rows=step_rows, fillers=fillers)
        made.set_epoch(epoch)
        return made

    fillers = fillers_for(rows, micro_batch=micro, processes=processes)
    parts = dealt(order(fillers), micro, processes)
    assert len({len(part) for part in parts}) == 1, "whoever has no batch left holds up the others"
    taken = [row for part in parts for batch in part for row in batch if row < rows]
    assert sorted(taken) == list(range(rows))
    (alone,) = dealt(order(0), micro, 1)
    steps = range(0, len(alone), share * processes)
    assert len(range(0, len(parts[0]), share)) == len(steps)
    for step, begin in enumerate(steps):
        one = {row for batch in alone[begin : begin + share * processes] for row in batch}
        shared = {row for part in parts for batch in part[step * share : (step + 1) * share] for row in batch}
        assert {row for row in shared if row < rows} == one


@given(**SIZES)
def test_each_held_out_row_is_looked_at_once_in_the_batch_it_has_alone(
    rows: int, micro: int, share: int, processes: int
) -> None:
    lengths = [share + 7 * row % 23 for row in range(rows)]
    fillers = fillers_for(rows, micro_batch=micro, processes=processes)
    parts = dealt(LongestFirst(lengths, fillers=fillers), micro, processes)
    (alone,) = dealt(LongestFirst(lengths), micro, 1)
    found = [{row for row in batch if row < rows} for part in parts for batch in part]
    assert sorted(map(sorted, filter(None, found))) == sorted(map(sorted, alone))


def test_a_run_of_several_processes_that_goes_on_needs_the_epoch_told_to_its_order() -> None:
    order = RowOrder(8, seed=3)
    loader = DataLoaderShard(list(range(8)), batch_sampler=BatchSamplerShard(BatchSampler(order, 1, False), 2, 0))
    rest = skip_first_batches(loader, 1)
    rest.set_epoch(1)
    told = [int(row) for row in rest]
    order.set_epoch(1)
    assert [int(row) for row in rest] == list(order)[2::2]
    assert told != list(order)[2::2], "Accelerate names it by itself now: MeasuredTrainer._run_epoch needn't any more"


def test_filler_rows_are_padding_whatever_form_a_batch_has() -> None:
    rows = TokenRows.of([[5, 6, 7], [8, 9]], [[-100, 6, 7], [-100, 9]])
    table = with_fillers(rows.table, 2, 0)
    assert len(table) == 4
    assert table.column_names == rows.table.column_names
    assert table[3]["labels"] == [-100, -100]
    assert with_fillers(rows.table, 0, 0) is rows.table
    padded: dict[str, Any] = {
        "labels": torch.tensor([[-100, 6, 7], [-100, 9, -100], [-100, -100, -100]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 0]]),
    }
    assert _tokens_of_rows(padded) == 5
    packed = {
        "labels": torch.tensor([[-100, 6, 7, -100, 9, -100, -100]]),
        "position_ids": torch.tensor([[0, 1, 2, 0, 1, 0, 1]]),
    }
    assert _tokens_of_rows(packed) == 5


def test_a_process_chance_comes_back_from_its_own_file(tmp_path: Path) -> None:
    then = RandomState.now()
    (tmp_path / "chance").write_bytes(then.packed())
    expected = torch.rand(3)
    chance_in(tmp_path / "chance").put_back()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("engine", ["auto", "ddp", "fsdp2"])
def test_processes_part_the_steps_micro_batches_and_fsdp_is_asked_for_in_version_2(engine: Any, tmp_path: Path) -> None:
    recipe = tiny_recipe(accumulation=4, activation_checkpointing="on")
    recipe = structs.replace(recipe, devices=Devices(processes=2, engine=engine))
    made = training_arguments(recipe, plan(recipe, 11), FLOAT32, CPU, evaluating=True, folder=tmp_path, processes=2)
    assert made.gradient_accumulation_steps == 2
    assert made.ddp_find_unused_parameters is False
    assert made.gradient_checkpointing
    assert bool(made.fsdp) == (engine == "fsdp2")
    if made.fsdp:
        asked = made.fsdp_plugin_args
        assert (asked["fsdp_version"], asked["reshard_after_forward"]) == (2, True)
        assert asked["auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
        assert not asked["cpu_ram_efficient_loading"]


def test_a_method_shards_only_if_somebody_tried_it() -> None:
    cards, _ = all_cards()
    adapters = {"lora", "rslora", "qlora", "dora", "qdora", "gralora", "loha", "lokr", "randlora", "ia3", "miss"}
    others = {"oft", "hra", "ln-tuning", "prompt-tuning", "p-tuning"}
    assert {card.name for card in cards if sharding_obstacle(card) is None} == adapters | others
    assert "singular value" in str(sharding_obstacle(find_card("pissa")))
    guest = dataclasses.replace(find_card("lora"), sharding=UNTRIED)
    assert "nobody has tried" in str(sharding_obstacle(guest))
