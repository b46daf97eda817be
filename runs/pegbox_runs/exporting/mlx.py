"""The target `mlx`: the merged model, which mlx-lm loads as it is, and what to type on a Mac."""

from __future__ import annotations

import shlex
from pathlib import Path

from pegbox_methods.advice.serving import about_model, why_not
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact
from pegbox_runs.artefacts.making import Making, order_of
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.exporting.adapter_files import put_text
from pegbox_runs.exporting.gguf_merged import merged_bytes
from pegbox_runs.exporting.linking import linked_model
from pegbox_runs.exporting.needs import merging_memory, model_type_of
from pegbox_runs.exporting.proving import base_facts
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.tuned import TunedRun

FORM = 1
NOTES = "MLX.txt"


def folder_name(_options: ExportOptions) -> str:
    """Name the folder below a run's `exports`."""
    return "mlx"


def plan(run: TunedRun, place: Path, _options: ExportOptions) -> Plan:
    """Tell what would be made."""
    return Plan(
        target="mlx",
        place=str(place),
        makes=(
            "the merged model with its tokenizer, of `pegbox merge`; its weights take no room twice",
            f"{NOTES}: what to type on a Mac",
        ),
        disk_bytes=merged_bytes(run),
        memory_bytes=merging_memory(run),
        cannot=why_not("mlx", run.card, run.recipe.method.settings),
        remarks=_remarks(run),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Merge, prove, and put it into a folder of its own."""
    why = why_not("mlx", run.card, run.recipe.method.settings)
    if why is not None:
        raise Refusal(f"{run.id}: {why}")
    order = order_of("mlx", FORM, *base_facts(run), taught_template(run))

    def beside(begun: Making) -> None:
        put_text(begun, NOTES, "\n".join(["On a Mac, in this folder:", "", *_typed(".", "../mlx-4bit"), ""]))

    return linked_model(run, place, "mlx", order, "", beside, _remarks(run), options, told)


def commands(_run: TunedRun, place: Path, _options: ExportOptions) -> tuple[str, ...]:
    """Give what to type on a Mac that has the folder."""
    return tuple(_typed(str(place), f"{place}-4bit"))


def _typed(model: str, smaller: str) -> list[str]:
    """Source: mlx-lm's README, Command Line."""
    ask = ["mlx_lm.generate", "--model", model, "--prompt", "Hello"]
    pack = ["mlx_lm.convert", "--hf-path", model, "-q", "--mlx-path", smaller]
    return ["pip install mlx-lm", shlex.join(ask), f"{shlex.join(pack)}   # in 4 bits, if memory is short"]


def _remarks(run: TunedRun) -> tuple[str, ...]:
    unknown = about_model("mlx", run.card, model_type_of(run))
    where = "Copy the folder to a Mac; MLX computes on Apple's chips. Whether it answers there as here isn't proven."
    return (where,) if unknown is None else (where, unknown)
