"""A row after its format was understood: what a model is shown, and what it must learn to say."""

from __future__ import annotations

import msgspec


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the assistant asks for."""

    name: str
    arguments: str
    """JSON: an object, its keys sorted, without spaces, so that equal calls are equal texts."""
    id: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str
    reasoning: str = ""
    """What the assistant thinks before it speaks; templates know it as `reasoning_content`."""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    """Of the tool that answers."""
    tool_call_id: str = ""
    """Which call a tool answers."""


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True, tag="conversation"):
    """Turns, rendered by the model's chat template. Every assistant's turn is learned, nothing else."""

    messages: tuple[Message, ...]
    tools: str = ""
    """JSON: a list of the functions that may be called, as templates take it; empty where there are none."""


class Completion(msgspec.Struct, frozen=True, omit_defaults=True, tag="completion"):
    """Two plain texts, put one after the other without a template. The second is learned."""

    prompt: str
    completion: str


class PlainText(msgspec.Struct, frozen=True, omit_defaults=True, tag="text"):
    """One text, all of it learned."""

    text: str


Example = Conversation | Completion | PlainText
