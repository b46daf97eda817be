"""Tasks of plugins: both models are asked, and the plugin's own code scores what they say. It runs here alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pegbox_methods.event import Event
from pegbox_methods.fence import one_line_of
from pegbox_methods.job_events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_task
from pegbox_methods.task import Task, TaskRow
from pegbox_runs.evaluating.outside.asking import TaskScores, TasksRequest
from pegbox_runs.judging.general import PLAIN_TEMPLATE
from pegbox_runs.rows.example import Conversation, Message
from pegbox_runs.tuned import TunedRun
from pegbox_worker.outside.sides import Name, Side, sides
from pegbox_worker.tokens import question_of


@dataclass
class Asked:
    """One task on its way."""

    name: str
    task: Task | None = None
    rows: tuple[TaskRow, ...] = ()
    """Those that leave room for an answer."""
    numbers: list[int] = field(default_factory=list)
    """Of those among all of the task's rows, from 1."""
    prompts: list[list[int]] = field(default_factory=list)
    scores: dict[Name, list[float]] = field(default_factory=dict)
    left_out: int = 0
    fault: str = ""


def score_tasks(run: TunedRun, asked: TasksRequest, tell: Callable[[Event], None]) -> list[TaskScores]:
    """Hold both models against each task. What a task's code does wrong is told as its fault, and the others go on.

    Raises: Refusal: the adapter doesn't fit; OutOfMemoryAt.
    """
    tasks = [_begun(name) for name in asked.tasks]
    for side in sides(run):
        for one in tasks:
            if side.name == "base" and not one.fault:
                _render(one, side)
            if not one.fault:
                _ask(one, side, asked.batch, tell)
    return [_told(one) for one in tasks]


def _begun(name: str) -> Asked:
    one = Asked(name)
    try:
        one.task = find_task(name)
    except Refusal as refusal:
        one.fault = refusal.sentence.rstrip(".")
        return one
    try:
        one.rows = one.task.questions()
    except BaseException as error:  # noqa: BLE001  # SystemExit too: a guest may raise anything
        one.fault = f"its rows can't be read: {one_line_of(error)}"
    return one


def _render(one: Asked, side: Side) -> None:
    """Write each question as the model was trained to be asked, and leave out what has no room for an answer."""
    assert one.task is not None  # noqa: S101  # for mypy
    room = side.run.model.positions
    kept = []
    try:
        for number, row in enumerate(one.rows, start=1):
            ids = prompt_of(row, side.tokenizer)
            if room is None or len(ids) + one.task.max_tokens <= room:
                kept.append(row)
                one.numbers.append(number)
                one.prompts.append(ids)
    except Refusal as refusal:
        one.fault = f"row {number}: {refusal.sentence}"
        return
    one.left_out = len(one.rows) - len(kept)
    one.rows = tuple(kept)
    if not kept:
        one.fault = f"no row leaves room for {one.task.max_tokens} tokens within the model's {room}"


def prompt_of(row: TaskRow, tokenizer: Any) -> list[int]:
    """Give a question in tokens, by the run's template; a model without one is asked in plain text.

    Raises: Refusal: the template can't write it.
    """
    turns = [{"role": "user", "content": row.question}] if isinstance(row.question, str) else row.question
    messages = tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    if tokenizer.chat_template is None:
        tokenizer = copy.copy(tokenizer)
        tokenizer.chat_template = PLAIN_TEMPLATE
    found = question_of(Conversation((*messages, Message(role="assistant", content=row.expected))), tokenizer)
    assert found is not None  # noqa: S101  # it ends with the assistant's turn
    return list(tokenizer(found[1], add_special_tokens=False)["input_ids"])


def _ask(one: Asked, side: Side, batch: int | None, tell: Callable[[Event], None]) -> None:
    """Raises: OutOfMemoryAt."""
    task = one.task
    assert task is not None  # noqa: S101  # for mypy

    def done(count: int) -> None:
        tell(Progress(doing=f"task {one.name}, {side.name} model", done=count, of=len(one.prompts)))

    said = side.both.answers(side.model, one.prompts, tokens=task.max_tokens, batch=batch, on_done=done)
    one.scores[side.name] = _scored(one, task, said)


def _scored(one: Asked, task: Task, said: Sequence[str]) -> list[float]:
    scores = []
    for number, answer, row in zip(one.numbers, said, one.rows, strict=True):
        try:
            scores.append(task.measure(answer, row.expected))
        except BaseException as error:  # noqa: BLE001  # SystemExit too: a guest may raise anything
            one.fault = f"row {number}: {one_line_of(error)}"
            break
    return scores


def _told(one: Asked) -> TaskScores:
    if one.fault:
        return TaskScores(name=one.name, fault=one.fault)
    assert one.task is not None  # noqa: S101  # for mypy
    return TaskScores(
        name=one.name,
        higher_is_better=one.task.higher_is_better,
        base=tuple(one.scores["base"]),
        tuned=tuple(one.scores["tuned"]),
        left_out=one.left_out,
    )
