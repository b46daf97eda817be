"""A model as the sizes of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

ALL_LINEAR = "all-linear"
ATTENTION = "attention"

Stored = Literal["bf16", "fp16", "fp32"]
Norm = Literal["rms", "gemma", "layer"]
"""rms: Llama's, computed in fp32; gemma: the same with an offset weight, wholly in fp32; layer: torch's LayerNorm."""


class Experts(msgspec.Struct, frozen=True, kw_only=True):
    """The expert MLPs of one layer. transformers keeps them as two stacked parameters, not as linear maps, so no
    adapter goes on them and bitsandbytes doesn't quantize them."""

    count: int
    active: int
    """Experts that a token goes through."""
    inner: int
    """Width of one expert."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Layers that are alike."""

    count: int
    matrices: dict[str, tuple[int, int]]
    """Linear maps of one layer: shortest name that is unique in the layer -> (d_out, d_in)."""
    inner: int
    """Width of the dense MLP (or of the shared experts); 0 where there is none."""
    small_weights: int
    """Norms, biases, router: what one layer has beside its linear maps and experts."""
    experts: Experts | None = None


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder-only language model as the sizes of its parts. Counts are of weights, not of bytes."""

    architecture: str
    known: bool = True
    """False: the type is not one that Pegbox has taken apart; it is read as a Llama-like model, with a doubt."""
    assumed: tuple[str, ...] = ()
    """One clause for each field that the config lacks and that was filled in."""
    hidden: int
    vocabulary: int
    tied_head: bool
    positions: int | None
    """Longest sequence in tokens the model was built for."""
    blocks: tuple[Block, ...]
    heads: int
    kv_heads: int
    head: int
    """Width of a query or key head."""
    value_head: int
    """Width of a value head; differs from `head` in latent attention only."""
    norm: Norm = "rms"
    norms: int = 2
    """Norms of one layer over the whole hidden width."""
    qk_norm: bool = False
    gated: bool = True
    """The MLP multiplies two maps of its input."""
    fused_mlp: bool = False
    """Those two maps are one matrix, cut in halves afterwards."""
    fused_qkv: bool = False
    latent: bool = False
    """Keys and values come out of one narrow vector a token."""
    parallel: bool = False
    """Attention and MLP read the same norm and are added together."""
    rotary: float = 1.0
    """Share of a head that is rotated; 0: positions are learned."""
    attention_cap: bool = False
    """Scores are capped by a tanh, which only eager attention can do."""
    logit_cap: bool = False
    composite_gelu: bool = False
    """The activation is GELU written out in six operations, each with an output of its own."""
    residual_dropout: bool = False
    """Dropout of the model's own, on what attention and MLP add to the residual stream."""
    transposed: bool = False
    """Its linear maps are transformers' Conv1D, which many methods don't adapt."""
    quantizable: bool = True
    """bitsandbytes replaces its linear maps by 4-bit ones."""
    small_weights: int = 0
    """Last norm, learned positions, bias of the head."""
    stored: Stored | None = None
    """Format of the weights in their files, by the config's word; None: it doesn't say, or names another."""

    @property
    def layers(self) -> int:
        """Count the layers."""
        return sum(block.count for block in self.blocks)

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name the linear maps of a layer: name -> (d_out, d_in). Where layers differ, those of the most frequent kind
        come first, and the others add theirs."""
        found: dict[str, tuple[int, int]] = {}
        for block in sorted(self.blocks, key=lambda block: -block.count):
            for name, size in block.matrices.items():
                found.setdefault(name, size)
        return found

    @property
    def attention(self) -> tuple[str, ...]:
        """Name the linear maps of attention."""
        names = list(self.matrices)
        return tuple(names[: 1 + max(i for i, name in enumerate(names) if name in ATTENTION_OUTPUTS)])

    @property
    def head_weights(self) -> int:
        """Count the output head's own weights; none where it shares the embedding's."""
        return 0 if self.tied_head else self.vocabulary * self.hidden

    @property
    def linear_weights(self) -> int:
        """Count the weights of all linear maps but the head: those that quantization packs."""
        return sum(block.count * sum(o * i for o, i in block.matrices.values()) for block in self.blocks)

    @property
    def expert_weights(self) -> int:
        """Count the weights of all experts."""
        return sum(b.count * b.experts.count * 3 * b.experts.inner * self.hidden for b in self.blocks if b.experts)

    @property
    def weights(self) -> int:
        """Count all weights."""
        small = self.small_weights + sum(block.count * block.small_weights for block in self.blocks)
        return self.vocabulary * self.hidden + self.head_weights + self.linear_weights + self.expert_weights + small

    def adapted(self, targets: Iterable[str]) -> Iterator[tuple[int, str, int, int]]:
        """Walk through the linear maps that targets name, as PEFT matches them: by the end of their name.

        `targets` may hold "all-linear" or "attention", which are the same for a mixture of experts: its experts are
        stacked parameters, for which PEFT takes the names of the other MLPs' maps too. A pattern is held against the
        names of one layer's maps: one that tells layers apart, or names what lies above a map, matches none of them.
        Yields: (number of layers, name, d_out, d_in).
        Raises: KeyError: the model has no matrix of that name.
        """
        wanted = tuple(ATTENTION if name == ALL_LINEAR and self.expert_weights else name for name in targets)
        if ATTENTION in wanted:
            wanted = tuple(name for name in wanted if name != ATTENTION) + self.attention
        for target in wanted:
            if target != ALL_LINEAR and not any(ends_like(name, target) for name in self.matrices):
                raise KeyError(target)
        for block in self.blocks:
            for name, (d_out, d_in) in block.matrices.items():
                if ALL_LINEAR in wanted or any(ends_like(name, target) for target in wanted):
                    yield block.count, name, d_out, d_in


ATTENTION_OUTPUTS = frozenset({"o_proj", "dense", "attn.c_proj", "out_proj"})
"""Names of the linear map that closes attention."""


def is_pattern(target: str) -> bool:
    """Tell whether a target's name stands for several: it holds `*`, `?` or `[`."""
    return any(sign in target for sign in "*?[")


def ends_like(name: str, target: str) -> bool:
    """Tell whether a target names a linear map: by the end of its dotted name, or as a pattern for that end.

    `name` may be shorter than the target, as a layer's names are: "q_proj" is what "self_attn.q_proj" names.
    """
    if is_pattern(target):
        return fnmatchcase(f".{name}", f"*.{target}")
    return name == target or name.endswith(f".{target}") or target.endswith(f".{name}")
