"""The model card: what the published files are, what they stand on, and what was measured of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pegbox_methods.hub_name import is_hub_id
from pegbox_runs.artefacts.artefact import NumberFormatName, Target
from pegbox_runs.reporting.markdown_text import code, table, words
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.sections.artefacts import PROOF_TITLES, cost_said, proof_row
from pegbox_runs.secrets import clean
from pegbox_runs.sharing.base import Base
from pegbox_runs.sharing.card_sections import cost, data, licence, machine, recipe_lines
from pegbox_runs.sharing.loading_code import how_to_load
from pegbox_runs.sharing.parcel import Parcel
from pegbox_runs.sharing.results import CardResults, result_lines

LIBRARIES: dict[Target, str] = {"adapter": "peft", "lora": "peft", "gguf": "gguf", "ollama": "gguf", "mlx": "mlx"}
"""As the Hub names what loads it; transformers for all others."""
RELATIONS: dict[Target, str] = {
    "adapter": "adapter",
    "lora": "adapter",
    "gguf": "quantized",
    "ollama": "quantized",
    "mlx": "quantized",
}
"""As the Hub names what a model is to its base; an adapter folded into it is a `finetune` (a `merge` has several)."""
KINDS: dict[Target, str] = {
    "adapter": "An adapter for",
    "lora": "A plain LoRA adapter for",
    "gguf": "A GGUF file, for llama.cpp and what is made of it, of",
    "ollama": "A GGUF file with a Modelfile, for Ollama, of",
    "mlx": "For MLX: a tuned",
}
"""What it is to the base, whose name follows."""
_TAG = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")


@dataclass(frozen=True)
class CardFacts:
    """All that a card is written from."""

    repo: str
    base: Base
    parcel: Parcel
    run: RunFacts
    results: CardResults
    packed: bool
    """Whether the training held the base in 4 bits."""


def card_text(facts: CardFacts) -> str:
    """Write the whole card, with its metadata. Secrets and the home's path are taken out."""
    from huggingface_hub import ModelCard

    body = "\n".join(_lines(facts)).rstrip() + "\n"
    text = f"---\n{_metadata(facts)}\n---\n\n{body}"
    return str(ModelCard(clean(text.encode()).decode()))


def _metadata(facts: CardFacts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    base, target, recipe = facts.base, facts.parcel.target, facts.run.recipe
    rows = recipe.rows.file if recipe else ""
    held_out = recipe.split.file or rows if recipe else ""
    method = recipe.method.name if recipe else ""
    terms = base.licence
    found = ModelCardData(
        base_model=base.hub_id,
        library_name=LIBRARIES.get(target, "transformers"),
        license=terms.id if terms else None,
        license_name=terms.name if terms else None,
        license_link=terms.link if terms else None,
        pipeline_tag="text-generation",
        tags=["pegbox", *([method] if _TAG.fullmatch(method) else [])],
        datasets=[rows] if is_hub_id(rows) else None,
        model_name=facts.repo.partition("/")[2] if facts.results.scores else None,  # it is that of the figures
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=held_out if is_hub_id(held_out) else "held-out-rows",
                dataset_name="held-out rows",
                metric_type=one.key,
                metric_name=one.name,
                metric_value=one.value,
                metric_args={**({"rows": one.rows} if one.rows else {}), **one.interval} or None,
            )
            for one in facts.results.scores
        ]
        or None,
    )
    if base.hub_id is not None:
        found["base_model_relation"] = RELATIONS.get(target, "finetune")
    return str(found.to_yaml()).strip()


def _lines(facts: CardFacts) -> Iterator[str]:
    parcel = facts.parcel
    name = facts.repo.partition("/")[2]
    yield f"# {words(name)}"
    yield ""
    kind = KINDS.get(parcel.target, "A tuned")
    yield f"{kind} {_base_link(facts.base)}{_method(facts.run)} with Pegbox."
    yield ""
    yield f"**{words(facts.results.verdict)}**"
    yield ""
    yield "## How to load it"
    yield ""
    yield from how_to_load(facts.repo, parcel, facts.base, packed_for=_packed_for(facts))
    for title, lines in (
        ("Results", result_lines(facts.results)),
        ("Whether it is the same model as the one that was trained", _proof(parcel)),
        ("What it was trained on", data(facts.run)),
        ("Recipe", recipe_lines(facts.run, facts.base)),
        ("What it took", cost(facts.run)),
        ("Machine and versions", machine(facts.run)),
        ("Licence", licence(facts.base)),
    ):
        told = list(lines)
        if told:
            yield from ("", f"## {title}", "", *told)


def _packed_for(facts: CardFacts) -> str | None:
    """Give the number format that the training computed its 4-bit base in; None: it wasn't in 4 bits."""
    if not facts.packed:
        return None
    prepared = facts.run.state.prepared
    return prepared.precision if prepared and prepared.precision in get_args(NumberFormatName) else "bfloat16"


def _base_link(base: Base) -> str:
    if base.hub_id is None:
        return words(base.name)
    return f"[{words(base.hub_id)}](https://huggingface.co/{base.hub_id})"


def _method(run: RunFacts) -> str:
    return f", trained by the method {code(run.recipe.method.name)}" if run.recipe else ", trained"


def _proof(parcel: Parcel) -> Iterator[str]:
    found = parcel.artefact
    if found is None:
        yield "These are the weights that the training saved, byte for byte: nothing was converted."
        return
    if found.proofs:
        yield "Held against the run's own model on held-out questions: the next token's distributions, greedy answers."
        yield ""
        yield from table(PROOF_TITLES, (list(map(words, proof_row(proof))) for proof in found.proofs))
    elif not found.unproven:
        yield "Nothing in it could differ from what the training saved."
    if parcel.unproven:
        yield ""
        yield f"**Not shown to be the same model:** {words(parcel.unproven)}"
    if found.cost is not None:
        yield ""
        yield words(f"The conversion isn't exact: {cost_said(found.cost)}.")
    for remark in found.remarks:
        yield ""
        yield words(remark)
