"""The target `gguf`: the merged model as one file for llama.cpp, Ollama and what stands on them."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, Proof, read_artefact, write_artefact
from pegbox_runs.artefacts.making import Made, Making, made_file, making, order_of
from pegbox_runs.artefacts.record import record
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.exporting.adapter_files import TOKENIZER
from pegbox_runs.exporting.gguf_architectures import remarks_on
from pegbox_runs.exporting.gguf_merged import Merged, merged_bytes, merged_of
from pegbox_runs.exporting.gguf_quants import PROOF_BYTES, QUANTS, file_bytes, quant_named
from pegbox_runs.exporting.gguf_request import GgufAnswer, ProveGguf, WriteGguf
from pegbox_runs.exporting.gguf_room import refuse_no_room
from pegbox_runs.exporting.gguf_tools import convert, quantize
from pegbox_runs.exporting.gguf_way import Way, named, way_of, weights_of
from pegbox_runs.exporting.needs import asking_bytes, logits_bytes, merging_memory
from pegbox_runs.exporting.proving import NOT_ASKED, base_facts
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.jobs import ask_worker
from pegbox_runs.tuned import TunedRun

FORM = 2
"""Raised when the same order would be carried out otherwise."""


def folder_name(options: ExportOptions) -> str:
    """Name the folder below a run's `exports`. Raises: Refusal."""
    return f"gguf-{quant_named(options.quant)}"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made. Raises: Refusal: no such number format; no llama.cpp where it was said to be."""
    quant = quant_named(options.quant)
    way = way_of(run, quant, options.llama_cpp)
    return Plan(
        target="gguf",
        place=str(place),
        makes=(f"{file_name(run, options)}: the whole model in {quant}, with its tokenizer and its chat template",),
        disk_bytes=_disk_bytes(run, way, options) + merged_bytes(run),
        memory_bytes=_memory_bytes(run, options),
        cannot=way.cannot,
        remarks=_remarks(run, way),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told, *, movable: bool = True) -> Artefact:
    """Make the file, or find it made, and prove it. `movable`: --output names the place.

    Raises: Refusal; JobFailed; OSError.
    """
    quant = quant_named(options.quant)
    way = way_of(run, quant, options.llama_cpp)
    if way.cannot is not None:
        raise Refusal(way.cannot)
    file = file_name(run, options)
    with making(place, _order(run, quant, file, way)) as begun:
        if isinstance(begun, Made):
            return _proven_now(run, place, way, options, told, movable=movable)
        begun_at = time.monotonic()
        there = sum(one.bytes for one in begun.files.values())
        needed = max(0, _disk_bytes(run, way, options) - there)
        refuse_no_room(run, place, needed, merged_bytes(run), movable=movable)
        merged = merged_of(run, told, prove=options.prove)
        answer = _add(run, begun, named(run, options.name), merged, way, told)
        shown = _shown(run, begun.folder / file, begun.folder, way, merged, options, told)
        said = (*_remarks(run, way), *answer.remarks, *shown.remarks)
        proofs, unproven = _proofs(merged, shown)
        made = record(
            run,
            "gguf",
            begun,
            began=begun_at,
            number_format=quant,
            proofs=proofs,
            unproven=unproven,
            remarks=tuple(dict.fromkeys(said)),
        )
        write_artefact(made, begun.folder)
        begun.finish()
    return made


def file_name(run: TunedRun, options: ExportOptions) -> str:
    """Name the file. Raises: Refusal."""
    return _file_name(named(run, options.name), quant_named(options.quant))


def commands(run: TunedRun, place: Path, options: ExportOptions) -> list[str]:
    """Give what to type next."""
    return [f"llama-server --jinja -m {shlex.quote(str(place / file_name(run, options)))}"]


def _order(run: TunedRun, quant: str, file: str, way: Way) -> str:
    by_whom = (way.script is not None, way.quantizer is not None)
    tokenizer = [made_file(path) for name in TOKENIZER if (path := run.model.folder / name).is_file()]
    return order_of("gguf", FORM, *base_facts(run), taught_template(run), tokenizer, quant, file, by_whom)


def _add(run: TunedRun, begun: Making, name: str, merged: Merged, way: Way, told: Told) -> GgufAnswer:
    """Write the file, unless an earlier try left it whole. `name`: the model's."""
    answers: list[GgufAnswer] = []

    def write_own(to: Path, quant: str) -> None:
        if way.script is not None:
            convert(way.script, merged.folder, to, quant)
            return
        asked = WriteGguf(run=_path(run), base=run.moved_base, model=_of(merged), file=str(to), name=name, quant=quant)
        answers.append(_asked(asked, told))

    def write(to: Path) -> None:
        if way.quantizer is None:
            write_own(to, way.quant)
        else:
            _by_quantizer(to, way, write_own)

    begun.add(_file_name(name, way.quant), write)
    return answers[0] if answers else GgufAnswer()


def _by_quantizer(to: Path, way: Way, write_own: Callable[[Path, str], None]) -> None:
    """Write the file in float16 first, and have llama.cpp make it smaller."""
    between = to.with_name(".f16.gguf")
    try:
        write_own(between, "f16")
        if way.quantizer is not None:
            quantize(way.quantizer, between, to, way.quant)
    finally:
        between.unlink(missing_ok=True)


def _shown(
    run: TunedRun, file: Path, beside: Path, way: Way, merged: Merged, options: ExportOptions, told: Told
) -> GgufAnswer:
    """Prove the file, if that is wanted. `beside`: a folder where logits may lie meanwhile."""
    if not options.prove:
        return GgufAnswer(unproven=NOT_ASKED)
    effects = [proof.effect_kl for proof in merged.artefact.proofs]
    with tempfile.TemporaryDirectory(prefix=".pegbox-proof-", dir=beside, ignore_cleanup_errors=True) as scratch:
        asked = ProveGguf(
            run=_path(run),
            base=run.moved_base,
            model=_of(merged),
            file=str(file),
            quant=way.quant,
            own=way.script is None and way.quantizer is None,
            effect_kl=next((effect for effect in effects if effect is not None), None),
            scratch=scratch,
        )
        return _asked(asked, told)


def _asked(request: WriteGguf | ProveGguf, told: Told) -> GgufAnswer:
    answer = ask_worker("gguf", request, GgufAnswer, timeout_seconds=None, told=told)
    if answer.refused:
        raise Refusal(answer.refused)
    return answer


def _proofs(merged: Merged, shown: GgufAnswer) -> tuple[tuple[Proof, ...], str]:
    """Put the two proofs together: of the merged model against the run's, and of the file against that.

    Returns: (both, why it isn't shown to be the same model).
    """
    proofs = (*merged.artefact.proofs, *(() if shown.proof is None else (shown.proof,)))
    if not shown.unproven and not merged.artefact.proven:
        return proofs, f"the merged model that it was made of isn't shown to be the run's: {merged.artefact.unproven}"
    return proofs, shown.unproven


def _proven_now(run: TunedRun, place: Path, way: Way, options: ExportOptions, told: Told, *, movable: bool) -> Artefact:
    """Prove what lies there, if that is wanted and wasn't done."""
    there = read_artefact(place)
    if there is None:
        raise Refusal(f"{place}: its record has just gone.")
    if there.proven or not options.prove:
        return there
    refuse_no_room(run, place, logits_bytes(run), merged_bytes(run), movable=movable)
    merged = merged_of(run, told, prove=True)
    shown = _shown(run, place / file_name(run, options), place.parent, way, merged, options, told)
    proofs, unproven = _proofs(merged, shown)
    remarks = tuple(dict.fromkeys((*there.remarks, *shown.remarks)))
    now = msgspec.structs.replace(there, proofs=proofs, unproven=unproven, remarks=remarks)
    write_artefact(now, place)
    return now


def _file_bytes(run: TunedRun, quant: str) -> int:
    return file_bytes(*weights_of(run), quant)


def _disk_bytes(run: TunedRun, way: Way, options: ExportOptions) -> int:
    """Estimate what the file's own folder takes at its highest, while it is made and proven."""
    between = 0 if way.quantizer is None else _file_bytes(run, "f16")
    return _file_bytes(run, way.quant) + max(between, logits_bytes(run) if options.prove else 0)


def _memory_bytes(run: TunedRun, options: ExportOptions) -> int:
    proof = PROOF_BYTES * weights_of(run)[0] + asking_bytes(run) if options.prove else 0
    return max(proof, merging_memory(run) if options.prove and merged_bytes(run) else 0)


def _file_name(name: str, quant: str) -> str:
    return f"{name}.{quant}.gguf"


def _remarks(run: TunedRun, way: Way) -> tuple[str, ...]:
    found = [*remarks_on(run.model.config)]
    if way.script is not None:
        found.append(f"Written by llama.cpp's script: {way.why_script}.")
    if way.quantizer is not None and not QUANTS[way.quant].own:
        found.append("Made smaller by llama.cpp's llama-quantize, from float16.")
    return tuple(found)


def _path(run: TunedRun) -> str:
    return str(run.folder.path.absolute())


def _of(merged: Merged) -> str:
    return str(merged.folder.absolute())
