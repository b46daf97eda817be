"""A GGUF file's weights held against the merged model's: probabilities alone can't tell it from the untuned base, where
the adapter changes less than a number format costs.

What Pegbox wrote itself must be the merged weights in the file's number format, to the last bit. What llama.cpp's
programs wrote can't be made again here; but of what the adapter changes in the weights, rounding hides no part: along
that change the errors of millions of weights cancel out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import ReaderTensor, quants

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import NOT_FINITE
from pegbox_worker.gguf.reading import GgufFile
from pegbox_worker.gguf.writing import Plan, Weights, converted, plans

LEAST_KEPT, MOST_KEPT = 0.8, 1.2
"""Of what the adapter changes, the part that is found in a file: 1 in the tuned model, 0 in its base."""
SURE = 0.1
"""The largest standard error of that part at which it tells anything."""


@dataclass(frozen=True)
class HeldWeights:
    """What came of it."""

    apart: float | None = None
    """See `Proof.weights_apart`; None: the file is in numbers that Pegbox doesn't write."""
    why: str = ""
    """What speaks against its being the merged model, in a sentence."""
    unsure: str = ""
    """Why nothing can be said, in a clause."""
    remark: str = ""


def hold_weights(
    file: GgufFile, merged: Path, base: Path, config: Mapping[str, Any], quant: str, *, own: bool
) -> HeldWeights:
    """Compare them, tensor by tensor. `own`: Pegbox' writer made the file of the merged model's folder."""
    with Weights(merged) as tuned, Weights(base) as untuned:
        if not own:
            return _along_the_change(file, tuned, untuned, config)
        planned, there = list(plans(tuned, config, quant)), file.tensors()
        strange = {plan.name for plan in planned} ^ there.keys()
        if strange:
            return HeldWeights(None, f"gguf {quant}: its tensors aren't the merged model's: {min(strange)}.")
        apart = max((_apart(there[plan.name], plan, tuned, untuned) for plan in planned), default=0.0)
    return HeldWeights(apart, _against_bits(apart, quant))


def _against_bits(apart: float, quant: str) -> str:
    if not apart:
        return ""
    much = "more than can be told" if apart >= NOT_FINITE else f"{apart:.0%} of what the adapter changes"
    return f"gguf {quant}: its weights aren't the merged model's, rounded: in one matrix they differ by {much}."


def _apart(found: ReaderTensor, plan: Plan, tuned: Weights, untuned: Weights) -> float:
    """Give how far one tensor is from the merged one in its number format, as a share of what merging changed in it."""
    expected = converted(tuned, plan)
    if found.tensor_type == plan.kind and np.array_equal(_bits(found.data), _bits(expected)):
        return 0.0
    if _shape(found) != plan.shape or plan.source not in untuned.names():
        return NOT_FINITE
    wanted = quants.dequantize(expected, plan.kind).reshape(plan.shape)
    distance = _length(_values(found) - wanted)
    if not distance:
        return 0.0
    changed = _length(quants.dequantize(converted(untuned, plan), plan.kind).reshape(plan.shape) - wanted)
    share = distance / changed if changed else NOT_FINITE
    return share if math.isfinite(share) else NOT_FINITE


def _along_the_change(file: GgufFile, tuned: Weights, untuned: Weights, config: Mapping[str, Any]) -> HeldWeights:
    """Find how much of what the adapter changes is in a file of whatever number format."""
    along = squared = noise = 0.0
    try:
        known = set(untuned.names())
        planned = [plan for plan in plans(tuned, config, "f32") if plan.source in known]
    except Refusal as refusal:
        return HeldWeights(unsure=refusal.sentence.rstrip("."))
    there = file.tensors()
    for plan in planned:
        found = there.get(plan.name)
        if found is None or _shape(found) != plan.shape:
            return HeldWeights(None, f"gguf: its tensors aren't the merged model's: {plan.name}.")
        wanted, before = converted(tuned, plan), converted(untuned, plan)
        change = (wanted - before).astype(np.float64)
        if not change.any():
            continue
        try:
            values = _values(found)
        except NotImplementedError:
            return HeldWeights(unsure=f"its tensors of the kind {found.tensor_type.name} can't be read here")
        along += float((change * (values - before)).sum())
        squared += float((change**2).sum())
        noise += float((change**2).sum()) * float(((values - wanted).astype(np.float64) ** 2).mean())
    return _judged(along, squared, noise)


def _judged(along: float, squared: float, noise: float) -> HeldWeights:
    if not squared:
        return HeldWeights(unsure="the adapter changes none of the weights")
    kept, error = along / squared, math.sqrt(noise) / squared
    if not (math.isfinite(kept) and math.isfinite(error)):
        return HeldWeights(None, "gguf: its weights aren't finite.")
    if error > SURE:
        return HeldWeights(unsure="what the adapter changes in the weights is too little beside what rounding does")
    said = f"of what the adapter changes in the weights, {kept:.0%} is in the file"
    if not LEAST_KEPT <= kept <= MOST_KEPT:
        return HeldWeights(None, f"gguf: {said}; it isn't the tuned model.")
    return HeldWeights(remark=f"{said[0].upper()}{said[1:]}.")


def _values(tensor: ReaderTensor) -> np.ndarray:
    return quants.dequantize(tensor.data, tensor.tensor_type).reshape(_shape(tensor))


def _shape(tensor: ReaderTensor) -> tuple[int, ...]:
    """Give a tensor's shape as torch has it; a file tells it the other way round."""
    return tuple(int(size) for size in reversed(tensor.shape))


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def _length(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))
