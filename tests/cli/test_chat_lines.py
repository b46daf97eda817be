"""A chat in lines with made up models: what goes where, and what is told of models that are gone."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from pegbox import chat_lines
from pegbox.chat_lines import Lines
from pegbox_runs.chatting.records import Ask, ChatOrder
from pegbox_runs.chatting.talk import Talk
from pegbox_runs.jobs import JobFailed
from tests.pretended_chat import LORA, PretendedModels, talk_of


class Answering(PretendedModels):
    """Loads at once, and answers the questions that it lives to hear; `lives` counts them."""

    def __init__(self, lives: int = 100) -> None:
        super().__init__()
        self.talk: Talk | None = None
        self.lives = lives

    def start(self, order: ChatOrder) -> PretendedModels:
        if self.orders:
            raise JobFailed("the job chat couldn't be started: Cannot allocate memory")
        super().start(order)
        assert self.talk is not None
        self.opens(self.talk)
        return self

    def say(self, record: object) -> bool:
        super().say(record)
        if isinstance(record, Ask):
            if len([one for one in self.told if isinstance(one, Ask)]) > self.lives:
                self.dead = "the worker of the job chat was ended by SIGSEGV"
            else:
                self.speaks(record.asked[0].lane, record.turn, "An answer.")
        return not self.dead


def lines_of(models: Answering, *, as_json: bool) -> Lines:
    models.talk = talk_of(models)
    return Lines(models.talk, both=False, json=as_json, prompts=False)


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_with_json_a_terminal_gets_nothing_else_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chat_lines, "is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("One?\nTwo?\n"))
    assert lines_of(Answering(), as_json=True).run(None) == 0
    said = capsys.readouterr()
    assert [(one["question"], one["answers"][0]["text"]) for one in records(said.out)] == [
        ("One?", "An answer."),
        ("Two?", "An answer."),
    ]
    assert said.err.count("> ") == 3


def test_with_json_a_question_without_a_worker_is_a_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("One?\nTwo?\nThree?\n"))
    assert lines_of(Answering(lives=1), as_json=True).run(None) == 1
    one, two, three = records(capsys.readouterr().out)
    assert (one["turn"], one["answers"][0]["end"]) == (1, "complete")
    assert (two["turn"], two["answers"][0]["why"]) == (2, "the worker of the job chat was ended by SIGSEGV")
    assert (three["turn"], three["question"]) == (0, "Three?")
    (answer,) = three["answers"]
    assert (answer["lane"], answer["end"]) == (LORA, "failed")
    assert "couldn't be started" in answer["why"]


def test_what_a_worker_printed_that_crashed_meanwhile_is_told_beside_the_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("One?\n"))
    assert lines_of(Answering(lives=0), as_json=False).run(None) == 1
    said = capsys.readouterr()
    assert said.out == "\n"
    assert "last words" in said.err
    assert "ended by SIGSEGV" in said.err
