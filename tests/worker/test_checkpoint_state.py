"""What a checkpoint holds of optimizer, schedule, scaler and chance comes back bit for bit, without a pickle."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import get_scheduler
from transformers.optimization import Adafactor

from pegbox_methods.refusal import Refusal
from pegbox_worker import checkpoint_size
from pegbox_worker.base_model import admit_bitsandbytes
from pegbox_worker.checkpoint_size import expected_bytes, refuse_little_room
from pegbox_worker.optimizer_state import (
    fill_optimizer,
    fill_schedule,
    optimizer_kind,
    read_optimizer,
    read_schedule,
)
from pegbox_worker.random_state import RandomState
from pegbox_worker.state_tree import Unwritable, from_tree, to_tree


@pytest.fixture(scope="module")
def bnb() -> Any:
    admit_bitsandbytes()
    return importlib.import_module("bitsandbytes")


def model(seed: int = 0) -> nn.Module:
    """Two weights large enough to be held in 8 bits, two that aren't."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 80), nn.Tanh(), nn.Linear(80, 64))


def groups(made: nn.Module, rate: float = 1e-2) -> list[dict[str, Any]]:
    weights = list(made.parameters())
    return [{"params": weights[::2], "weight_decay": 0.1}, {"params": weights[1::2], "lr": rate * 4, "weight_decay": 0}]


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "adamw": lambda _, g: torch.optim.AdamW(g, lr=1e-2),
    "adamw fused": lambda _, g: torch.optim.AdamW(g, lr=1e-2, fused=True),
    "amsgrad": lambda _, g: torch.optim.Adam(g, lr=1e-2, amsgrad=True),
    "adafactor": lambda _, g: Adafactor(g, lr=1e-2, relative_step=False, scale_parameter=False),
    "sgd": lambda _, g: torch.optim.SGD(g, lr=1e-2, momentum=0.9),
    "adamw 8 bit": lambda b, g: b.optim.AdamW(g, lr=1e-2, optim_bits=8),
    "adamw 8 bit paged": lambda b, g: b.optim.AdamW(g, lr=1e-2, optim_bits=8, is_paged=True),
}


def take_steps(made: nn.Module, optimizer: Any, scheduler: Any, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        rows = torch.randn(8, 64, generator=generator)
        made(rows).square().sum().backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


def through_files(state: Any, folder: Path) -> Any:
    """Write it as a checkpoint does, and read it."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(to_tree(state, tensors), allow_nan=False)
    save_file(tensors, folder / "tensors")
    return from_tree(json.loads(text), load_file(folder / "tensors"))


def equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, yours in zip(one, other, strict=True):
            equal(mine, yours)
    else:
        assert one == other


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_bit_for_bit(name: str, tmp_path: Path, bnb: Any) -> None:
    def begin(seed: int) -> tuple[nn.Module, Any, Any]:
        made = model(seed)
        optimizer = OPTIMIZERS[name](bnb, groups(made))
        return made, optimizer, get_scheduler("cosine", optimizer, num_warmup_steps=2, num_training_steps=20)

    made, optimizer, scheduler = begin(0)
    take_steps(made, optimizer, scheduler, 5, 1)
    state = read_optimizer(optimizer)
    written = through_files(state, tmp_path)
    equal(state, written)

    other, again, later = begin(1)
    other.load_state_dict(made.state_dict())
    fill_optimizer(again, written)
    rates = fill_schedule(later, again, json.loads(json.dumps(read_schedule(scheduler, optimizer))))
    assert list(rates) == [group["lr"] for group in optimizer.param_groups] == [g["lr"] for g in again.param_groups]
    equal(read_optimizer(again)["state"], state["state"])
    assert optimizer_kind(again) == optimizer_kind(optimizer)
    for one, optimizer_of, its in ((made, optimizer, scheduler), (other, again, later)):
        take_steps(one, optimizer_of, its, 5, 2)
    for mine, yours in zip(made.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, yours)


def test_kinds_are_told_apart_and_paged_is_none_of_its_own(bnb: Any) -> None:
    kinds = {name: optimizer_kind(make(bnb, groups(model()))) for name, make in OPTIMIZERS.items()}
    assert kinds["adamw 8 bit"] == kinds["adamw 8 bit paged"] == "bitsandbytes.optim.adamw.AdamW in 8 bits"
    assert kinds["adamw"] == kinds["adamw fused"]
    assert len({kinds[name] for name in ("adamw", "amsgrad", "adafactor", "sgd", "adamw 8 bit")}) == 5


def test_large_states_of_a_paged_optimizer_are_paged_again() -> None:
    """As bitsandbytes does it on a GPU, which is made up here."""
    weight = SimpleNamespace(device=SimpleNamespace(type="cuda"), shape=(400, 300))
    small = SimpleNamespace(device=SimpleNamespace(type="cuda"), shape=(3,))

    class Paged:
        page_mng = object()
        is_paged = True
        param_groups: list[dict[str, Any]] = []  # noqa: RUF012
        state: dict[Any, dict[str, Any]]

        def load_state_dict(self, state: Any, *, move_to_device: bool) -> None:
            assert not move_to_device
            self.state = state

        def get_state_buffer(self, asked: Any, dtype: Any) -> Tensor:
            buffer = torch.zeros(asked.shape, dtype=dtype)
            buffer.is_paged = True  # type: ignore[attr-defined]
            return buffer

    class ById(dict):  # type: ignore[type-arg]
        """Namespaces can't be keys."""

        def items(self) -> Any:
            return [(weight, self["large"]), (small, self["small"])]

    large = torch.randint(0, 255, (400, 300), dtype=torch.uint8)
    states = ById(large={"state1": large, "step": 3}, small={"state1": torch.ones(3), "state2": torch.ones(3)})
    optimizer = Paged()
    fill_optimizer(optimizer, states)
    assert optimizer.state["large"]["state1"].is_paged
    assert torch.equal(optimizer.state["large"]["state1"], large)
    assert not hasattr(optimizer.state["small"]["state1"], "is_paged")


def test_odd_values_come_back_as_they_were_and_shared_tensors_lie_there_once(tmp_path: Path) -> None:
    shared = torch.arange(5)
    state = {
        "state": {0: {"a": shared, "b": shared, "c": shared[::2], "empty": torch.empty(0), "none": None}},
        (1, "x"): [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, True, 2**70],
        "nested.name": {"q": torch.tensor(3.5, dtype=torch.bfloat16)},
        "nested": {"name.q": torch.tensor(4, dtype=torch.uint8)},
    }
    found = through_files(state, tmp_path)
    equal(state, found)
    assert math.copysign(1, found[(1, "x")][1]) == -1
    assert math.isnan(through_files({"nan": math.nan, "t": torch.ones(1)}, tmp_path)["nan"])
    through_files(state, tmp_path)
    assert len(load_file(tmp_path / "tensors")) == 5


def test_what_json_cannot_hold_is_refused_by_its_place() -> None:
    with pytest.raises(Unwritable, match=r"state\.3\.f is a function"):
        to_tree({"state": {3: {"f": len.__class__ and (lambda: None)}}}, {})


def test_chance_goes_on_where_it_stood(tmp_path: Path) -> None:
    np.random.rand(7)
    np.random.standard_normal()  # a second one is kept for later
    then = RandomState.now()
    text = json.dumps(to_tree(then.tree(), {}), allow_nan=False)
    save_file(then.tensors(), tmp_path / "random")
    expected = np.random.standard_normal(3).tolist(), torch.rand(3).tolist()
    RandomState.of(from_tree(json.loads(text), {}), load_file(tmp_path / "random")).put_back()
    assert (np.random.standard_normal(3).tolist(), torch.rand(3).tolist()) == expected


def test_all_devices_generators_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [torch.full((16,), index, dtype=torch.uint8) for index in range(3)]
    put: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put.extend)
    then = RandomState.now()
    tensors = then.tensors()
    RandomState.of(from_tree(to_tree(then.tree(), {}), {}), dict(sorted(tensors.items()))).put_back()
    assert [int(state[0]) for state in put] == [0, 1, 2]


def test_a_checkpoints_size_is_known_before_it_is_written() -> None:
    made = model()
    weights = sum(weight.numel() for weight in made.parameters())
    assert expected_bytes(made, "adamw_torch_fused", None) == pytest.approx(12 * weights + 2**20)
    assert expected_bytes(made, "adamw_8bit", None) < expected_bytes(made, "", None)


@pytest.mark.parametrize(("free", "told"), [(10**9, []), (250_000, ["little-room"]), (100_000, None)])
def test_a_run_without_room_is_refused_and_one_that_will_be_short_of_it_is_told(
    free: int, told: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_size, "free_bytes", lambda _: free)
    heard: list[Any] = []
    if told is None:
        with pytest.raises(Refusal, match="one checkpoint and the adapter take about"):
            refuse_little_room(tmp_path, model(), 100_000, 2, heard.append)
    else:
        refuse_little_room(tmp_path, model(), 100_000, 2, heard.append)
        assert [event.about for event in heard] == told
