"""Writing a GGUF file out of safetensors: one tensor at a time, a large one some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TensorNameMap, get_tensor_name_map, quants
from gguf.constants import GGML_QUANT_SIZES, MODEL_TENSOR, TENSOR_NAMES
from safetensors import safe_open

from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.gguf_architectures import rope_of
from pegbox_runs.exporting.gguf_quants import HEAD
from pegbox_worker.gguf.fields import Fields, architecture, architecture_number, head_width, kv_heads

CHUNK = 16 * 2**20
"""Weights of one tensor that are converted at once: 64 MiB in float32."""
ROPE_FACTORS = f"{TENSOR_NAMES[MODEL_TENSOR.ROPE_FREQS]}.weight"
_WHOLE = ("f32", "f16", "bf16")

Heard = Callable[[int, int], None]
"""Called with the tensors written and those in all."""


class Plan(NamedTuple):
    """One tensor of the file."""

    name: str
    source: str | None
    """Its name in the safetensors; None: it is `made`."""
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    heads: int = 0
    """The rows of so many heads are put in llama.cpp's order; 0: they stay in theirs."""
    made: np.ndarray | None = None


def write_gguf(
    folder: Path, config: Mapping[str, Any], file: Path, fields: Fields, quant: str, *, heard: Heard | None = None
) -> int:
    """Write a model's folder as one file. Returns: its tensors.

    Raises: Refusal: a weight that the architecture doesn't have, or one too large for the number format. OSError.
    """
    writer = GGUFWriter(file, architecture(config))
    with Weights(folder) as weights:
        planned = list(plans(weights, config, quant))
        for key, field in fields.items():
            writer.add_key_value(key, field.value, field.kind)
        for plan in planned:
            writer.add_tensor_info(plan.name, plan.shape, np.dtype(np.float16), _bytes(plan), raw_dtype=plan.kind)
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for done, plan in enumerate(planned, start=1):
                writer.write_tensor_data(converted(weights, plan))
                if heard is not None:
                    heard(done, len(planned))
        finally:
            writer.close()
    return len(planned)


class Weights:
    """The safetensors of a model's folder, in however many files they lie; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Weights:
        self._open: list[Any] = [safe_open(path, "pt") for path in sorted(self._folder.glob("*.safetensors"))]
        self._file_of = {name: file for file in self._open for name in file.keys()}  # noqa: SIM118 - no mapping
        return self

    def __exit__(self, *_: object) -> None:
        self._file_of = {}
        self._open = []

    def names(self) -> list[str]:
        """List the weights' names."""
        return list(self._file_of)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a weight's shape."""
        return tuple(self._file_of[name].get_slice(name).get_shape())

    def rows(self, name: str, begin: int, end: int) -> torch.Tensor:
        """Read some rows of a weight, in its own number format."""
        found: torch.Tensor = self._file_of[name].get_slice(name)[begin:end]
        return found


def plans(weights: Weights, config: Mapping[str, Any], quant: str) -> Iterator[Plan]:
    """Decide how each tensor is written, in the order of the layers. Raises: Refusal."""
    names = get_tensor_name_map(architecture_number(config), config["num_hidden_layers"])
    tied = bool(config.get("tie_word_embeddings"))
    found = {_named(name, names): name for name in weights.names() if not (tied and name == "lm_head.weight")}
    for name in sorted(found, key=_place):
        source = found[name]
        shape = weights.shape(source)
        yield Plan(name, source, shape, _kind(name, shape, quant), _permuted(source, config))
    yield from _rope_factors(config)


def _named(name: str, names: TensorNameMap) -> str:
    """Give a weight's name in the file. Raises: Refusal."""
    stem, _, ending = name.rpartition(".")
    found = names.get_name(stem)
    if found is None:
        raise Refusal(f"{name}: GGUF has no place for this weight in a model of this architecture.")
    return f"{found}.{ending}"


def _place(name: str) -> tuple[int, str]:
    block = name.split(".")[1] if name.startswith("blk.") else ""
    return (int(block) if block else -1 if name.startswith("token_embd") else 10**9, name)


def _kind(name: str, shape: tuple[int, ...], quant: str) -> GGMLQuantizationType:
    """Choose a number format: vectors stay in float32, and rows that don't come out even in blocks in float16."""
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    if quant not in _WHOLE and name in ("token_embd.weight", "output.weight"):
        quant = HEAD
    kind = GGMLQuantizationType[quant.upper()]
    return kind if shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16


def _permuted(source: str, config: Mapping[str, Any]) -> int:
    """Count the heads whose rows change their order: llama.cpp rotates neighbours of a head in Llama's models, and
    transformers rotates its first half with its second. Source: llama.cpp, conversion/llama.py, permute."""
    if architecture(config) != "llama":
        return 0
    if source.endswith(("q_proj.weight", "q_proj.bias")):
        return int(config["num_attention_heads"])
    return kv_heads(config) if source.endswith(("k_proj.weight", "k_proj.bias")) else 0


def _rope_factors(config: Mapping[str, Any]) -> Iterator[Plan]:
    """Write Llama 3's rope scaling as llama.cpp takes it: one factor for each frequency. Source: there."""
    rope = rope_of(config)
    if rope.kind != "llama3":
        return
    width = head_width(config)
    low, high = float(rope.table["low_freq_factor"]), float(rope.table["high_freq_factor"])
    factor, before = float(rope.table["factor"]), float(rope.table["original_max_position_embeddings"])
    factors = []
    for place in range(0, width, 2):
        turns = before / (2 * math.pi * rope.theta ** (place / width))
        """Of the angle, within the context that the model was first built for."""
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - share) / factor + share))
    made = np.array(factors, np.float32)
    yield Plan(ROPE_FACTORS, None, made.shape, GGMLQuantizationType.F32, made=made)


def _bytes(plan: Plan) -> int:
    block, size = GGML_QUANT_SIZES[plan.kind]
    return math.prod(plan.shape) // block * size


def converted(weights: Weights, plan: Plan) -> np.ndarray:
    """Read a weight and bring it into its number format. Raises: Refusal."""
    if plan.made is not None:
        return plan.made
    source = plan.source or ""
    if plan.heads or len(plan.shape) == 1:
        return _packed(_reordered(weights.rows(source, 0, plan.shape[0]), plan.heads), plan)
    step = max(1, CHUNK // math.prod(plan.shape[1:]))
    parts = (weights.rows(source, row, row + step) for row in range(0, plan.shape[0], step))
    return np.concatenate([_packed(part, plan) for part in parts])


def _reordered(weight: torch.Tensor, heads: int) -> torch.Tensor:
    if not heads:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _packed(weight: torch.Tensor, plan: Plan) -> np.ndarray:
    values = weight.float().numpy()
    if not np.isfinite(values).all():
        raise Refusal(f"{plan.source}: holds numbers that aren't finite.")
    if plan.kind == GGMLQuantizationType.F16 and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise Refusal(f"{plan.source}: holds numbers too large for float16; take --quant bf16.")
    return quants.quantize(values, plan.kind)
