"""A checkpoint's part of a method: the weights that train, whole, and what the method remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pegbox_worker.checkpoint import STATE, TRAINED, LacksWeights, load_state, load_weights, save_method


class Remembers:
    """A method's memory of one number."""

    def __init__(self, number: float) -> None:
        self.number = torch.tensor([number])

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"number": self.number}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.number = state["number"]


def model() -> nn.Module:
    """A frozen map, a trained one, and a second name for the trained one's weight."""
    made = nn.ModuleDict({"frozen": nn.Linear(4, 4), "trained": nn.Linear(4, 2), "tied": nn.Linear(4, 2)})
    made["tied"].weight = made["trained"].weight
    made["frozen"].requires_grad_(requires_grad=False)
    return made


def test_what_trains_and_what_is_remembered_comes_back_and_the_rest_is_not_written(tmp_path: Path) -> None:
    saved, loaded = model(), model()
    save_method(saved, Remembers(3.5), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {TRAINED, STATE}
    assert (tmp_path / TRAINED).stat().st_size < 8 * 4 + 4 * 4 + 400  # three tensors, none of them frozen or twice
    load_weights(loaded, tmp_path)
    assert torch.equal(loaded["tied"].weight, saved["trained"].weight)  # type: ignore[index]
    assert not torch.equal(loaded["frozen"].weight, saved["frozen"].weight)  # type: ignore[index]
    memory = Remembers(0.0)
    load_state(memory, tmp_path)
    assert memory.number.item() == 3.5


def test_a_method_without_memory_writes_none(tmp_path: Path) -> None:
    save_method(model(), None, tmp_path)
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize("change", ["another weight trains", "another size"])
def test_a_checkpoint_of_another_set_up_is_refused_by_the_weights_that_differ(tmp_path: Path, change: str) -> None:
    save_method(model(), None, tmp_path)
    other = model()
    if change == "another weight trains":
        other["frozen"].bias.requires_grad_(requires_grad=True)  # type: ignore[index]
    else:
        other["trained"].bias = nn.Parameter(torch.zeros(3))  # type: ignore[index]
    with pytest.raises(LacksWeights, match=r"holds other weights than train now: (frozen|trained)\.bias"):
        load_weights(other, tmp_path)
