"""What a method adds to a model: tensors that are trained, and how it behaves at the maps it adapts."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_hardware.forecast.layer import AdapterTraits
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.shape import ModelShape


@dataclass(frozen=True)
class MethodCost:
    """A method on one model."""

    trained: tuple[int, ...]
    """Sizes of its trained tensors, in weights."""
    adapted: frozenset[str]
    """Names of the linear maps it is on."""
    traits: AdapterTraits | None
    frozen: int = 0
    """Weights it adds and doesn't train."""

    @property
    def trainable_weights(self) -> int:
        """Count the trained weights."""
        return sum(self.trained)


def low_rank(shape: ModelShape, setup: TrainingSetup) -> MethodCost:
    """Price LoRA and its kin: two thin matrices beside each map; DoRA adds a magnitude, AdaLoRA singular values.

    Raises: KeyError: the model has no map of a target's name.
    Source: arXiv:2106.09685, section 4.1; arXiv:2402.09353, section 4; arXiv:2303.10512, section 3.1.
    """
    magnitude = setup.method in {"dora", "qdora"}
    singular = setup.method == "adalora"
    trained: list[int] = []
    names: set[str] = set()
    for count, name, d_out, d_in in shape.adapted(setup.targets):
        names.add(name)
        tensors = [setup.rank * d_in, setup.rank * d_out]
        if magnitude:
            tensors.append(d_out)
        if singular:
            tensors.append(setup.rank)
        trained += tensors * count
    traits = AdapterTraits(rank=setup.rank, magnitude=magnitude, in_place=singular)
    return MethodCost(trained=tuple(trained), adapted=frozenset(names), traits=traits)


def whole_model(shape: ModelShape) -> MethodCost:
    """Price full fine-tuning."""
    return MethodCost(trained=(shape.weights,), adapted=frozenset(), traits=None)
