"""What a run's model is worth, row by row: the base before its method is put on it, and the kept weights at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, MutableMapping, Set
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from pegbox_methods.abilities import packs_base
from pegbox_methods.events import Event, Notice, PhaseName
from pegbox_methods.recipe import Metric, Recipe
from pegbox_runs.faults import strike
from pegbox_runs.judging.judged import JUDGED, Judged, Judgement, RowLosses, write_judged
from pegbox_runs.judging.text_metrics import MEASURES
from pegbox_runs.models import find_model
from pegbox_worker.assembly import Base, loss_on_labels
from pegbox_worker.general_rows import general_rows, no_general_rows
from pegbox_worker.hands import Hands
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.prepared import PreparedRows
from pegbox_worker.questions import Asker, no_questions
from pegbox_worker.row_losses import Interrupted, ScoreRows, fused_head_lent, in_use, losses_of_rows, score_as
from pegbox_worker.token_rows import TokenRows

Remembered = MutableMapping[str, Judgement]
"""What bases were worth, by a key that names all that it hangs on: the runs of a process share it."""


class Judge:
    """Looks at one run's model, the same way before and after; of what it sees nothing reaches the training.

    It is made once the rows are prepared; `before` comes first.
    """

    def __init__(
        self,
        recipe: Recipe,
        base: Base,
        rows: PreparedRows,
        *,
        ends: Set[int],
        device: torch.device,
        phase: Callable[[PhaseName, str], None],
        tell: Callable[[Event], None],
        interrupted: Callable[[], bool],
        remembered: Remembered | None = None,
    ) -> None:
        """Read the general rows, if there are any. `interrupted`: whether the run was told to stop meanwhile.

        Raises: Refusal: the general rows can't be read.
        """
        self._recipe = recipe
        self._base = base
        self._rows = rows
        self._device = device
        self._phase = phase
        self._tell = tell
        self._interrupted = interrupted
        self._remembered: Remembered = {} if remembered is None else remembered
        self._general = general_rows(recipe, base.tokenizer, ends)
        judging = recipe.judging
        self._asker = Asker(
            rows.questions if judging.metrics else (),
            base.tokenizer,
            count=judging.answers,
            tokens=recipe.evaluation.sample_tokens,
            length=recipe.training.length,
            ends=ends,
        )
        self._before: Judgement | None = None
        self._left_out = False
        self._before_seconds = self._after_seconds = self._look_seconds = 0.0

    def before(self, model: nn.Module, *, parted: bool = False) -> Judgement | None:
        """Judge the base model, to which no method is attached yet; None: a stop came in between.

        `parted`: whether each process holds a part of it; a trainer has it then, whose own loss is taken.
        Raises: Diverged: a loss is no finite number; OutOfMemoryAt.
        """
        self._tell_what_is_missing()
        began = time.monotonic()
        more = self._general is not None or bool(self._asker.questions)
        key, plain_key = self._key(whole=more), self._key(whole=False)
        known = self._remembered.get(key)
        if known is None:
            self._phase("judging", "the base model")
            strike("judging", step=0)
            plain = self._remembered.get(plain_key)
            with nullcontext() if parted else self._loss_lent(model) as loss:
                known = self._judged(model, loss, None if plain is None else plain.held_out)
            if known is not None:
                self._remembered[plain_key] = Judgement(held_out=known.held_out)
                self._remembered[key] = known
            self._before_seconds = time.monotonic() - began
        self._before = known
        return known

    def leave_out(self) -> None:
        """Judge nothing: the base model can't be seen, so there is nothing to hold a training against."""
        self._left_out = True

    def after(self, model: nn.Module, labelled_loss: LabelledLoss | None, step: int) -> Judgement | None:
        """Judge the model with its kept weights, by its trainer's own loss; None: a stop came in between.

        `step`: after which step those were.
        Raises: Diverged: a loss is no finite number; OutOfMemoryAt.
        """
        self._phase("judging", f"the weights of step {step}")
        strike("judging", step=step)
        began = time.monotonic()
        try:
            return self._judged(model, labelled_loss, None)
        finally:
            self._after_seconds = time.monotonic() - began

    def record(self, model: nn.Module, labelled_loss: LabelledLoss | None, kept_step: int, folder: Path) -> bool:
        """Judge the kept weights, and write judged.json with both sides into a run's folder.

        Returns: whether all is judged that shall be; False: a stop came in between, now or before.
        Raises: Diverged: a loss is no finite number; OutOfMemoryAt; OSError.
        """
        if self._left_out:
            return True
        after = None if self._before is None else self.after(model, labelled_loss, kept_step)
        if self._before is None or after is None:
            return False
        judged = Judged(
            before=self._before,
            after=after,
            kept_step=kept_step,
            seconds=self._before_seconds + self._after_seconds,
            before_seconds=self._before_seconds,
            look_seconds=self._look_seconds,
        )
        write_judged(judged, folder)
        return True

    @contextmanager
    def _loss_lent(self, model: nn.Module) -> Iterator[LabelledLoss | None]:
        """Give the loss that a trainer of this model will take; None: TRL's fused head, which it has meanwhile."""
        loss = loss_on_labels(model, self._rows.trained, self._base.number_format, self._device)
        with fused_head_lent(model) if loss is None else nullcontext():
            yield loss

    def _judged(self, model: Any, labelled_loss: LabelledLoss | None, known: RowLosses | None) -> Judgement | None:
        try:
            with in_use(model, self._base.number_format.compute, self._device):
                score = score_as(model, labelled_loss)
                began = time.monotonic()
                held_out = known or self._losses(score, self._rows.held_out, "held-out")
                self._look_seconds = time.monotonic() - began
                return Judgement(
                    held_out=held_out,
                    general=None if self._general is None else self._losses(score, self._general, "general"),
                    scores=self._scores(model),
                )
        except Interrupted:
            return None

    def _losses(self, score: ScoreRows, rows: TokenRows, name: str) -> RowLosses:
        return losses_of_rows(
            score,
            rows,
            batch=self._recipe.evaluation_batch,
            padding=self._base.tokenizer.pad_token_id,
            device=self._device,
            name=name,
            interrupted=self._interrupted,
        )

    def _scores(self, model: Any) -> dict[Metric, tuple[float, ...]]:
        """Measure greedy answers to the held-out questions. Raises: Interrupted; OutOfMemoryAt."""
        pairs = []
        for number, question in enumerate(self._asker.questions, start=1):
            if self._interrupted():
                raise Interrupted
            try:
                pairs.append((self._asker.answer(model, question), question.expected))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                doing = f"an answer of at most {self._asker.tokens} tokens to a question of {len(question.ids)}"
                raise OutOfMemoryAt(f"judging answers, at question {number}", doing) from error
        wanted = self._recipe.judging.metrics if pairs else ()
        return {metric: tuple(MEASURES[metric](*pair) for pair in pairs) for metric in wanted}

    def _tell_what_is_missing(self) -> None:
        judging, length = self._recipe.judging, self._recipe.training.length
        if judging.metrics and not self._asker.questions:
            self._tell(Notice(text=no_questions("held-out row"), about="no-questions"))
        if judging.general is not None and self._general is None:
            self._tell(Notice(text=no_general_rows(length), about="no-general-rows"))

    def _key(self, *, whole: bool) -> str:
        """Name all that the base's judgement hangs on; unless `whole`, that of the held-out rows' losses alone."""
        recipe, found = self._recipe, find_model(self._recipe.model)
        weights = sorted(found.folder.glob("*.safetensors"))
        told: dict[str, Any] = {
            "model": (found.reference, found.sha256(), [file.stat().st_mtime_ns for file in weights]),
            "packed": packs_base(recipe, self._base.card),
            "format": (self._base.number_format.name, str(self._base.number_format.weights), str(self._device)),
            "threads": torch.get_num_threads(),
            "batch": recipe.evaluation_batch,
            "held_out": self._rows.held_out.fingerprint(),
            # Which loss is taken is decided by one of the training rows.
            "shortest": self._rows.trained.fingerprint(self._rows.trained.facts.shortest),
        }
        if whole:
            told["general"] = None if self._general is None else self._general.fingerprint()
            told["metrics"] = recipe.judging.metrics
            told["questions"] = self._asker.questions
            told["tokens"] = self._asker.tokens
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def begin_judging(hands: Hands, recipe: Recipe, base: Base, rows: PreparedRows, ends: Set[int]) -> Judge | None:
    """Judge the base model, if this process holds it whole, and give who judges the kept weights at the end; None: the
    recipe doesn't ask for it.

    Raises: Refusal; Diverged; OutOfMemoryAt.
    """
    if not recipe.judging.rows:
        return None
    (hands.folder.path / JUDGED).unlink(missing_ok=True)  # of where the run ended before it was continued
    judge = Judge(
        recipe,
        base,
        rows,
        ends=ends,
        device=hands.device,
        phase=hands.reporter.phase,
        tell=hands.writer.emit,
        interrupted=lambda: hands.control.stopping,
        remembered=hands.shelf.judgements,
    )
    if not recipe.devices.shards:  # else once it is parted: see LookAtPartedBase
        judge.before(base.model)
        hands.reporter.phase("preparing", "the method")
    return judge
