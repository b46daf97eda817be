"""Where a tuned model will be served, and what that place can't take of what a method makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pegbox_methods.card import Card

ServingTarget = Literal["transformers", "merged", "vllm", "gguf", "ollama", "mlx"]
"""`transformers`: PEFT beside the base model. `merged`: folded into a model of its own. `gguf`: that in llama.cpp's
format; Ollama is given it too."""
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

NOT_LINEAR: Mapping[str, str] = {"ln-tuning": "norms", "trainable-tokens": "embeddings"}
"""What methods change that leave the linear maps alone: name -> what it is."""

VLLM_DEFAULT_RANK = 16
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank takes. Source: MaxLoRARanks in vllm/config/lora.py."""
VLLM_ADAPTS: frozenset[str] = frozenset().union(
    ("cohere", "cohere2", "deepseek_v2", "deepseek_v3", "ernie4_5", "exaone4", "gemma", "gemma2"),
    ("gemma3_text", "glm", "glm4", "gpt_bigcode", "gpt_oss", "granite", "granitemoe", "llama", "ministral"),
    ("mistral", "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "opt", "phi", "phi3", "qwen2", "qwen2_moe"),
    ("qwen3", "qwen3_moe", "seed_oss", "smollm3", "starcoder2"),
)
"""transformers' types of models on which vLLM loads adapters. Source: the LoRA column of vLLM's supported_models.md."""
VLLM_ADAPTS_NOT: frozenset[str] = frozenset().union(
    ("bloom", "dbrx", "falcon", "falcon_mamba", "gpt2", "gpt_neox", "gptj", "mamba", "mamba2", "mpt"),
    ("olmoe", "stablelm"),
)
"""Those that vLLM serves, but without adapters. Source: the same."""
MLX_KNOWS: frozenset[str] = frozenset().union(
    ("cohere", "cohere2", "deepseek_v2", "deepseek_v3", "ernie4_5", "exaone4", "gemma", "gemma2"),
    ("gemma3_text", "glm", "glm4", "gpt2", "gpt_bigcode", "gpt_neox", "gpt_oss", "granite", "granitemoe"),
    ("helium", "llama", "mistral", "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "olmoe"),
    ("phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3", "stablelm"),
    ("starcoder2",),
)
"""Types that mlx-lm has a module for. Source: mlx_lm/models and MODEL_REMAPPING of mlx_lm."""
SOURCES: Mapping[ServingTarget, str] = {
    "transformers": "PEFT's documentation, PeftModel.from_pretrained",
    "merged": "PEFT's documentation, merge_and_unload; the method's certificate",
    "vllm": "vLLM's source (config/lora.py, lora/peft_helper.py); vllm#10849",
    "gguf": "llama.cpp's source (conversion/, gguf-py); the method's certificate",
    "ollama": "Ollama's guide to importing; the method's certificate",
    "mlx": "mlx-lm's source (load_model, load_adapters) and its README",
}
"""By target: where it is written what it can and can't take."""


def why_not(target: ServingTarget, card: Card, settings: Mapping[str, Any]) -> str | None:
    """Say in a sentence why a place can't serve what a method makes, or that it isn't known; None: it can.

    `settings`: the method's own, by name. `about_model` looks at the model. `SOURCES` says where it is written.
    """
    if target == "transformers":
        return None
    if target != "vllm":
        return _unmergeable(target, card)
    why = why_no_vllm_adapter(card, settings)
    return None if why is None else f"{why} {_instead(card)}"


def why_no_vllm_adapter(card: Card, settings: Mapping[str, Any]) -> str | None:
    """Say in a sentence why vLLM can't load what a method makes beside the base, or that it isn't known."""
    saved = SAVED.get(card.name)
    if saved is None:
        return f"It isn't known what kind of adapter {card.title} makes, nor whether vLLM loads it."
    if saved in ("own kind", "tokens"):
        return f"vLLM loads LoRA adapters alone, and {card.title} makes another kind."
    if saved == "packed base":
        return (
            f"{card.title}'s adapter makes good what packing took from the base's weights, and is right on a base that "
            "is packed the same way alone; whether vLLM packs it so isn't known."
        )
    if saved == "dora":
        return f"vLLM doesn't load DoRA's magnitudes, which {card.title} makes (vllm#10849)."
    rank = saved_rank(card, settings)
    if rank is not None and rank > VLLM_RANKS[-1]:
        return f"vLLM loads ranks up to {VLLM_RANKS[-1]}, and this adapter's is {rank}."
    return None


def why_no_lora(card: Card) -> str | None:
    """Say in a sentence why what a method changes can't be told as a plain LoRA adapter; None: it can, or nothing is
    known against it."""
    saved = SAVED.get(card.name)
    if "merge" in card.cannot:
        return f"{card.title} can't become a LoRA adapter: {card.cannot['merge']}."
    if saved == "model":
        return f"{card.title} leaves a whole model behind, and nothing to convert: `pegbox merge` writes it."
    if card.name in NOT_LINEAR:
        return (
            f"{card.title} changes {NOT_LINEAR[card.name]}, and a LoRA adapter changes linear maps alone. Merge it: "
            "`pegbox merge`."
        )
    return None


def about_model(target: ServingTarget, card: Card, model_type: str) -> str | None:
    """Say in a sentence what is known against a model of some type at a place, or that nothing is known of it.

    Of GGUF, `pegbox_runs.exporting.gguf_architectures` knows more.
    """
    if target == "vllm" and SAVED.get(card.name) != "model" and model_type not in VLLM_ADAPTS:
        if model_type in VLLM_ADAPTS_NOT:
            return f"vLLM loads no adapters on models of the type {model_type}. {_instead(card)}"
        return (
            f"Whether vLLM loads adapters on models of the type {model_type} isn't known here: see its list of models."
        )
    if target == "mlx" and model_type not in MLX_KNOWS:
        return f"It isn't known here whether mlx-lm knows models of the type {model_type}: see its mlx_lm/models."
    return None


def needed(target: ServingTarget, card: Card, settings: Mapping[str, Any]) -> str | None:
    """Say in a sentence what must be done there to serve what a method makes; None: nothing, or it can't."""
    if why_not(target, card, settings) is not None:
        return None
    saved = SAVED.get(card.name)
    if target == "transformers":
        return f"PEFT doesn't know {card.title} by itself: its plugin must be there too." if saved is None else None
    if target == "vllm":
        rank = saved_rank(card, settings)
        if rank is not None and rank > VLLM_DEFAULT_RANK:
            return (
                f"vLLM must be started with --max-lora-rank {vllm_rank(rank)}: the adapter's rank is {rank}, and its "
                "default is 16. `pegbox export --to vllm` writes the command."
            )
        return None
    if saved == "model":
        return None
    return {
        "merged": "`pegbox merge` makes it, and proves it. That takes the memory of the whole model in 32 bits, and "
        "its disk space in 16.",
        "gguf": "`pegbox export --to gguf` merges it, writes it as GGUF, and proves both.",
        "ollama": "`pegbox export --to ollama` merges it, writes it as GGUF with a Modelfile, and proves it.",
        "mlx": "`pegbox export --to mlx` merges it; mlx-lm loads the merged model as it is.",
    }[target]


def vllm_rank(rank: int) -> int:
    """Give the least --max-lora-rank that has room for an adapter's; for one too large, the largest."""
    return next((known for known in VLLM_RANKS if known >= rank), VLLM_RANKS[-1])


def saved_rank(card: Card, settings: Mapping[str, Any]) -> int | None:
    """Give the rank of the LoRA adapter that a method leaves behind; None: it leaves none."""
    saved, rank = SAVED.get(card.name), settings.get("rank")
    if saved not in ("lora", "rslora", "twice the rank", "dora", "packed base") or type(rank) is not int:
        return None
    return 2 * rank if saved == "twice the rank" else rank


_ONLY_MERGED: Mapping[ServingTarget, str] = {
    "gguf": "GGUF is made of a merged model, and ",
    "ollama": "Ollama is given a merged model, and ",
    "mlx": "mlx-lm loads adapters of its own kind alone, and ",
}


def _unmergeable(target: ServingTarget, card: Card) -> str | None:
    """Tell why it can't become a model of its own, where that is the only way."""
    if "merge" not in card.cannot:
        return None
    return f"{_ONLY_MERGED.get(target, '')}{card.title} can't be merged: {card.cannot['merge']}."


def _instead(card: Card) -> str:
    if "merge" in card.cannot:
        return f"It can't be merged either: {card.cannot['merge']}."
    if why_no_lora(card) is not None:
        return "Merge it, and serve the merged model: `pegbox export --to vllm` does both."
    return (
        "Merge it, and serve the merged model: `pegbox export --to vllm` does both; with --via lora it makes a plain "
        "LoRA adapter of it, and measures what that costs."
    )
