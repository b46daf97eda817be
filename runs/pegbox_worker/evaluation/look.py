"""What one model makes of the rows: the loss of each, and its answers to questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from pegbox_methods.events import Progress
from pegbox_runs.judging.judged import RowLosses
from pegbox_worker.assembly import loss_on_labels
from pegbox_worker.evaluation.rows import JudgedRows
from pegbox_worker.evaluation.sides import Sides
from pegbox_worker.memory import free_unused
from pegbox_worker.out_of_memory import OutOfMemoryAt
from pegbox_worker.questions import Question
from pegbox_worker.row_losses import ScoreRows, fused_head_lent, losses_of_rows, score_as
from pegbox_worker.token_rows import TokenRows

TELL_SECONDS = 0.2
"""Progress is told no more often."""
Tell = Callable[[Progress], None]


class Looker:
    """Looks at either model in the same way, and keeps to smaller batches once memory ran out."""

    def __init__(self, sides: Sides, rows: JudgedRows, *, batch: int, answer_batch: int, tell: Tell) -> None:
        self.batch = batch
        self.answer_batch = answer_batch
        self.answer_seconds = 0.0
        self._sides = sides
        self._rows = rows
        self._tell = tell
        self._told = 0.0

    def losses(self, model: Any, name: str) -> tuple[RowLosses, RowLosses | None]:
        """Give the losses of the rows, and of the general ones where there are any. `name`: the model's, for people.

        Raises: Diverged: a loss is no finite number; OutOfMemoryAt: a single row is too much.
        """
        loss = loss_on_labels(model, self._rows.plain, self._sides.number_format, self._sides.device)
        with fused_head_lent(model) if loss is None else nullcontext(), self._sides.in_use(model):
            score = score_as(model, loss)
            found = self._losses(score, self._rows.rows, f"the {name} model's losses")
            general = self._rows.general
            if general is None:
                return found, None
            return found, self._losses(score, general, f"the {name} model's losses on general rows")

    def answers(self, model: Any, questions: Sequence[Question], *, tokens: int, name: str) -> list[str]:
        """Give greedy answers to questions, in their order.

        Raises: OutOfMemoryAt: a single question is too much.
        """
        if not questions:
            return []
        began = time.monotonic()
        doing = f"the {name} model's answers"
        self._say(doing, 0, len(questions))
        given = self._sides.answers(
            model,
            [question.ids for question in questions],
            tokens=tokens,
            batch=self.answer_batch,
            on_done=lambda done: self._say(doing, done, len(questions)),
        )
        self.answer_seconds += time.monotonic() - began
        return given

    def _losses(self, score: ScoreRows, rows: TokenRows, doing: str) -> RowLosses:
        while True:
            try:
                return self._losses_in(self.batch, score, rows, doing)
            except OutOfMemoryAt:
                if self.batch == 1:
                    raise
            self.batch = max(1, self.batch // 2)
            free_unused()

    def _losses_in(self, batch: int, score: ScoreRows, rows: TokenRows, doing: str) -> RowLosses:
        begun = 0

        def another() -> bool:
            """Tell how far it is, as a batch begins; nobody stops it but by ending the process."""
            nonlocal begun
            self._say(doing, begun, len(rows))
            begun = min(len(rows), begun + batch)
            return False

        return losses_of_rows(
            score,
            rows,
            batch=batch,
            padding=self._sides.tokenizer.pad_token_id,
            device=self._sides.device,
            name="evaluated",
            interrupted=another,
        )

    def _say(self, doing: str, done: int, of: int) -> None:
        now = time.monotonic()
        if done in (0, of) or now - self._told >= TELL_SECONDS:
            self._told = now
            self._tell(Progress(doing=doing, done=done, of=of))
