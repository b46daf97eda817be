"""The target `vllm`: what vLLM serves of a run, and the command that starts it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pegbox_methods.advice.serving import (
    VLLM_ADAPTS_NOT,
    VLLM_DEFAULT_RANK,
    VLLM_RANKS,
    about_model,
    vllm_rank,
    why_no_lora,
    why_no_vllm_adapter,
    why_not,
)
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact
from pegbox_runs.artefacts.making import Making, order_of
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.exporting import adapter, lora
from pegbox_runs.exporting.adapter_files import TEMPLATE, adapter_config, put_text
from pegbox_runs.exporting.gguf_merged import merged_bytes
from pegbox_runs.exporting.linking import linked_model
from pegbox_runs.exporting.needs import float32_bytes, merging_memory, model_type_of
from pegbox_runs.exporting.proving import Written, base_facts, make_adapter
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.printable import one_line, printable
from pegbox_runs.tuned import TunedRun

FORM = 1
SERVE, MODEL = "serve.sh", "model"
COMMENT_WIDTH = 300
NAME = re.compile(r"[A-Za-z0-9._/-]+")
"""A model's name: `--lora-modules` takes NAME=PATH, and reads more out of other signs."""
PORT = 8000
"""vLLM's own default. Source: vLLM's documentation, `vllm serve`."""
ELSEWHERE = (
    "So vLLM has no way to serve it. `--to adapter` gives PEFT and transformers what they load; for vLLM, train with "
    "another method, such as LoRA."
)

Way = Literal["adapter", "lora", "merged"]


def folder_name(options: ExportOptions) -> str:
    """Name the folder below a run's `exports`."""
    return "vllm" if options.via == "auto" else f"vllm-{options.via}"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made. Raises: Refusal: no such rank; a name that vLLM couldn't be told."""
    lora.refuse_bad_rank(options)
    _refuse_bad_name(run, options)
    way = way_of(run, options)
    held = {
        "adapter": ("the run's adapter, unchanged",),
        "lora": lora.plan(run, place, options).makes[:1],
        "merged": (f"{MODEL}/: the merged model of `pegbox merge`; its weights take no room twice",),
    }[way]
    copies = 2 if way == "lora" and lora.exact_config(run, options) is None else 1
    return Plan(
        target="vllm",
        place=str(place),
        makes=(*held, f"{SERVE}: the command that starts vLLM with it"),
        disk_bytes=_disk_bytes(run, way, options),
        memory_bytes=merging_memory(run) if way == "merged" else copies * float32_bytes(run),
        cannot=_cannot(run, way),
        remarks=_remarks(run, way),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Make what vLLM takes, prove it, and write the command beside it."""
    lora.refuse_bad_rank(options)
    _refuse_bad_name(run, options)
    way = way_of(run, options)
    why = _cannot(run, way)
    if why is not None:
        raise Refusal(f"{run.id}: {why}")
    named = () if way == "merged" else (run.model.reference,)  # the merged model needs no base any more
    facts = (*base_facts(run), *named, taught_template(run), way, options.rank, served_name(run, options))
    order = order_of("vllm", FORM, *facts)

    def put_command(begun: Making) -> None:
        put_text(begun, SERVE, _script(run, begun.folder, way, options))

    if way == "merged":
        return linked_model(run, place, "vllm", order, MODEL, put_command, _remarks(run, way), options, told)

    def write(begun: Making) -> Written:
        if way == "adapter":
            adapter.put_whole_adapter(begun, run)
            written = Written(of="adapter", exact=True, remarks=(*adapter.remarks(run), *_remarks(run, way)))
        else:
            found = lora.put_lora(begun, run, options, told)
            written = Written(of="lora", exact=found.exact, remarks=(*found.remarks, *_remarks(run, way)))
        _refuse_what_vllm_cannot(begun.folder)
        put_command(begun)
        return written

    needed = _disk_bytes(run, way, options)
    return make_adapter(run, place, "vllm", order, write, of=way, needed=needed, prove=options.prove, told=told)


def commands(run: TunedRun, place: Path, options: ExportOptions) -> tuple[str, ...]:
    """Give the command that starts the server, and one that asks it."""
    body = {"model": served_name(run, options), "messages": [{"role": "user", "content": "Hello"}]}
    ask = ["curl", f"http://localhost:{PORT}/v1/chat/completions", "-H", "Content-Type: application/json"]
    return f"sh {shlex.quote(str(place / SERVE))}", shlex.join([*ask, "-d", json.dumps(body)])


def way_of(run: TunedRun, options: ExportOptions) -> Way:
    """Choose what vLLM is given: the adapter where it loads it, else the merged model, unless somebody said."""
    if options.via != "auto":
        return options.via
    return "adapter" if _adapter_cannot(run) is None else "merged"


def served_name(run: TunedRun, options: ExportOptions) -> str:
    """Give the name by which clients ask for the model."""
    return options.name or run.id


def _refuse_bad_name(run: TunedRun, options: ExportOptions) -> None:
    """Raises: Refusal: a name that vLLM's arguments can't carry."""
    name = served_name(run, options)
    if not NAME.fullmatch(name):
        raise Refusal(
            f"{printable(name)!r}: no name that vLLM's --lora-modules can carry. Give another with --name: "
            "plain letters, digits, and . _ - / alone."
        )


def _adapter_cannot(run: TunedRun) -> str | None:
    """Say why vLLM can't load the run's own adapter; None: it can, as far as is known."""
    why = why_no_vllm_adapter(run.card, run.recipe.method.settings)
    if why is None and not run.is_peft:
        return f"{run.card.title} leaves a whole model behind. Serve that: --via merged."
    return why or _against_its_model(run)


def _cannot(run: TunedRun, way: Way) -> str | None:
    if way == "merged":
        why = why_not("merged", run.card, run.recipe.method.settings)
        return None if why is None else f"{why} {ELSEWHERE}"
    if way == "lora":
        return why_no_lora(run.card) or _against_its_model(run)
    return _adapter_cannot(run)  # which somebody asked for by --via adapter


def _against_its_model(run: TunedRun) -> str | None:
    """Say that vLLM loads no adapters on such models; None: it does, or nobody knows."""
    kind = model_type_of(run)
    return about_model("vllm", run.card, kind) if kind in VLLM_ADAPTS_NOT else None


def _remarks(run: TunedRun, way: Way) -> tuple[str, ...]:
    found = []
    unknown = about_model("vllm", run.card, model_type_of(run))
    if way != "merged" and unknown is not None:
        found.append(unknown)
    if way == "merged" and (why := _adapter_cannot(run)) is not None:
        found.append(f"It is the merged model, and not the adapter: {why}")
    if way != "merged" and run.recipe.model.quantization == "nf4":
        found.append("vLLM loads the base in full precision; the run had packed it into 4 bits.")
    return tuple(found)


def _disk_bytes(run: TunedRun, way: Way, options: ExportOptions) -> int:
    if way == "merged":
        return merged_bytes(run)
    return adapter.disk_bytes(run) if way == "adapter" else lora.disk_bytes(run, options)


def _refuse_what_vllm_cannot(folder: Path) -> None:
    """Look at the adapter itself. Raises: Refusal: it holds what vLLM doesn't load."""
    config = adapter_config(folder)
    rank = config.get("r")
    if isinstance(rank, int) and rank > VLLM_RANKS[-1]:
        raise Refusal(f"vLLM loads ranks up to {VLLM_RANKS[-1]}, and this adapter's is {rank}: --via lora --rank 256.")
    for field in ("modules_to_save", "use_dora", "rank_pattern", "alpha_pattern", "trainable_token_indices"):
        if config.get(field):
            raise Refusal(f"vLLM doesn't load adapters with {field}: export it with --via lora, or --via merged.")
    if config.get("bias", "none") != "none":
        raise Refusal("vLLM doesn't load adapters that hold biases: export it with --via merged.")


def _script(run: TunedRun, folder: Path, way: Way, options: ExportOptions) -> str:
    """Write the command; it finds what lies beside it from wherever it is started."""
    what = one_line(f"Serves {run.id} ({run.card.title} on {portable(run.model.reference)}).", COMMENT_WIDTH)
    lines = ["#!/bin/sh", f"# {what}", "set -e"]  # a line end in a folder's name would begin a command
    lines += ['cd -- "$(dirname -- "$0")"', f"exec {shlex.join(_arguments(run, folder, way, options))}", ""]
    return "\n".join(lines)


def _arguments(run: TunedRun, folder: Path, way: Way, options: ExportOptions) -> list[str]:
    """List vLLM's arguments. Source: vLLM's documentation, `vllm serve` and LoRA adapters."""
    name = served_name(run, options)
    if way == "merged":
        return ["vllm", "serve", f"./{MODEL}", "--served-model-name", name]
    rank = int(adapter_config(folder)["r"])
    arguments = ["vllm", "serve", run.model.reference]
    if run.model.from_hub and run.recipe.model.revision:
        arguments += ["--revision", run.recipe.model.revision]
    arguments += ["--dtype", _dtype(run.model.config), "--enable-lora"]
    if rank > VLLM_DEFAULT_RANK:
        arguments += ["--max-lora-rank", str(vllm_rank(rank))]
    arguments += ["--lora-modules", f"{name}=."]
    if run.recipe.model.chat_template is not None:
        arguments += ["--chat-template", f"./{TEMPLATE}"]
    return arguments


def _dtype(config: Mapping[str, Any]) -> str:
    """Name the base's own number format: with `auto`, vLLM would take half of what is in float32."""
    named = config.get("dtype") or config.get("torch_dtype")
    return named if named in ("float32", "bfloat16", "float16") else "auto"
