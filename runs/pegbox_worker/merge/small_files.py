"""What lies beside the weights of a merged model: the base's own files, byte by byte, and the template in use."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path
from typing import Any

from pegbox_runs.artefacts.making import Making
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.exporting.adapter_files import put_copy, put_text
from pegbox_runs.models import INDEX, SMALL_FILES
from pegbox_runs.tuned import TunedRun

CONFIG = "config.json"
HEAD = "lm_head.weight"
TEMPLATE, TOKENIZER_CONFIG = "chat_template.jinja", "tokenizer_config.json"
OTHER_TEMPLATES = frozenset({"chat_template.json"})
"""Older places of a template; where the recipe names another, they would contradict it."""
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
NOT_OURS = frozenset({"README.json", "trainer_state.json", INDEX, "pytorch_model.bin.index.json"})
DTYPE_KEYS = ("dtype", "torch_dtype")
"""transformers' word for the number format of the weights since version 5, and before."""
LONGEST_BYTES = 256 * 2**20
"""A "small" file above that is none."""


def write_small_files(run: TunedRun, begun: Making, number_format: str, base: Set[str]) -> None:
    """Write tokenizer, chat template, generation config and config; `base`: the names of the base's weights.

    Raises: OSError; Refusal.
    """
    template = taught_template(run)
    for path in _kept_files(run.model.folder):
        if path.name == CONFIG or (template is not None and path.name in (OTHER_TEMPLATES | {TEMPLATE})):
            continue
        if path.name == TOKENIZER_CONFIG and template is not None:
            _add_json(begun, path.name, _with_template(path, template))
        else:
            put_copy(begun, path.name, path)
    if template is not None:
        put_text(begun, TEMPLATE, template)
    _add_json(begun, CONFIG, _config(run, begun, number_format, base))


def _kept_files(folder: Path) -> list[Path]:
    found = {path for pattern in (*SMALL_FILES, *LICENCES) for path in folder.glob(pattern)}
    return sorted(
        path for path in found if path.is_file() and path.name not in NOT_OURS and path.stat().st_size < LONGEST_BYTES
    )


def _config(run: TunedRun, begun: Making, number_format: str, base: Set[str]) -> dict[str, Any]:
    """Take the base's config, with the number format of these weights and nobody's folder."""
    config = {name: value for name, value in run.model.config.items() if name != "_name_or_path"}
    keys = [key for key in DTYPE_KEYS if key in config] or ["torch_dtype"]
    config |= dict.fromkeys(keys, number_format)
    text = config.get("text_config")
    if isinstance(text, dict):
        config["text_config"] = text | {key: number_format for key in DTYPE_KEYS if key in text}
    if HEAD in stored_tensors(sorted(begun.folder.glob("*.safetensors"))).keys() - base:
        config["tie_word_embeddings"] = False  # the method gave the head weights of its own
    return config


def _with_template(path: Path, template: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config | {"chat_template": template} if "chat_template" in config else config


def _add_json(begun: Making, name: str, content: dict[str, Any]) -> None:
    put_text(begun, name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
