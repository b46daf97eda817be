"""The proof of a merge: the base with the adapter on it, against the files that were written.

First the base with the adapter is asked, in float32. Then its method's own half merges it in memory, whole, and that is
held against the files weight by weight: a map that was left out or scaled wrongly shows there even where the adapter
changes next to nothing. Rounded as the files are, it also tells what rounding costs. Last, the files are loaded as any
tool loads them and asked the same. At most one model is in memory at a time.

Where memory is too small for float32, all is computed in 16 bits, and the files' weights are compared map by map with
those that merging gives; then rounding can't be told from small differences, and what isn't clear stays unproven.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import NOT_FINITE, SAME_KL, Proof
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.rows.example import Example
from pegbox_runs.tuned import TunedRun
from pegbox_worker.base_model import end_tokens
from pegbox_worker.merge.sources import CPU, ByMaps, Told, admit_for, source_for
from pegbox_worker.merge.weights_held import round_as, rounds, weights_apart, weights_apart_by_maps
from pegbox_worker.proof_prompts import proof_examples, render
from pegbox_worker.proving import Seen, distance_from, hold_against, look_at
from pegbox_worker.tuned_model import TunedModel, load_tuned

ROUNDING_SLACK = 1.25
"""By which the files may be farther from the base with the adapter than the same merge rounded in memory is."""
MOST_APART = 0.01
"""Share of an adapter's change of a matrix that may differ between two ways to merge it; those measured are 0."""
SHORT_SHARE = 0.1
"""Where both are computed in 16 bits: part of what the adapter changes by which they may differ."""
SHORT_FLOOR = 0.01
"""Mean KL in nats per token that computing in 16 bits may cost by itself, however little the adapter changes."""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    proof: Proof | None
    unproven: str = ""
    """Why nothing is shown, in a sentence."""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class InMemory:
    """What the method's own merge, whole and in float32, says of the files."""

    exact_kl: float
    """How far it is from the base with the adapter before it is rounded; 0 where it isn't."""
    apart: float | None
    """See `Proof.weights_apart`."""
    rounding_kl: float | None
    """How far it is when it is rounded as the files are; None: they aren't."""


def prove(run: TunedRun, folder: Path, compute: torch.dtype, told: Told, *, scratch: Path | None) -> Outcome:
    """Prove the merged model in a folder. `compute`: the number format of all models; `scratch`: where logits may lie.

    Raises: Refusal: the run's own model can't be loaded. OSError.
    """
    admit_for(run)
    with tempfile.TemporaryDirectory(prefix=".proof-", dir=scratch) as kept:
        tuned = load_tuned(run, device=CPU, weights=compute, packed=False)
        examples = proof_examples(run, tuned.tokenizer)
        if not examples:
            return Outcome(None, "no row of the run could be asked: all are too long for the model.")
        seen = _look(tuned, render(examples, tuned.tokenizer), Path(kept), told)
        effect = _effect(tuned, seen)
        same_prompts = _same_prompts(folder, examples, seen)
        exact = compute == torch.float32
        merged = _merge_in_memory(tuned, run, folder, seen, told) if exact else None
        del tuned
        gc.collect()
        rounding = None if merged is None else merged.rounding_kl
        proof = hold_against(
            seen,
            _load(folder, compute),
            of="merged",
            against="base + adapter",
            computed_in=str(compute).removeprefix("torch."),
            device=CPU,
            bound_kl=SAME_KL + ROUNDING_SLACK * (rounding or 0.0) if exact else SHORT_SHARE * (effect or 0.0),
            answers_must_agree=exact and rounding is None,
            same_prompts=same_prompts,
            heard=lambda done, of: told("asking the merged model", done, of),
        )
    gc.collect()
    apart = _by_maps(run, folder, told) if merged is None else merged.apart
    proof = msgspec.structs.replace(proof, effect_kl=effect, rounding_kl=rounding, weights_apart=apart)
    return _judged_short(proof) if merged is None else _judged(proof, merged)


def _by_maps(run: TunedRun, folder: Path, told: Told) -> float | None:
    """Compare the files' weights without a whole model in memory; None: this one is merged as a whole only."""
    told("comparing the weights", 0, 1)
    base = stored_tensors(run.model.folder / file for file in run.model.weight_files)
    source = source_for(run, base, None)
    return weights_apart_by_maps(source, base, folder) if isinstance(source, ByMaps) else None


def _judged_short(proof: Proof) -> Outcome:
    """Judge what was computed in 16 bits, where the two may differ by as much as the adapter changes."""
    effect = proof.effect_kl or 0.0
    sure = max(proof.mean_kl, proof.largest_kl, proof.largest_difference) >= NOT_FINITE or proof.same_prompts is False
    why = proof.why if sure else _wrong_weights(proof.weights_apart)
    if not why and proof.mean_kl > effect + SHORT_FLOOR:
        why = (
            f"merged: differs from the base with the adapter by {proof.mean_kl:.2g} nats per token, and the adapter "
            f"itself changes {effect:.2g}: that is more than rounding to {proof.computed_in} explains."
        )
    if why or proof.passed:
        return Outcome(msgspec.structs.replace(proof, passed=not why, why=why))
    return Outcome(
        None,
        f"in {proof.computed_in}, which is all that memory allowed, the two differ by {proof.mean_kl:.2g} nats per "
        f"token, and the adapter itself changes {effect:.2g}: too little to be told from rounding."
        + (" The weights in the files are those that merging gives." if proof.weights_apart is not None else ""),
    )


def _wrong_weights(apart: float | None) -> str:
    """Say what is wrong with the files' weights; empty: nothing that was found."""
    if apart is None or apart <= MOST_APART:
        return ""
    if apart >= NOT_FINITE:
        return (
            "merged: its weights aren't those that the method's own merge gives: one is no number, or differs from "
            "the base model's where the adapter changes nothing."
        )
    return (
        "merged: its weights aren't those that the method's own merge gives: in one matrix they differ by "
        f"{apart:.0%} of what the adapter changes."
    )


def _judged(proof: Proof, merged: InMemory) -> Outcome:
    why = proof.why
    if not why and not merged.exact_kl <= SAME_KL:
        why = f"merged: even in float32 the method's own merge differs by {merged.exact_kl:.2g} nats per token."
    why = why or _wrong_weights(merged.apart)
    return Outcome(msgspec.structs.replace(proof, passed=not why, why=why), remarks=_cost(proof))


def _cost(proof: Proof) -> tuple[str, ...]:
    """Say what rounding cost where that is much beside what was learned."""
    if not proof.rounding_kl or not proof.effect_kl or proof.rounding_kl < SHORT_SHARE * proof.effect_kl:
        return ()
    return (
        f"Rounding costs {proof.mean_kl:.2g} nats per token, and the adapter itself changes {proof.effect_kl:.2g}: "
        "much of what was learned is lost. Take --dtype float32.",
    )


def _look(tuned: TunedModel, prompts: list[list[int]], folder: Path, told: Told) -> Seen:
    tokenizer, base = tuned.tokenizer, tuned.model
    plain: Any = base.get_base_model() if hasattr(base, "get_base_model") else base
    return look_at(
        base,
        prompts,
        padding=tokenizer.pad_token_id,
        ends=end_tokens(plain) | {tokenizer.eos_token_id},
        device=CPU,
        folder=folder,
        heard=lambda done, of: told("asking the base with its adapter", done, of),
    )


def _effect(tuned: TunedModel, seen: Seen) -> float | None:
    """Measure what the adapter changes; None: it can't be put aside."""
    if not tuned.can_show_base:
        return None
    with tuned.as_base() as base:
        return distance_from(seen, base, CPU).mean_kl


def _merge_in_memory(tuned: TunedModel, run: TunedRun, folder: Path, seen: Seen, told: Told) -> InMemory:
    """Merge whole, by the method's own half; the model is used up."""
    told("merging in memory", 0, 1)
    merged = tuned.half.merge(tuned.model)
    base = stored_tensors(run.model.folder / file for file in run.model.weight_files)
    apart = weights_apart(merged, base, folder)
    if not rounds(folder):
        return InMemory(0.0, apart, None)  # the files will be held against the same bound
    exact = distance_from(seen, merged, CPU, lambda done, of: told("asking what was merged in memory", done, of))
    round_as(merged, folder)
    costs = distance_from(seen, merged, CPU, lambda done, of: told("asking it, rounded", done, of))
    return InMemory(exact.mean_kl, apart, costs.mean_kl)


def _same_prompts(folder: Path, examples: Sequence[Example], seen: Seen) -> bool:
    """Tell whether the tokenizer that lies in a folder writes the same prompts, in the same tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    try:
        return render(examples, tokenizer) == seen.prompts
    except Refusal:
        return False


def _load(folder: Path, compute: torch.dtype) -> nn.Module:
    model: nn.Module = AutoModelForCausalLM.from_pretrained(
        folder, dtype=compute, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    return model.eval()
