"""A proof of sameness in words and figures, for every screen and page that shows one."""

from __future__ import annotations

from pegbox_runs.artefacts.artefact import Artefact, Proof


def verdict_of(made: Artefact) -> str:
    """Say in a sentence whether it is shown to be the same model."""
    failed = [proof.why for proof in made.proofs if not proof.passed]
    if failed:
        return f"NOT THE SAME MODEL: {failed[0]} Nothing was deleted; don't serve it."
    if made.unproven:
        return f"unproven: {made.unproven}"
    if made.proofs:
        first = made.proofs[0]
        if made.cost is not None:
            near = f"{first.mean_kl:.1e} nats per token from {first.against}, on {first.prompts} real prompts"
            return f"proven: not the same model, and as near as {near}; what that costs is measured below"
        if first.rounding_kl is not None:
            other = first.prompts - first.same_answers
            said = f"{other} of {first.prompts} greedy answers" if other else f"none of {first.prompts} greedy answers"
            return f"proven: {first.against}, rounded to {made.number_format} and no more; that changes {said}"
        return f"proven: the same model as {first.against}, on {first.prompts} real prompts"
    return "made of the run's own files, unchanged"


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
        same = "the same to the last bit" if proof.weights_apart == 0 else f"apart by {proof.weights_apart:.1e}"
        told.append(("weights", f"{same}, against the method's own merge"))
    if proof.same_prompts is not None:
        told.append(("prompts", "written the same" if proof.same_prompts else "WRITTEN OTHERWISE"))
    return told


def share(part: float) -> str:
    """Write a share as per cent, and never round one below the whole up to it."""
    return "100 %" if part == 1 else f"{min(100 * part, 99.9):.1f} %"
