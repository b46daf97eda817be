"""What was made of the run for other tools, and what was shown of it."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.results import Interval
from pegbox_runs.artefacts.artefact import Artefact, Proof, QualityCost
from pegbox_runs.figures import duration, size
from pegbox_runs.reporting import digits
from pegbox_runs.run_report.facts import Made, RunFacts
from pegbox_runs.run_report.parts import Grid, Part, Said, Section

PROOF_TITLES = ("Held", "Against", "Prompts", "Positions", "Mean KL", "Bound", "Same answers", "Verdict")


def artefacts(facts: RunFacts) -> Section:
    """List them."""
    if not facts.artefacts:
        said = "Nothing was made of this run in its folder yet: pegbox merge and pegbox export do."
        return Section("artefacts", "What was made of it", (Said(said),))
    rows = tuple(_row(made) for made in facts.artefacts)
    titles = ("Folder", "What", "Numbers", "Size", "Took", "Shown to be the same model")
    parts: list[Part] = [Grid(titles, rows, frozenset({3, 4}), "In the run's folder, below exports.")]
    proofs = tuple(proof_row(proof) for made in facts.artefacts for proof in made.artefact.proofs)
    if proofs:
        caption = "On held-out questions: distributions over the next token, in nats, and greedy answers."
        parts.append(Grid(PROOF_TITLES, proofs, frozenset({2, 3, 4, 5, 6}), caption))
    for made in facts.artefacts:
        parts += _said(made)
    return Section("artefacts", "What was made of it", tuple(parts))


def proof_row(proof: Proof) -> tuple[str, ...]:
    """Write a proof for a table."""
    return (
        proof.of,
        proof.against,
        f"{proof.prompts:,}",
        f"{proof.positions:,}",
        f"{proof.mean_kl:.2g}",
        f"{proof.bound_kl:.2g}",
        f"{proof.same_answers:,} of {proof.prompts:,}",
        "the same" if proof.passed else proof.why or "another model",
    )


def cost_said(cost: QualityCost) -> str:
    """Say what a conversion costs."""
    change = Interval(value=cost.loss_after - cost.loss_before, low=cost.low, high=cost.high)
    return (
        f"it costs {digits.together(digits.plain(change, sign=True))} nats per token on {cost.rows:,} held-out rows: "
        f"{digits.loss(cost.loss_before)} before, {digits.loss(cost.loss_after)} after"
    )


def verdict_of(artefact: Artefact) -> str:
    """Say whether it is shown to be the same model."""
    if artefact.unproven:
        return f"not shown: {artefact.unproven}"
    if not artefact.proofs:
        return "nothing in it could differ"
    return "yes" if artefact.proven else "NO"


def _row(made: Made) -> tuple[str, ...]:
    artefact = made.artefact
    bytes_ = sum(one.bytes for one in artefact.files.values())
    verdict = verdict_of(artefact) if made.whole else "damaged: files of it are gone or of another size"
    return (
        made.name,
        artefact.target,
        artefact.number_format or "as trained",
        size(bytes_),
        duration(artefact.seconds),
        verdict,
    )


def _said(made: Made) -> Iterator[Part]:
    if made.artefact.cost is not None:
        yield Said(f"{made.name}: {cost_said(made.artefact.cost)}.", "remark")
    yield from (Said(f"{made.name}: {remark}", "remark") for remark in made.artefact.remarks)
