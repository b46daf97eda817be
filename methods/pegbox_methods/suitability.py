"""Whether a method can be used at all: with this model, this installation, this device. One place for all who ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pegbox_hardware.profile_rows import Accelerator
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card

BITSANDBYTES_FROM = (6, 0)
"""Compute capability that its kernels need."""
BNB_LINEAR = "transformers' replace_with_bnb_linear"
UNPACKED = 'Leave the base model unpacked, as the method "lora" does, or take another model.'


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a method would be used with. What isn't known rules nothing out."""

    shape: ModelShape | None = None
    packed_by: str | None = None
    """The tool that quantized the model's stored weights."""
    bitsandbytes: bool = True
    """Whether it is installed where the run would be."""
    accelerator: Accelerator | None = None
    capability: tuple[int, int] | None = None
    """CUDA compute capability of the device."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Why something can't be used."""

    why: str
    """A clause, without a full stop."""
    source: str
    remedy: str
    """What to do: a sentence."""


def obstacle(card: Card, given: Conditions, *, packs: bool | None = None) -> Obstacle | None:
    """Say why a method can't be used, whatever its settings; None: it can.

    `packs`: whether the base model would be loaded in 4 bits; None: as the method needs it.
    """
    packs = card.needs.quantized_base if packs is None else packs
    return next(_obstacles(card, given, packs=packs), None)


def eight_bit_obstacle(given: Conditions) -> Obstacle | None:
    """Say why the 8-bit optimizers can't be used; None: they can."""
    return next(_without_bitsandbytes("its states are kept in 8 bits by bitsandbytes", given), None)


def packed_by(config: Mapping[str, Any]) -> str | None:
    """Name the tool that quantized a model's weights, by its config.json; None: they are as they were trained."""
    stored = config.get("quantization_config")
    return str(stored.get("quant_method", "an unknown tool"))[:50] if isinstance(stored, dict) else None


def bitsandbytes_is_here() -> bool:
    """Tell whether bitsandbytes is installed; whether it works is `pegbox doctor`'s question."""
    try:
        return bool(version("bitsandbytes"))
    except PackageNotFoundError:
        return False


def _obstacles(card: Card, given: Conditions, *, packs: bool) -> Iterator[Obstacle]:
    if given.packed_by is not None and (packs or given.packed_by == "bitsandbytes"):
        yield Obstacle(
            why=f"the model's weights are quantized already (by {given.packed_by}), and an adapter trained on them "
            "could never be merged",
            source="the model's config.json",
            remedy='Name the original model; the method "qlora" packs it while loading.',
        )
    least = card.needs.compute_capability
    if least is not None and _is_older(given, least):
        yield Obstacle(
            why=f"it needs a card of compute capability {_dotted(least)}, and this one has "
            f"{_dotted(given.capability or (0, 0))}",
            source=f"the card of {card.title}",
            remedy='Take a method that needs none, such as "lora", or set CUDA_VISIBLE_DEVICES="" to compute on the '
            "processor.",
        )
    shape = given.shape
    if packs:
        yield from _without_bitsandbytes("it packs the base model into 4 bits with bitsandbytes", given)
        yield from _unpackable(shape)
    elif card.needs.linear_layers_only and shape is not None and shape.transposed:
        yield Obstacle(
            why=f"it adapts torch's Linear alone, and the maps of {shape.architecture} are of transformers' Conv1D",
            source=f"the card of {card.title}; transformers' pytorch_utils.py",
            remedy='Take a method that adapts both, such as "lora", or another model.',
        )


def _without_bitsandbytes(wanted: str, given: Conditions) -> Iterator[Obstacle]:
    if not given.bitsandbytes:
        yield Obstacle(
            why=f"{wanted}, which isn't installed",
            source="this installation",
            remedy="Install it with: pip install 'bitsandbytes>=0.50' (there is none for this platform if that fails).",
        )
    if _is_older(given, BITSANDBYTES_FROM):
        yield Obstacle(
            why=f"{wanted}, which needs compute capability {_dotted(BITSANDBYTES_FROM)}, and this card has "
            f"{_dotted(given.capability or (0, 0))}",
            source="bitsandbytes' installation guide",
            remedy="Leave it out, or take a newer card.",
        )


def _unpackable(shape: ModelShape | None) -> Iterator[Obstacle]:
    if shape is not None and not shape.quantizable:
        yield Obstacle(
            why=f"transformers leaves {shape.architecture}'s own class of linear maps alone, so the base would train "
            "unquantized without a word",
            source=BNB_LINEAR,
            remedy=UNPACKED,
        )
    if shape is not None and shape.expert_weights > shape.linear_weights:
        yield Obstacle(
            why="most of the model's weights are experts, whose stacked parameters stay unpacked, so 4 bits would save "
            "little",
            source=BNB_LINEAR,
            remedy=UNPACKED,
        )


def _is_older(given: Conditions, least: tuple[int, int]) -> bool:
    return given.accelerator == "cuda" and given.capability is not None and given.capability < least


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
