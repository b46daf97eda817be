"""Both models' answers to the same held-out questions, for a judge to compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pegbox_methods.event import Event
from pegbox_methods.job_events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.asking import EvaluateRequest
from pegbox_runs.evaluating.outside.judge import Pair
from pegbox_runs.tuned import TunedRun
from pegbox_worker.evaluation.questions import Asking
from pegbox_worker.evaluation.rows import judged_rows
from pegbox_worker.outside.sides import Side, sides
from pegbox_worker.questions import Question


def answer_both(run: TunedRun, asked: EvaluateRequest, tell: Callable[[Event], None]) -> list[Pair]:
    """Ask the first questions of the evaluated rows.

    Raises: Refusal: there are no such rows, or no question among them; OutOfMemoryAt.
    """
    said: dict[str, list[str]] = {}
    questions: Sequence[Question] = ()
    for side in sides(run):
        questions = questions or _questions(run, asked, side)
        doing, of = f"answers for the judge, {side.name} model", len(questions)

        def done(count: int, doing: str = doing, of: int = of) -> None:
            tell(Progress(doing=doing, done=count, of=of))

        prompts = [question.ids for question in questions]
        tokens = run.recipe.evaluation.sample_tokens
        said[side.name] = side.both.answers(side.model, prompts, tokens=tokens, batch=asked.answer_batch, on_done=done)
    return [
        Pair(question=question.text, expected=question.expected, base=base, tuned=tuned)
        for question, base, tuned in zip(questions, said["base"], said["tuned"], strict=True)
    ]


def _questions(run: TunedRun, asked: EvaluateRequest, side: Side) -> Sequence[Question]:
    """Raises: Refusal."""
    recipe, both = run.recipe, side.both
    rows = judged_rows(run, asked, both.tokenizer, both.ends)
    asking = Asking(both.tokenizer, recipe.evaluation.sample_tokens, recipe.training.length, both.ends)
    found = asking.first(rows, recipe.judging.answers if asked.answers is None else asked.answers)
    if not found:
        raise Refusal("no evaluated row has a question that leaves room for an answer: there's nothing to judge.")
    return tuple(found.values())
