"""Rows in every format, and examples of every kind, survive being read, written as JSON and read again."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText, ToolCall
from pegbox_runs.rows.formats import reader, row_of, understand

Row = dict[str, Any]

few = settings(max_examples=60, deadline=None)

# Whatever Unicode holds, control characters and marks that reorder text included; halves of pairs are refused.
any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
said = any_text.filter(lambda text: bool(text) and not text.isspace())
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(any_text, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(any_text, values, max_size=3)


def as_json(value: object, *, canonical: bool) -> str:
    return msgspec.json.encode(value, order="sorted" if canonical else None).decode()


calls = st.builds(
    ToolCall, name=said, arguments=arguments.map(lambda given: as_json(given, canonical=True)), id=any_text
)
answers = st.builds(
    Message,
    role=st.just("assistant"),
    content=any_text,
    reasoning=any_text,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
)
others = st.builds(Message, role=st.sampled_from(["system", "user"]), content=any_text)
observations = st.builds(Message, role=st.just("tool"), content=any_text, name=any_text, tool_call_id=any_text)
functions = st.fixed_dictionaries({"name": said}, optional={"description": any_text, "parameters": values})
tools = st.lists(functions, max_size=2).map(
    lambda found: as_json([{"type": "function", "function": one} for one in found], canonical=False) if found else ""
)


def has_an_answer(messages: list[Message]) -> bool:
    spoken = (message for message in messages if message.role == "assistant")
    return any((message.content and not message.content.isspace()) or message.tool_calls for message in spoken)


conversations = st.builds(
    Conversation,
    messages=st.lists(others | answers | observations, min_size=1, max_size=5).filter(has_an_answer).map(tuple),
    tools=tools,
)
examples = conversations | st.builds(Completion, prompt=any_text, completion=said) | st.builds(PlainText, text=said)


def read(row: Row) -> tuple[str, Example]:
    """Read a row as it comes out of a file of JSON."""
    row = msgspec.json.decode(msgspec.json.encode(row))
    understanding = understand([("line 1", row)], "auto", {}, source="rows.jsonl")
    return understanding.format, reader(understanding)(row)


@few
@given(examples)
def test_any_example_survives_being_written_as_a_row(example: Example) -> None:
    assert read(row_of(example))[1] == example


Pair = tuple[str, str]
pairs = st.lists(st.tuples(said, said), min_size=1, max_size=4)


def conversation_of(pairs: list[Pair], system: str) -> Conversation:
    turns = [turn for asked, told in pairs for turn in (Message("user", asked), Message("assistant", told))]
    return Conversation((*([Message("system", system)] if system else []), *turns))


def as_messages(pairs: list[Pair], system: str) -> Row:
    turns = [{"role": message.role, "content": message.content} for message in conversation_of(pairs, system).messages]
    return {"messages": turns}


def as_parts(pairs: list[Pair], system: str) -> Row:
    turns = as_messages(pairs, system)["messages"]
    halves = [(turn["content"][:3], turn["content"][3:]) for turn in turns]
    parts = [[{"type": "text", "text": text} for text in half] for half in halves]
    return {"messages": [{**turn, "content": part} for turn, part in zip(turns, parts, strict=True)]}


def as_sharegpt(pairs: list[Pair], system: str) -> Row:
    turns = [turn for q, a in pairs for turn in ({"from": "human", "value": q}, {"from": "gpt", "value": a})]
    return {"conversations": turns, "system": system, "id": "x"}


def as_paired_turns(pairs: list[Pair], system: str) -> Row:
    return {"conversation": [{"input": q, "output": a} for q, a in pairs], "system": system}


def as_alpaca(pairs: list[Pair], system: str) -> Row:
    *before, (asked, told) = pairs
    return {
        "instruction": asked,
        "input": "",
        "output": told,
        "system": system,
        "history": [list(pair) for pair in before],
    }


def as_response(pairs: list[Pair], system: str) -> Row:
    row = as_alpaca(pairs, system)
    return {
        "question": row["instruction"],
        "response": row["output"],
        "system_prompt": system,
        "history": row["history"],
    }


def as_answer(pairs: list[Pair], system: str) -> Row:
    row = as_alpaca(pairs, system)
    return {"question": row["instruction"], "answer": row["output"], "system": system, "history": row["history"]}


def as_lists(pairs: list[Pair], system: str) -> Row:
    turns = as_messages(pairs, system)["messages"]
    return {"prompt": turns[:-1], "completion": turns[-1:]}


WRITERS = {
    as_messages: "messages",
    as_parts: "messages",
    as_sharegpt: "sharegpt",
    as_paired_turns: "messages",
    as_alpaca: "alpaca",
    as_response: "instruction-response",
    as_answer: "question-answer",
    as_lists: "prompt-completion",
}


@few
@given(pairs, any_text, st.sampled_from(sorted(WRITERS, key=str)))
def test_a_conversation_survives_each_format_and_then_being_written_as_a_row(
    pairs: list[Pair], system: str, write: Any
) -> None:
    expected = conversation_of(pairs, system)
    assert read(write(pairs, system)) == (WRITERS[write], expected)
    assert read(row_of(expected)) == ("messages", expected)


@few
@given(said, st.lists(st.tuples(said, arguments), min_size=1, max_size=2), st.lists(functions, min_size=1, max_size=2))
def test_calls_and_functions_survive_each_way_of_writing_them(
    asked: str, called: list[tuple[str, Row]], offered: list[Row]
) -> None:
    bare = [{"name": name, "arguments": given} for name, given in called]
    wrapped = [{"type": "function", "function": one} for one in offered]
    chat = {
        "messages": [
            {"role": "user", "content": asked},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"type": "function", "function": one} for one in bare],
            },
        ],
        "tools": wrapped,
    }
    share = {
        "conversations": [
            {"from": "human", "value": asked},
            {"from": "function_call", "value": as_json(bare, canonical=False)},
        ],
        "tools": as_json(offered, canonical=False),
    }
    xlam = {
        "query": asked,
        "answers": as_json(bare, canonical=False),
        "tools": as_json(offered, canonical=False),
    }
    made = tuple(ToolCall(name, as_json(given, canonical=True)) for name, given in called)
    expected = Conversation(
        (Message("user", asked), Message("assistant", "", tool_calls=made)), as_json(wrapped, canonical=False)
    )
    for row in (chat, share, xlam):
        assert read(row)[1] == expected
    assert read(row_of(expected))[1] == expected


@few
@given(said, said, any_text)
def test_plain_texts_survive(prompt: str, completion: str, text: str) -> None:
    assert read({"prompt": prompt, "completion": completion}) == ("prompt-completion", Completion(prompt, completion))
    if text.strip():
        assert read({"text": text}) == ("text", PlainText(text))
