"""A row after its format was understood: what a model is shown, and what it must learn to say."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str


class Conversation(msgspec.Struct, frozen=True, tag="conversation"):
    """Turns, rendered by the model's chat template. Every assistant's turn is learned, nothing else."""

    messages: tuple[Message, ...]


class Completion(msgspec.Struct, frozen=True, tag="completion"):
    """Two plain texts, put one after the other without a template. The second is learned."""

    prompt: str
    completion: str


class PlainText(msgspec.Struct, frozen=True, tag="text"):
    """One text, all of it learned."""

    text: str


Example = Conversation | Completion | PlainText
