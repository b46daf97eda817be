"""A question and its answers as JSON."""

from __future__ import annotations

import msgspec

from pegbox_runs.chatting.records import BASE, EndOfAnswer, Sampling
from pegbox_runs.chatting.talk import Talk
from pegbox_runs.chatting.turns import Answer, Turn
from pegbox_runs.chatting.words import room


class PromptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the model was shown."""

    text: str
    ids: tuple[int, ...]
    tokens: int
    dropped_exchanges: int
    context: int | None


class AnswerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one of them said."""

    lane: str
    method: str | None
    """None: it is the base model."""
    text: str
    tokens: int
    seconds: float
    end: EndOfAnswer
    why: str
    notes: tuple[str, ...]
    """What is to be known of the room in the context."""
    prompt: PromptRecord | None


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `pegbox chat --json`."""

    turn: int
    """0: there was no worker to ask it."""
    question: str
    model: str
    """The base model, as the first run's recipe names it."""
    sampling: Sampling
    answers: tuple[AnswerRecord, ...]


def record(talk: Talk, turn: Turn) -> TurnRecord:
    """Write a turn that is over."""
    return TurnRecord(
        turn=turn.number,
        question=turn.question,
        model=talk.speakers[0].run.recipe.model.name,
        sampling=talk.sampling,
        answers=tuple(_answer(talk, answer) for answer in turn.answers.values()),
    )


def _answer(talk: Talk, answer: Answer) -> AnswerRecord:
    shown = answer.rendered
    return AnswerRecord(
        lane=answer.lane,
        method=None if answer.lane == BASE else talk.speaker(answer.lane).run.card.name,
        text=answer.text,
        tokens=answer.tokens,
        seconds=round(answer.seconds, 4),
        end=answer.end,
        why=answer.why,
        notes=tuple(room(talk, answer)),
        prompt=None
        if shown is None
        else PromptRecord(
            text=shown.text,
            ids=shown.ids,
            tokens=len(shown.ids),
            dropped_exchanges=shown.dropped,
            context=shown.context,
        ),
    )
