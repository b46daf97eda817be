"""The target `ollama`: a GGUF file, and a Modelfile that has Ollama ask it as it was taught."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, read_artefact, write_artefact
from pegbox_runs.artefacts.making import Made, making, order_of
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.exporting import gguf
from pegbox_runs.exporting.adapter_files import put_link, put_text
from pegbox_runs.exporting.gguf_quants import quant_named
from pegbox_runs.exporting.gguf_way import named
from pegbox_runs.exporting.ollama_modelfile import MODELFILE, Told, context_of, modelfile, told_of
from pegbox_runs.exporting.ollama_parts import NotTakenApart
from pegbox_runs.exporting.targets import ExportOptions, Plan, default_place
from pegbox_runs.exporting.targets import Told as Heard
from pegbox_runs.light_tokenizer import LightTokenizer, template_file
from pegbox_runs.tuned import TunedRun

FORM = 1
QUANT = "q8_0"
"""Where none is named: half of float16, and hardly anything is lost."""


def folder_name(options: ExportOptions) -> str:
    """Name the folder below a run's `exports`. Raises: Refusal."""
    return f"ollama-{quant_named(options.quant or QUANT)}"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made. Raises: Refusal."""
    options = _with_quant(options)
    file = gguf.plan(run, default_place(run, "gguf", options), options)
    told, why_not = _told_or_why(run)
    return Plan(
        target="ollama",
        place=str(place),
        makes=(*file.makes, f"{MODELFILE}: the run's template in Ollama's language, end tokens, length of the context"),
        disk_bytes=file.disk_bytes,
        memory_bytes=file.memory_bytes,
        cannot=file.cannot or why_not,
        remarks=(*file.remarks, *(() if told is None else told.remarks)),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Heard) -> Artefact:
    """Make both, or find them made. Raises: Refusal; JobFailed; OSError."""
    options = _with_quant(options)
    begun_at = time.monotonic()
    says, why_not = _told_or_why(run)
    if says is None:
        raise Refusal(why_not or "")
    beside = default_place(run, "gguf", options)
    file = gguf.file_name(run, options)
    whole = gguf.export(run, beside, options, told, movable=False)
    text = modelfile(says, file, run=run.id, context=context_of(run.model.positions, run.recipe.training.length or 0))
    remarks = (*whole.remarks, *_remarks(says), *says.remarks)
    made = msgspec.structs.replace(
        whole, target="ollama", order=order_of("ollama", FORM, whole.order, text), remarks=remarks
    )
    with making(place, made.order) as begun:
        if isinstance(begun, Made):
            return _renewed(place, made)
        if place.parent.stat().st_dev != beside.stat().st_dev:  # else it is a second name of the same file
            refuse_too_little_room(place, whole.files[file].bytes)
        put_link(begun, file, beside / file)
        put_text(begun, MODELFILE, text)
        made = msgspec.structs.replace(made, files=begun.files, seconds=time.monotonic() - begun_at)
        write_artefact(made, begun.folder)
        begun.finish()
    return made


def commands(run: TunedRun, place: Path, options: ExportOptions) -> list[str]:
    """Give what to type next."""
    name = named(run, options.name)
    return [f"ollama create {name} -f {shlex.quote(str(place / MODELFILE))}", f"ollama run {name}"]


def _renewed(place: Path, made: Artefact) -> Artefact:
    """Take over what was proven since; the files are the same."""
    there = read_artefact(place)
    if there is None:
        raise Refusal(f"{place}: its record has just gone.")
    if there.proven or (there.proofs, there.unproven) == (made.proofs, made.unproven):
        return there
    remarks = tuple(dict.fromkeys((*there.remarks, *made.remarks)))
    now = msgspec.structs.replace(there, proofs=made.proofs, unproven=made.unproven, remarks=remarks)
    write_artefact(now, place)
    return now


def _told_or_why(run: TunedRun) -> tuple[Told | None, str | None]:
    """Translate the run's template; else say in a sentence or two why that can't be, and what to do instead."""
    try:
        return told_of(LightTokenizer(run.model.folder, template_file=template_file(run.recipe.model))), None
    except NotTakenApart as error:
        return None, (
            f"{run.id}: its chat template can't be written in Ollama's language: {error}. Export it to gguf, and serve "
            "that with llama.cpp's llama-server --jinja, which takes the template as it is."
        )
    except (OSError, ValueError) as error:
        return None, f"{run.model.name}: its tokenizer can't be read: {error}."


def _remarks(told: Told) -> tuple[str, ...]:
    shown = f"Its template writes what the run's does in {told.compared} conversations; " if told.compared else ""
    return (f"{shown}Ollama itself wasn't asked.",)


def _with_quant(options: ExportOptions) -> ExportOptions:
    return options if options.quant is not None else msgspec.structs.replace(options, quant=QUANT)
