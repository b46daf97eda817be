"""A merged model in a folder of another target's, its weights given a second name so that they take no room twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.disk import share_a_disk
from pegbox_runs.artefacts.artefact import Artefact, Target, write_artefact
from pegbox_runs.artefacts.making import Made, Making, making
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.exporting.adapter_files import put_copy, put_link, put_text
from pegbox_runs.exporting.gguf_merged import merged_bytes, merged_of
from pegbox_runs.exporting.gguf_room import refuse_no_room
from pegbox_runs.exporting.proving import there
from pegbox_runs.exporting.targets import ExportOptions, Told
from pegbox_runs.models import CONFIG
from pegbox_runs.tuned import TunedRun

SAFETENSORS = ".safetensors"
"""Weights: too large to lie there twice, and nobody edits them."""


def linked_model(
    run: TunedRun,
    place: Path,
    target: Target,
    order: str,
    below: str,
    beside: Callable[[Making], None],
    remarks: tuple[str, ...],
    options: ExportOptions,
    told: Told,
) -> Artefact:
    """Merge a run, unless that is done, and put the model into a folder with what the target adds.

    `below`: the model's folder in it; empty: the folder itself. What was shown of the merged model holds for its files
    here: they are the same ones, or hold the same.
    Raises: Refusal; JobFailed; OSError.
    """
    began = time.monotonic()
    with making(place, order) as begun:
        if isinstance(begun, Made) and (there(place).proven or not options.prove):
            return there(place)
        to_merge = merged_bytes(run)
        if to_merge:
            refuse_no_room(run, place, 0, to_merge)
        merged = merged_of(run, told, prove=options.prove)
        if isinstance(begun, Made):
            found = _as_shown(there(place), merged.artefact)
            write_artefact(found, place)
            return found
        if not share_a_disk(place, merged.folder):  # else they are second names of the same files
            needed = sum(file.bytes for file in merged.artefact.files.values())
            refuse_too_little_room(place, needed, there=sum(file.bytes for file in begun.files.values()))
        for name in merged.artefact.files:
            _put(begun, f"{below}/{name}" if below else name, merged.folder / name)
        beside(begun)
        found = msgspec.structs.replace(
            merged.artefact,
            target=target,
            order=order,
            files=begun.files,
            remarks=(*merged.artefact.remarks, *remarks),
            seconds=time.monotonic() - began,
        )
        write_artefact(found, begun.folder)
        begun.finish()
    return found


def with_old_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Say a model's rope as older tools read it too: transformers 5 writes `rope_parameters` alone, and mlx-lm, or a
    vLLM on transformers 4, would take 10,000 for the base of the angles without a word.

    Source: ModelArgs in mlx_lm/models/llama.py; LlamaConfig of transformers 4.
    """
    rope = config.get("rope_parameters")
    if not isinstance(rope, Mapping) or "rope_theta" not in rope or "rope_theta" in config:
        return dict(config)  # rope by kind of layer is written in as many ways as there are models
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    scaled = rope.get("rope_type", "default") != "default"
    return {**config, "rope_theta": rope["rope_theta"], **({"rope_scaling": scaling} if scaled else {})}


def _put(begun: Making, name: str, source: Path) -> None:
    if source.suffix == SAFETENSORS:
        put_link(begun, name, source)
        return
    if source.name != CONFIG:  # people edit a template, and the proven model's own must stay as it was
        put_copy(begun, name, source)
        return
    config = with_old_rope(json.loads(source.read_text(encoding="utf-8")))
    put_text(begun, name, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _as_shown(artefact: Artefact, merged: Artefact) -> Artefact:
    return msgspec.structs.replace(
        artefact,
        proofs=merged.proofs,
        cost=merged.cost,
        unproven=merged.unproven,
        remarks=tuple(dict.fromkeys((*artefact.remarks, *merged.remarks))),
    )
