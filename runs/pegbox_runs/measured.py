"""Level 3 of the forecast: a recipe's first steps, taken for real on the device in a throw-away process."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from typing import Literal

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_runs.learned import Observation, keep, learned_root, now
from pegbox_runs.preflight import check

PATIENCE_SECONDS = 600.0
"""Loading a large model from a slow disk takes most of it."""

FigureKind = Literal["card", "process"]
DeviceKind = Literal["cuda", "rocm", "cpu"]
PartName = Literal["loading", "worst shape", "mixed lengths", "worst shape again", "evaluation"]


class MeasureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker's job `measure` is asked."""

    recipe: Recipe
    """Complete, as preflight gives it."""
    trained_rows: int
    """A method with a schedule divides the steps that the whole run will take."""
    evaluates: bool
    """Whether the run holds rows out."""
    setting: str
    """Of `setting_of`; comes back with the answer."""
    scratch: str
    """A folder that is removed afterwards; the trainer wants one."""


class MeasuredPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the probe. Peaks since it began, in bytes."""

    name: PartName
    allocated_bytes: int
    reserved_bytes: int | None
    outside_bytes: int | None
    """On the card beside torch's allocator, when the part ended."""
    step_seconds: tuple[float, ...]
    """Of each optimizer step."""
    step_tokens: tuple[int, ...]
    """Of each optimizer step, without padding."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found. Bytes; None where this kind of device has no such figure, or the probe ended too early."""

    figures: FigureKind
    """`card`: of a GPU's memory. `process`: of the process' resident memory, on a CPU."""
    device_kind: DeviceKind
    device: str
    """As `probe()` names it."""
    driver: str | None
    torch: str
    """Version of the installed distribution, as importlib.metadata has it."""
    setting: str
    """The model and all of the recipe that moves speed or memory, as one hash."""
    parts: tuple[MeasuredPart, ...]
    """In the order in which they ran; the last one may have run out of memory."""
    allocated_bytes: int
    """Peak of what tensors held; of a process: of all it held above its libraries."""
    card_bytes: int
    """What the card shows for the process; of a process: its whole peak, libraries and all."""
    context_bytes: int | None
    reserved_bytes: int | None
    reserved_ratio: float | None
    """Peak of what torch's allocator held over that of what tensors held."""
    cache_flushes: int
    """Times that the allocator found no room until it gave its cache back; above 0 the card is all but full."""
    tokens_per_second: float | None
    """At the worst shape, without the first step."""
    step_seconds: float | None
    """Of one whole optimizer step of the recipe at the worst shape, all its micro-batches."""
    fits: bool
    ran_out_of_memory: str | None
    """The part in which it did."""
    notes: tuple[str, ...] = ()


def measure(
    recipe: Recipe,
    *,
    timeout_seconds: float = PATIENCE_SECONDS,
    file: str = "recipe",
    gpu: str | None = None,
    left: threading.Event | None = None,
) -> Measurement:
    """Train a recipe's first few steps at its worst-case shape on this machine's device, and remember what that taught.

    `file` is the name that faults are reported under; `gpu` what CUDA_VISIBLE_DEVICES shall name, as `Place.uuid` has
    it; another thread may set `left` to give it up. Nothing but `learned/` is written.
    Raises: Refusal: `pegbox train` would refuse the recipe too, or the model's weights aren't here yet; JobFailed.
    """
    checked = check(recipe, file=file)
    if not checked.model.complete:
        raise Refusal(
            f"{checked.model.name}: its weights aren't on this machine, and a measurement needs them. Fetch them with "
            f"`hf download {checked.model.name}`, or forecast with --level simulated, which needs none."
        )
    with tempfile.TemporaryDirectory(prefix="pegbox-measure-", ignore_cleanup_errors=True) as scratch:
        request = MeasureRequest(
            recipe=checked.recipe,
            trained_rows=len(checked.rows.trained),
            evaluates=bool(checked.rows.held_out),
            setting=setting_of(checked.recipe, checked.model.sha256()),
            scratch=scratch,
        )
        try:
            found = ask_worker("measure", request, Measurement, timeout_seconds=timeout_seconds, gpu=gpu, left=left)
        except JobFailed as failed:
            if "SIGKILL" not in failed.sentence:
                raise
            sentence = f"{failed.sentence}, which is what a system does whose memory ran out"
            raise JobFailed(sentence, log_tail=failed.log_tail) from failed
    try:
        remember(found)
    except OSError as error:
        note = f"what was learned can't be stored in {learned_root()}: {error.strerror or error}."
        return msgspec.structs.replace(found, notes=(*found.notes, note))
    return found


def setting_of(recipe: Recipe, model_sha256: str) -> str:
    """Hash a model and all of a recipe that moves a step's time. The recipe's settings must be complete."""
    training = recipe.training
    decisive = {
        "model": model_sha256,
        "method": recipe.method.name,
        "settings": recipe.method.settings,
        "micro_batch": training.micro_batch,
        "accumulation": training.accumulation,
        "length": training.length,
        "optimizer": training.optimizer,
        "precision": training.precision,
        "checkpointing": training.activation_checkpointing,
    }
    return hashlib.sha256(msgspec.json.encode(decisive, order="deterministic")).hexdigest()


def remember(found: Measurement) -> None:
    """Keep what a measurement taught about its card.

    One that ran out of memory, or whose allocator had to empty its cache, teaches nothing of use.
    Raises: OSError: the place can't be written.
    """
    if not found.fits or found.cache_flushes:
        return
    observation = Observation(
        when=now(),
        allocated_bytes=found.allocated_bytes,
        reserved_bytes=found.reserved_bytes,
        context_bytes=found.context_bytes,
        tokens_per_second=found.tokens_per_second,
    )
    keep(observation, found.setting, found.device, found.driver, found.torch)
