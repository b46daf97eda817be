"""What a checkpoint will take on disk, before the first one is written; and whether the disk has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelerate.utils import is_peft_model
from torch import Tensor, nn

from pegbox_methods.events import Event, Notice
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Stateful
from pegbox_runs.checkpoint_bytes import OTHER_FILES, state_bytes
from pegbox_runs.checkpoints import free_bytes
from pegbox_worker.checkpoint import trained_weights


def trained_bytes(model: nn.Module) -> int:
    """Add up what trains."""
    return sum(weight.numel() * weight.element_size() for weight in trained_weights(model).values())


def expected_bytes(model: nn.Module, optimizer: str, state: Stateful | None) -> int:
    """Estimate one checkpoint: weights, PEFT's copy of them, the optimizer's state, and what the method remembers.

    `optimizer`: by the name transformers knows it by; empty for another one.
    """
    weights = sum(weight.numel() for weight in trained_weights(model).values())
    held = () if state is None else state.state_dict().values()
    remembered = sum(part.numel() * part.element_size() for part in held if isinstance(part, Tensor))
    copies = 2 if is_peft_model(model) else 1
    return int(trained_bytes(model) * copies + weights * state_bytes(optimizer) + remembered + OTHER_FILES)


def refuse_little_room(
    place: Path, model: nn.Module, checkpoint: int, kept: int, tell: Callable[[Event], None]
) -> None:
    """See before the first step that the run can keep what it learns; say so where it will be tight.

    `checkpoint`: bytes of one; `kept`: how many are.
    Raises: Refusal: not even one and the adapter fit.
    """
    free, adapter = free_bytes(place), trained_bytes(model)
    least, whole = checkpoint + adapter, checkpoint * (kept + 1) + adapter
    if free < least:
        raise Refusal(
            f"the disk of the run has {_mib(free)} left, and one checkpoint and the adapter take about "
            f"{_mib(least)}. Make room, or put runs elsewhere with PEGBOX_HOME."
        )
    if free < whole:
        text = (
            f"the disk of the run has {_mib(free)} left; {kept} checkpoints, one more while it is written, and the "
            f"adapter take about {_mib(whole)}. Checkpoints will be left out once it is full."
        )
        tell(Notice(text=text, about="little-room"))


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
