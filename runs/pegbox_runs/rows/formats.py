"""The formats rows come in, recognised by their keys, each turned into the same few kinds of example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pegbox_methods.recipe import RowsFormat
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.files import RawRow

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
}

ACCEPTED = """\
messages:          {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
sharegpt:          {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
alpaca:            {"instruction": "...", "input": "...", "output": "..."}
prompt-completion: {"prompt": "...", "completion": "..."}
text:              {"text": "..."}"""


class Unfit(Exception):
    """A row that its format can't take; the message says why."""


def read_examples(file: str, rows: Sequence[RawRow], wanted: RowsFormat) -> tuple[str, list[Example]]:
    """Turn rows into examples, all by one format.

    Returns: (name of the format, examples in the rows' order).
    Raises: Refusal: the format isn't known, or rows don't fit it; names the first ten with their keys.
    """
    name = recognise(file, rows[0]) if wanted == "auto" else wanted
    reader = READERS[name]
    examples: list[Example] = []
    unfit: list[str] = []
    for place, row in rows:
        try:
            examples.append(reader(row))
        except Unfit as error:
            unfit.append(f"{place}: {error}; its keys are {_keys(row)}")
    if unfit:
        more = f"\n... and {len(unfit) - 10} more" if len(unfit) > 10 else ""
        raise Refusal(
            f"{file}: {len(unfit)} of {len(rows)} rows don't fit the format '{name}'. Mend or remove them:\n"
            + "\n".join(unfit[:10])
            + more
        )
    return name, examples


def recognise(file: str, first: RawRow) -> str:
    """Name the format of a row by its keys.

    Raises: Refusal: it is none of those known.
    """
    place, row = first
    if "messages" in row or "conversations" in row or "conversation" in row:
        turns = _turns(row)
        return "sharegpt" if turns and isinstance(turns[0], Mapping) and "from" in turns[0] else "messages"
    if "instruction" in row and "output" in row:
        return "alpaca"
    if "prompt" in row and "completion" in row:
        return "prompt-completion"
    if "text" in row:
        return "text"
    raise Refusal(
        f"{file}: {place} is in no known format; its keys are {_keys(row)}. Accepted are rows such as\n{ACCEPTED}"
    )


def _messages(row: Mapping[str, Any]) -> Example:
    return _conversation(_turns(row), "role", "content")


def _sharegpt(row: Mapping[str, Any]) -> Example:
    return _conversation(_turns(row), "from", "value")


def _alpaca(row: Mapping[str, Any]) -> Example:
    """Alpaca's input, where there is one, follows the instruction after an empty line."""
    instruction, extra = _text(row, "instruction"), _text(row, "input", needed=False)
    turns = [Message("system", system)] if (system := _text(row, "system", needed=False)) else []
    history = row.get("history") or ()
    if isinstance(history, str) or not isinstance(history, Sequence):
        raise Unfit("its history isn't a list of [question, answer] pairs")
    for pair in history:
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(said, str) for said in pair):
            raise Unfit("its history isn't a list of [question, answer] pairs")
        turns += [Message("user", pair[0]), Message("assistant", pair[1])]
    question = f"{instruction}\n\n{extra}" if extra else instruction
    return _answered((*turns, Message("user", question), Message("assistant", _text(row, "output"))))


def _prompt_completion(row: Mapping[str, Any]) -> Example:
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, list):
        if not isinstance(completion, list):
            raise Unfit('its "prompt" is a list of messages, and its "completion" isn\'t')
        return _conversation([*prompt, *completion], "role", "content")
    return Completion(_text(row, "prompt"), _text(row, "completion"))


def _plain_text(row: Mapping[str, Any]) -> Example:
    return PlainText(_text(row, "text"))


READERS: dict[str, Callable[[Mapping[str, Any]], Example]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt-completion": _prompt_completion,
    "text": _plain_text,
}


def _turns(row: Mapping[str, Any]) -> Sequence[Any]:
    turns = next((row[key] for key in ("messages", "conversations", "conversation") if key in row), None)
    return turns if isinstance(turns, Sequence) and not isinstance(turns, str) else ()


def _conversation(turns: Sequence[Any], role_key: str, content_key: str) -> Conversation:
    if not turns:
        raise Unfit("it holds no list of messages")
    messages = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping) or role_key not in turn or content_key not in turn:
            raise Unfit(f'message {number} lacks "{role_key}" or "{content_key}"')
        role, content = turn[role_key], turn[content_key]
        if turn.get("tool_calls"):
            raise Unfit(f"message {number} calls a tool, which can't be learned yet")
        if not isinstance(role, str) or role not in ROLES:
            raise Unfit(f"message {number} has the role {one_line(str(role), 40)!r}; known: {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise Unfit(f'the "{content_key}" of message {number} isn\'t a text')
        _refuse_surrogates(content)
        messages.append(Message(ROLES[role], content))
    return _answered(tuple(messages))


def _answered(messages: tuple[Message, ...]) -> Conversation:
    answers = [message for message in messages if message.role == "assistant"]
    if not answers:
        raise Unfit("no message is the assistant's, so there is nothing to learn")
    if not any(answer.content.strip() for answer in answers):
        raise Unfit("the assistant's answer is empty, so there is nothing to learn")
    return Conversation(messages)


def _text(row: Mapping[str, Any], key: str, *, needed: bool = True) -> str:
    value = row.get(key)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise Unfit(f'it has no "{key}"' if key not in row else f'its "{key}" isn\'t a text')
    if needed and not value.strip():
        raise Unfit(f'its "{key}" is empty')
    _refuse_surrogates(value)
    return value


def _refuse_surrogates(text: str) -> None:
    """Refuse half of a character pair, which JSON can carry and no tokenizer can take."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unfit(f"it holds half a character ({text[error.start]!r}), as a damaged emoji leaves behind") from None


def _keys(row: Mapping[str, Any]) -> str:
    return one_line(", ".join(f'"{key}"' for key in row), 200) or "none"
