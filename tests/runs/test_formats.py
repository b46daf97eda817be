"""Formats of rows: recognised in the shapes that public data sets have, and refused with a reason a person can use."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from pegbox_methods.recipe import Column, RowsFormat
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText, ToolCall
from pegbox_runs.rows.formats import Understanding, Unfit, reader, understand

Row = dict[str, Any]

WHY = Message("user", "Why?")
BECAUSE = Message("assistant", "Because.")
ASKED = Conversation((WHY, BECAUSE))
TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
SHARED = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": {"type": "object", "properties": {}}}
WEATHER_TOOLS = (
    '[{"type":"function","function":{"name":"weather","description":"Tells the weather.",'
    '"parameters":{"type":"object","properties":{}}}}]'
)
WRAPPED = {"type": "function", "function": WEATHER}
CALLED = ToolCall("weather", '{"days":2,"place":"Graz"}')


def understood(*rows: Row, asked: RowsFormat = "auto", **columns: str) -> Understanding:
    mapped: Mapping[Any, str] = columns
    return understand([("line 1", row) for row in rows], asked, mapped, source="rows.jsonl")


def one(row: Row, asked: RowsFormat = "auto", **columns: str) -> tuple[str, Example]:
    understanding = understood(row, asked=asked, **columns)
    return understanding.format, reader(understanding)(row)


def refusal(*rows: Row, asked: RowsFormat = "auto", **columns: str) -> str:
    with pytest.raises(Refusal) as caught:
        understood(*rows, asked=asked, **columns)
    return caught.value.sentence


def why_unfit(row: Row, *others: Row, asked: RowsFormat = "auto", **columns: str) -> str:
    """Give the reason against a row that is read as the other rows are."""
    with pytest.raises(Unfit) as caught:
        reader(understood(*(others or (row,)), asked=asked, **columns))(row)
    return str(caught.value)


def with_system(text: str) -> Conversation:
    return Conversation((Message("system", text), *ASKED.messages))


def about(extra: str) -> Conversation:
    return Conversation((Message("user", f"Why?\n\n{extra}"), BECAUSE))


def thought(text: str) -> Conversation:
    return Conversation((WHY, Message("assistant", "Because.", text)))


@pytest.mark.parametrize(
    ("row", "name", "example"),
    [
        pytest.param({"messages": TURNS}, "messages", ASKED, id="OpenAI"),
        pytest.param({"prompt": "Why?", "prompt_id": "a1", "messages": TURNS}, "messages", ASKED, id="UltraChat 200k"),
        pytest.param(
            {"conversation": [{"input": "Why?", "output": "Because."}], "source": "x"}, "messages", ASKED, id="Capybara"
        ),
        pytest.param({"conversation": [{"human": "Why?", "assistant": "Because."}]}, "messages", ASKED, id="ms-swift"),
        pytest.param(
            {"conversation": [{**turn, "toxic": False} for turn in TURNS], "model": "m"},
            "messages",
            ASKED,
            id="WildChat",
        ),
        pytest.param({"id": "x_0", "conversations": SHARED}, "sharegpt", ASKED, id="ShareGPT"),
        pytest.param(
            {"system": "Be brief.", "conversations": SHARED}, "sharegpt", with_system("Be brief."), id="ToolACE"
        ),
        pytest.param({"instruction": "Why?", "input": "", "output": "Because."}, "alpaca", ASKED, id="Alpaca"),
        pytest.param(
            {"instruction": "Why?", "input": "x", "output": "Because.", "text": "Below is ..."},
            "alpaca",
            about("x"),
            id="Alpaca with its rendered text",
        ),
        pytest.param(
            {"instruction": "And?", "input": "x", "output": "So.", "system": "Be.", "history": [["Why?", "Because."]]},
            "alpaca",
            Conversation((*with_system("Be.").messages, Message("user", "And?\n\nx"), Message("assistant", "So."))),
            id="Alpaca with history",
        ),
        pytest.param(
            {"prompt": "Why?", "completion": " Because."}, "prompt-completion", Completion("Why?", " Because.")
        ),
        pytest.param(
            {"prompt": "", "completion": "All."}, "prompt-completion", Completion("", "All."), id="open-ended"
        ),
        pytest.param({"prompt": TURNS[:1], "completion": TURNS[1:]}, "prompt-completion", ASKED, id="TRL"),
        pytest.param(
            {"instruction": "Why?", "context": "x", "response": "Because.", "category": "closed_qa"},
            "instruction-response",
            about("x"),
            id="Dolly",
        ),
        pytest.param(
            {"id": "flan.1", "system_prompt": "Be brief.", "question": "Why?", "response": "Because."},
            "instruction-response",
            with_system("Be brief."),
            id="OpenOrca",
        ),
        pytest.param(
            {"query": "Why?", "response": "Because.", "type": "x"}, "instruction-response", ASKED, id="MetaMath"
        ),
        pytest.param({"inputs": "Why?", "targets": "Because."}, "instruction-response", ASKED, id="FLAN"),
        pytest.param({"Context": "Why?", "Response": "Because."}, "instruction-response", ASKED, id="counselling"),
        pytest.param(
            {"Question": "Why?", "Complex_CoT": "Let me see.", "Response": "Because."},
            "instruction-response",
            thought("Let me see."),
            id="medical o1",
        ),
        pytest.param(
            {"input": TURNS[:1], "output": "Because.", "reasoning": "on"}, "instruction-response", ASKED, id="Nemotron"
        ),
        pytest.param(
            {"prompt": "Why?", "completion": "Because.", "system": "Be."}, "instruction-response", with_system("Be.")
        ),
        pytest.param({"question": "Why?", "answer": "Because."}, "question-answer", ASKED, id="GSM8K"),
        pytest.param({"question": "Why?", "answer": ["Because.", "So."]}, "question-answer", ASKED, id="NQ open"),
        pytest.param(
            {"id": "1", "context": "x", "question": "Why?", "answers": {"text": ["Because."], "answer_start": [0]}},
            "question-answer",
            about("x"),
            id="SQuAD",
        ),
        pytest.param(
            {"problem": "Why?", "solution": "Because.", "answer": "3"}, "question-answer", ASKED, id="NuminaMath"
        ),
        pytest.param({"text": "All of it."}, "text", PlainText("All of it.")),
        pytest.param({"Text": "All of it."}, "text", PlainText("All of it."), id="a key in capitals"),
        pytest.param({"messages": msgspec.json.encode(TURNS).decode()}, "messages", ASKED, id="JSON in a CSV's cell"),
    ],
)
def test_each_public_shape_is_recognised_by_its_keys(row: Row, name: str, example: Example) -> None:
    assert one(row) == (name, example)


@pytest.mark.parametrize(
    ("role", "known_as"),
    [
        *((name, "user") for name in ("user", "human", "Human", "prompter")),
        *((name, "assistant") for name in ("assistant", "gpt", "chatgpt", "bing", "bard", "bot", "model", "GPT")),
        *((name, "system") for name in ("system", "developer")),
        *((name, "tool") for name in ("tool", "function", "observation", "ipython", "tool_response", "environment")),
    ],
)
def test_each_name_of_a_role_is_understood(role: str, known_as: str) -> None:
    _, example = one({"conversations": [{"from": role, "value": "Hm."}, *SHARED]})
    assert isinstance(example, Conversation)
    assert example.messages[0] == Message(known_as, "Hm.")


def test_parts_of_a_content_are_joined_and_thoughts_among_them_are_reasoning() -> None:
    said = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Be"}, {"type": "text", "text": "cause."}]
    asked = [{"type": "text", "text": "Why?", "image": None}]
    row = {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
    assert one(row)[1] == thought("Hm.")


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_inside_a_message_is_kept_apart_from_what_is_said(key: str) -> None:
    assert one({"messages": [TURNS[0], {**TURNS[1], key: "Let me see."}]})[1] == thought("Let me see.")


@pytest.mark.parametrize("key", ["reasoning", "thinking", "thoughts", "chain_of_thought", "Chain of Thought"])
def test_reasoning_in_a_column_goes_to_the_last_answer(key: str) -> None:
    assert one({"question": "Why?", key: "Let me see.", "answer": "Because."})[1] == thought("Let me see.")
    assert one({"messages": TURNS, key: "Let me see."})[1] == thought("Let me see.")


def test_thoughts_inside_the_text_stay_text() -> None:
    said = "<think>Let me see.</think>Because."
    assert one({"question": "Why?", "answer": said})[1] == Conversation((WHY, Message("assistant", said)))


@pytest.mark.parametrize("value", ["on", True, 3])
def test_a_column_called_reasoning_that_holds_a_switch_is_left_aside(value: object) -> None:
    understanding = understood({"question": "Why?", "answer": "Because.", "reasoning": value})
    assert understanding.left_aside == ("reasoning",)
    assert '"reasoning" is left aside' in understanding.evidence
    assert reader(understanding)({"question": "Why?", "answer": "Because.", "reasoning": "off"}) == ASKED


def test_thoughts_as_s1k_has_them_are_read_once_their_columns_are_named() -> None:
    row = {"question": "Why?", "thinking_trajectories": ["Let me see."], "attempt": "Because.", "solution": "x"}
    columns = {"reasoning": "thinking_trajectories", "completion": "attempt"}
    assert one(row, **columns) == ("instruction-response", thought("Let me see."))


def calling(call: Row) -> Conversation:
    row = {"messages": [TURNS[0], call, {"role": "tool", "content": "Sun.", "tool_call_id": "c1", "name": "weather"}]}
    _, example = one({**row, "tools": [WRAPPED]})
    assert isinstance(example, Conversation)
    assert example.tools == WEATHER_TOOLS
    assert example.messages[2] == Message("tool", "Sun.", name="weather", tool_call_id="c1")
    return example


@pytest.mark.parametrize("arguments", ['{"place": "Graz", "days": 2}', {"place": "Graz", "days": 2}])
def test_calls_are_read_with_their_arguments_in_one_form(arguments: object) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    example = calling({"role": "assistant", "content": None, "tool_calls": [call]})
    assert example.messages[1] == Message("assistant", "", tool_calls=(ToolCall(CALLED.name, CALLED.arguments, "c1"),))


def test_the_older_function_call_is_read_too() -> None:
    call = {"name": "weather", "arguments": '{"place": "Graz", "days": 2}'}
    example = calling({"role": "assistant", "content": "I'll look.", "function_call": call})
    assert example.messages[1] == Message("assistant", "I'll look.", tool_calls=(CALLED,))


def test_nothing_at_all_as_arguments_is_a_call_without_any() -> None:
    row = {
        "messages": [TURNS[0], {"role": "assistant", "tool_calls": [{"function": {"name": "now", "arguments": ""}}]}]
    }
    assert one(row)[1] == Conversation((WHY, Message("assistant", "", tool_calls=(ToolCall("now", "{}"),))))


@pytest.mark.parametrize("column", ["tools", "functions"])
@pytest.mark.parametrize("functions", [[WEATHER], [WRAPPED], msgspec.json.encode([WEATHER]).decode()])
def test_functions_are_found_in_a_column_however_they_are_written(column: str, functions: object) -> None:
    assert one({"messages": TURNS, column: functions})[1] == Conversation(ASKED.messages, WEATHER_TOOLS)


def test_sharegpt_turns_that_are_calls_and_observations_are_read() -> None:
    turns = [
        SHARED[0],
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"place": "Graz", "days": 2}}'},
        {"from": "observation", "value": '{"sky": "blue"}'},
        SHARED[1],
    ]
    called = Message("assistant", "", tool_calls=(CALLED,))
    expected = Conversation((WHY, called, Message("tool", '{"sky": "blue"}'), BECAUSE), WEATHER_TOOLS)
    assert one({"conversations": turns, "tools": msgspec.json.encode([WEATHER]).decode()}) == ("sharegpt", expected)


def test_answers_that_are_calls_are_read_as_xlam_has_them() -> None:
    answers = '[{"name": "weather", "arguments": {"place": "Graz", "days": 2}}]'
    row = {"id": 0, "query": "Why?", "answers": answers, "tools": msgspec.json.encode([WEATHER]).decode()}
    expected = Conversation((WHY, Message("assistant", "", tool_calls=(CALLED,))), WEATHER_TOOLS)
    assert one(row) == ("question-answer", expected)
    # Without functions, the same answer is just a text.
    assert one({"query": "Why?", "answers": answers})[1] == Conversation((WHY, Message("assistant", answers)))


def test_a_list_of_names_under_tools_is_left_aside() -> None:
    understanding = understood({"messages": TURNS, "tools": ["bash", "python"]})
    assert understanding.left_aside == ("tools",)


def test_columns_that_a_file_leaves_empty_change_nothing() -> None:
    turns = [{**turn, "tool_calls": None, "name": None, "reasoning_content": None} for turn in TURNS]
    assert one({"messages": turns, "tools": None, "system": None, "reasoning": ""})[1] == ASKED


@pytest.mark.parametrize(
    ("row", "says"),
    [
        pytest.param({"prompt": "a", "chosen": "b", "rejected": "c"}, '{ prompt = "prompt", completion = "chosen" }'),
        pytest.param(
            {"chosen": "Human: a Assistant: b", "rejected": "Human: a Assistant: c"},
            '{ text = "chosen" }',
            id="HH-RLHF",
        ),
        pytest.param(
            {"prompt": "Why?", "chosen": TURNS, "rejected": TURNS, "messages": TURNS},
            '{ messages = "chosen" }',
            id="UltraFeedback binarized",
        ),
        pytest.param({"prompt": "a", "completion": "b", "label": True}, '"label" is true', id="KTO"),
        pytest.param({"messages": TURNS, "kto_tag": False}, '"kto_tag" is true', id="LLaMA-Factory's KTO"),
        pytest.param({"messages": TURNS, "rejected_response": "No."}, '{ messages = "messages" }', id="ms-swift"),
        pytest.param({"prompt": "a", "response_0": "b", "response_1": "c"}, "a column of its own", id="PKU-SafeRLHF"),
        pytest.param(
            {
                "instruction": "a",
                "completions": [{"response": "b", "overall_score": 1}, {"response": "c", "overall_score": 2}],
            },
            "several ranked answers",
            id="UltraFeedback",
        ),
        pytest.param({"question": "a", "answers": ["b", "c"], "scores": [1, 2]}, "several ranked answers"),
        pytest.param(
            {"input": {"messages": TURNS[:1]}, "preferred_output": TURNS[1:], "non_preferred_output": TURNS[1:]},
            "a column of its own",
            id="OpenAI's preferences",
        ),
    ],
)
def test_preferences_are_named_as_such_and_refused_with_what_can_be_done(row: Row, says: str) -> None:
    sentence = refusal(row)
    assert "the rows are preferences: 1 of 1 rows" in sentence
    assert says in sentence


def test_the_chosen_answers_of_preferences_can_be_mapped() -> None:
    row = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    assert one(row, prompt="prompt", completion="chosen") == ("instruction-response", ASKED)
    whole = {"prompt": "Why?", "chosen": TURNS, "rejected": TURNS}
    assert one(whole, messages="chosen") == ("messages", ASKED)
    assert one({"prompt": TURNS[:1], "chosen": TURNS[1:], "rejected": TURNS[1:]}, completion="chosen")[1] == ASKED
    assert "is a whole conversation; name it as messages" in why_unfit(whole, completion="chosen")


def test_a_label_that_is_a_word_is_no_verdict() -> None:
    assert understood({"prompt": "a", "completion": "b", "label": "positive"}).format == "prompt-completion"


def test_the_most_frequent_format_wins_and_the_other_rows_are_told_what_they_look_like() -> None:
    alpaca = {"instruction": "Why?", "output": "Because."}
    others: list[tuple[Row, str]] = [
        ({"conversations": SHARED}, "sharegpt"),
        ({"messages": TURNS}, "messages"),
        ({"text": "x"}, "text"),
        ({"instruction": "a", "output": "b", "chosen": "c", "rejected": "d"}, "preference"),
        ({"instruction": "a", "output": "b", "label": True}, "preference"),
    ]
    understanding = understood({"text": "x"}, alpaca, alpaca, {"q": 1})
    assert understanding.format == "alpaca"
    assert understanding.found == {"alpaca": 2, "text": 1, "unknown": 1}
    assert understanding.evidence.startswith('2 of 4 rows looked at have "instruction" and "output"')
    read = reader(understanding)
    for row, looks in others:
        with pytest.raises(Unfit, match=f"^it looks like {looks}, and the rows are read as alpaca$"):
            read(row)
    with pytest.raises(Unfit, match=r'^it has no "instruction" and "output"$'):
        read({"q": 1})
    assert read(alpaca) == ASKED


def test_turns_of_another_shape_in_the_same_column_are_told_apart() -> None:
    shared, chat = {"conversations": SHARED}, {"conversations": TURNS}
    assert why_unfit(chat, shared) == "it looks like messages, and the rows are read as sharegpt"
    assert why_unfit(shared, chat) == "it looks like sharegpt, and the rows are read as messages"


def test_only_the_first_thousand_rows_are_looked_at() -> None:
    rows = [{"text": "a"}] * 1000 + [{"question": "a", "answer": "b"}] * 2000
    assert understood(*rows).found == {"text": 1000}


def test_a_column_that_only_appears_after_the_sample_is_read_all_the_same() -> None:
    read = reader(understood({"instruction": "Why?", "output": "Because."}))
    assert read({"instruction": "Why?", "output": "Because.", "system": "Be brief."}) == with_system("Be brief.")


@pytest.mark.parametrize("key", ["system", "input", "history", "reasoning"])
def test_plain_texts_beside_which_something_else_appears_are_refused(key: str) -> None:
    plain = {"prompt": "Why?", "completion": "Because."}
    assert f'it has "{key}" beside its prompt, for which there is no place' in why_unfit({**plain, key: "x y"}, plain)
    assert reader(understood(plain))({**plain, key: ""}) == Completion("Why?", "Because.")


def test_plain_texts_that_are_asked_for_leave_the_rest_aside() -> None:
    row = {"prompt": "Why?", "completion": "Because.", "system": "Be brief."}
    assert one(row, "prompt-completion") == ("prompt-completion", Completion("Why?", "Because."))
    assert '"system" is left aside' in understood(row, asked="prompt-completion").evidence


def test_evidence_names_what_is_read_and_what_is_not() -> None:
    row = {"instruction": "Why?", "context": "x", "response": "Because.", "category": "qa", "\x1b[2J": 1}
    assert understood(row).evidence == (
        '1 of 1 rows looked at have "instruction" and "response"; "context" holds what the question is about; '
        r'not read: "category", "\x1b[2J"'
    )
    assert 'a list of turns with "from" and "value"' in understood({"conversations": SHARED}).evidence
    assert "the first is learned" in understood({"question": "a", "answer": ["b", "c"]}).evidence


def test_an_understanding_survives_json() -> None:
    understanding = understood({"frage": "Why?", "antwort": "Because."}, prompt="frage", completion="antwort")
    again = msgspec.json.decode(msgspec.json.encode(understanding), type=Understanding)
    assert again == understanding
    assert reader(again)({"frage": "Why?", "antwort": "Because."}) == ASKED


def test_mapped_columns_make_a_conversation_or_plain_text_if_that_is_asked_for() -> None:
    row = {"frage": "Why?", "antwort": "Because.", "rolle": "Be brief.", "input": ""}
    columns = {"prompt": "frage", "completion": "antwort"}
    assert one(row, **columns) == ("instruction-response", ASKED)
    assert one(row, **columns, system="rolle")[1] == with_system("Be brief.")
    assert one(row, "prompt-completion", **columns) == ("prompt-completion", Completion("Why?", "Because."))
    assert one({"inhalt": "All."}, text="inhalt") == ("text", PlainText("All."))
    assert one({"chat": SHARED}, messages="chat") == ("sharegpt", ASKED)
    assert one({"chat": TURNS, "messages": []}, messages="chat") == ("messages", ASKED)


def test_a_mapped_column_is_taken_from_no_other_key() -> None:
    reason = why_unfit(
        {"prompt": "Why?", "completion": "No."},
        {"prompt": "Why?", "best": "Because."},
        prompt="prompt",
        completion="best",
    )
    assert reason == "it looks like prompt-completion, and the rows are read as instruction-response"
    assert why_unfit({"prompt": "Why?"}, {"prompt": "Why?", "best": "x"}, completion="best") == 'it has no "best"'


@pytest.mark.parametrize(
    ("asked", "columns", "says"),
    [
        (
            "auto",
            {"completion": "antwrt"},
            'completion is "antwrt", and none of the 1 rows looked at has that key; did you',
        ),
        ("auto", {"prompt": "frage"}, "no completion was found beside it"),
        ("auto", {"completion": "antwort"}, "no prompt was found beside it"),
        ("auto", {"prompt": "frage", "completion": "frage"}, 'names "frage" twice'),
        ("auto", {"prompt": "frage", "text": "antwort"}, "don't go with each other"),
        ("auto", {"messages": "frage", "prompt": "antwort"}, "don't go with each other"),
        ("text", {"prompt": "frage"}, "don't go with rows of the format 'text'"),
        (
            "prompt-completion",
            {"prompt": "frage", "completion": "antwort", "system": "rolle"},
            "don't go with rows of the format 'prompt-completion'",
        ),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(asked: RowsFormat, columns: dict[Column, str], says: str) -> None:
    assert says in refusal({"frage": "Why?", "antwort": "Because.", "rolle": "x"}, asked=asked, **columns)


def test_a_format_that_no_row_has_is_refused_with_what_they_look_like() -> None:
    assert "none of the 1 rows looked at is in the format 'alpaca'; they look like sharegpt" in refusal(
        {"conversations": SHARED}, asked="alpaca"
    )
    assert "none of the 1 rows looked at is in the format 'text'; their keys are \"q\"" in refusal(
        {"q": 1}, asked="text"
    )


def test_an_unknown_format_says_what_was_found_and_what_would_be_accepted() -> None:
    sentence = refusal({"title": "a"}, {"\x1b[31mbody": "b"})
    assert r'their keys are "title", "\x1b[31mbody"' in sentence
    assert "\x1b" not in sentence
    for name in (
        "messages",
        "sharegpt",
        "alpaca",
        "prompt-completion",
        "instruction-response",
        "question-answer",
        "text",
    ):
        assert f"{name}:" in sentence
    assert "rows.columns" in sentence
    assert "there is no row to look at" in refusal()


def assistant(**turn: object) -> Row:
    return {"messages": [TURNS[0], {"role": "assistant", **turn}]}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": []}, "it holds no list of messages"),
        ({"messages": "hello"}, "it holds no list of messages"),
        ({"messages": ["hello"]}, "message 1 is a text, so it isn't said who speaks"),
        ({"messages": TURNS[:1]}, "no message is the assistant's"),
        (assistant(content=" "), "the assistant's answer is empty"),
        (assistant(content="", reasoning="Hm."), "the assistant's answer is empty"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, "message 1 has the role 'oracle'; known: system, "),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "message 1 has the role"),
        (assistant(content=None), 'the "content" of message 2 is without a value'),
        (assistant(), 'the "content" of message 2 is missing'),
        (assistant(content=3), 'the "content" of message 2 is a number, not a text'),
        (assistant(content="x", reasoning=[1]), 'the "reasoning" of message 2 is a list'),
        (assistant(content="x", weight=0), 'message 2 says "weight": 0, and every answer of a row would be learned'),
        (assistant(content="x", train=False), 'message 2 says "train": False'),
        (assistant(content=[{"type": "image_url"}]), "holds a part of the type 'image_url'; only text can be learned"),
        (assistant(content=[{"text": "x"}]), "parts don't say their type"),
        ({"messages": [{"speaker": "assistant"}]}, 'message 1 lacks "role" or "content"'),
        ({"messages": TURNS, "images": ["a.png"]}, 'it comes with "images", and only text can be learned'),
        ({"messages": [{"role": "system", "content": "a"}, *TURNS], "system": "b"}, "one system text in"),
        (assistant(tool_calls=[{}]), "holds a call without the function's name"),
        (assistant(tool_calls=[{"function": {"name": "f"}}]), 'calls a function without "arguments"'),
        (assistant(tool_calls=[{"function": {"name": "f", "arguments": "{"}}]), "arguments that aren't valid JSON"),
        (assistant(tool_calls=[{"function": {"name": "f", "arguments": "[]"}}]), "arguments that aren't an object"),
        (assistant(tool_calls=[{"function": {"name": "f", "arguments": {"a": "\ud83d"}}}]), "half a character"),
        ({"conversations": [{"from": "function_call", "value": "{'name': 'f'}"}]}, "is a call that isn't valid JSON"),
        ({"instruction": "Why?", "output": ""}, 'its "output" is empty'),
        ({"instruction": "Why?", "output": None}, 'its "output" is without a value'),
        ({"instruction": "", "input": " ", "output": "x"}, 'its "instruction" is empty'),
        ({"question": "Why?", "answer": 3}, 'its "answer" is a number, not a text'),
        ({"question": "Why?", "answer": 3.5}, 'its "answer" is a number, not a text'),
        ({"question": "Why?", "answer": True}, 'its "answer" is true or false, not a text'),
        ({"question": "Why?", "answer": {"a": 1}}, 'its "answer" is an object, not a text'),
        ({"question": "Why?", "answer": []}, 'its "answer" is an empty list'),
        ({"question": "Why?", "answer": [3]}, 'its "answer" is a list whose first answer is a number'),
        ({"question": ["Why?"], "answer": "x"}, 'its "question" is a list, not a text'),
        ({"prompt": "Why?", "completion": ""}, 'its "completion" is empty'),
        ({"prompt": None, "completion": "x"}, 'its "prompt" is without a value'),
        ({"text": None}, 'its "text" is without a value'),
        ({"text": "\n"}, 'its "text" is empty'),
        ({"text": "broken \ud83d emoji"}, "it holds half a character"),
        ({"question": "Why?", "answer": "broken \ud83d"}, "it holds half a character"),
        ({"prompt": "broken \ud83d", "completion": "x"}, "it holds half a character"),
        (assistant(content="broken \ud83d"), "it holds half a character"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(row: Row, says: str) -> None:
    assert says in why_unfit(row)


@pytest.mark.parametrize("history", [[["a"]], 3, [["a", "b", "c"]], ["ab"], '{"a": 1}'])
def test_a_history_that_is_no_list_of_pairs_is_named(history: object) -> None:
    row = {"instruction": "And?", "output": "x"}
    assert 'its "history" isn\'t a list of [question, answer] pairs' in why_unfit(
        {**row, "history": history}, {**row, "history": [["a", "b"]]}
    )


def test_a_column_that_changes_its_type_is_named_row_by_row() -> None:
    good = {"question": "Why?", "answer": "Because."}
    assert why_unfit({"question": "Why?", "answer": 7}, good) == 'its "answer" is a number, not a text'


@pytest.mark.parametrize(
    "roles", [("system", "system", "user", "assistant"), ("assistant", "user"), ("user", "user", "assistant")]
)
def test_unusual_orders_of_turns_are_left_to_the_template(roles: tuple[str, ...]) -> None:
    _, example = one({"messages": [{"role": role, "content": "x"} for role in roles]})
    assert example == Conversation(tuple(Message(role, "x") for role in roles))


def test_deep_nesting_in_arguments_is_refused_and_never_crashes() -> None:
    deep = '{"a":' * 100_000
    assert "aren't valid JSON" in why_unfit(assistant(tool_calls=[{"function": {"name": "f", "arguments": deep}}]))
    assert why_unfit({"messages": "[" * 100_000}).endswith("it holds no list of messages")


def test_rows_with_ever_new_keys_are_not_all_remembered() -> None:
    read = reader(understood({"text": "a"}))
    tracemalloc.start()
    try:
        assert all(read({"text": "a", str(number): number}) == PlainText("a") for number in range(5000))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


def test_keys_with_escape_sequences_are_shown_and_never_act() -> None:
    reason = why_unfit({"\x1b[31mq": 3, "answer": "x"}, prompt="\x1b[31mq", completion="answer")
    assert reason == r'its "\x1b[31mq" is a number, not a text'
