"""What differs between machines is named before the first step, and what is harmless only told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_worker.ranks.comparing import Facts, obstacles, remarks

BASE = ("config", "weights", "tokenizer", "template")
HEAD = Facts(
    rank=0,
    host="a",
    node=0,
    device="NVIDIA H100",
    versions={"pegbox": "1", "torch": "2.13.0", "datasets": "4.0", "bitsandbytes": None},
    recipe="r",
    clock=1000.0,
    rows=("rows", None),
    base=BASE,
)


def other(**changes: Any) -> Facts:
    return msgspec.structs.replace(HEAD, **{"rank": 1, "host": "b", "node": 1, **changes})


def test_machines_that_are_alike_are_passed_in_silence() -> None:
    assert obstacles([HEAD, other()], from_hub=False, quantized=False) == []
    assert remarks([HEAD, other()], quantized=False) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versions": {**HEAD.versions, "torch": "2.12.0"}}, "torch 2.12.0 here, 2.13.0 there"),
        ({"recipe": "s"}, "another recipe"),
        ({"rows": ("others", None)}, "other rows than rank 0 on a"),
        ({"rows": ("rows", "held out")}, "other held-out rows"),
        ({"base": ("config", "others", "tokenizer", "template")}, "another base model than rank 0 on a: its config or"),
        ({"base": ("config", "weights", "other", "template")}, "its tokenizer differs"),
        ({"rows": None, "base": None, "fault": "no such file: rows.jsonl"}, "rank 1 on b: no such file"),
    ],
)
def test_what_changes_results_is_refused_by_rank_host_and_name(changes: dict[str, Any], said: str) -> None:
    (sentence,) = obstacles([HEAD, other(**changes)], from_hub=False, quantized=False)
    assert sentence.startswith("rank 1 on b")
    assert said in sentence


def test_what_doesnt_change_results_is_only_told() -> None:
    there = other(device="NVIDIA A10", clock=1012.0, versions={**HEAD.versions, "datasets": "4.1"})
    assert obstacles([HEAD, there], from_hub=False, quantized=False) == []
    kinds, clock, versions = remarks([HEAD, there], quantized=False)
    assert "1 x NVIDIA A10, 1 x NVIDIA H100" in kinds
    assert "the slowest decides" in kinds
    assert "clock of b is 12 seconds ahead of that of a" in clock
    assert "datasets 4.1 here, 4.0 there" in versions


def test_the_library_of_4_bits_matters_only_where_the_base_is_in_4_bits() -> None:
    there = other(versions={**HEAD.versions, "bitsandbytes": "0.50"})
    assert obstacles([HEAD, there], from_hub=False, quantized=False) == []
    assert "bitsandbytes" in obstacles([HEAD, there], from_hub=False, quantized=True)[0]


def test_each_machine_is_heard_once() -> None:
    there = [other(rank=rank, recipe="s", rows=None if rank > 4 else ("rows", None)) for rank in range(4, 8)]
    assert len(obstacles([HEAD, *there], from_hub=False, quantized=False)) == 1
