"""An example as the text that the model sees, and the characters of it that are learned."""

from __future__ import annotations

from typing import NamedTuple

from pegbox_runs.printable import one_line
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate, RowRefusal, Spans
from pegbox_runs.rows.example import Completion, Conversation, Example
from pegbox_runs.rows.turns import TurnFinder, Untellable

SHOWN = 60
"""Letters of a row that name it in a refusal."""


class Rendered(NamedTuple):
    """An example as one text."""

    text: str
    learned: Spans
    """Character spans."""
    templated: bool
    """A template writes its own special tokens; plain text gets the tokenizer's, and an end token."""
    marked: bool = False
    """Whether the template itself marks what is learned."""
    rewritten: bool = False
    """Whether a part of an answer stands in no learned span as it stands in the row."""


class RowRenderer:
    """Renders examples one after the other with one template; None: there is none, and conversations are refused."""

    def __init__(self, template: ChatTemplate | None) -> None:
        self._template = template
        self._turns = None if template is None else TurnFinder(template)

    def render(self, example: Example) -> Rendered:
        """Write an example as the model will see it, and find what it learns.

        Raises: NoTemplate: the template is missing, fails, or refuses the row. RowRefusal: it can't be told which
        part of the text is an answer.
        """
        match example:
            case Conversation():
                return self._conversation(example)
            case Completion(prompt, completion):
                text = prompt + completion
                return Rendered(text, ((len(prompt), len(text)),), templated=False)
            case _:
                return Rendered(example.text, ((0, len(example.text)),), templated=False)

    def _conversation(self, conversation: Conversation) -> Rendered:
        if self._template is None or self._turns is None:
            raise NoTemplate("the tokenizer has no chat template")
        text, marks = self._template.render(conversation.messages, tools=conversation.tools)
        if marks is not None:
            learned = marks
        else:
            try:
                learned = self._turns.find(conversation, text).answers
            except Untellable as error:
                raise _untellable(conversation, error.number) from None
        said = "\n".join(text[begin:stop] for begin, stop in learned)
        answers = (message for message in conversation.messages if message.role == "assistant")
        rewritten = any(
            passage.strip() not in said
            for message in answers
            for passage in (message.content, message.reasoning, *(call.name for call in message.tool_calls))
        )
        return Rendered(text, learned, templated=True, marked=marks is not None, rewritten=rewritten)


def _untellable(conversation: Conversation, number: int) -> RowRefusal:
    row = one_line(conversation.messages[0].content, SHOWN)
    answer = one_line(conversation.messages[number - 1].content, SHOWN)
    return RowRefusal(
        f"The chat template leaves turn {number} out, or changes it so that it can't be told which tokens to learn: "
        f"{answer!r}, in the row that begins {row!r}. Name another template as model.chat_template, best one with "
        "{% generation %} marks, or keep one answer a row."
    )
