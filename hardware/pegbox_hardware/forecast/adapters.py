"""What a method adds to a model: tensors that are trained, and how it behaves at the maps it adapts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pegbox_hardware.forecast.adapted_map import AdapterTraits
from pegbox_hardware.forecast.setup import TrainingSetup, first_rank
from pegbox_hardware.shape import ModelShape


@dataclass(frozen=True)
class MethodCost:
    """A method on one model."""

    trained: tuple[tuple[int, int], ...]
    """Its trained tensors as (how many, weights of each)."""
    adapted: frozenset[str]
    """Names of the linear maps it is on."""
    traits: AdapterTraits | None
    """None: nothing happens at a map."""
    known: bool = True
    """False: what it does at a map was taken to be what LoRA does."""
    frozen: int = 0
    """Weights it adds and doesn't train."""
    state_copies: int = 0
    """Running averages of its own that it keeps for each trained weight, in the adapter's format."""

    @property
    def trainable_weights(self) -> int:
        """Count the trained weights."""
        return sum(count * size for count, size in self.trained)


PRICED = frozenset({"lora", "rslora", "qlora", "dora", "qdora", "adalora", "pissa", "olora", "full"})
"""Methods whose operations are known here."""


def cost_of(shape: ModelShape, setup: TrainingSetup) -> MethodCost:
    """Price the method that a set-up names; one that isn't known, as if it were LoRA.

    Raises: KeyError: the model has no map of a target's name.
    """
    if setup.full:
        return whole_model(shape)
    cost = low_rank(shape, setup)
    if setup.method in PRICED:
        return cost
    return replace(cost, known=False)


def low_rank(shape: ModelShape, setup: TrainingSetup) -> MethodCost:
    """Price LoRA and its kin: two thin matrices beside each map; DoRA adds a magnitude, AdaLoRA singular values.

    Raises: KeyError: the model has no map of a target's name.
    Source: arXiv:2106.09685, section 4.1; arXiv:2402.09353, section 4; arXiv:2303.10512, section 3.1.
    """
    magnitude, singular = setup.method in {"dora", "qdora"}, setup.method == "adalora"
    rank = first_rank(setup.rank, setup.surplus) if singular else setup.rank
    trained: list[tuple[int, int]] = []
    names: set[str] = set()
    for count, name, d_out, d_in in shape.adapted(setup.targets):
        names.add(name)
        trained += [(count, rank * d_in), (count, rank * d_out)]
        if magnitude:
            trained.append((count, d_out))
        if singular:
            trained.append((count, rank))
    return MethodCost(
        trained=tuple(trained),
        adapted=frozenset(names),
        traits=AdapterTraits(rank=rank, magnitude=magnitude),
        # Importance, its average and its uncertainty. Source: RankAllocator in peft/tuners/adalora/layer.py.
        state_copies=3 if singular else 0,
    )


def whole_model(shape: ModelShape) -> MethodCost:
    """Price full fine-tuning: every weight of the model is trained."""
    head = shape.vocabulary * shape.hidden
    tensors = [(1 if shape.tied_head else 2, head)]
    for block in shape.blocks:
        tensors += [(block.count, d_out * d_in) for d_out, d_in in block.matrices.values()]
        tensors.append((block.count * (block.small_weights // shape.hidden), shape.hidden))
        if block.experts is not None:
            stacked = block.experts.count * block.experts.inner * shape.hidden
            tensors += [(block.count, 2 * stacked), (block.count, stacked)]
    rest = shape.weights - sum(count * size for count, size in tensors)
    return MethodCost(trained=(*tensors, (1, rest)), adapted=frozenset(), traits=None)
