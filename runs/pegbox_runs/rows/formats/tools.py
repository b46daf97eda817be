"""Functions that a row offers, and calls of them, as JSON that templates take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pegbox_runs.rows.example import ToolCall
from pegbox_runs.rows.formats.understanding import Unfit
from pegbox_runs.rows.formats.values import is_blank, list_of, refuse_half_characters, text_of


def read_tools(value: object, what: str) -> str:
    """Take a list of functions, or its JSON; a bare function is wrapped as OpenAI's `tools` has it.

    The order of keys is kept: templates write it as it is.
    Returns: JSON; empty where there are none.
    Raises: Unfit: it is no list of functions.
    """
    if is_blank(value):
        return ""
    tools = list_of(value)
    if tools is None or not all(isinstance(tool, Mapping) and _function_of(tool) is not None for tool in tools):
        raise Unfit(f"{what} isn't a list of functions, each with a name")
    wrapped = [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]
    return _json(wrapped, what) if wrapped else ""


def read_calls(value: object, what: str) -> tuple[ToolCall, ...]:
    """Take OpenAI's `tool_calls`, or the function objects alone. Raises: Unfit."""
    calls = list_of(value)
    if calls is None:
        raise Unfit(f"{what} isn't a list of calls")
    return tuple(read_call(call, what) for call in calls)


def read_call(value: object, what: str) -> ToolCall:
    """Take one call, wrapped or bare. Raises: Unfit."""
    function = _function_of(value) if isinstance(value, Mapping) else None
    if function is None or not isinstance(value, Mapping):
        raise Unfit(f"{what} holds a call without the function's name")
    if "arguments" not in function:
        raise Unfit(f'{what} calls a function without "arguments"')
    found = value.get("id")
    name = text_of(function["name"], f"the name of a function in {what}")
    return ToolCall(
        name, _arguments(function["arguments"], what), "" if found is None else text_of(found, "a call's id")
    )


def call_turn(content: str, what: str) -> tuple[ToolCall, ...]:
    """Take a turn that is nothing but the JSON of one or more calls, as ShareGPT's `function_call`. Raises: Unfit."""
    try:
        value = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{what} is a call that isn't valid JSON ({error})") from None
    calls = read_calls(value if isinstance(value, list) else [value], what)
    if not calls:
        raise Unfit(f"{what} calls nothing")
    return calls


def calls_in_answer(value: object, what: str) -> tuple[ToolCall, ...]:
    """Find the calls that an answer consists of, as in xLAM's `answers`; none: the answer is something else.

    Raises: Unfit: it consists of calls, and one is broken.
    """
    calls = list_of(value)
    if not calls or not all(isinstance(call, Mapping) and "name" in call and "arguments" in call for call in calls):
        return ()
    return read_calls(calls, what)


def _function_of(tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
    function = tool.get("function", tool)
    named = isinstance(function, Mapping) and isinstance(function.get("name"), str) and function["name"]
    return function if named else None


def _arguments(value: object, what: str) -> str:
    if value is None or value == "":  # how some write a call without arguments
        return "{}"
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError) as error:
            raise Unfit(f"{what} has arguments that aren't valid JSON ({error})") from None
    if not isinstance(value, Mapping):
        raise Unfit(f"{what} has arguments that aren't an object of named values")
    return _json(value, what, order="sorted")


def _json(value: Mapping[str, Any] | Sequence[Any], what: str, order: Literal["sorted"] | None = None) -> str:
    try:
        return msgspec.json.encode(value, order=order).decode()
    except UnicodeEncodeError as error:
        refuse_half_characters(str(error.object))
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise Unfit(f"{what} can't be written as JSON ({error})") from None


def as_json_text(value: Mapping[str, Any], what: str) -> str:
    """Write a tool's answer that is an object as JSON, its keys in their order. Raises: Unfit."""
    return _json(value, what)
