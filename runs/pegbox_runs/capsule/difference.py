"""Where a replayed run came out otherwise: the first step, the evaluations, the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from pegbox_methods.events import Evaluation, Event, Step
from pegbox_runs.capsule import contents as names
from pegbox_runs.capsule import opening
from pegbox_runs.capsule.checking import Difference
from pegbox_runs.capsule.opening import Opened
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import OF_THE_FILE, PEFT_CONFIG, own_config


class LossDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that isn't the capsule's."""

    step: int
    there: float
    here: float


class WeightDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The tensor that differs most."""

    tensor: str
    largest: float
    """Difference of two of its numbers."""
    largest_value: float
    """Its largest number in the capsule, for comparison."""
    differing: int
    """Tensors that differ at all."""
    tensors: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the same came of a replayed run."""

    equal: bool
    """Every file of the adapter's weights is the same, and so is what its config makes of them."""
    same_weights: bool
    """Every file of the adapter's weights is the same, whatever its config says."""
    run: str
    """The replay's id."""
    kept: bool
    """Whether the replay stays in the list of runs."""
    steps: int
    """Steps that both have."""
    first: LossDifference | None
    """The first step whose loss differs."""
    largest: LossDifference | None
    evaluations: tuple[LossDifference, ...]
    """Those that differ."""
    missing: tuple[str, ...]
    """Steps, evaluations or files that one of the two lacks, in words."""
    config: tuple[str, ...]
    """Keys of the adapter's config that differ, those of `OF_THE_FILE` left out."""
    weights: WeightDifference | None
    environment: tuple[Difference, ...]
    explained: str
    """What may be the reason, in a sentence; empty: they are equal."""


def verdict_of(opened: Opened, replay: RunFolder, environment: Sequence[Difference], *, kept: bool) -> Verdict:
    """Hold a finished replay against its capsule. Raises: Refusal: the capsule's records can't be read. OSError."""
    there, here = opened.told(), _told(replay)
    steps, step_gaps, missing_steps = _losses(there, here, Step)
    _, evaluation_gaps, missing_looks = _losses(there, here, Evaluation)
    missing, config, weights = _adapters(opened, replay)
    same_weights = not missing and weights is None
    equal = same_weights and not config
    return Verdict(
        equal=equal,
        same_weights=same_weights,
        run=replay.id,
        kept=kept,
        steps=steps,
        first=step_gaps[0] if step_gaps else None,
        largest=max(step_gaps, key=lambda gap: abs(gap.there - gap.here), default=None),
        evaluations=tuple(evaluation_gaps),
        missing=(*missing_steps, *missing_looks, *missing),
        config=config,
        weights=weights,
        environment=tuple(environment),
        explained="" if equal else _explained(environment, step_gaps, same_weights=same_weights),
    )


def adapter_sha256(opened: Opened) -> str:
    """Hash the capsule's adapter as `TunedRun.adapter_sha256` hashes one on disk."""
    digest = hashlib.sha256()
    for name, member in sorted(opened.contents.members.items()):
        if name.startswith(names.ADAPTER) and name.endswith(".safetensors"):
            digest.update(name.removeprefix(names.ADAPTER).encode())
            digest.update(bytes.fromhex(member.sha256))
    config = f"{names.ADAPTER}{PEFT_CONFIG}"
    digest.update(own_config(opened.text(config)) if config in opened.contents.members else b"")
    return digest.hexdigest()


def _told(replay: RunFolder) -> list[Event]:
    return [
        event for block in EventReader(replay.events).new() for event in block if isinstance(event, Step | Evaluation)
    ]


def _losses(
    there: Sequence[Event], here: Sequence[Event], kind: type[Step] | type[Evaluation]
) -> tuple[int, list[LossDifference], list[str]]:
    """Compare the losses of the steps, or of the evaluations, that both have; a step told twice counts as it was told
    last, and an evaluation made only because a run ended there is left out."""
    one, other = _by_step(there, kind), _by_step(here, kind)
    both = sorted(one.keys() & other.keys())
    gaps = [LossDifference(step=at, there=one[at], here=other[at]) for at in both if one[at] != other[at]]
    word = "step" if kind is Step else "evaluation after step"
    lacking = [f"{word} {at} {_only_in(capsule=at in one)}" for at in sorted(one.keys() ^ other.keys())]
    return len(both), gaps, lacking[:5]


def _only_in(*, capsule: bool) -> str:
    return f"is only in {'the capsule' if capsule else 'the replay'}"


def _by_step(told: Sequence[Event], kind: type[Step] | type[Evaluation]) -> dict[int, float]:
    found = {}
    for event in told:
        if isinstance(event, kind) and not (isinstance(event, Evaluation) and event.extra):
            found[event.step] = event.loss
    return found


def _adapters(opened: Opened, replay: RunFolder) -> tuple[list[str], tuple[str, ...], WeightDifference | None]:
    """Compare both adapters. Returns: files that one lacks, keys of the config that differ, how weights differ."""
    packed = {
        name.removeprefix(names.ADAPTER): member
        for name, member in opened.contents.members.items()
        if name.startswith(names.ADAPTER) and name.endswith(".safetensors")
    }
    written = {path.relative_to(replay.adapter).as_posix(): path for path in replay.adapter.rglob("*.safetensors")}
    lacking = [f"{name} {_only_in(capsule=name in packed)}" for name in packed.keys() ^ written.keys()]
    found: WeightDifference | None = None
    for name in sorted(packed.keys() & written.keys()):
        with written[name].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == packed[name].sha256:
                continue
        one = _weights(opened, name, written[name])
        if found is None or one.largest > found.largest:
            found = one
    return sorted(lacking), _configs(opened, replay), found


def _weights(opened: Opened, name: str, here: Path) -> WeightDifference:
    """Compare two files of weights whose bytes differ, number by number where memory may hold them."""
    whole = WeightDifference(tensor=name, largest=float("nan"), largest_value=float("nan"), differing=1, tensors=1)
    if max(opened.contents.members[f"{names.ADAPTER}{name}"].bytes, here.stat().st_size) > opening.TEXT_BYTES:
        return whole
    try:
        one, other = load(opened.text(f"{names.ADAPTER}{name}")), load(here.read_bytes())
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError):  # a number format that NumPy lacks
        return whole
    if {key: value.shape for key, value in one.items()} != {key: value.shape for key, value in other.items()}:
        return whole
    gaps = {key: _gap(one[key], other[key]) for key in one}
    if not gaps:
        return whole
    worst = max(gaps, key=gaps.__getitem__)
    return WeightDifference(
        tensor=worst,
        largest=gaps[worst],
        largest_value=float(np.abs(one[worst].astype(np.float64)).max(initial=0.0)),
        differing=sum(gap > 0 for gap in gaps.values()),
        tensors=len(gaps),
    )


def _gap(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))


def _configs(opened: Opened, replay: RunFolder) -> tuple[str, ...]:
    name = f"{names.ADAPTER}{PEFT_CONFIG}"
    here = replay.adapter / PEFT_CONFIG
    if name not in opened.contents.members or not here.is_file():
        return () if (name in opened.contents.members) == here.is_file() else (PEFT_CONFIG,)
    try:
        one, other = json.loads(opened.text(name)), json.loads(here.read_bytes())
    except (ValueError, RecursionError):
        return (PEFT_CONFIG,)
    if not isinstance(one, dict) or not isinstance(other, dict):
        return (PEFT_CONFIG,)
    keys = (one.keys() | other.keys()) - OF_THE_FILE
    return tuple(sorted(key for key in keys if one.get(key) != other.get(key)))


def _explained(environment: Sequence[Difference], gaps: Sequence[LossDifference], *, same_weights: bool) -> str:
    reasons = [one.about for one in environment if one.weight == "may-explain"]
    if same_weights:
        return "the weights are the same; only the adapter's config differs."
    if reasons:
        small = max((abs(gap.there - gap.here) / max(abs(gap.there), 1e-9) for gap in gaps), default=0.0)
        size = "by as little as rounding does" if small < 0.01 else "by more than rounding alone does at first"
        return f"other here: {', '.join(reasons)}. That may well be why; the losses differ {size}."
    return "nothing that is known of the machine and its libraries differs, so the reason isn't known."
