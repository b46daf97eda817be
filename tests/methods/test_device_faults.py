"""Processes that don't go together with the rest of a recipe are refused, with what would do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.abilities import inabilities, sharding_obstacle
from pegbox_methods.device_faults import device_contradictions
from pegbox_methods.recipe import Devices, Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card


def recipe(micro_batch: int = 4, accumulation: int = 4, optimizer: str = "adamw", **devices: object) -> Recipe:
    training = Training(micro_batch=micro_batch, accumulation=accumulation, optimizer=optimizer)  # type: ignore[arg-type]
    rows = Rows(file="rows.jsonl")
    return Recipe(model=Model(name="bundled"), rows=rows, training=training, devices=Devices(**devices))  # type: ignore[arg-type]


def said(given: Recipe) -> str:
    (fault,) = device_contradictions(given, "recipe.toml")
    return str(fault)


def test_accumulation_that_cannot_be_parted_is_refused_with_what_keeps_the_effective_batch() -> None:
    told = said(recipe(micro_batch=6, accumulation=4, processes=3))
    assert told.startswith("recipe.toml: training.accumulation = 4: can't be parted among devices.processes = 3")
    assert "effective batch of 24 rows, micro_batch x accumulation could be 8 x 3 or 4 x 6 or 2 x 12" in told
    assert "devices.processes could be 2 or 4" in said(recipe(micro_batch=4, accumulation=2, processes=5))


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 64))
def test_what_is_offered_keeps_the_batch_and_can_be_parted(micro_batch: int, accumulation: int, processes: int) -> None:
    faults = [*device_contradictions(recipe(micro_batch, accumulation, processes=processes), "f")]
    assert bool(faults) == bool(accumulation % processes)
    for fault in faults:
        offered = re.findall(r"(\d+) x (\d+)", fault.problem)
        for rows, count in offered:
            assert int(rows) * int(count) == micro_batch * accumulation
            assert int(count) % processes == 0
        if not offered:
            counts = re.findall(r"\d+", fault.problem.partition("devices.processes could be")[2])
            assert counts
            assert all(micro_batch * accumulation % int(count) == 0 for count in counts)


def test_one_process_has_nobody_to_shard_with_and_only_plain_averages_can_be_sharded() -> None:
    assert "devices.engine = 'fsdp2': parts the base model" in said(recipe(engine="fsdp2"))
    told = said(recipe(engine="fsdp2", processes=2, optimizer="adamw_8bit"))
    assert "training.optimizer = 'adamw_8bit': keeps its averages" in told
    told = said(recipe(engine="fsdp2", processes=2, optimizer="adafactor"))
    assert "training.optimizer = 'adafactor': keeps its averages" in told
    assert not list(device_contradictions(recipe(engine="ddp", optimizer="adamw_8bit", processes=2), "f"))


def test_a_recipe_file_says_so_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[model]\nname = "bundled"\n[rows]\nfile = "rows.jsonl"\n')
    with pytest.raises(Refusal, match=r"training\.accumulation = 4"):
        read_recipe(file, ["devices.processes=3"])
    assert read_recipe(file, ["devices.processes=2"]).devices.launched


def test_what_a_method_cannot_under_an_engine_is_told_by_its_card() -> None:
    given = recipe(engine="fsdp2", processes=2)
    for name in ("lora", "pissa", "adalora"):
        card = find_card(name)
        faults = list(
            inabilities(
                Recipe(model=given.model, rows=given.rows, method=Method(name=name), devices=given.devices),
                card,
                file="f",
                processes=2,
            )
        )
        assert bool(faults) == (sharding_obstacle(card) is not None)
        for fault in faults:
            assert fault.key in {"devices.engine", "devices.processes"}
    assert sharding_obstacle(find_card("pissa")) is not None
