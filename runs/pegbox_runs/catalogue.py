"""The catalogue: published models worth fine-tuning, with what one wants to know before a download."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

PACKAGED = Path(__file__).with_name("catalogue.toml")
Count = Annotated[int, msgspec.Meta(gt=0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Licence(NamedTuple):
    """Terms in plain words; the licence itself is what counts."""

    short: str
    """At most nine characters, for a column."""
    words: str


LICENCES = {
    "apache-2.0": Licence("Apache", "Apache 2.0: use, change, sell it; keep its notices"),
    "mit": Licence("MIT", "MIT: use, change, sell it; keep its notice"),
    "gemma": Licence(
        "Gemma", "Gemma's terms: some uses are prohibited, and the terms go along with every model made from it"
    ),
    "llama3.1": Licence(
        "Llama",
        "Llama 3.1 licence: a tune that is passed on is named Llama... and says Built with Llama; services with over "
        "700 million users a month need another one",
    ),
    "llama3.2": Licence(
        "Llama",
        "Llama 3.2 licence: a tune that is passed on is named Llama... and says Built with Llama; services with over "
        "700 million users a month need another one",
    ),
    "llama3.3": Licence(
        "Llama",
        "Llama 3.3 licence: a tune that is passed on is named Llama... and says Built with Llama; services with over "
        "700 million users a month need another one",
    ),
    "qwen": Licence("Qwen", "Qwen licence: services with over 100 million users a month need another one"),
    "qwen-research": Licence("research", "Qwen Research licence: research and trying out only, nothing commercial"),
}
"""By the name that the Hub's tags give a licence, or that its page does. Source: the licences' own texts."""


class CatalogueModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published model."""

    id: Text
    """On the Hugging Face Hub."""
    parameters: Count
    download_bytes: Count
    """Of its weights."""
    licence: Text
    good_for: Text
    config: dict[str, Any]
    """The fields of its config.json that tell its shape."""
    gated: bool | None = None
    """Whether the Hub asks for consent and login; None: at some times it did."""
    chat_template: bool = True
    stores_tied_head: bool = False
    """The output head lies in the files although it is the embedding: more is downloaded than is loaded."""

    @property
    def context(self) -> int | None:
        """Give the longest sequence in tokens that the model was built for."""
        return self.config.get("max_position_embeddings")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[CatalogueModel, ...]


@lru_cache(maxsize=1)
def catalogue() -> tuple[CatalogueModel, ...]:
    """Give all models, the smallest first."""
    return msgspec.convert(tomllib.loads(PACKAGED.read_text(encoding="utf-8")), _Table).model


def published(name: str) -> CatalogueModel | None:
    """Find a model of the catalogue by its Hub id; None: it isn't in there."""
    return next((model for model in catalogue() if model.id == name), None)


def licence_words(name: str) -> str:
    """Say what a licence asks for, in plain words; its name alone where nobody here read it."""
    known = LICENCES.get(name)
    return name if known is None else known.words
