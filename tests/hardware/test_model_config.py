"""A model's shape, read from its config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pegbox_hardware.model_config import read_shape

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}


def test_a_llamas_shape_is_read_from_its_config(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    shape, why = read_shape(path)
    assert why == ""
    assert shape is not None
    assert shape.matrices["k_proj"] == (192, 576)
    assert shape.matrices["down_proj"] == (576, 1536)
    assert (shape.layers, shape.positions, shape.tied_head) == (30, 8192, True)
