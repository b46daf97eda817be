"""What the worker's job `convert` is asked, and what it answers: an adapter made into plain LoRA, and proven."""

from __future__ import annotations

import msgspec

from pegbox_runs.artefacts.artefact import Proof, QualityCost

MOST_RANK = 512
"""The largest rank that is chosen by itself; vLLM loads none above it."""
SHARE = 0.99
"""Of the energy (the sum of squares) of each matrix's change that is kept where no rank is named and none holds all."""
EXACT = 1 - 1e-6
"""Share of the energy from which nothing but rounding is missing."""
LOSSY_KL = 0.01
"""Mean KL in nats per token up to which a conversion that isn't exact counts as the same model: what 5 to 6 bits a
weight cost. Source: llama.cpp's tools/quantize/README.md, Llama 3 8B: q6_K 0.0055, q5_K_M 0.0109."""

LOSSY_SHARE = 0.05
"""Of what the adapter itself changes, as a mean KL, that may be lost at most, however little it changes."""


class MakeLora(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write what a run's method changes in the base's weights as a plain LoRA adapter."""

    run: str
    """The run's folder."""
    base: str | None = None
    """Where the base lies now, if it was moved."""
    folder: str
    """An existing one, in which PEFT's two files appear."""
    rank: int | float | None = None
    """Of all matrices; a share below 1: of each one's energy that is kept; None: the least that holds all of it, or
    where none does, SHARE of it."""


class ProveAdapter(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Load an adapter anew, and hold it against the run's own model."""

    run: str
    base: str | None = None
    folder: str
    """The adapter's."""
    scratch: str
    """An empty folder for what the run's model does; removed by whoever made it."""
    of: str
    """What it is called in the proof."""
    alone: bool = True
    """Loaded by PEFT alone, not by the method's own torch half."""
    exact: bool = True
    """It claims to be the same model but for rounding."""
    cost: bool = False
    """Measure what it costs on held-out rows too."""


ConvertRequest = MakeLora | ProveAdapter


class MadeLora(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter was written."""

    rank: int
    kept: float
    """Of the energy of a matrix's change, where least of it was kept."""
    matrices: int
    """How many are changed."""


class ProvenAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter was held against the run's model."""

    proof: Proof
    cost: QualityCost | None = None
    unmeasured: str = ""
    """Why there is no cost, in a sentence, where one was asked for."""
