"""What was asked and answered so far, a record for each question; and what of it a lane is shown again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pegbox_methods.events import Spoken
from pegbox_runs.chatting.records import EndOfAnswer, Rendered
from pegbox_runs.rows.example import Message

ROOM_SHORT = 0.8
"""Of the context; from there on it is told how full it is."""


@dataclass(frozen=True)
class Answer:
    """What a lane said to a question, so far or in all."""

    lane: str
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    """That it has computed, without those in which others did."""
    end: EndOfAnswer = ""
    """Empty: more may come."""
    why: str = ""
    """What went wrong."""
    rendered: Rendered | None = None
    """What it was shown; None: that isn't known yet, or it failed before."""

    @property
    def counts(self) -> bool:
        """Whether it is a part of what the lane is shown later. One that still speaks is about to be interrupted."""
        return self.end in {"complete", "length"} or (self.end in {"", "interrupted"} and bool(self.text))

    @property
    def rate(self) -> float | None:
        """Tokens per second; None: there is nothing to go by."""
        return self.tokens / self.seconds if self.tokens and self.seconds > 0 else None

    @property
    def used(self) -> int:
        """Tokens of the context that prompt and answer take."""
        return (len(self.rendered.ids) if self.rendered else 0) + self.tokens

    @property
    def fullness(self) -> float | None:
        """Share of the context that is used; None: the model knows no bound."""
        context = self.rendered.context if self.rendered else None
        return self.used / context if context else None

    def after(self, said: Spoken) -> Answer:
        """Take a piece of it."""
        return replace(
            self,
            text=self.text + said.text,
            tokens=max(self.tokens, said.tokens),
            seconds=max(self.seconds, said.seconds),
            end=said.end,
            why=said.why,
        )


@dataclass
class Turn:
    """A question, and what each lane that was asked answers. Grows while they speak."""

    number: int
    """From 1, never used again."""
    question: str
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether all have ended."""
        return all(answer.end for answer in self.answers.values())

    def give_up(self, why: str) -> None:
        """End what can't go on."""
        for lane, answer in self.answers.items():
            if not answer.end:
                self.answers[lane] = replace(answer, end="failed", why=why)


def history(turns: Iterable[Turn], lane: str, system: str) -> list[Message]:
    """Write what a lane has heard and said. Questions that it wasn't asked, or had no answer to, are left out."""
    messages = [Message("system", system)] if system else []
    for turn in turns:
        answer = turn.answers.get(lane)
        if answer is not None and answer.counts:
            messages += [Message("user", turn.question), Message("assistant", answer.text)]
    return messages
