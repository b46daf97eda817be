"""What each choice of a goal changes in the advice, said from the advice's own rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pegbox_methods.advice.goals import (
    FEW_ROWS,
    LEAST_RANK,
    QUALITY_RANK,
    QUALITY_RANK_OF,
    SMALL_RANK,
    Goal,
    Purpose,
    wanted_rank,
)
from pegbox_methods.advice.instead import IN_WORDS, LEARNS_LESS, LIMA, OVADIA, Asked
from pegbox_methods.advice.ranking import LOW_RANK
from pegbox_methods.advice.serving import SOURCES, ServingTarget
from pegbox_tui.shell.explaining import Explanation


class Offer(NamedTuple):
    """One of several choices."""

    name: str
    """As the draft holds it; empty: nothing is said."""
    label: str
    long: str
    """What it means, for somebody who asks."""


PURPOSES: tuple[Offer, ...] = (
    Offer("", "anything", "A task of no special kind, or several at once. The usual start of a run."),
    Offer(
        "format",
        "tone or format",
        "The model knows enough already, and shall say it in another way: in your tone, as JSON, in one line, as one "
        f"of ten labels. That takes few good rows and a small adapter. A thousand careful rows were enough to teach "
        f"manners to a large model ({LIMA}).",
    ),
    Offer(
        "domain",
        "a domain",
        "It shall be at home in a field: its words, its usual questions, how its people reason. That holds more to "
        f"learn, so more of the model is tuned. For facts by themselves retrieval does better ({OVADIA}), and an "
        f"adapter learns less of a new field than tuning all weights, but forgets less too ({LEARNS_LESS}).",
    ),
    Offer(
        "reasoning",
        "reasoning",
        "It shall work problems out in steps: mathematics, code, long plans. Rows hold whole solutions, so there is "
        "more to learn in each, and they are longer: look at the length that the rows step advised.",
    ),
)
PRIORITIES: tuple[Offer, ...] = (
    Offer("balanced", "balanced", "No figure counts more than others. Take this unless you know better."),
    Offer(
        "quality",
        "quality",
        "What the model learns counts most, and a little more memory or time is no matter. Nobody can promise which "
        "method is best on your rows: comparing two of them tells.",
    ),
    Offer(
        "memory",
        "least memory",
        "The run shall leave as much memory free as it can: the card is small, or others use it too.",
    ),
    Offer("speed", "speed", "The run shall be over soon: you pay by the hour, or want to try several things."),
    Offer(
        "small-adapter",
        "a small adapter",
        "What is saved shall be small: you'll keep or ship many adapters beside one model.",
    ),
)
SERVED: tuple[Offer, ...] = (
    Offer("", "don't know yet", "Take this if you haven't decided. A LoRA adapter can go to each of these places."),
    Offer(
        "transformers",
        "transformers + PEFT",
        "Python code that loads the base model and puts the adapter on it. It takes whatever PEFT knows; the method of "
        "a plugin needs that plugin there too.",
    ),
    Offer(
        "merged",
        "a merged model",
        "The adapter is folded into the base model's weights: one model, as large as the base, that any program loads "
        "as it loads the base. Methods that put tokens before the row can't be folded in.",
    ),
    Offer(
        "vllm",
        "vLLM",
        "A server for many users, which keeps one base model and several adapters. It loads LoRA adapters alone, "
        "without DoRA's magnitudes, of rank 16 unless --max-lora-rank allows more. What it can't load is merged, or "
        "made into plain LoRA at a cost that is measured. `pegbox export --to vllm` writes its command.",
    ),
    Offer(
        "gguf",
        "llama.cpp (GGUF)",
        "One file for llama.cpp and what stands on it, such as LM Studio. `pegbox export --to gguf` merges the "
        "adapter, writes the file, and reads it back to prove it. Pegbox writes some families of models itself; for "
        "the others it asks llama.cpp's own converter.",
    ),
    Offer(
        "ollama",
        "Ollama",
        "Models on one's own machine. `pegbox export --to ollama` writes the merged model as GGUF, and a Modelfile "
        "that writes conversations as your model learned them.",
    ),
    Offer(
        "mlx",
        "MLX (Mac)",
        "Apple's library for Macs. mlx-lm loads adapters of its own kind alone, so yours is merged first: `pegbox "
        "export --to mlx`. It loads the merged model as it is.",
    ),
)
GOES_WITH = "The settings' step marks what doesn't go with it."


def purpose_says(name: str, goal: Goal, rows: int | None) -> str:
    """Say in a sentence what a purpose changes in the advice, beside the goal's priority and for so many rows."""
    rule = wanted_rank(msgspec.structs.replace(goal, purpose=_purpose(name)), rows)
    return f"Asks for rank {rule.value}: {rule.why}."


def priority_says(name: str) -> str:
    """Say in a sentence what a priority changes in the advice."""
    return {
        "balanced": "Takes the first method of this device's usual order that fits, in the batch that is fastest.",
        "quality": f"Asks for rank {QUALITY_RANK.value} (not for tone or format; not under {FEW_ROWS} rows): rsLoRA at "
        f"{QUALITY_RANK_OF['rslora']} comes first then, at rank {LOW_RANK} and below DoRA.",
        "memory": f"Takes the method of least memory that fits, at rank {SMALL_RANK.value}, a row at a time.",
        "speed": "Takes the method whose run is over soonest of those that fit.",
        "small-adapter": f"Takes the method that trains fewest weights, at rank {SMALL_RANK.value}; under "
        f"{FEW_ROWS} rows at {LEAST_RANK.value}.",
    }[name]


def serving_says(name: str) -> str:
    """Say in a sentence what a place to serve changes."""
    if not name:
        return "Changes nothing: say it later, or never."
    return f"Changes no value of the advice. {GOES_WITH}"


def explain(kind: str, name: str, said: str) -> Explanation | None:
    """Explain one choice of a kind: what it means, what it changes, and where that is written."""
    offers = {"purpose": PURPOSES, "priority": PRIORITIES, "serving": SERVED}[kind]
    offer = next((one for one in offers if one.name == name), None)
    if offer is None:
        return None
    text = f"{offer.long}\n\nIn the advice: {said}"
    return Explanation(offer.label.capitalize() if kind != "serving" else offer.label, text, source_of(kind, name))


def source_of(kind: str, name: str) -> str:
    """Say where a choice's reasons are written."""
    if kind == "purpose":
        return wanted_rank(Goal(purpose=_purpose(name)), None).source
    if kind == "priority":
        return {
            "quality": QUALITY_RANK.source,
            "memory": "the forecast of memory",
            "speed": "the forecast of time",
        }.get(name, SMALL_RANK.source if name == "small-adapter" else "the profile of the device")
    return SOURCES[_target(name)] if name else ""


ASKED_FOR: Mapping[Asked, str] = {
    "facts": "Facts that change (prices, stock, people) are out of date as soon as they are trained in, and a model "
    "that was trained on facts still mixes them up. Looking them up and putting them into the prompt is called "
    "retrieval.",
    "manner": "Training changes how a model answers more surely than what it knows.",
    "tried": "Put the task and five of your best rows into the prompt and look at ten answers. It takes minutes, costs "
    "nothing, and is what a tune must beat.",
    "leaner": "What you explain in each prompt can be learned once. A small model that was tuned for one task often "
    "does it as a large one does, and answers sooner.",
}


def explain_question(asked: Asked) -> Explanation:
    """Explain why a question is asked."""
    source = {"facts": OVADIA, "manner": LIMA}.get(asked, "OpenAI, Optimizing LLM accuracy (guide)")
    return Explanation(IN_WORDS[asked], f"{ASKED_FOR[asked]}\n\ny: yes, n: no, Enter: the next answer.", source)


def _purpose(name: str) -> Purpose | None:
    return {"format": "format", "domain": "domain", "reasoning": "reasoning"}.get(name)  # type: ignore[return-value]


def _target(name: str) -> ServingTarget:
    return next(target for target in SOURCES if target == name)
