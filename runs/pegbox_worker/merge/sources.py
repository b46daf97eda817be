"""Where merged weights come from: the base's files and one adapted map at a time, or a whole model in memory."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pegbox_methods.abilities import packs_base
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.making import Making
from pegbox_runs.artefacts.weight_files import FORMATS, StoredTensor, stored_tensors
from pegbox_runs.models import INDEX
from pegbox_runs.tuned import TunedRun
from pegbox_worker.base_model import admit_bitsandbytes
from pegbox_worker.merge.hollow import HollowModel, NotByMaps
from pegbox_worker.merge.weight_bytes import (
    TORCH,
    Overflowed,
    Wanted,
    passed_through,
    read_weight,
    rounded,
    wanted,
    write_file,
)
from pegbox_worker.tuned_model import load_tuned

CPU = torch.device("cpu")
COPIES = 6
"""Of the largest adapted part in float32, that merging it by PEFT's code takes at most: its weights, their copy, the
change, its terms."""
WHOLE = 1.2
"""A whole model takes so much more while it is loaded and merged than its weights do."""
PASSING_BYTES = 96 * 2**20
"""What passes through: a piece of a weight in two number formats."""
SINGLE = "model.safetensors"
"""The name of a file that holds all weights."""
SHARD_BYTES = 5 * 10**9
"""Of a file, where the base model's own parting can't be kept; what the Hub's library takes too."""

Told = Callable[[str, int, int], None]
"""What is being done, the tensors that are done, and those in all."""


@dataclass
class ByMaps:
    """The files of the base model, one tensor at a time, with each adapted part merged when its turn comes."""

    layout: dict[str, list[Wanted]]
    """By file."""
    stored: Mapping[str, StoredTensor]
    """Where what isn't merged comes from."""
    hollow: HollowModel | None
    """None: nothing is merged, the stored ones are the result."""
    _kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        """What merging takes beside what the libraries do."""
        if self.hollow is None:
            return PASSING_BYTES
        largest = max(sum(shape.numel() for shape in part.values()) for part in self.hollow.parts.values())
        return self.hollow.adapter_bytes + COPIES * 4 * largest + PASSING_BYTES

    def write(self, begun: Making, told: Told) -> None:
        """Write each file that isn't whole yet. Raises: Refusal: a weight doesn't fit its new format. OSError."""
        total = sum(map(len, self.layout.values()))
        done = 0
        for number, (name, tensors) in enumerate(self.layout.items(), 1):
            shown = _Counted(told, f"merging {name}, file {number} of {len(self.layout)}", done, total)
            begun.add(name, partial(write_file, tensors=tensors, give=shown.each(self._pieces)))
            done += len(tensors)
        if len(self.layout) > 1 or next(iter(self.layout)) != SINGLE:
            begun.add(INDEX, self._write_index)

    def weight(self, name: str) -> Tensor:
        """Give one weight in float32, merged if it is one of those. Each can be had once. Raises: OSError."""
        part = None if self.hollow is None else self.hollow.part_of.get(name)
        return read_weight(self.stored[name]) if part is None else self._merged(part, name)

    def _merged(self, part: str, name: str) -> Tensor:
        if name not in self._kept and self.hollow is not None:
            self._kept |= self.hollow.merge(part)
        return self._kept.pop(name)

    def _pieces(self, one: Wanted) -> Iterator[bytes]:
        part = None if self.hollow is None else self.hollow.part_of.get(one.name)
        try:
            if part is None:
                yield from passed_through(self.stored[one.name], one.format)
                return
            yield from rounded(self._merged(part, one.name), one.format)
        except Overflowed as error:
            raise Refusal(
                f"{one.name}: holds numbers beyond what float16 reaches. Take --dtype bfloat16 or float32."
            ) from error

    def _write_index(self, path: Path) -> None:
        tensors = [(one, name) for name, file in self.layout.items() for one in file]
        told = {
            "metadata": {"total_size": sum(one.bytes for one, _ in tensors)},
            "weight_map": {one.name: name for one, name in sorted(tensors, key=lambda pair: pair[0].name)},
        }
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


@dataclass
class _Counted:
    """Tells how far it is, tensor by tensor."""

    told: Told
    doing: str
    done: int
    of: int

    def each(self, give: Callable[[Wanted], Iterator[bytes]]) -> Callable[[Wanted], Iterator[bytes]]:
        """Give tensors, and tell after each."""

        def given(one: Wanted) -> Iterator[bytes]:
            yield from give(one)
            self.done += 1
            self.told(self.doing, self.done, self.of)

        return given


@dataclass(frozen=True)
class Whole:
    """The whole model in float32, merged by its method's own half."""

    run: TunedRun
    format: str
    weights: int
    why: str
    """Why it can't be done map by map, as a clause."""

    @property
    def memory_bytes(self) -> int:
        """What merging takes beside what the libraries do."""
        models = 1 if self.run.is_peft else 2  # what isn't PEFT's may load what was trained as a model of its own
        return int(WHOLE * 4 * self.weights * models) + 2 * adapter_file_bytes(self.run)

    def write(self, begun: Making, told: Told) -> None:
        """Write all files at once. Raises: Refusal; OSError."""
        if _all_there(begun):
            return  # an earlier try was broken off after it
        told("loading the whole model", 0, 3)
        tuned = load_tuned(self.run, device=CPU, weights=torch.float32, packed=False)
        told("merging the whole model", 1, 3)
        merged: Any = tuned.half.merge(tuned.model)
        for name, weight in merged.named_parameters():
            if not weight.dtype.is_floating_point:
                continue
            weight.data = weight.data.to(TORCH[self.format])
            if self.format == "F16" and not weight.isfinite().all():
                raise Refusal(f"{name}: holds numbers beyond what float16 reaches. Take --dtype bfloat16 or float32.")
        told("writing the whole model", 2, 3)
        merged.save_pretrained(str(begun.folder), max_shard_size=SHARD_BYTES)
        for small in ("config.json", "generation_config.json"):
            (begun.folder / small).unlink(missing_ok=True)
        begun.adopt()
        told("merging", 3, 3)
        del tuned, merged
        gc.collect()


def _all_there(begun: Making) -> bool:
    """Tell whether every weight file of a model is whole: a single one, or all that the index names."""
    if INDEX not in begun.files:
        return SINGLE in begun.files
    index = json.loads((begun.folder / INDEX).read_text(encoding="utf-8"))
    return set(index["weight_map"].values()) <= begun.files.keys()


def source_for(run: TunedRun, stored: Mapping[str, StoredTensor], word: str | None) -> ByMaps | Whole:
    """Choose how a run is merged. `word`: the number format of the weights; None: each as the base has it.

    Raises: Refusal: a file of the adapter can't be read.
    """
    try:
        layout: dict[str, list[Wanted]] = {}
        for one in stored.values():
            layout.setdefault(one.file.name, []).append(wanted(one, word))
        whole = _whole_model(run)
        if whole is not None:
            if {name: one.shape for name, one in whole.items()} != {name: one.shape for name, one in stored.items()}:
                raise NotByMaps("its files name weights otherwise than the base model's")
            return ByMaps(layout, whole, None)
        return ByMaps(layout, stored, HollowModel(run, stored))
    except NotByMaps as reason:
        weights = sum(one.count for one in stored.values() if one.is_weight)
        return Whole(run, word or main_format(stored), weights, str(reason))


def _whole_model(run: TunedRun) -> dict[str, StoredTensor] | None:
    """Find the files of what was trained, where that is a whole model; None: it is an adapter."""
    if run.is_peft or not (run.adapter / "config.json").is_file():
        return None
    return stored_tensors(sorted(run.adapter.glob("*.safetensors")))


def admit_for(run: TunedRun) -> None:
    """Let bitsandbytes in for a run that had its base in 4 bits: a method may round as it does where it is loaded.

    Where it can't be had, such a method says so itself.
    """
    if packs_base(run.recipe, run.card):
        with contextlib.suppress(Refusal):
            admit_bitsandbytes()


def main_format(stored: Mapping[str, StoredTensor]) -> str:
    """Give the number format that most of a model's weights are stored in."""
    counts = {word: sum(one.count for one in stored.values() if one.format == word) for word in FORMATS}
    return max(counts, key=lambda word: counts[word])


def adapter_file_bytes(run: TunedRun) -> int:
    """Count the bytes of an adapter's weights on disk."""
    return sum(path.stat().st_size for path in run.adapter.rglob("*.safetensors"))
