"""The optimizer's memory, the schedule's place and the scaler's factor: out of a trainer, and back into another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LRScheduler

from pegbox_worker.sharded import parted_as, whole_tree

PAGED_NUMBERS = 100_000
"""bitsandbytes pages states of as many numbers and more. Source: Optimizer8bit.get_state_buffer."""
NOT_THE_CHECKPOINTS = ("lr", "initial_lr", "weight_decay")
"""What the recipe names, of all that lies in a parameter group; a run may be continued with other values."""


def bare(optimizer: Any) -> Any:
    """Take accelerate's wrapper off."""
    return getattr(optimizer, "optimizer", optimizer)


def optimizer_kind(optimizer: Any) -> str:
    """Name whose state it is: one kind can't go on from another's. Paged or not is one kind."""
    inner = bare(optimizer)
    bits = getattr(getattr(inner, "args", None), "optim_bits", None)
    name = f"{type(inner).__module__}.{type(inner).__qualname__}"
    return name if bits is None else f"{name} in {bits} bits"


def read_optimizer(optimizer: Any) -> dict[str, Any]:
    """Give its whole state, once the device has done what it was told; of sharded weights all processes ask at once."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()  # paged states are read by the CPU, past CUDA's own order
    inner = bare(optimizer)
    state: dict[str, Any] = inner.state_dict()
    return whole_tree(state) if _lies_beside_parts(inner) else state


def fill_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    """Give it the state of another one of its kind.

    Raises: ValueError: that one had other weights.
    """
    inner = bare(optimizer)
    named = [{key: group[key] for key in NOT_THE_CHECKPOINTS if key in group} for group in inner.param_groups]
    if hasattr(inner, "page_mng"):  # bitsandbytes'; it moves to the device by itself, at its first step
        inner.load_state_dict(state, move_to_device=False)
        if inner.is_paged:
            _page(inner)
    else:
        inner.load_state_dict(_parted(inner, state) if _lies_beside_parts(inner) else state)
    for group, own in zip(inner.param_groups, named, strict=True):
        group.update(own)


def _parted(optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Take this process' part of what lies beside sharded weights; the numbers in a state follow the groups' order."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    beside = dict(zip(numbers, weights, strict=True))
    parted = {
        number: {
            name: parted_as(value, beside[number]) if isinstance(value, Tensor) else value
            for name, value in held.items()
        }
        for number, held in state["state"].items()
    }
    return {**state, "state": parted}


def _lies_beside_parts(optimizer: Any) -> bool:
    """Tell whether each process holds a part of the weights, and of the state."""
    return any(isinstance(weight, DTensor) for group in optimizer.param_groups for weight in group["params"])


def _page(optimizer: Any) -> None:
    """Put large states into paged memory again: loading leaves them in plain memory, where they might not fit."""
    for weight, states in optimizer.state.items():
        for name in ("state1", "state2"):
            held = states.get(name)
            if held is None or weight.device.type == "cpu" or held.numel() < PAGED_NUMBERS:
                continue
            paged = optimizer.get_state_buffer(weight, dtype=held.dtype)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()  # it is being filled with zeros by the device
            paged.copy_(held)
            states[name] = paged


def read_schedule(scheduler: LRScheduler, optimizer: Any) -> dict[str, Any]:
    """Give where in the schedule it is, and the rates that the next step would be taken with."""
    return {
        "steps": scheduler.last_epoch,
        "calls": scheduler._step_count,
        "rates": [float(group["lr"]) for group in bare(optimizer).param_groups],
    }


def fill_schedule(scheduler: Any, optimizer: Any, state: Mapping[str, Any]) -> Sequence[float]:
    """Go on in a schedule, which may be for another number of steps or of another rate than it was.

    Returns: the rates of the next step, as the schedule now has them.
    """
    groups = bare(optimizer).param_groups
    rates = [base * at(state["steps"]) for base, at in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)]
    own = {
        "last_epoch": state["steps"],
        "_step_count": state["calls"],
        "_last_lr": list(rates),
        "lr_lambdas": [None] * len(scheduler.lr_lambdas),
    }
    scheduler.load_state_dict(own)
    for group, rate in zip(groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
    return rates
