"""What a card tells of the model's quality: an evaluation with ranges, or the run's own looks without."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pegbox_methods.events import Finished
from pegbox_runs.evaluating.evaluated import Evaluated, Figure
from pegbox_runs.evaluating.keeping import Telling
from pegbox_runs.evaluating.verdict import loss_told_otherwise
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.markdown_text import table, words
from pegbox_runs.run_report.sections.evaluation import name_of, shown
from pegbox_runs.run_state import RunState

KEYS = {"exact-match": "exact_match", "token-f1": "f1", "rouge-l": "rougeL"}
"""The Hub's names of measures; a loss keeps its own."""
OLDER = "There are only evaluations of other weights, which aren't told here: pegbox evaluate makes one of these."
BEFORE = "This was measured of the run's own model, before it was converted; of these files it wasn't."


@dataclass(frozen=True)
class Score:
    """One figure of the tuned model, for the card's metadata."""

    key: str
    name: str
    value: float
    rows: int
    interval: dict[str, float]
    """The difference to the base and its range, where there is one."""


@dataclass(frozen=True)
class CardResults:
    """The whole of it."""

    verdict: str
    """One sentence."""
    scores: tuple[Score, ...]
    evaluated: Evaluated | None
    """On the run's held-out rows; None: only the run's own looks are there."""
    of_file: Evaluated | None = None
    """On rows of a file: told as such, and in no metadata."""
    looks: tuple[tuple[str, str], ...] = ()
    remark: str = ""


def card_results(state: RunState, telling: Telling, *, converted: bool) -> CardResults:
    """Choose what is told. An evaluation of other weights than those that are sent has no say.

    `converted`: the files aren't the model that was measured, but one made of it, which may score otherwise.
    """
    found = _results(state, telling)
    if not converted:
        return found
    return replace(found, verdict=f"{found.verdict} {BEFORE}", scores=(), remark=f"{found.remark} {BEFORE}".strip())


def _results(state: RunState, telling: Telling) -> CardResults:
    evaluated = telling.held_out
    if evaluated is None:
        return replace(_own_looks(state, OLDER if telling.only_others else ""), of_file=telling.of_file)
    figures = [one for one in evaluated.figures if one.measure != "general-loss"]  # that is of other rows
    scores = tuple(_score(one) for one in figures if math.isfinite(one.tuned))
    return CardResults(evaluated.verdict, scores, evaluated, telling.of_file)


def result_lines(results: CardResults) -> Iterator[str]:
    """Write the section."""
    if results.evaluated is not None:
        yield from _evaluated(results.evaluated)
    elif results.looks:
        yield "The run's own looks at its held-out rows. They have no ranges, so chance isn't ruled out:"
        yield ""
        yield from table(
            ("after", "loss, nats per token"), ([words(step), words(loss)] for step, loss in results.looks)
        )
    if results.of_file is not None:
        yield from ("", "On rows that aren't the run's held-out ones:", "")
        yield from _evaluated(results.of_file)
    if results.remark:
        yield ""
        yield words(results.remark)


def _own_looks(state: RunState, remark: str) -> CardResults:
    before = state.untrained_evaluation
    kept = state.ended.kept_step if isinstance(state.ended, Finished) else None
    after = next((one for one in reversed(state.evaluations) if one.step == kept and one.step), state.best_evaluation)
    if after is None:
        return CardResults("It wasn't evaluated on held-out rows.", (), None, remark=remark)
    rows = state.prepared.rows_evaluated if state.prepared else 0
    looks = [("no step: the base model", digits.loss(before.loss))] if before else []
    looks.append((f"{after.step:,} steps: these weights", digits.loss(after.loss)))
    from_ = "" if before is None else f"; its base model's is {digits.loss(before.loss)}"
    told = f"Its loss on held-out rows is {digits.loss(after.loss)} nats per token{from_}."
    verdict = f"{told} Whether it answers better isn't shown."
    score = Score("loss", "Loss on held-out rows, nats per token", after.loss, rows, {})
    scores = (score,) if math.isfinite(after.loss) else ()
    return CardResults(verdict, scores, None, looks=tuple(looks), remark=remark)


def _score(figure: Figure) -> Score:
    change = figure.difference
    told = {"base": figure.base, "difference": change.value}
    if change.low is not None and change.high is not None:
        told |= {"difference_low_95": change.low, "difference_high_95": change.high}
    interval = {name: value for name, value in told.items() if math.isfinite(value)}
    return Score(KEYS.get(figure.measure, figure.measure), name_of(figure), figure.tuned, figure.rows, interval)


def _evaluated(found: Evaluated) -> Iterator[str]:
    rows = found.rows
    part = "" if rows.rows >= rows.of else f", the first of {rows.of:,}"
    where = "the run's held-out rows" if rows.source == "held-out" else "rows of a file of its own"
    yield (
        f"On {rows.rows:,} of {where}{part}, {rows.tokens:,} learned tokens, against the base model on the same rows. "
        "In brackets: where the difference lies with 95 % confidence."
    )
    yield ""
    titles = ("measure", "rows", "base", "tuned", "difference", "finding")
    yield from table(titles, (list(map(words, (name_of(one), f"{one.rows:,}", *shown(one)))) for one in found.figures))
    if found.tasks:
        yield ""
        told = (
            [words(f"{one.name} ({one.measure})"), f"{one.rows:,}", _number(one.base), _number(one.tuned)]
            for one in found.tasks
        )
        yield from table(("measure from outside", "rows", "base", "tuned"), told)
    if rows.trained_on is None:
        yield ""
        yield "**Whether these rows were trained on can't be told; if they were, what they say flatters this model.**"
    elif rows.trained_on:
        yield ""
        yield f"**{rows.trained_on:,} of these rows were trained on: what they say flatters this model.**"
    for remark in loss_told_otherwise(found):
        yield ""
        yield f"**{words(remark)}**"
    yield ""
    yield words(
        f"Computed in {found.computed.precision} on {found.computed.device}, the base's weights in "
        f"{found.computed.weights}; rows' tokens SHA-256 {rows.tokens_sha256}."
    )


def _number(value: float | None) -> str:
    return digits.NO_FIGURE if value is None else f"{value:.4g}"
