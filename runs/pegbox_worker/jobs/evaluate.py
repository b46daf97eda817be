"""The job `evaluate`: hold a run's model against its base, on rows that it wasn't trained on."""

from __future__ import annotations

import time

import msgspec
import torch

from pegbox_methods.events import Progress
from pegbox_runs.environment import installed_libraries
from pegbox_runs.evaluating.asking import SHOWN_ROWS, EvaluateRequest, Seen
from pegbox_runs.evaluating.changed_rows import changed_rows
from pegbox_runs.evaluating.evaluated import Computed, EvaluatedRow, RowsTold
from pegbox_runs.judging.judged import Judgement, RowLosses
from pegbox_runs.judging.text_metrics import MEASURES
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.assembly import quiet
from pegbox_worker.evaluation.look import Looker
from pegbox_worker.evaluation.questions import SHOWN_CHARACTERS, Asking, examples_at
from pegbox_worker.evaluation.rows import JudgedRows, as_sentence, judged_rows
from pegbox_worker.evaluation.sides import Sides, answers_at_once
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.questions import Question, no_questions
from pegbox_worker.tuned_model import device_for_use

Answers = dict[int, tuple[str, str]]
"""By a row's place: the base's answer, and the tuned model's."""


def run(request: bytes, contact: Contact) -> Seen:
    """Answer an EvaluateRequest in JSON; Progress is told meanwhile. It writes nothing into the run's folder.

    Raises: Refusal: there are no rows to judge by, or the adapter doesn't fit. Diverged. OutOfMemoryAt.
    """
    asked = msgspec.json.decode(request, type=EvaluateRequest)
    quiet()
    began = time.monotonic()
    tuned = tuned_run(asked.run, base=asked.base)
    contact.tell(Progress(doing="loading the base model"))
    evaluation = _Evaluation(tuned, asked, contact)
    return evaluation.seen(began)


class _Evaluation:
    """Both models in turn, the base first: to put an adapter on it may change it."""

    def __init__(self, run: TunedRun, asked: EvaluateRequest, contact: Contact) -> None:
        self._run = run
        self._asked = asked
        self._contact = contact
        self._sides = Sides(run, device_for_use())
        contact.tell(Progress(doing="preparing the rows"))
        self._rows: JudgedRows = judged_rows(run, asked, self._sides.tokenizer, self._sides.ends)
        recipe = run.recipe
        self._asking = Asking(
            self._sides.tokenizer, recipe.evaluation.sample_tokens, recipe.training.length, self._sides.ends
        )
        count = recipe.judging.answers if asked.answers is None else asked.answers
        count = count if asked.metrics else 0
        self._first = self._asking.first(self._rows, count)
        self._remarks = list(self._rows.remarks)
        if count and not self._first:
            self._remarks.append(as_sentence(no_questions("held-out row" if self._rows.own else "row")))
        self._looker = Looker(
            self._sides,
            self._rows,
            batch=recipe.evaluation_batch,
            answer_batch=asked.answer_batch or answers_at_once(self._sides.device),
            tell=contact.tell,
        )

    def seen(self, began: float) -> Seen:
        """Look at both. `began`: when, by the monotonic clock."""
        base, base_answers = self._side("base", self._first)
        self._contact.tell(Progress(doing="putting the adapter on"))
        tuned, tuned_answers = self._side("tuned", self._first)
        changed = changed_rows(base.held_out, tuned.held_out, SHOWN_ROWS)
        answered = {place: (base_answers[place], tuned_answers[place]) for place in self._first}
        shown = self._shown((*changed.gained, *changed.lost), base.held_out, tuned.held_out, answered)
        return Seen(
            base=base,
            tuned=tuned,
            rows=self._rows_told(),
            computed=self._computed(time.monotonic() - began),
            gained=tuple(shown[place] for place in changed.gained if place in shown),
            lost=tuple(shown[place] for place in changed.lost if place in shown),
        )

    def _side(self, name: str, questions: dict[int, Question]) -> tuple[Judgement, dict[int, str]]:
        with self._sides.base() if name == "base" else self._sides.tuned() as model:
            held_out, general = self._looker.losses(model, name)
            given = self._answers(model, name, questions)
        scores = {
            metric: tuple(MEASURES[metric](given[place], question.expected) for place, question in questions.items())
            for metric in (self._asked.metrics if questions else ())
        }
        return Judgement(held_out=held_out, general=general, scores=scores), given

    def _answers(self, model: torch.nn.Module, name: str, questions: dict[int, Question]) -> dict[int, str]:
        given = self._looker.answers(model, [*questions.values()], tokens=self._asking.tokens, name=name)
        return dict(zip(questions, given, strict=True))

    def _shown(
        self, places: tuple[int, ...], base: RowLosses, tuned: RowLosses, answered: Answers
    ) -> dict[int, EvaluatedRow]:
        """Look the rows at these places up, and let both models answer those that they haven't answered yet.

        A row that its file doesn't hold any more is left out.
        """
        self._contact.tell(Progress(doing="looking at the rows that changed most"))
        examples = examples_at(self._rows, places)
        if self._asked.metrics:
            made = {place: self._asking.question(one) for place, one in examples.items() if place not in answered}
            more = {place: question for place, question in made.items() if question is not None}
            answered = answered | self._answered(more)
        found = {}
        for place in examples:
            question, expected = self._asking.texts(examples[place])
            before_text, after_text = answered.get(place, (None, None))
            found[place] = EvaluatedRow(
                number=place + 1,
                question=question,
                expected=expected,
                tokens=base.tokens[place],
                base_loss=base.nats[place] / base.tokens[place],
                tuned_loss=tuned.nats[place] / tuned.tokens[place],
                base_answer=before_text and before_text[:SHOWN_CHARACTERS],
                tuned_answer=after_text and after_text[:SHOWN_CHARACTERS],
            )
        return found

    def _answered(self, questions: dict[int, Question]) -> Answers:
        """Let both models answer; none are given where memory runs out, for the figures don't need these."""
        if not questions:
            return {}
        try:
            after, before = (self._answers_of(name, questions) for name in ("tuned", "base"))
        except Exception as error:
            if not isinstance(error, OutOfMemoryAt) and not is_out_of_memory(error):
                raise
            self._remarks.append("Memory ran out as the rows that changed most were answered: some show no answers.")
            return {}
        return {place: (before[place], after[place]) for place in questions}

    def _answers_of(self, name: str, questions: dict[int, Question]) -> dict[int, str]:
        """Borrow a model for no longer than it answers: where both don't fit together, the other is loaded next."""
        with self._sides.base() if name == "base" else self._sides.tuned() as model:
            return self._answers(model, name, questions)

    def _rows_told(self) -> RowsTold:
        rows = self._rows
        return RowsTold(
            source="held-out" if rows.own else "file",
            name=rows.name,
            sha256=rows.sha256,
            tokens_sha256=rows.rows.fingerprint(),
            rows=len(rows.rows),
            of=rows.of,
            tokens=rows.rows.facts.tokens_trained,
            trained_on=rows.trained_on,
            general=0 if rows.general is None else len(rows.general),
            general_sha256=None if rows.general is None else rows.general.fingerprint(),
            answered=len(self._first),
            answer_tokens=self._asking.tokens,
            remarks=tuple(self._remarks),
        )

    def _computed(self, seconds: float) -> Computed:
        sides, looker = self._sides, self._looker
        named = torch.cuda.get_device_name(sides.device) if sides.device.type == "cuda" else "cpu"
        return Computed(
            device=named,
            precision=sides.number_format.name,
            weights=sides.weights,
            batch=looker.batch,
            answer_batch=looker.answer_batch,
            seconds=seconds,
            answer_seconds=looker.answer_seconds,
            libraries=installed_libraries(),
        )
