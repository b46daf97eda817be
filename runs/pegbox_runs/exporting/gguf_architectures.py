"""Which models Pegbox itself writes as GGUF, told by config.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pegbox_runs.printable import one_line

ARCHITECTURES: Mapping[str, str] = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""GGUF's name of an architecture by transformers' model type. Source: llama.cpp, conversion/*.py."""
ROPE_SCALINGS = ("default", "linear", "llama3")
ROPE_THETA = 10_000.0
"""Where a config names none. Source: transformers' configs of these models."""


class Rope(NamedTuple):
    """How positions are turned into angles."""

    kind: str
    theta: float
    table: Mapping[str, Any]
    """What the config says of it: `factor`, `low_freq_factor`..."""


def rope_of(config: Mapping[str, Any]) -> Rope:
    """Read a config's rope, which older ones write as rope_theta and rope_scaling."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    table = given if isinstance(given, Mapping) else {}
    kind = table.get("rope_type") or table.get("type") or "default"
    theta = table.get("rope_theta") or config.get("rope_theta") or ROPE_THETA
    return Rope(str(kind), float(theta), table)


def cannot_write(config: Mapping[str, Any]) -> str | None:
    """Say in a clause why Pegbox' own writer can't take a model; None: it can."""
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        return f"its model type is {one_line(kind, 40)}, and Pegbox itself writes {', '.join(ARCHITECTURES)} alone"
    for field in ("attention_bias", "mlp_bias"):
        if config.get(field):
            return f"it has {field}, which llama.cpp's {ARCHITECTURES[kind]} isn't known to take"
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        return f"its activation is {one_line(str(config.get('hidden_act')), 40)}, and that of GGUF's is silu"
    if config.get("use_sliding_window"):
        return "some of its layers look at a window of the text alone"
    if config.get("partial_rotary_factor", 1) not in (1, None):
        return "only a part of each of its heads is rotated"
    rope = rope_of(config)
    if rope.kind not in ROPE_SCALINGS:
        return f"its rope is scaled by {one_line(rope.kind, 40)}, and Pegbox itself writes {', '.join(ROPE_SCALINGS)}"
    return None


def remarks_on(config: Mapping[str, Any]) -> tuple[str, ...]:
    """List what is different in llama.cpp, though it is written."""
    window, positions = config.get("sliding_window"), config.get("max_position_embeddings")
    if config.get("model_type") == "mistral" and isinstance(window, int) and window < (positions or window):
        return (
            f"The model looks back {window} tokens in each layer; llama.cpp lets it look back at all: beyond so many "
            "tokens it may answer otherwise.",
        )
    return ()
