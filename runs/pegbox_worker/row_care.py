"""What is said of a run's rows before its first step, and what stops it there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pegbox_methods.events import Notice
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.event_log import EventWriter
from pegbox_runs.rows.examples import Examples
from pegbox_runs.rows.mask_faults import MaskCounts, PlacedRow, mask_faults, padding_fault, refuse_mask_faults
from pegbox_runs.rows.mask_view import shown
from pegbox_runs.rows.row_tokenizer import RowTokenizer
from pegbox_worker.prepared import Judge, PreparedRows
from pegbox_worker.token_rows import TokenRows, Witness, WrittenRows
from pegbox_worker.trainer import MeasuredTrainer

ENOUGH_ENDS = 0.99
"""Share of rows whose end token must be learned, or people are told that the model may not stop talking."""
COLLATED_ROWS = 64
"""Rows, spread over all, that are put into batches to see whether padding eats labels."""


def refuse_untaught(
    written: WrittenRows, examples: Examples, recipe: Recipe, tokenizer: RowTokenizer, *, training: bool
) -> None:
    """Refuse rows that teach nothing, or teach no end, unless the recipe allows that; such a row is shown.

    Of held-out rows (`training` is False) only those count that nothing can be judged by.
    Raises: Refusal.
    """
    facts = written.facts
    counts = MaskCounts(
        rows=facts.rows + facts.dropped,
        tokens=facts.tokens if training else 0,
        trained=facts.tokens_trained,
        untrained_rows=facts.dropped,
        rows_without_end=facts.without_end if training else 0,
    )

    def placed(witness: Witness | None) -> PlacedRow | None:
        if witness is None:
            return None
        row = shown(witness.row, tokenizer, recipe.training.length)
        return PlacedRow(str(examples.place(witness.number)), row)

    faults = mask_faults(
        counts,
        untrained=placed(written.untrained),
        little=placed(written.least_trained),
        endless=placed(written.endless),
    )
    refuse_mask_faults(faults, recipe.rows.allow)
    if facts.dropped and not facts.rows:
        raise Refusal(
            f"no row has a token to learn within training.length = {recipe.training.length}: the questions alone fill "
            "it. Raise training.length."
        )


def judge_of(recipe: Recipe) -> Judge:
    """Give what judges a recipe's rows while they are prepared."""
    return lambda written, examples, tokenizer, training: refuse_untaught(
        written, examples, recipe, tokenizer, training=training
    )


def refuse_eaten_labels(trainer: MeasuredTrainer, *parts: TokenRows) -> None:
    """Put some rows through the trainer's own collator, and see that each keeps its labels.

    Raises: Refusal: it doesn't.
    """
    for rows in parts:
        for batch in _spread(rows, trainer.args.per_device_train_batch_size):
            made = trainer.data_collator(batch)["labels"].tolist()
            fault = padding_fault([row["labels"] for row in batch], made)
            refuse_mask_faults([] if fault is None else [fault], ())


def _spread(rows: TokenRows, size: int) -> Iterator[list[dict[str, Any]]]:
    step = max(1, len(rows) // COLLATED_ROWS)
    places = range(0, len(rows), step)[:COLLATED_ROWS]
    for begin in range(0, len(places), size):
        yield [rows.table[place] for place in places[begin : begin + size]]


def tell_rows(rows: PreparedRows, writer: EventWriter) -> None:
    """Say how the rows were chosen, what the length limit costs, and whether the model will learn to stop."""
    for remark in rows.remarks:
        writer.emit(Notice(text=remark, about="rows"))
    for part, name in ((rows.trained.facts, "training"), (rows.held_out.facts, "held-out")):
        if part.truncated:
            whole = part.tokens_trained + part.tokens_lost
            longer = f"1 {name} row is longer" if part.truncated == 1 else f"{part.truncated} {name} rows are longer"
            left_out = f" {part.dropped} of them have nothing left to learn and are left out." if part.dropped else ""
            text = (
                f"{longer} than training.length: {100 * part.tokens_lost / max(whole, 1):.2g} % of the tokens to learn "
                f"are cut away.{left_out} Raise training.length to keep them."
            )
            writer.emit(Notice(text=text, about="truncated"))
    facts = rows.trained.facts
    if facts.rewritten:
        text = (
            f"the chat template leaves out a part of the answer in {facts.rewritten} of {facts.rows} rows (of "
            "reasoning, often), so it isn't learned. Another template as model.chat_template may keep it."
        )
        writer.emit(Notice(text=text, about="answer-rewritten"))
    if facts.without_end > (1 - ENOUGH_ENDS) * facts.rows:
        text = (
            f"no end token is learned in {facts.without_end} of {facts.rows} rows; the model may not learn to stop. "
            "Raise training.length if rows are cut, or use a template that ends each answer."
        )
        writer.emit(Notice(text=text, about="end-not-learned"))
