"""The target `merged`: the adapter folded into its base, as `pegbox merge` makes it."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.advice.serving import why_not
from pegbox_runs.artefacts.artefact import Artefact
from pegbox_runs.artefacts.merging import merge_run
from pegbox_runs.exporting.needs import FLOAT32, merging_memory, weights_of
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.tuned import TunedRun


def folder_name(_options: ExportOptions) -> str:
    """Name the folder below a run's `exports`; `artefacts.merging.merged_place` names the same."""
    return "merged"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made."""
    return Plan(
        target="merged",
        place=str(place),
        makes=(f"the whole model, {in_words(options)}, with its tokenizer and template",),
        disk_bytes=merged_bytes(run, options),
        memory_bytes=merging_memory(run),
        cannot=why_not("merged", run.card, run.recipe.method.settings),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Merge, and prove it."""
    return merge_run(run, place, dtype=options.dtype, prove=options.prove, told=told)


def commands(_run: TunedRun, place: Path, _options: ExportOptions) -> tuple[str, ...]:
    """Give what loads it in Python."""
    return (
        "from transformers import AutoModelForCausalLM",
        f"model = AutoModelForCausalLM.from_pretrained({str(place)!r})",
    )


def in_words(options: ExportOptions) -> str:
    """Name a merged model's number format."""
    return "in the number format of the base" if options.dtype == "auto" else f"in {options.dtype}"


def merged_bytes(run: TunedRun, options: ExportOptions) -> int:
    """Give what the merged model takes on the disk, about."""
    named = str(run.model.config.get("dtype") or run.model.config.get("torch_dtype") or "")
    wide = options.dtype == "float32" or (options.dtype == "auto" and named == "float32")
    return weights_of(run) * (FLOAT32 if wide else 2)
