"""The turns of one conversation, from any of the shapes they are written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegbox_runs.printable import one_line
from pegbox_runs.rows.example import Message
from pegbox_runs.rows.formats.names import CALL, ROLES, plain
from pegbox_runs.rows.formats.tools import as_json_text, call_turn, read_call, read_calls
from pegbox_runs.rows.formats.understanding import Unfit
from pegbox_runs.rows.formats.values import kind, optional_text, refuse_half_characters, text_of

TURN_KEYS = {"messages": ("role", "content"), "sharegpt": ("from", "value")}
"""By format: who speaks, and what is said."""

PAIRED_KEYS = (("input", "output"), ("human", "assistant"))
"""A question and its answer in one turn, as in Capybara and ms-swift."""

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
UNTRAINED = (("weight", (0,)), ("train", (False,)), ("training", (False,)))
"""How OpenAI's and Axolotl's rows say that an answer is context only: key, values."""
TEXT_PARTS = ("text", "input_text", "output_text")
_ORDINARY = {name: role for name, role in ROLES.items() if role != CALL}


def read_turns(turns: Sequence[Any], role_key: str, content_key: str) -> list[Message]:
    """Turn a row's list of turns into messages.

    Raises: Unfit: there are none, or one of them isn't as it should be; names it by its number from 1.
    """
    if not turns:
        raise Unfit("it holds no list of messages")
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        if type(turn) is dict and len(turn) == 2:  # the common turn, kept short: a million of rows go through here
            content = turn.get(content_key)
            speaker = turn.get(role_key)
            role = _ORDINARY.get(speaker) if type(speaker) is str else None
            if role is not None and type(content) is str:
                if not content.isascii():
                    refuse_half_characters(content)
                messages.append(Message(role, content))
                continue
        _add_turn(messages, number, turn, role_key, content_key)
    return messages


def refuse_unlearnable(messages: Sequence[Message]) -> None:
    """Refuse a conversation in which the assistant says nothing. Raises: Unfit."""
    spoke = False
    for message in messages:
        if message.role == "assistant":
            if (message.content and not message.content.isspace()) or message.tool_calls:
                return
            spoke = True
    if spoke:
        raise Unfit("the assistant's answer is empty, so there is nothing to learn")
    raise Unfit("no message is the assistant's, so there is nothing to learn")


def with_reasoning(messages: list[Message], reasoning: str) -> None:
    """Give the last of the assistant's turns its reasoning, if there is any and it has none of its own."""
    for place in range(len(messages) - 1, -1, -1):
        turn = messages[place]
        if turn.role == "assistant":
            if reasoning and not turn.reasoning:
                messages[place] = Message(turn.role, turn.content, reasoning, turn.tool_calls)
            return


def _add_turn(messages: list[Message], number: int, turn: object, role_key: str, content_key: str) -> None:
    if not isinstance(turn, Mapping):
        raise Unfit(f"message {number} is {kind(turn)}, so it isn't said who speaks")
    if role_key not in turn:
        for asked, answered in PAIRED_KEYS:
            if asked in turn and answered in turn:
                messages.append(Message("user", text_of(turn[asked], f'the "{asked}" of message {number}')))
                messages.append(Message("assistant", text_of(turn[answered], f'the "{answered}" of message {number}')))
                return
        raise Unfit(f'message {number} lacks "{role_key}" or "{content_key}"')
    messages.append(_full_turn(number, turn, _role(turn[role_key], number), content_key))


def _role(name: object, number: int) -> str:
    role = (ROLES.get(name) or ROLES.get(plain(name))) if isinstance(name, str) else None
    if role is None:
        known = ", ".join(ROLES)
        raise Unfit(f"message {number} has the role {one_line(str(name), 40)!r}; known: {known}")
    return role


def _full_turn(number: int, turn: Mapping[str, Any], role: str, content_key: str) -> Message:
    what = f'the "{content_key}" of message {number}'
    if role == CALL:
        return Message("assistant", "", tool_calls=call_turn(text_of(turn.get(content_key), what), what))
    if role == "tool":
        name = optional_text(turn.get("name"), f'the "name" of message {number}')
        call = optional_text(turn.get("tool_call_id"), f'the "tool_call_id" of message {number}')
        answer = turn.get(content_key)
        said = as_json_text(answer, what) if isinstance(answer, Mapping) else _content(turn, content_key, what)[0]
        return Message(role, said, name=name, tool_call_id=call)
    if role != "assistant":
        return Message(role, _content(turn, content_key, what)[0])
    _refuse_untrained(turn, number)
    calls = _calls(turn, number)
    content, reasoning = ("", "") if calls and turn.get(content_key) is None else _content(turn, content_key, what)
    for key in REASONING_KEYS:
        reasoning = reasoning or optional_text(turn.get(key), f'the "{key}" of message {number}')
    return Message(role, content, reasoning, calls)


def _calls(turn: Mapping[str, Any], number: int) -> tuple[Any, ...]:
    if turn.get("tool_calls"):
        return read_calls(turn["tool_calls"], f'the "tool_calls" of message {number}')
    if turn.get("function_call"):
        return (read_call(turn["function_call"], f'the "function_call" of message {number}'),)
    return ()


def _refuse_untrained(turn: Mapping[str, Any], number: int) -> None:
    for key, values in UNTRAINED:
        if turn.get(key) is not None and turn[key] in values:
            raise Unfit(f'message {number} says "{key}": {turn[key]}, and every answer of a row would be learned')


def _content(turn: Mapping[str, Any], key: str, what: str) -> tuple[str, str]:
    """Take what is said, be it one text or a list of parts. Returns: (content, reasoning)."""
    if key not in turn:
        raise Unfit(f"{what} is missing")
    value = turn[key]
    if not isinstance(value, list | tuple):
        return text_of(value, what), ""
    content, reasoning = [], []
    for part in value:
        form = part.get("type") if isinstance(part, Mapping) else None
        if form in TEXT_PARTS:
            content.append(text_of(part.get("text"), f"a text in {what}"))
        elif form == "thinking":
            reasoning.append(text_of(part.get("thinking"), f"a thought in {what}"))
        elif form is None:
            raise Unfit(f"{what} is a list whose parts don't say their type")
        else:
            raise Unfit(f"{what} holds a part of the type {one_line(str(form), 40)!r}; only text can be learned")
    return "".join(content), "".join(reasoning)
