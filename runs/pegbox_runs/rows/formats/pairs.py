"""Rows of one question and one answer, with what may lie beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegbox_runs.rows.example import Completion, Conversation, Example, Message, ToolCall
from pegbox_runs.rows.formats.row_keys import RowKeys
from pegbox_runs.rows.formats.tools import calls_in_answer, read_tools
from pegbox_runs.rows.formats.turns import TURN_KEYS, read_turns, refuse_unlearnable, with_reasoning
from pegbox_runs.rows.formats.understanding import Unfit, quoted
from pegbox_runs.rows.formats.values import (
    is_blank,
    kind,
    list_of,
    optional_text,
    reasoning_text,
    refuse_half_characters,
    said_text,
    text_of,
)


def read_pair(row: Mapping[str, Any], keys: RowKeys, form: str) -> Example:
    """Read a question and its answer; plain texts of the format 'prompt-completion' get no template.

    Alpaca's input, or a context, follows the question after an empty line. Of several accepted answers the first is
    learned. Raises: Unfit.
    """
    prompt, completion = row[keys.prompt], row[keys.completion]
    if keys.beside or type(prompt) is not str or type(completion) is not str:
        return _read_richly(row, keys, form)
    if not completion or completion.isspace():
        raise Unfit(f"its {quoted(keys.completion)} is empty")
    if form == "prompt-completion":
        _refuse_input(row, keys)
        text_of(prompt, "")
        return Completion(prompt, text_of(completion, ""))
    if keys.input is not None and (extra := optional_text(row[keys.input], f"its {quoted(keys.input)}")):
        prompt = f"{prompt}\n\n{extra}" if prompt else extra
    if not prompt or prompt.isspace():
        raise Unfit(f"its {quoted(keys.prompt)} is empty")
    if not prompt.isascii():
        refuse_half_characters(prompt)
    if not completion.isascii():
        refuse_half_characters(completion)
    return Conversation((Message("user", prompt), Message("assistant", completion)))


def _read_richly(row: Mapping[str, Any], keys: RowKeys, form: str) -> Example:
    """Read what isn't just two texts."""
    tools = "" if keys.tools is None else read_tools(row[keys.tools], f"its {quoted(keys.tools)}")
    prompt, completion = row[keys.prompt], row[keys.completion]
    asked, answered = _turns_in(prompt), _turns_in(completion)
    if form == "prompt-completion" and asked is None and answered is None:
        return _plain(row, keys)
    messages = _before(row, keys)
    if asked is None:
        messages.append(Message("user", _question(row, keys)))
    else:
        _refuse_input(row, keys)
        messages += read_turns(asked, *TURN_KEYS["messages"])
    if answered is None:
        messages.append(_answer(completion, f"its {quoted(keys.completion)}", with_tools=bool(tools)))
    else:
        answers = read_turns(answered, *TURN_KEYS["messages"])
        if answers[0].role != "assistant":
            raise Unfit(
                f"its {quoted(keys.completion)} is a whole conversation; name it as messages in rows.columns, and "
                "no prompt"
            )
        messages += answers
    if keys.reasoning is not None:
        with_reasoning(messages, reasoning_text(row[keys.reasoning], f"its {quoted(keys.reasoning)}"))
    refuse_unlearnable(messages)
    return Conversation(tuple(messages), tools)


def _plain(row: Mapping[str, Any], keys: RowKeys) -> Completion:
    _refuse_input(row, keys)
    for key in (keys.system, keys.history, keys.reasoning, keys.tools):
        _refuse_beside(row, key)
    answer = said_text(row[keys.completion], f"its {quoted(keys.completion)}")
    return Completion(text_of(row[keys.prompt], f"its {quoted(keys.prompt)}"), answer)


def _refuse_input(row: Mapping[str, Any], keys: RowKeys) -> None:
    _refuse_beside(row, keys.input)


def _refuse_beside(row: Mapping[str, Any], key: str | None) -> None:
    if key is not None and not is_blank(row[key]):
        raise Unfit(f"it has {quoted(key)} beside its prompt, for which there is no place in prompt-completion")


def _before(row: Mapping[str, Any], keys: RowKeys) -> list[Message]:
    """Read what comes before the question: a system text, and earlier questions and answers."""
    messages = []
    if keys.system is not None and (system := optional_text(row[keys.system], f"its {quoted(keys.system)}")):
        messages.append(Message("system", system))
    if keys.history is not None and not is_blank(row[keys.history]):
        wrong = f"its {quoted(keys.history)} isn't a list of [question, answer] pairs"
        history = list_of(row[keys.history])
        if history is None:
            raise Unfit(wrong)
        for pair in history:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise Unfit(wrong)
            messages.append(Message("user", text_of(pair[0], f"a question in its {quoted(keys.history)}")))
            messages.append(Message("assistant", text_of(pair[1], f"an answer in its {quoted(keys.history)}")))
    return messages


def _question(row: Mapping[str, Any], keys: RowKeys) -> str:
    what = f"its {quoted(keys.prompt)}"
    question = text_of(row[keys.prompt], what)
    extra = "" if keys.input is None else optional_text(row[keys.input], f"its {quoted(keys.input)}")
    return said_text(f"{question}\n\n{extra}" if question and extra else question or extra, what)


def _answer(value: object, what: str, *, with_tools: bool) -> Message:
    """Read an answer: a text, a list of accepted texts, SQuAD's object with such a list, or calls of tools."""
    if with_tools and (calls := _calls(value, what)):
        return Message("assistant", "", tool_calls=calls)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list | tuple):
        if not value:
            raise Unfit(f"{what} is an empty list")
        if not isinstance(value[0], str):
            raise Unfit(f"{what} is a list whose first answer is {kind(value[0])}")
        value = value[0]
    return Message("assistant", said_text(value, what))


def _calls(value: object, what: str) -> tuple[ToolCall, ...]:
    return calls_in_answer(value, what) if isinstance(value, str | list) else ()


def _turns_in(value: object) -> Sequence[Any] | None:
    """Take a value as turns, if it is a list of them."""
    turns = isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "role" in value[0]
    return value if turns and isinstance(value, list) else None
