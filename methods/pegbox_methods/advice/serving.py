"""Where an adapter will be served, and what that place can't take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pegbox_methods.card import Card

ServingTarget = Literal["transformers", "merged", "vllm", "ollama", "mlx"]
"""`transformers`: PEFT beside the base model. `merged`: folded into a model of its own."""
TARGETS: tuple[ServingTarget, ...] = get_args(ServingTarget)

Saved = Literal["lora", "rslora", "twice the rank", "dora", "packed base", "own kind", "tokens", "model"]
"""What a method leaves behind: plain LoRA in PEFT's files; the same scaled by rsLoRA's rule; plain LoRA of twice the
rank; LoRA with DoRA's magnitudes; LoRA that belongs to a base packed into 4 bits; an adapter of its own kind; tokens
put before the row; a whole model."""

SAVED: Mapping[str, Saved] = {
    "lora": "lora",
    "lora-fa": "lora",
    "lora-plus": "lora",
    "eva": "lora",
    "qlora": "lora",
    "rslora": "rslora",
    "pissa": "twice the rank",
    "olora": "twice the rank",
    "dora": "dora",
    "qdora": "dora",
    "loftq": "packed base",
    **dict.fromkeys(("adalora", "boft", "delora", "fourierft", "gralora", "hra", "ia3", "ln-tuning"), "own kind"),
    **dict.fromkeys(("loha", "lokr", "miss", "oft", "randlora", "shira", "trainable-tokens"), "own kind"),
    **dict.fromkeys(("vblora", "vera"), "own kind"),
    **dict.fromkeys(("p-tuning", "prefix-tuning", "prompt-tuning"), "tokens"),
    "full": "model",
}
"""Of Pegbox' own methods; of a guest's nothing is known. Source: what each method's torch half writes."""

VLLM_DEFAULT_RANK = 16
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank takes. Source: MaxLoRARanks in vllm/config/lora.py."""
SOURCES: Mapping[ServingTarget, str] = {
    "transformers": "PEFT's documentation, PeftModel.from_pretrained",
    "merged": "PEFT's documentation, merge_and_unload; the method's certificate",
    "vllm": "vLLM's source (config/lora.py, lora/peft_helper.py); vllm#10849",
    "ollama": "llama.cpp's source (convert_lora_to_gguf.py, llama-adapter.h); Ollama's guide to importing",
    "mlx": "mlx-lm's source (load_adapters) and its LORA.md",
}
"""By target: where it is written what it can and can't take."""


def why_not(target: ServingTarget, card: Card, settings: Mapping[str, Any]) -> str | None:
    """Say in a sentence why a place can't serve what a method makes, or that it isn't known; None: it can.

    `settings`: the method's own, by name. A model's architecture isn't looked at: the places have lists of their own.
    `SOURCES` says where it is written.
    """
    saved = SAVED.get(card.name)
    if target == "transformers":
        return None
    if target in ("merged", "mlx"):
        return _unmergeable(target, card)
    if saved is None:
        unknown = f"It isn't known what kind of adapter {card.title} makes, nor whether {_NAMES[target]} loads it."
        return f"{unknown} {_instead(card)}"
    if saved in ("own kind", "tokens"):
        return f"{_NAMES[target]} loads LoRA adapters alone, and {card.title} makes another kind. {_instead(card)}"
    if saved == "packed base":
        return (
            f"{card.title}'s adapter makes good what packing took from the base's weights, and is right on a base that "
            f"is packed the same way alone; whether {_NAMES[target]} packs it so isn't known. {_instead(card)}"
        )
    return _not_in_vllm(card, saved, settings) if target == "vllm" else _not_in_ollama(card, saved)


def needed(target: ServingTarget, card: Card, settings: Mapping[str, Any]) -> str | None:
    """Say in a sentence what must be done there to serve what a method makes; None: nothing, or it can't."""
    if why_not(target, card, settings) is not None:
        return None
    saved = SAVED.get(card.name)
    if target == "transformers":
        return f"PEFT doesn't know {card.title} by itself: its plugin must be there too." if saved is None else None
    if saved == "model":
        return None
    if target == "vllm":
        rank = saved_rank(card, settings)
        if rank is not None and rank > VLLM_DEFAULT_RANK:
            least = next(known for known in VLLM_RANKS if known >= rank)
            return f"Start vLLM with --max-lora-rank {least}: the adapter's rank is {rank}, and its default is 16."
    if target == "ollama":
        return "Turn it into GGUF with llama.cpp's convert_lora_to_gguf.py, and name that file as ADAPTER."
    if target == "mlx":
        return "mlx-lm loads adapters of its own kind alone: merge it, then convert the merged model."
    return "Merging takes the memory and the disk space of the whole model in 16 bits." if target == "merged" else None


def saved_rank(card: Card, settings: Mapping[str, Any]) -> int | None:
    """Give the rank of the LoRA adapter that a method leaves behind; None: it leaves none."""
    saved, rank = SAVED.get(card.name), settings.get("rank")
    if saved not in ("lora", "rslora", "twice the rank", "dora", "packed base") or type(rank) is not int:
        return None
    return 2 * rank if saved == "twice the rank" else rank


_NAMES: Mapping[ServingTarget, str] = {
    "transformers": "transformers",
    "merged": "a merged model",
    "vllm": "vLLM",
    "ollama": "Ollama",
    "mlx": "MLX",
}


def _unmergeable(target: ServingTarget, card: Card) -> str | None:
    """Tell why it can't become a model of its own, where that is the only way."""
    if "merge" not in card.cannot:
        return None
    only = "mlx-lm loads adapters of its own kind alone, and " if target == "mlx" else ""
    return f"{only}{card.title} can't be merged: {card.cannot['merge']}."


def _instead(card: Card) -> str:
    if "merge" in card.cannot:
        return f"It can't be merged either: {card.cannot['merge']}."
    return "Merge it, and serve the merged model."


def _not_in_vllm(card: Card, saved: Saved, settings: Mapping[str, Any]) -> str | None:
    if saved == "dora":
        return f"vLLM doesn't load DoRA's magnitudes, which {card.title} makes (vllm#10849). {_instead(card)}"
    rank = saved_rank(card, settings)
    if rank is not None and rank > VLLM_RANKS[-1]:
        return f"vLLM loads ranks up to {VLLM_RANKS[-1]}, and this adapter's is {rank}. Lower the rank, or merge it."
    return None


def _not_in_ollama(card: Card, saved: Saved) -> str | None:
    if saved == "dora":
        return f"Ollama loads plain LoRA alone, without the magnitudes that {card.title} makes. {_instead(card)}"
    if saved == "rslora":
        return (
            "llama.cpp, which Ollama stands on, scales an adapter by alpha over rank, and rsLoRA's wants alpha over "
            f"the root of the rank: it would act too weakly. {_instead(card)}"
        )
    return None
