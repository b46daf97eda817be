"""What a method says of itself before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pegbox_hardware.forecast.adapters import MethodCost
from pegbox_hardware.shape import ModelShape
from pegbox_methods.setting import Setting

Ability = Literal["start", "base", "merge", "4-bit", "checkpointing", "bfloat16", "optimizer", "processes"]

ABILITIES: dict[Ability, str] = {
    "start": "begins at the base model's own output",
    "base": "leaves the base model's own weights as they are",
    "merge": "folds into the base model's weights",
    "4-bit": "trains on a base model packed into 4 bits",
    "checkpointing": "trains with activation checkpointing",
    "bfloat16": "trains in bfloat16",
    "optimizer": "takes the optimizer that the recipe names",
    "processes": "trains in several processes at once",
}
"""What most methods can. A card names those its method can't, with the reason; `pegbox certify` tries all of them."""

UNTRIED = "nobody has tried it on a base model of which each process holds a part"
"""Why a method isn't let near a sharded base model: it might read a part where it takes the whole, without a word."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a method can't do without."""

    quantized_base: bool = False
    """The base model is loaded in 4 bits."""
    linear_layers_only: bool = True
    """Of the kinds of maps that models are made of, it adapts torch's Linear alone, not GPT-2's Conv1D."""
    compute_capability: tuple[int, int] | None = None
    """Least CUDA compute capability; None: any. A CPU is never asked for one."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a method adds to the base model, for one shape and one choice of settings."""

    trainable_weights: int
    """Exact number of weights, not of bytes."""
    step_time_ratio: float | None
    """Seconds of a step relative to LoRA of the same rank; None: nobody has measured it."""
    step_time_source: str
    cpu_step_time_ratio: float | None = None
    """The same on a CPU, SmolLM2-135M at default settings, by `tests/bench/method_step_time.py`; None: unknown."""
    cost: MethodCost | None = None
    """What it adds, tensor by tensor, for the memory forecast; None: it is priced as if it were LoRA with as many
    weights, in a wide range, unless the forecast knows the method by its name."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """When to take a method, or not, and whose word that is."""

    when: str
    why: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One method, light enough for a list: its name, settings, needs, cost and reasons.

    `torch_half` names an object as "module:object" that satisfies `pegbox_methods.torch_half.TorchHalf`;
    only the worker loads it.
    """

    name: str
    title: str
    summary: str
    source: str
    settings: tuple[Setting, ...]
    learning_rate: float
    """Peak learning rate where the recipe names none."""
    learning_rate_source: str
    needs: Needs
    footprint: Callable[[ModelShape, Mapping[str, Any]], Footprint]
    """Raises KeyError if the model has no matrix that a setting names."""
    recommended: tuple[Reason, ...]
    discouraged: tuple[Reason, ...]
    torch_half: str
    cannot: Mapping[Ability, str] = field(default_factory=dict)
    """Abilities that the method lacks -> the reason, as a clause that a recipe asking for it is refused with."""
    least_steps: Callable[[Mapping[str, Any]], int] | None = None
    """Of complete settings: optimizer steps below which no run can be made; None: one is enough."""
    sharding: str | None = UNTRIED
    """Why it can't train where each process holds a part of the base model, as a clause; None: it can, was tried, and
    gives a PeftModel, below which alone such a base can be judged.
    """

    def price(self, shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
        """Ask for the footprint, and see to it that a guest's function gave one.

        Raises: KeyError: the model has no matrix that a setting names; TypeError: it is no footprint, or holds what no
        method costs; whatever else a guest's function raises.
        """
        found: object = self.footprint(shape, settings)
        if not isinstance(found, Footprint):
            raise TypeError(f"its footprint gave back {type(found).__name__}, and the contract asks for Footprint")
        if type(found.trainable_weights) is not int or found.trainable_weights < 0:
            raise TypeError(f"its footprint counts {found.trainable_weights!r} trainable weights")
        for ratio in (found.step_time_ratio, found.cpu_step_time_ratio):
            if ratio is not None and not (isinstance(ratio, int | float) and 0 < ratio < float("inf")):
                raise TypeError(f"its footprint gives {ratio!r} as a step's time relative to LoRA's")
        return found

    def steps_needed(self, settings: Mapping[str, Any]) -> int:
        """Ask for the least steps of a run, and see to it that a guest's function gave a number of them.

        Raises: TypeError: it gave something else; whatever else a guest's function raises.
        """
        if self.least_steps is None:
            return 1
        found: object = self.least_steps(settings)
        if type(found) is not int or found < 1:
            raise TypeError(f"its least_steps gave back {found!r}, and the contract asks for a whole number from 1")
        return found
