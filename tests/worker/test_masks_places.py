"""What was found in one row's text is used in the next one's: quicker, and never otherwise than found anew."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.chat_template import ChatTemplate, RenderedText
from pegbox_runs.rows.example import Conversation, Message, ToolCall
from pegbox_runs.rows.rendering import RowRenderer
from pegbox_runs.rows.turn_ends import KnownPlaces
from tests.chats import NAMED, NAMES, template_text

WORDS = ["hello", "<|im_end|>", "<|im_start|>assistant\n", "<think>", "</think>", "\n", " ", "</tool_call>", '"}']


class CountingTemplate(ChatTemplate):
    """Counts the turns that are written."""

    turns = 0

    def render(self, messages: Sequence[Message], *, tools: str = "", prompting: bool = False) -> RenderedText:
        self.turns += len(messages)
        return super().render(messages, tools=tools, prompting=prompting)


def agent_chat(chance: random.Random, questions: int, said: Callable[[], str]) -> Conversation:
    messages = [Message("system", said())] if chance.random() < 0.4 else []
    for _ in range(questions):
        messages.append(Message("user", said()))
        for _ in range(chance.randrange(3)):
            arguments = json.dumps({"q": said(), "n": chance.randrange(1000)})
            call = ToolCall("find", arguments, id="abcdefghi")
            messages.append(Message("assistant", chance.choice(["", said()]), tool_calls=(call,)))
            messages.append(Message("tool", said(), name="find", tool_call_id="abcdefghi"))
        messages.append(Message("assistant", said(), reasoning=chance.choice(["", "", said()])))
    return Conversation(tuple(messages))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_of_earlier_rows_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)  # noqa: S311 - the same rows in every run

    def said() -> str:
        return "".join(chance.choices(WORDS, k=chance.randrange(4)))

    chats = [agent_chat(chance, chance.randrange(1, 5), said) for _ in range(40)]
    renderer = RowRenderer(ChatTemplate(template_text(name), NAMED.get(name, {})))
    found = [outcome(renderer, chat) for chat in chats]

    def find_anew(_: Any, kinds: Any, text: str, find: Callable[[], int], **asked: Any) -> int:
        return find()

    monkeypatch.setattr(KnownPlaces, "place", find_anew)
    anew = RowRenderer(ChatTemplate(template_text(name), NAMED.get(name, {})))
    assert found == [outcome(anew, chat) for chat in chats]


def outcome(renderer: RowRenderer, chat: Conversation) -> object:
    try:
        return renderer.render(chat)
    except Refusal as error:
        return error.sentence


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3"])
def test_a_row_of_many_turns_costs_a_few_renderings_though_no_two_are_built_alike(name: str) -> None:
    chance = random.Random(6)  # noqa: S311 - the same rows in every run
    numbers = iter(range(10**6))
    said = functools.partial(lambda: f"word {next(numbers)}")
    chats = [agent_chat(chance, 15, said) for _ in range(20)]
    template = CountingTemplate(template_text(name), NAMED.get(name, {}))
    renderer = RowRenderer(template)
    for chat in chats[:10]:
        renderer.render(chat)
    template.turns = 0
    for chat in chats[10:]:
        renderer.render(chat)
    assert template.turns < 6 * sum(len(chat.messages) for chat in chats[10:])
