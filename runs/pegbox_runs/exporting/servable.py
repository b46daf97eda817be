"""What is known against serving a method on a model at a place, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pegbox_methods.advice.serving import ServingTarget, about_model, why_not
from pegbox_methods.card import Card
from pegbox_runs.exporting.gguf_architectures import cannot_write
from pegbox_runs.printable import one_line


def unserved(
    target: ServingTarget, card: Card, settings: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    """Say why a place can't serve what would be trained, or that it isn't known, a sentence each.

    `settings`: the method's own. `config`: the model's config.json.
    """
    method = why_not(target, card, settings)
    if method is not None:
        yield method
        return
    model = _of_model(target, card, config)
    if model is not None:
        yield model


def _of_model(target: ServingTarget, card: Card, config: Mapping[str, Any]) -> str | None:
    kind = config.get("model_type")
    if not isinstance(kind, str):
        return None
    if target not in ("gguf", "ollama"):
        return about_model(target, card, one_line(kind, 40))
    why = cannot_write(config)
    if why is None:
        return None
    return (
        f"Pegbox can't write this model as GGUF itself: {why}. llama.cpp's own converter may: `pegbox export --to "
        f"{target} --llama-cpp DIR`."
    )
