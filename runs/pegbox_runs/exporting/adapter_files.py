"""The files of an exported adapter: PEFT's two, the base's tokenizer, and the template that the run was taught."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pegbox_methods.adapter_files import refuse_pickles
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.making import Making
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.tuned import PEFT_CONFIG, TunedRun

CARD = "README.md"
"""PEFT writes one for the Hub, with blanks to be filled in; it isn't taken along."""
PRIVATE = 0o600
"""Rights of a file: what was tuned on private rows may tell of them."""
TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER = (
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    TEMPLATE,
)
"""What a tokenizer may consist of, its chat template among it."""
MAY_BE_SET: frozenset[str] = frozenset().union(
    ("auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "exclude_modules", "fan_in_fan_out"),
    ("inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha"),
    ("lora_dropout", "megatron_core", "peft_type", "peft_version", "qalora_group_size", "r", "revision"),
    ("target_modules", "task_type", "use_rslora"),
)
"""Of LoraConfig's fields, those that change nothing of what a saved adapter computes, or that every server reads."""


def adapter_config(folder: Path) -> dict[str, Any]:
    """Read PEFT's config of an adapter. Raises: Refusal: it is damaged."""
    try:
        found = json.loads((folder / PEFT_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{folder / PEFT_CONFIG}: can't be read: {error}.") from error
    if not isinstance(found, dict):
        raise Refusal(f"{folder / PEFT_CONFIG}: holds no table, so it is no adapter of PEFT's.")
    return found


def is_plain_lora(config: Mapping[str, Any]) -> bool:
    """Tell whether an adapter is B A times one scale for all matrices, but for how it writes that scale."""
    scales = (config.get("r"), config.get("lora_alpha"))
    known = all(isinstance(number, int | float) and number > 0 for number in scales)
    extras = (value for key, value in config.items() if key not in MAY_BE_SET)
    return config.get("peft_type") == "LORA" and known and all(not value or value == "none" for value in extras)


def with_plain_scale(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write rsLoRA's scale, alpha over the root of the rank, as everybody reads it: alpha over the rank.

    Source: Kalajdzievski 2023, arXiv:2312.03732; llama.cpp scales by alpha over the rank, whatever the config says.
    """
    if not config.get("use_rslora"):
        return dict(config)
    alpha = config["lora_alpha"] * math.sqrt(config["r"])
    return {**config, "lora_alpha": int(alpha) if alpha == int(alpha) else alpha, "use_rslora": False}


def put_adapter(begun: Making, run: TunedRun, config: Mapping[str, Any] | None) -> None:
    """Copy a run's adapter; in the place of PEFT's config stands `config`, if there is one.

    Raises: Refusal: its weights lie in a pickle alone. OSError.
    """
    refuse_pickles(run.adapter)
    for path in sorted(run.adapter.rglob("*")):
        name = str(path.relative_to(run.adapter))
        if not path.is_file() or name == CARD or path.suffix in (".bin", ".pt", ".pth", ".pkl"):
            continue
        if name == PEFT_CONFIG and config is not None:
            put_text(begun, name, json.dumps(config, indent=2, sort_keys=True) + "\n")
        else:
            put_copy(begun, name, path)


def put_tokenizer(begun: Making, run: TunedRun) -> None:
    """Copy the base's tokenizer, with the template that the run's recipe put in the place of the model's own.

    Raises: Refusal: that template isn't there any more. OSError.
    """
    taught = taught_template(run)
    for name in TOKENIZER:
        path = run.model.folder / name
        if not path.is_file() or (name == TEMPLATE and taught is not None):
            continue
        if name == TOKENIZER_CONFIG and taught is not None:
            put_text(begun, name, _without_template(path))
        else:
            put_copy(begun, name, path)
    if taught is not None:
        put_text(begun, TEMPLATE, taught)


def put_text(begun: Making, name: str, text: str) -> None:
    """Write a small file."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(PRIVATE)

    begun.add(name, write)


def put_copy(begun: Making, name: str, source: Path) -> None:
    """Copy a file's content, not its rights."""

    def write(path: Path) -> None:
        shutil.copyfile(source, path)
        path.chmod(PRIVATE)

    begun.add(name, write)


def put_link(begun: Making, name: str, source: Path) -> None:
    """Give a file a second name, which costs no room; where the disk is another one, copy it."""

    def write(path: Path) -> None:
        try:
            path.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, path)

    begun.add(name, write)


def _without_template(config: Path) -> str:
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{config}: can't be read: {error}.") from error
    found.pop("chat_template", None)
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
