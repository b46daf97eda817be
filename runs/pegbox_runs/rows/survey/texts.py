"""A row's texts by what they are for: asked, answered, or beside it."""

from __future__ import annotations

from typing import NamedTuple

from pegbox_runs.rows.example import Completion, Conversation, Example, Message


class Texts(NamedTuple):
    """What stands in a row."""

    asked: str
    """The user's turns, or the prompt; empty for plain text."""
    answers: tuple[str, ...]
    """What is learned, turn by turn; a turn that only calls tools is its calls."""
    beside: str
    """System prompts, tools and what they answered."""
    answered: bool
    """Whether the last turn is the assistant's."""
    reasoning: str = ""
    """What the assistant thinks before it speaks; learned too."""

    @property
    def body(self) -> str:
        """Join what tells this row from others: rows often share what is beside it."""
        return "\n".join((self.asked, *self.answers, *([self.reasoning] if self.reasoning else ())))

    @property
    def all(self) -> tuple[str, ...]:
        """List every text."""
        return (self.asked, *self.answers, self.reasoning, self.beside)

    @property
    def letters(self) -> int:
        """Count the characters of all texts."""
        return len(self.asked) + sum(map(len, self.answers)) + len(self.reasoning) + len(self.beside)


def texts_of(example: Example) -> Texts:
    """Sort an example's texts."""
    match example:
        case Conversation(messages, tools):
            return _of_turns(messages, tools)
        case Completion(prompt, completion):
            return Texts(prompt, (completion,), "", True)
        case _:
            return Texts("", (example.text,), "", True)


def asked_before(example: Example) -> object:
    """Give everything that stands before the last answer; None where nothing is asked."""
    match example:
        case Conversation(messages) if len(messages) > 1 and messages[-1].role == "assistant":
            return messages[:-1]
        case Completion(prompt) if prompt:
            return prompt
    return None


def _of_turns(messages: tuple[Message, ...], tools: str) -> Texts:
    asked: list[str] = []
    answers: list[str] = []
    reasoning: list[str] = []
    beside = [tools] if tools else []
    for message in messages:
        if message.role == "user":
            asked.append(message.content)
        elif message.role == "assistant":
            calls = " ".join(f"{call.name} {call.arguments}" for call in message.tool_calls)
            answers.append(f"{message.content} {calls}" if calls and message.content else calls or message.content)
            if message.reasoning:
                reasoning.append(message.reasoning)
        else:
            beside.append(message.content)
    return Texts(
        "\n".join(asked), tuple(answers), "\n".join(beside), messages[-1].role == "assistant", "\n".join(reasoning)
    )
