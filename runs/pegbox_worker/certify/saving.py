"""Checks of what a run leaves on disk: the adapter, the merged model, the checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn

from pegbox_methods.events import Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.event_log import EventReader
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.tensors import EQUAL, copied, differing, distance, logits_of, tensors_of
from pegbox_worker.certify.verdict import Shortfall, Verdict, apart, passed, sentence_of, some

KINDS_OF_FILES = frozenset({".safetensors", ".json", ".md", ".txt"})
"""What can't run code when it is opened."""
PEFT_CONFIG = "adapter_config.json"
RESUMED_STEPS = 6
RESUMED_DROPOUT = 0.1


def loads(case: Case) -> Verdict:
    """Save into an empty folder, load on a fresh base, compare logits."""
    others = sorted(_name(file, case.adapter) for file in _files(case.adapter) if file.suffix not in KINDS_OF_FILES)
    if others:
        raise Shortfall(
            f"save wrote {some(others)}; only safetensors, JSON and text can be opened without running code"
        )
    if not any(file.suffix == ".safetensors" for file in _files(case.adapter)):
        raise Shortfall("save wrote no .safetensors")
    loaded = case.half.load(case.base(), case.adapter)
    gap = distance(logits_of(loaded, case.compared), case.main.logits)
    if gap > EQUAL:
        raise Shortfall(f"loaded on a fresh base, its {apart(gap)}")
    size = sum(file.stat().st_size for file in _files(case.adapter))
    return passed(f"{apart(gap)}; {size / 1000:,.0f} kB")


def peft(case: Case) -> Verdict:
    """Load what was saved with PEFT alone, if it is in PEFT's form."""
    if not (case.adapter / PEFT_CONFIG).is_file():
        return Verdict("not-applicable", "it isn't saved as a PEFT adapter")
    loaded = PeftModel.from_pretrained(case.base(), str(case.adapter))
    gap = distance(logits_of(loaded, case.compared), case.main.logits)
    if gap > EQUAL:
        raise Shortfall(f"loaded with PEFT, its {apart(gap)}")
    return passed(apart(gap))


def merge(case: Case) -> Verdict:
    """Merge what was saved into a full-precision base, and compare with what was loaded there."""
    fresh = case.bench.base(packed=False)
    parts, plain = _parts(fresh), logits_of(fresh, case.compared)
    loaded = case.half.load(fresh, case.adapter)
    expected = logits_of(loaded, case.compared)
    if torch.equal(expected, plain):
        raise Shortfall("loaded on a full-precision base, it changes nothing")
    reason = case.card.cannot.get("merge")
    if reason is not None:
        refusal = _refusal(case, loaded)
        if refusal is None:
            raise Shortfall("the card says it can't, but half.merge does it")
        return Verdict("cannot", reason)
    merged = case.half.merge(loaded)
    gap = distance(logits_of(merged, case.compared), expected)
    if gap > EQUAL:
        raise Shortfall(f"merged, its {apart(gap)}")
    other = Counter(_parts(merged).items()) - Counter(parts.items())
    if other or len(_parts(merged)) != len(parts):
        left = [f"{name} ({kind})" for name, kind in other] or ["parts of the base are gone"]
        raise Shortfall(f"the merged model isn't made like the base model: {some(left)}")
    return passed(apart(gap))


def refuse_packed_merge(case: Case, model: nn.Module) -> None:
    """See that the half won't merge into 4-bit weights, which would ruin what was learned.

    Raises: Shortfall: it merges, or fails in another way than by refusing.
    """
    try:
        refusal = _refusal(case, model)
    except Exception as error:
        raise Shortfall(f"half.merge on a 4-bit base must refuse, and raised {sentence_of(error)}") from error
    if refusal is None:
        raise Shortfall("half.merge merges into a 4-bit base, which ruins the weights; it must refuse")


def resume(case: Case) -> Verdict:
    """Train with a checkpoint half-way, resume from it on a fresh base, and compare every bit of the end."""
    settings = {
        setting.name: RESUMED_DROPOUT
        for setting in case.card.settings
        if "dropout" in setting.name and setting.accepts(RESUMED_DROPOUT)
    }

    def attempt(steps: int) -> Verdict:
        recipe = case.recipe(steps, settings)
        attached = case.attach(recipe)
        begun = copied(tensors_of(attached.model))
        half_way = steps // 2
        whole = case.train(recipe, attached, save_at=half_way)
        checkpoint = whole.folder.checkpoints / f"checkpoint-{half_way}"
        if not checkpoint.is_dir():
            raise Shortfall(_why_no_checkpoint(whole.folder.events))
        again = case.attach(recipe)
        other = differing(begun, tensors_of(again.model))
        if other:
            raise Shortfall(f"attached twice with the same seed, these are others: {some(other)}")
        resumed = case.train(recipe, again, resume_from=checkpoint)
        other = differing(tensors_of(whole.attached.model), tensors_of(resumed.attached.model))
        if other:
            raise Shortfall(f"after {steps} steps, resumed after {half_way}, these are others: {some(other)}")
        return passed(f"{steps} steps, resumed after {half_way}{', with dropout' if settings else ''}")

    return case.fitting(RESUMED_STEPS, attempt)


def _refusal(case: Case, model: nn.Module) -> Refusal | None:
    try:
        case.half.merge(model)
    except Refusal as refusal:
        return refusal
    return None


def _parts(model: nn.Module) -> dict[str, str]:
    """Name a model's parts and weights, each with its kind."""
    parts = {name: type(part).__name__ for name, part in model.named_modules()}
    return parts | {name: f"{tuple(weight.shape)}" for name, weight in model.named_parameters()}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _name(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder))


def _why_no_checkpoint(events: Path) -> str:
    told = [event for block in EventReader(events).new() for event in block]
    notices = [event.text for event in told if isinstance(event, Notice) and event.about == "checkpoint-failed"]
    return notices[-1] if notices else "the trainer didn't say why"
