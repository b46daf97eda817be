"""What a chat and its worker tell each other: lines of JSON to the worker, `Answered` and `Spoken` events back."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pegbox_runs.rows.example import Message

JOB = "chat"
BASE = "base"
"""The lane of the base model; the others are called like their run."""

Temperature = Annotated[float, Meta(ge=0, le=5)]
Share = Annotated[float, Meta(gt=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000)]


class ChatOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Which models shall be loaded."""

    runs: tuple[str, ...]
    """Their folders. The first one's base model is the base."""
    base: str | None = None
    """Where it lies now, if it was moved since."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen."""

    temperature: Temperature = 0.0
    """0: always the likeliest, so that nothing but the model makes a difference."""
    top_p: Share = 1.0
    """Only the likeliest tokens that together have this probability are drawn from."""
    seed: Annotated[int, Meta(ge=0, lt=2**62)] = 0
    """Each answer begins with it, so that the same question is answered alike."""
    tokens: Tokens = 512
    """The longest answer."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one lane is asked."""

    lane: str
    messages: tuple[Message, ...]
    """All turns so far, the question last."""
    templated: bool = True
    """False: the last turn's text is the prompt as it stands, without a template and without the turns before it."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A question to some lanes at once."""

    turn: int
    """From 1."""
    asked: tuple[Asked, ...]
    sampling: Sampling = Sampling()
    answering: bool = True
    """False: only what would be shown to the models is wanted."""


class Interrupt(msgspec.Struct, frozen=True, tag="interrupt"):
    """Whoever speaks shall stop."""


Line = Ask | Interrupt
"""A line on the worker's standard input."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is ready to speak."""

    lane: str
    context: int | None
    """Tokens that it was built for, prompt and answer together; None: it doesn't say."""
    packed: bool
    """Whether its base is held in 4 bits, as it was trained."""
    shares: bool
    """Whether its weights, but the adapter's own, are those of the base lane."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """All models are loaded."""

    lanes: tuple[Lane, ...]
    """The base first, then the runs in their order."""
    device: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True, tag="rendered"):
    """What a lane is shown for a question, to the last token; told before it answers."""

    lane: str
    turn: int
    prompt: bytes
    """The text with its special tokens, in UTF-8. As bytes they are base64 in the log, which cleans texts of what
    looks like a secret: a prompt is shown as it is."""
    ids: tuple[int, ...]
    """The same in tokens; plain text may have begun with one of the tokenizer's own."""
    dropped: int = 0
    """So many exchanges, the oldest ones, were left out for want of room."""
    room: int | None = None
    """Tokens that the answer may have; None: the model knows no bound."""
    context: int | None = None
    """Tokens that the model was built for."""

    @property
    def text(self) -> str:
        """The text with its special tokens."""
        return self.prompt.decode()


Told = Opened | Rendered
"""What the worker tells in `Answered` events."""

EndOfAnswer = Literal["", "complete", "length", "interrupted", "failed"]
