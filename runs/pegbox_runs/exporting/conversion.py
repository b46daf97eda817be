"""What the worker's job `convert` is asked, and what it answers: an adapter made into plain LoRA, and proven."""

from __future__ import annotations

import msgspec

from pegbox_runs.artefacts.artefact import Proof, QualityCost

NOTE = "pegbox-conversion.json"
"""What the job found, in a file beside the adapter that it wrote; an adapter that was only copied has none."""
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
"""Of what the adapter itself changes, as a mean KL or in the loss on held-out rows, that may be lost at most, however
little it changes."""

LOSSY_NATS = 0.01
"""Nats per labelled token that a conversion may cost on held-out rows at most. Source: as LOSSY_KL's."""
LEAST_NATS = 1e-5
"""What the losses of one model differ by at most, computed twice in float32."""


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


def why_too_dear(cost: QualityCost) -> str:
    """Say that a conversion costs more on held-out rows than the same model may; empty: it doesn't.

    The prompts of a proof don't show it all: they look at the model's own answers, and the rows have others.
    """
    gain = None if cost.loss_base is None else abs(cost.loss_base - cost.loss_before)
    most = LOSSY_NATS if gain is None else min(LOSSY_NATS, max(LOSSY_SHARE * gain, LEAST_NATS))
    if cost.low <= most:
        return ""
    whole = "" if gain is None else f"; the tuning itself changed {gain:.2g}"
    return (
        f"it costs {cost.loss_after - cost.loss_before:+.2g} nats per token on held-out rows ({cost.low:+.2g} to "
        f"{cost.high:+.2g}), and at most {most:.2g} counts as the same model{whole}. A higher --rank costs less."
    )
