"""Asking the Hub for models. Nothing here happens unless the person asks for it."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import msgspec

from pegbox_methods.refusal import Refusal

MOST_RESULTS = 20
PATIENCE_SECONDS = 15.0
"""The library itself tries several times, each with a limit of its own."""
TRUE = {"1", "ON", "YES", "TRUE"}


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the Hub: all of it is text from outside."""

    id: str
    parameters: int | None
    """What the headers of its safetensors add up to; None: it has none, or the Hub doesn't tell."""
    licence: str | None
    gated: bool | None
    downloads: int | None
    """In the last 30 days."""


Answers: TypeAlias = "queue.SimpleQueue[tuple[HubModel, ...] | Exception]"


def offline(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether the person forbade the network, by the variables that huggingface_hub reads."""
    given = os.environ if environment is None else environment
    return (given.get("HF_HUB_OFFLINE") or given.get("TRANSFORMERS_OFFLINE") or "").upper() in TRUE


def token_is_here(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether a token of the Hub lies here, as `hf auth login` leaves it. It is neither read nor shown."""
    given = os.environ if environment is None else environment
    if given.get("HF_TOKEN") or given.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    caches = given.get("XDG_CACHE_HOME") or "~/.cache"
    home = given.get("HF_HOME") or f"{caches}/huggingface"
    path = Path(os.path.expanduser(os.path.expandvars(given.get("HF_TOKEN_PATH") or f"{home}/token")))  # noqa: PTH111
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def search_hub(
    words: str, *, patience_seconds: float = PATIENCE_SECONDS, given_up: Callable[[], bool] = lambda: False
) -> tuple[HubModel, ...]:
    """Ask the Hub for models that write text, the most downloaded first; without the person's token.

    `given_up` is asked every now and then, whether anybody still waits.
    Raises: Refusal: the network is forbidden, or the Hub can't be reached in time.
    """
    if offline():
        raise Refusal(
            "the Hub isn't asked, as HF_HUB_OFFLINE is set. Unset it to search, or take a model that is here."
        )
    answers: Answers = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(tuple(_asked(words)))
        except Exception as error:  # noqa: BLE001 - whatever the library or the network raises is one sentence
            answers.put(error)

    threading.Thread(target=ask, name="hub-search", daemon=True).start()  # may hang: nobody waits for it at exit
    told = _waited(answers, monotonic() + patience_seconds, given_up)
    if told is None:
        raise Refusal(f"the Hub gave no answer within {patience_seconds:g} s. {_without()}")
    if isinstance(told, Exception):
        raise Refusal(f"the Hub can't be reached ({type(told).__name__}). {_without()}")
    return told


def _waited(answers: Answers, until: float, given_up: Callable[[], bool]) -> tuple[HubModel, ...] | Exception | None:
    """Wait for the answer; None: it never came, or isn't wanted any more."""
    while monotonic() < until and not given_up():
        with suppress(queue.Empty):
            return answers.get(timeout=0.1)
    return None


def _without() -> str:
    return "Models that are here and the catalogue need no network; search again when there is one."


def _asked(words: str) -> Iterator[HubModel]:
    from huggingface_hub import HfApi

    listed = HfApi(token=False).list_models(
        search=words,
        filter="text-generation",
        sort="downloads",
        limit=MOST_RESULTS,
        expand=["gated", "downloads", "safetensors", "tags"],
    )
    for model in listed:
        yield _told(model)


def _told(model: Any) -> HubModel:
    """Take over what is of the kind that it should be; the rest counts as unknown."""
    safetensors, gated = getattr(model, "safetensors", None), getattr(model, "gated", None)
    total = getattr(safetensors, "total", None)
    downloads = getattr(model, "downloads", None)
    tags = getattr(model, "tags", None)
    licences = [str(tag).removeprefix("license:") for tag in tags or () if str(tag).startswith("license:")]
    return HubModel(
        id=str(model.id),
        parameters=total if isinstance(total, int) and total > 0 else None,
        licence=licences[0] if licences else None,
        gated=None if gated is None else bool(gated),  # "auto" and "manual" are both gates
        downloads=downloads if isinstance(downloads, int) else None,
    )
