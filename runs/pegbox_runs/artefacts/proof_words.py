"""A proof of sameness in words and figures, for every screen and page that shows one."""

from __future__ import annotations

from pegbox_runs.artefacts.artefact import NOT_FINITE, SAME_KL, Artefact, Proof
from pegbox_runs.exporting.gguf_quants import QUANTS

FEW_BITS = 8
"""A number format with fewer loses much of a small model; one with as many doesn't, so something else went wrong."""


def verdict_of(made: Artefact) -> str:
    """Say in a sentence whether it is shown to be the same model."""
    failed = [proof for proof in made.proofs if not proof.passed]
    if failed and all(_rounded_too_far(made, proof) for proof in failed):
        return f"MUCH IS LOST: {_lost(failed[-1])}"
    if failed:
        return f"NOT THE SAME MODEL: {failed[0].why} Nothing was deleted; don't serve it."
    if made.unproven:
        return f"unproven: {made.unproven}"
    if made.proofs:
        return f"proven: {_shown(made, made.proofs[-1])}"
    return "made of the run's own files, unchanged"


def _shown(made: Artefact, last: Proof) -> str:
    """Say what the last proof shows: it is of the files that are there, and those before are of what led to them."""
    against = "the merged model" if last.against == "merged" else last.against
    if made.cost is not None or (made.number_format is None and last.mean_kl > SAME_KL):
        near = f"{last.mean_kl:.1e} nats per token from {against}, on {last.prompts} real prompts"
        measured = "" if made.cost is None else "; what that costs is measured below"
        return f"not the same model, and as near as {near}{measured}"
    other = last.prompts - last.same_answers
    if last.rounding_kl is None and not other and last.mean_kl <= SAME_KL:
        return f"the same model as {against}, on {last.prompts} real prompts"
    exact = last.rounding_kl is not None or last.weights_apart == 0
    said = f"{other or 'none'} of {last.prompts} greedy answers"
    return f"{against}, rounded to {made.number_format}{' and no more' if exact else ''}; that changes {said}"


def _rounded_too_far(made: Artefact, proof: Proof) -> bool:
    """Tell whether the weights are the merged model's, rounded to few bits, and nothing but that is too much."""
    quant = QUANTS.get(made.number_format or "")
    few = quant is not None and quant.bits < FEW_BITS and proof.against == "merged"
    only_far = proof.bound_kl < proof.mean_kl < NOT_FINITE and proof.same_prompts is not False
    return few and proof.weights_apart == 0 and only_far


def _lost(proof: Proof) -> str:
    return (
        f"{proof.of} holds the merged model's weights, rounded and no more, and that is further off than its bound: "
        f"{proof.mean_kl:.2g} nats per token, where {proof.bound_kl:.2g} is the most. Take a --quant with more bits."
    )


def figures_of(proof: Proof) -> list[tuple[str, str]]:
    """Give its figures, each with a name, in the order in which they matter."""
    bound = f"{proof.bound_kl:.1e}"
    told = [
        ("compared", f"{proof.of} against {proof.against}, computed in {proof.computed_in}"),
        ("same answers", f"{proof.same_answers} of {proof.prompts}, greedy, up to {proof.answer_tokens} tokens"),
        ("same likeliest token", f"{share(proof.same_first)} of {proof.positions:,} positions"),
        ("KL, mean (bound)", f"{proof.mean_kl:.1e} ({bound}) nats per token"),
        ("KL, largest", f"{proof.largest_kl:.1e}"),
        ("largest logit difference", f"{proof.largest_difference:.2g}"),
    ]
    if proof.effect_kl is not None:
        told.append(("the adapter itself changes", f"{proof.effect_kl:.1e} nats per token"))
    if proof.rounding_kl is not None:
        told.append(("rounding alone costs", f"{proof.rounding_kl:.1e} nats per token"))
    if proof.weights_apart is not None:
        merge = "the merged model's, rounded" if proof.against == "merged" else "the method's own merge"
        told.append(("weights", f"{_apart(proof.weights_apart)}, against {merge}"))
    if proof.same_prompts is not None:
        told.append(("prompts", "written the same" if proof.same_prompts else "WRITTEN OTHERWISE"))
    return told


def _apart(share: float) -> str:
    if share == 0:
        return "the same to the last bit"
    return f"apart by {share:.1e} of what the adapter changes" if share < NOT_FINITE else "apart where none may be"


def share(part: float) -> str:
    """Write a share as per cent, and never round one below the whole up to it."""
    return "100 %" if part == 1 else f"{min(100 * part, 99.9):.1f} %"
