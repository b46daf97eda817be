"""The job `merge`: a run's adapter folded into its base model, written file by file, and proven."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from pegbox_methods.abilities import packs_base
from pegbox_methods.events import Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, NumberFormatName, read_artefact, write_artefact
from pegbox_runs.artefacts.making import Made, making
from pegbox_runs.artefacts.merging import MergeAnswer, MergeRequest, merge_order
from pegbox_runs.artefacts.record import record
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.artefacts.weight_files import FORMATS, StoredTensor, stored_tensors
from pegbox_runs.exporting.needs import logits_bytes
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.assembly import quiet
from pegbox_worker.base_model import fetch
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.merge.memory_need import Need, need_of, refuse_too_little_memory
from pegbox_worker.merge.proof import Outcome, prove
from pegbox_worker.merge.small_files import write_small_files
from pegbox_worker.merge.sources import ByMaps, Whole, admit_for, main_format, source_for
from pegbox_worker.merge.told import Teller

WORDS: dict[NumberFormatName, str] = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
NAMES = {word: name for name, word in WORDS.items()} | {"F64": "float64"}


def run(request: bytes, contact: Contact) -> MergeAnswer:
    """Answer a MergeRequest in JSON."""
    asked = msgspec.json.decode(request, type=MergeRequest)
    try:
        return MergeAnswer(artefact=_merged(asked, contact))
    except Refusal as refusal:
        return MergeAnswer(refused=refusal.sentence)


def _merged(asked: MergeRequest, contact: Contact) -> Artefact:
    """Raises: Refusal; OSError."""
    begun_at = time.monotonic()
    quiet()
    run = tuned_run(asked.run, base=asked.base)
    _refuse_unmergeable(run)
    found = fetch(run.recipe.model)
    stored = stored_tensors(found.folder / file for file in found.weight_files)
    place, tell = Path(asked.place), Teller(contact)
    with making(place, merge_order(run, found, asked.dtype)) as begun:
        if isinstance(begun, Made):
            return _proven_now(run, place, stored, asked, tell)
        word = None if asked.dtype == "auto" else WORDS[asked.dtype]
        source = _source(run, stored, word)
        needed = _bytes(stored, word) + (logits_bytes(run) if asked.prove else 0)
        refuse_too_little_room(place, needed, there=sum(one.bytes for one in begun.files.values()))
        need = need_of(run, source, stored)
        contact.tell(Notice(text=need.sentence, about="memory"))
        refuse_too_little_memory(need)
        source.write(begun, tell.heard)
        number_format = NAMES[word or main_format(stored)]
        write_small_files(run, begun, number_format, stored.keys())
        outcome = _proof(run, begun.folder, need, asked, tell, scratch=begun.folder)
        artefact = record(
            run,
            "merged",
            begun,
            began=begun_at,
            number_format=number_format,
            proofs=() if outcome.proof is None else (outcome.proof,),
            unproven=outcome.unproven,
            remarks=_remarks(run, outcome, source),
        )
        write_artefact(artefact, begun.folder)
        begun.finish()
    return artefact


def _refuse_unmergeable(run: TunedRun) -> None:
    """Raises: Refusal."""
    if "merge" in run.card.cannot:
        raise Refusal(f'{run.id}: the method "{run.card.name}" can\'t be merged: {run.card.cannot["merge"]}.')
    if "quantization_config" in run.model.config:
        raise Refusal(
            f"{run.model.name}: was published with packed weights (quantization_config), and an adapter isn't merged "
            "into rounded weights: that ruins it. Serve it with the adapter as it is."
        )


def _source(run: TunedRun, stored: dict[str, StoredTensor], word: str | None) -> ByMaps | Whole:
    odd = sorted({one.format for one in stored.values() if one.format.startswith(("F8", "F4", "F6"))})
    if odd:
        raise Refusal(
            f"{run.model.name}: has weights in {', '.join(odd)}, and an adapter isn't merged into rounded weights: "
            "that ruins it. Serve it with the adapter as it is."
        )
    admit_for(run)
    return source_for(run, stored, word)


def _proven_now(
    run: TunedRun, place: Path, stored: dict[str, StoredTensor], asked: MergeRequest, tell: Teller
) -> Artefact:
    """Prove what lies there, if that is wanted and wasn't done. Raises: Refusal; OSError."""
    there = read_artefact(place)
    if there is None:
        raise Refusal(f"{place}: its record has just gone.")
    if there.proven or not asked.prove:
        return there
    word = None if asked.dtype == "auto" else WORDS[asked.dtype]
    refuse_too_little_room(place, logits_bytes(run))
    need = need_of(run, _source(run, stored, word), stored)
    outcome = _proof(run, place, need, asked, tell, scratch=place.parent)
    proofs = () if outcome.proof is None else (outcome.proof,)
    remarks = (*there.remarks, *(remark for remark in outcome.remarks if remark not in there.remarks))
    proven = msgspec.structs.replace(there, proofs=proofs, unproven=outcome.unproven, remarks=remarks)
    write_artefact(proven, place)
    return proven


def _proof(run: TunedRun, folder: Path, need: Need, asked: MergeRequest, tell: Teller, *, scratch: Path) -> Outcome:
    """Raises: Refusal; OSError."""
    if not asked.prove:
        return Outcome(None, "it was made with --no-proof: `pegbox merge` without it proves what is there.")
    compute = need.proof_format()
    if compute is None:
        return Outcome(None, need.no_proof)
    return prove(run, folder, compute, tell.heard, scratch=scratch)


def _bytes(stored: dict[str, StoredTensor], word: str | None) -> int:
    return sum(one.bytes if word is None or not one.is_weight else one.count * FORMATS[word] for one in stored.values())


def _remarks(run: TunedRun, outcome: Outcome, source: ByMaps | Whole) -> list[str]:
    remarks = list(outcome.remarks)
    if isinstance(source, Whole):
        remarks.append(f"It was merged as a whole, not map by map: {source.why}.")
    if packs_base(run.recipe, run.card):
        remarks.append(
            "The run trained on its base packed into 4 bits, and was merged into the base as it was published: it is "
            "proven against that one with the adapter on it. `pegbox evaluate` tells what the other base makes of it."
        )
    return remarks
