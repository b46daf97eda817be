"""What follows from the number of rows, by the rules that the advice for a whole run goes by too."""

from __future__ import annotations

from pegbox_methods.advice.goals import FEW_ROWS, Goal, Rule, effective_batch, epochs, overfitting, wanted_rank
from pegbox_methods.advice.method_settings import FEW_ROWS_DROPOUT
from pegbox_methods.advice.situation import HELD_OUT
from pegbox_runs.rows.report import Advised

FEW_HELD_OUT = 30
"""Rows below which one of them moves the evaluation's mean by more than 3 %."""


def advised(trained: int, held_out: int) -> tuple[Advised, ...]:
    """Give advice for so many rows to train on and to evaluate with."""
    if trained < 2:
        rows = "there is one row" if trained else "there are no rows"
        return (Advised("overfitting", f"{rows} to train on: add more; dozens are the least.", "arithmetic"),)
    rank = wanted_rank(Goal(), trained)
    found = [
        _of("training.epochs", epochs(trained)),
        _of("method.settings.rank", rank),
        _of("effective batch", effective_batch(trained)),
    ]
    if trained < FEW_ROWS:
        why = f"{FEW_ROWS_DROPOUT:g}: under {FEW_ROWS} rows are soon known by heart"
        found.append(Advised("method.settings.dropout", why, "rule of thumb: 0.1 for few rows"))
    warning = overfitting(trained)
    if warning:
        found.append(Advised("overfitting", f"{warning}.", "rule of thumb; see training.epochs"))
    found.append(_share(trained, held_out))
    return tuple(found)


def _share(trained: int, held_out: int) -> Advised:
    source = "rule of thumb: 5 to 20 %"
    if not held_out:
        return Advised(
            "split.share", f"{HELD_OUT:g}: nothing is held out, so nobody sees when it learns by heart.", source
        )
    share = held_out / (trained + held_out)
    text = f"{held_out:,} rows, {100 * share:.3g} %, are held out."
    if held_out == 1:
        text = f"1 row, {100 * share:.3g} %, is held out; more would show differences."
        source = "arithmetic: one row has no mean"
    elif held_out < FEW_HELD_OUT:
        text += " So few show only large differences; more would show smaller ones."
        source = "arithmetic: one row in so few moves their mean by more than 3 %"
    return Advised("split.share", text, source)


def _of(about: str, rule: Rule) -> Advised:
    return Advised(about, f"{rule.value}: {rule.why}.", rule.source)
