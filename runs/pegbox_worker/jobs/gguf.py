"""The job `gguf`: a model's folder written as a GGUF file, and such a file read back and held against the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import AutoModelForCausalLM

from pegbox_hardware.memory import read_memory
from pegbox_methods.job_events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import SAME_KL, Proof
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.exporting.gguf_quants import PROOF_BYTES, QUANTS
from pegbox_runs.exporting.gguf_request import GgufAnswer, GgufRequest, ProveGguf, WriteGguf
from pegbox_runs.figures import size
from pegbox_runs.light_tokenizer import ends_of_model
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.assembly import quiet
from pegbox_worker.base_model import load_tokenizer
from pegbox_worker.gguf.comparing import differing_texts, same_prompts
from pegbox_worker.gguf.fields import config_of, fields_of
from pegbox_worker.gguf.reading import GgufFile, differing_fields, load_gguf, tokenizer_of
from pegbox_worker.gguf.vocabulary import vocabulary_of
from pegbox_worker.gguf.weights_held import HeldWeights, hold_weights
from pegbox_worker.gguf.writing import write_gguf
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.proving import hold_against, look_at, proof_examples, render
from pegbox_worker.tuned_model import device_for_use

SHORT_SHARE = 0.1
"""Of what the adapter changes, as a mean KL: what a number format may cost before that is said."""


def run(request: bytes, contact: Contact) -> GgufAnswer:
    """Answer a GgufRequest."""
    asked = msgspec.json.decode(request, type=GgufRequest)
    quiet()
    try:
        tuned = tuned_run(asked.run, base=asked.base)
        tokenizer = load_tokenizer(tuned.model, tuned.recipe.model)
        if isinstance(asked, WriteGguf):
            return _write(asked, tokenizer, contact)
        return _prove(asked, tuned, tokenizer, contact)
    except Refusal as refusal:
        return GgufAnswer(refused=refusal.sentence)


def _write(asked: WriteGguf, tokenizer: Any, contact: Contact) -> GgufAnswer:
    """Raises: Refusal; OSError."""
    model = Path(asked.model)
    config = config_of(model)
    vocabulary = vocabulary_of(tokenizer, config["vocab_size"], ends_of_model(model))
    fields = fields_of(config, vocabulary, name=asked.name, quant=asked.quant)
    write_gguf(model, config, Path(asked.file), fields, asked.quant, heard=_told(contact, f"writing {asked.quant}"))
    different = differing_fields(GgufFile(Path(asked.file)), fields)
    if different:
        raise Refusal(f"{asked.file}: reads back otherwise than it was written: {', '.join(different)}.")
    return GgufAnswer(remarks=vocabulary.remarks)


def _prove(asked: ProveGguf, tuned: TunedRun, tokenizer: Any, contact: Contact) -> GgufAnswer:
    """Hold a file against the merged model; where it can't be read back here, it stays unproven."""
    try:
        file = GgufFile(Path(asked.file))
        _refuse_too_little_memory(Path(asked.model))
        weights = _hold_weights(asked, tuned, file)
        proof, different = _held(asked, tuned, tokenizer, file, contact)
    except Refusal as refusal:
        return GgufAnswer(unproven=refusal.sentence)
    why = proof.why or weights.why
    proof = msgspec.structs.replace(
        proof, effect_kl=asked.effect_kl, weights_apart=weights.apart, passed=not why, why=why
    )
    return GgufAnswer(
        proof=proof,
        unproven=different or _too_little(proof, weights),
        remarks=(*_remarks(Path(asked.model), tokenizer), *([weights.remark] if weights.remark else []), *_cost(proof)),
    )


def _hold_weights(asked: ProveGguf, tuned: TunedRun, file: GgufFile) -> HeldWeights:
    """Compare the weights; where Pegbox doesn't know what GGUF calls them, nothing can be said."""
    try:
        config = config_of(Path(asked.model))
    except Refusal as refusal:
        return HeldWeights(unsure=refusal.sentence.rstrip("."))
    return hold_weights(file, Path(asked.model), tuned.model.folder, config, asked.quant, own=asked.own)


def _too_little(proof: Proof, weights: HeldWeights) -> str:
    """Say that a file can't be told from the untuned base; empty: it can, by its weights or by what it answers."""
    if not weights.unsure or not _costly(proof):
        return ""
    return (
        f"it differs from the merged model by {proof.mean_kl:.2g} nats per token, and the adapter itself changes "
        f"{proof.effect_kl:.2g}: too little to tell it from the untuned base. Its weights couldn't be compared: "
        f"{weights.unsure}."
    )


def _cost(proof: Proof) -> tuple[str, ...]:
    """Say what the number format costs where that is much beside what was learned."""
    if not _costly(proof):
        return ()
    return (
        f"The number format costs {proof.mean_kl:.2g} nats per token, and the adapter itself changes "
        f"{proof.effect_kl:.2g}: much of what was learned may be lost. Take a --quant with more bits.",
    )


def _costly(proof: Proof) -> bool:
    return proof.effect_kl is not None and proof.mean_kl > SAME_KL and proof.mean_kl >= SHORT_SHARE * proof.effect_kl


def _remarks(model: Path, tokenizer: Any) -> tuple[str, ...]:
    """Say of a file what was said when it was written, which may have been another time."""
    try:
        return vocabulary_of(tokenizer, config_of(model)["vocab_size"], ends_of_model(model)).remarks
    except Refusal:  # llama.cpp's script wrote it
        return ()


def _refuse_too_little_memory(model: Path) -> None:
    """Raises: Refusal."""
    stored = stored_tensors(sorted(model.glob("*.safetensors")))
    needed, free = PROOF_BYTES * sum(one.count for one in stored.values()), read_memory().available
    if needed > free:
        raise Refusal(
            f"a proof needs {size(needed)} of memory, and {size(free)} are free: give the same command again where "
            "there is more, and it proves what is there."
        )


def _held(asked: ProveGguf, tuned: TunedRun, tokenizer: Any, file: GgufFile, contact: Contact) -> tuple[Proof, str]:
    """Hold tokenizer and model against the run's. Returns: (proof, what differs in the tokens of texts).

    Raises: Refusal: this file can't be read back here.
    """
    read = tokenizer_of(file)
    device = device_for_use()
    examples = proof_examples(tuned, tokenizer)
    prompts = render(examples, tokenizer)
    same = same_prompts(examples, prompts, read)
    different = differing_texts(read, tokenizer)
    ends = ends_of_model(Path(asked.model)) | {tokenizer.eos_token_id}
    source = AutoModelForCausalLM.from_pretrained(
        asked.model, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    seen = look_at(
        source.to(device).eval(),
        prompts,
        padding=tokenizer.pad_token_id,
        ends=ends,
        device=device,
        folder=Path(asked.scratch),
        heard=_told(contact, "asking the merged model"),
    )
    del source
    proof = hold_against(
        seen,
        load_gguf(file, device),
        of=f"gguf {asked.quant}",
        against="merged",
        computed_in="float32",
        device=device,
        bound_kl=QUANTS[asked.quant].bound_kl,
        answers_must_agree=False,
        same_prompts=same,
        heard=_told(contact, "asking the GGUF file"),
    )
    return proof, _sentence(different)


def _sentence(different: list[str]) -> str:
    if not different:
        return ""
    return (
        f"{len(different)} of the texts that were tried give other tokens by the file than by the run's tokenizer, as "
        f"{different[0][:60]!r}."
    )


def _told(contact: Contact, doing: str) -> Callable[[int, int], None]:
    return lambda done, of: contact.tell(Progress(doing=doing, done=done, of=of))
