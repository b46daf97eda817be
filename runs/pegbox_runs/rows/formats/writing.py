"""Examples as rows again, for cleaned copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText


def row_of(example: Example) -> dict[str, Any]:
    """Write an example as a row of the format messages, prompt-completion or text.

    Read back, it gives an equal example. Calls and functions are written as OpenAI's fine-tuning files have them.
    """
    match example:
        case Conversation(messages, tools):
            row: dict[str, Any] = {"messages": [turn_of(message) for message in messages]}
            return {**row, "tools": msgspec.json.decode(tools)} if tools else row
        case Completion(prompt, completion):
            return {"prompt": prompt, "completion": completion}
        case PlainText(text):
            return {"text": text}


def turn_of(message: Message, arguments: Callable[[str], Any] = str) -> dict[str, Any]:
    """Write one turn in OpenAI's keys; what is empty is left out, but for the content.

    `arguments` writes a call's arguments from their JSON: OpenAI's files have the text, chat templates the object.
    """
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.name:
        turn["name"] = message.name
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn
