"""What a method adds to a model: tensors that are trained, and how it behaves at the maps it adapts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pegbox_hardware.forecast.adapted_map import AdapterTraits
from pegbox_hardware.forecast.setup import TrainingSetup, first_rank
from pegbox_hardware.shape import ALL_LINEAR, ModelShape


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
    # PEFT turns all-linear into attention's maps and the stacked experts where a model has experts.
    experts = ALL_LINEAR in setup.targets and shape.expert_weights > 0
    trained: list[tuple[int, int]] = []
    names: set[str] = set()
    for count, name, d_out, d_in in shape.adapted(setup.targets):
        if experts and name not in shape.attention:
            continue
        names.add(name)
        trained += [(count, rank * d_in), (count, rank * d_out)]
        if magnitude:
            trained.append((count, d_out))
        if singular:
            trained.append((count, rank))
    if experts:
        trained += _on_experts(shape, rank)
    return MethodCost(
        trained=tuple(trained),
        adapted=frozenset(names),
        traits=AdapterTraits(rank=rank, magnitude=magnitude, experts=experts),
        # Importance, its average and its uncertainty. Source: RankAllocator in peft/tuners/adalora/layer.py.
        state_copies=3 if singular else 0,
    )


def _on_experts(shape: ModelShape, rank: int) -> list[tuple[int, int]]:
    """List the tensors that PEFT puts on stacked experts and their router.

    The two halves of a stacked gate get twice the rank. Source: peft/utils/transformers_weight_conversion.py.
    """
    made: list[tuple[int, int]] = []
    for block in shape.blocks:
        if block.experts is None:
            continue
        count, inner = block.experts.count, block.experts.inner
        sizes = [2 * rank * count * shape.hidden, 2 * rank * count * 2 * inner]
        sizes += [rank * count * inner, rank * count * shape.hidden, rank * count, rank * shape.hidden]
        made += [(block.count, size) for size in sizes]
    return made


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
