"""The target `lora`: a plain LoRA adapter of any method: exact where it can be, else at a cost that is measured."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pegbox_methods.adapter_files import SAFE
from pegbox_methods.advice.serving import why_no_lora
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact
from pegbox_runs.artefacts.making import Making, order_of
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.checkpoints import tree_bytes
from pegbox_runs.exporting.adapter import base_remarks
from pegbox_runs.exporting.adapter import commands as adapter_commands
from pegbox_runs.exporting.adapter import remarks as adapter_remarks
from pegbox_runs.exporting.adapter_files import (
    adapter_config,
    is_plain_lora,
    put_adapter,
    put_link,
    put_text,
    put_tokenizer,
    with_plain_scale,
)
from pegbox_runs.exporting.conversion import EXACT, MOST_RANK, NOTE, SHARE, MadeLora, MakeLora
from pegbox_runs.exporting.needs import TOKENIZER_BYTES, float32_bytes, lora_bytes
from pegbox_runs.exporting.proving import Written, base_facts, make_adapter, peft_alone
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.jobs import ask_worker
from pegbox_runs.tuned import PEFT_CONFIG, TunedRun

FORM = 1
CONVERTED = ".converted"
"""Folder beside the files that are whole, in which the worker writes."""


def folder_name(options: ExportOptions) -> str:
    """Name the folder below a run's `exports`; each rank has its own."""
    return "lora" if options.rank is None else f"lora-{options.rank:g}"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made. Raises: Refusal: no such rank."""
    refuse_bad_rank(options)
    exact = exact_config(run, options)
    copies = 1 if exact is not None else 2
    return Plan(
        target="lora",
        place=str(place),
        makes=(f"a plain LoRA adapter: {_how(run, options, exact)}", "the base model's tokenizer and template"),
        disk_bytes=disk_bytes(run, options),
        memory_bytes=copies * float32_bytes(run),
        cannot=why_no_lora(run.card),
        remarks=adapter_remarks(run) if exact is not None else (_measured(options), *base_remarks(run)),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Convert it, and measure what that cost."""
    refuse_what_lora_cannot(run)
    refuse_bad_rank(options)
    order = order_of("lora", FORM, *base_facts(run), run.model.reference, taught_template(run), options.rank)

    def write(begun: Making) -> Written:
        return put_lora(begun, run, options, told)

    needed = disk_bytes(run, options)
    return make_adapter(run, place, "lora", order, write, of="lora", needed=needed, prove=options.prove, told=told)


def commands(run: TunedRun, place: Path, options: ExportOptions) -> tuple[str, ...]:
    """Give what loads it in Python."""
    return adapter_commands(run, place, options)


def refuse_what_lora_cannot(run: TunedRun) -> None:
    """Raises: Refusal: what the method changes can't be a LoRA adapter."""
    why = why_no_lora(run.card)
    if why is not None:
        raise Refusal(f"{run.id}: {why}")


def refuse_bad_rank(options: ExportOptions) -> None:
    """Raises: Refusal: a rank that is neither a whole number from 1 nor a share below 1."""
    rank = options.rank
    if rank is not None and not (0 < rank < 1 or (isinstance(rank, int) and rank >= 1)):
        raise Refusal(
            f"--rank {rank}: name a whole number from 1, a share of the change to keep such as 0.99, or auto."
        )


def exact_config(run: TunedRun, options: ExportOptions) -> dict[str, Any] | None:
    """Give the config that makes the run's own weights a plain LoRA adapter; None: they must be converted."""
    if not run.is_peft or options.rank is not None:
        return None
    config = adapter_config(run.adapter)
    # An adapter of a packed base makes good what packing took, and would add that to a base in full precision.
    if not is_plain_lora(config) or not peft_alone(run, "adapter"):
        return None
    return with_plain_scale(config) | {"base_model_name_or_path": run.model.reference}


def put_lora(begun: Making, run: TunedRun, options: ExportOptions, told: Told) -> Written:
    """Put a plain LoRA adapter there, with the base's tokenizer. Raises: Refusal; JobFailed; OSError."""
    exact = exact_config(run, options)
    if exact is not None:
        put_adapter(begun, run, exact)
        put_tokenizer(begun, run)
        rescaled = adapter_config(run.adapter).get("use_rslora")
        said = (f"rsLoRA's scale is written as alpha = {exact['lora_alpha']:g}, which every server reads.",)
        return Written(of="lora", exact=True, remarks=(*adapter_remarks(run), *(said if rescaled else ())))
    made = _converted(begun, run, options, told)
    put_tokenizer(begun, run)
    return Written(of="lora", exact=made.kept >= EXACT, remarks=(_said(run, made), *base_remarks(run)))


def _converted(begun: Making, run: TunedRun, options: ExportOptions, told: Told) -> MadeLora:
    """Have the worker convert, unless an earlier try left that whole."""
    if NOTE not in begun.files:
        aside = begun.folder / CONVERTED
        aside.mkdir()
        asked = MakeLora(run=str(run.folder.path.absolute()), base=run.moved_base, folder=str(aside), rank=options.rank)
        made = ask_worker("convert", asked, MadeLora, timeout_seconds=None, told=told)
        put_link(begun, SAFE, aside / SAFE)
        put_link(begun, PEFT_CONFIG, aside / PEFT_CONFIG)
        put_text(begun, NOTE, msgspec.json.encode(made).decode() + "\n")
        shutil.rmtree(aside)
    return msgspec.json.decode((begun.folder / NOTE).read_bytes(), type=MadeLora)


def disk_bytes(run: TunedRun, options: ExportOptions) -> int:
    """Add up what it takes; of a rank that isn't known yet, the most that is taken by itself."""
    if exact_config(run, options) is not None:
        return tree_bytes(run.adapter) + TOKENIZER_BYTES
    rank = options.rank if isinstance(options.rank, int) else MOST_RANK
    return lora_bytes(run, rank) + TOKENIZER_BYTES


def _how(run: TunedRun, options: ExportOptions, exact: Mapping[str, Any] | None) -> str:
    if exact is not None:
        rescaled = adapter_config(run.adapter).get("use_rslora")
        return "the run's own, rsLoRA's scale written as everybody reads it" if rescaled else "the run's own, unchanged"
    rank = options.rank
    if isinstance(rank, int):
        return f"what {run.card.title} changed in each matrix, to rank {rank}"
    if rank is None:
        return f"what {run.card.title} changed in each matrix: all of it, or {SHARE:.0%} where that takes a high rank"
    return f"what {run.card.title} changed in each matrix, {rank:.4g} of it"


def _measured(options: ExportOptions) -> str:
    held_out = "its loss on the run's held-out rows is taken before and after"
    return f"What the conversion costs is measured: {held_out}." if options.prove else f"Unless --no-proof: {held_out}."


def _said(run: TunedRun, made: MadeLora) -> str:
    if made.kept >= EXACT:
        return f"rank {made.rank} holds all that {run.card.title} changed, but for rounding."
    return (
        f"rank {made.rank} holds {made.kept:.1%} of what {run.card.title} changed in a matrix (its sum of squares), or "
        "more; a higher --rank holds more."
    )
