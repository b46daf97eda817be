"""A base that will be parted among processes: FSDP2 takes packed bytes for numbers of their type, and what a base says
is seen below its adapter.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pegbox_methods.events import Event, Notice
from pegbox_methods.registry import find_card
from pegbox_worker.base_model import admit_bitsandbytes, load_packed_model
from pegbox_worker.judge import Judge
from pegbox_worker.sharded import adapter_aside
from pegbox_worker.sharded_base import LookAtPartedBase
from tests.methods_at_work import CPU, FOUND, attach, logits, plain_base


@pytest.mark.parametrize("compute", [torch.float16, torch.bfloat16, torch.float32])
def test_packed_bytes_lie_in_the_type_they_are_gathered_in_for_another_would_change_them(compute: torch.dtype) -> None:
    admit_bitsandbytes()
    model = load_packed_model(FOUND, torch.float32, compute, CPU, shards=True)
    packed = [weight for weight in model.parameters() if hasattr(weight, "quant_state")]
    assert packed
    assert {weight.dtype for weight in packed} == {compute}


@pytest.mark.parametrize("name", ["lora", "lora-fa", "prompt-tuning"])
def test_a_base_is_seen_below_its_adapter_and_what_trains_is_left_as_it_was(name: str) -> None:
    model: Any = attach(name).model
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1
    trains = {name for name, weight in model.named_parameters() if weight.requires_grad}
    tuned = logits(model)
    with adapter_aside(model):
        assert torch.equal(logits(model), logits(plain_base()))
        assert {name for name, weight in model.named_parameters() if weight.requires_grad} == trains
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == trains
    assert torch.equal(logits(model), tuned)
    assert not torch.equal(tuned, logits(plain_base()))


def looking(name: str, told: list[Event], asked: list[str], *, stopping: bool) -> LookAtPartedBase:
    """Make one that tells into lists what it tells, and whom it asks."""
    hands: Any = SimpleNamespace(
        writer=SimpleNamespace(emit=told.append),
        reporter=SimpleNamespace(phase=lambda _: None),
        control=SimpleNamespace(stopping=stopping),
    )
    judge: Any = SimpleNamespace(
        before=lambda _, *, parted: asked.append(f"judged, {parted}"), leave_out=lambda: asked.append("left out")
    )
    sampler: Any = SimpleNamespace(ask=lambda *_: asked.append("asked"))
    return LookAtPartedBase(hands, find_card(name), judge, sampler)


@pytest.mark.parametrize(("name", "said"), [("lora", 0), ("full", 1), ("pissa", 1)])
def test_a_base_that_cannot_be_seen_below_what_trains_is_left_out_and_that_is_told_once(name: str, said: int) -> None:
    told: list[Event] = []
    asked: list[str] = []
    model = attach(name).model if name != "full" else plain_base()
    look = looking(name, told, asked, stopping=False)
    look.on_train_begin(model=model)
    look.look(model)
    assert asked == (["left out"] if said else ["judged, True", "asked"])
    assert [event.about for event in told if isinstance(event, Notice)] == ["not-judged"] * said


def test_a_stop_while_a_base_is_judged_leaves_its_answers_out() -> None:
    asked: list[str] = []
    looking("lora", [], asked, stopping=True).look(attach("lora").model)
    assert asked == ["judged, True"]


def test_what_is_left_out_of_judging_does_not_hold_up_the_run(tmp_path: Path) -> None:
    judge = Judge.__new__(Judge)  # what it would judge by doesn't matter
    judge.leave_out()
    assert judge.record(torch.nn.Module(), None, 3, tmp_path)
    assert not any(tmp_path.iterdir())
