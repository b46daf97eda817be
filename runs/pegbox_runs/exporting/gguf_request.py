"""What the worker's job `gguf` is asked, and what it answers."""

from __future__ import annotations

import msgspec

from pegbox_runs.artefacts.artefact import Proof


class WriteGguf(msgspec.Struct, frozen=True, kw_only=True, tag="write"):
    """Write a model's folder as one GGUF file."""

    run: str
    """The run's folder: its tokenizer and its chat template go into the file."""
    base: str | None
    """Where its base lies now, if it was moved."""
    model: str
    """A folder in transformers' format: the merged model."""
    file: str
    """What is written; anything there is replaced."""
    name: str
    """`general.name`."""
    quant: str


class ProveGguf(msgspec.Struct, frozen=True, kw_only=True, tag="prove"):
    """Read a GGUF file back, and hold it against the model it was made of."""

    run: str
    base: str | None
    model: str
    file: str
    quant: str
    own: bool
    """Pegbox' own writer made it of that model; else llama.cpp's programs had a hand in it."""
    effect_kl: float | None
    """What the adapter changes, as the merged model's proof found it; None: it wasn't looked at."""
    scratch: str
    """An empty folder for what the merged model does; removed by whoever made it."""


class GgufAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of either."""

    refused: str = ""
    """Why it can't be done; empty: it was."""
    remarks: tuple[str, ...] = ()
    """What must be known of the file."""
    proof: Proof | None = None
    """None: it wasn't asked for, or the file can't be read back; `unproven` says why."""
    unproven: str = ""


GgufRequest = WriteGguf | ProveGguf
