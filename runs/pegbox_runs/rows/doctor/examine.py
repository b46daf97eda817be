"""The examination: one pass over the rows, all checks, and a report with the worst first."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pegbox_methods.recipe import RowSource, Split
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.report import Lengths, Report, RowFinding, SplitFacts

if TYPE_CHECKING:
    from pegbox_runs.rows.doctor.looking import Looked
    from pegbox_runs.rows.doctor.mask_findings import Found
    from pegbox_runs.rows.survey.survey import Survey

COUNTED_ROWS = 20_000
"""Rows whose tokens are counted at most; a share of theirs is known within less than 1 %."""
NOTHING_TO_TRAIN = "nothing-to-train"


def examine(
    asked: RowSource,
    *,
    held_out: RowSource | None = None,
    model: FoundModel | None = None,
    template_file: Path | None = None,
    balance: str | None = None,
    split: Split,
    seed: int = 42,
    micro_batch: int = 4,
    length: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Examined:
    """Examine a source of rows.

    `held_out`: rows for evaluation, looked for leaks. `model`: whose tokens are counted; None counts none.
    `template_file`: a chat template that takes the place of the model's own.
    `balance`: a column whose values are counted. `seed`: the recipe's seeds.split. `length`: where rows are cut, in
    tokens; None: nowhere.
    `progress`: told the share done, from 0 to 1, now and then; may raise to end the examination.
    Raises: Refusal: nothing of the source can be read.
    """
    from pegbox_runs.rows.doctor.advice import advised
    from pegbox_runs.rows.doctor.balance import balance_of
    from pegbox_runs.rows.doctor.findings import worst_first
    from pegbox_runs.rows.doctor.looking import look_at

    begin = time.monotonic()
    looked = look_at(asked, held_out, split, balance=balance, progress=progress)
    surveyed = looked.survey
    findings = list(looked.findings())
    lengths, found = None, dict(looked.found)
    if model is not None and len(surveyed):
        lengths, in_tokens = _tokens(surveyed, model, template_file, micro_batch, length)
        findings += [told for told, _ in in_tokens]
        found |= {told.name: indices for told, indices in in_tokens}
    sides = _sides(looked, split, seed)
    findings += _nothing_to_train(surveyed, sides, split)
    report = Report(
        source=asked.file,
        files=len(surveyed.source.files),
        bytes=surveyed.source.bytes,
        format=surveyed.understanding.format,
        evidence=surveyed.understanding.evidence,
        rows=len(surveyed),
        rejected=surveyed.rejected_count,
        findings=worst_first(findings),
        balance=balance_of(surveyed, balance) if balance else None,
        split=sides,
        advice=advised(sides.trained, sides.held_out) if sides else advised(len(surveyed), 0),
        model=None if model is None else model.name,
        lengths=lengths,
        seconds=time.monotonic() - begin,
    )
    return Examined(asked, held_out, split, report, surveyed, found, looked)


def parted_anew(examined: Examined, share: float, *, seed: int = 42) -> Examined:
    """Part examined rows by another share, without reading them again; by what columns stays as it was."""
    from pegbox_runs.rows.doctor.advice import advised
    from pegbox_runs.rows.doctor.findings import worst_first

    split, report, found = msgspec.structs.replace(examined.split, share=share), examined.report, examined.survey
    if split == examined.split:
        return examined
    sides = _sides(examined.looked, split, seed)
    findings = [told for told in report.findings if told.name != NOTHING_TO_TRAIN]
    findings += _nothing_to_train(found, sides, split)
    advice = advised(sides.trained, sides.held_out) if sides else advised(len(found), 0)
    parted = msgspec.structs.replace(report, findings=worst_first(findings), split=sides, advice=advice)
    return dataclasses.replace(examined, split=split, report=parted)


def _nothing_to_train(surveyed: Survey, sides: SplitFacts | None, split: Split) -> Iterator[RowFinding]:
    """Tell what a run would be refused for, whatever the rows hold."""
    import numpy as np

    if sides is not None and not sides.trained:
        text = "All rows are in the evaluation's rows too, so none is left to train on."
        todo = "Name other rows for the evaluation, or hold out a share."
    elif split.share and split.file is None and len(np.unique(surveyed.hashes)) < 2:
        text = "There is only one distinct row, so none can be held out."
        todo = "Bring more rows, or set split.share to 0."
    else:
        return
    yield RowFinding(
        name=NOTHING_TO_TRAIN,
        title="too little to train on and to judge by",
        level="red",
        rows=len(surveyed),
        share=1.0,
        text=text,
        todo=todo,
    )


def _tokens(
    surveyed: Survey, model: FoundModel, template: Path | None, micro_batch: int, length: int | None
) -> tuple[Lengths, list[Found]]:
    """Count the tokens of all rows, or of some drawn by chance, and find what only they show."""
    import numpy as np

    from pegbox_runs.rows.doctor.mask_findings import mask_findings
    from pegbox_runs.rows.lengths import counted_rows, lengths_of

    chosen = np.arange(len(surveyed))
    if len(chosen) > COUNTED_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(surveyed), COUNTED_ROWS, replace=False))
    examples = {index: example for index, _, example in surveyed.rows(chosen)}
    counted = counted_rows(list(examples.values()), model.folder, template_file=template)
    lengths = lengths_of(counted, len(surveyed), micro_batch)
    masked = mask_findings(surveyed, list(examples), counted, length or lengths.percentiles["max"])
    return lengths, [*masked, *_special(surveyed, examples, model)]


def _special(surveyed: Survey, examples: Mapping[int, Example], model: FoundModel) -> Iterator[Found]:
    import numpy as np

    from pegbox_runs.light_tokenizer import LightTokenizer
    from pegbox_runs.rows.doctor.findings import finding
    from pegbox_runs.rows.mask_view import special_in_text

    try:
        tokenizer = LightTokenizer(model.folder)
    except (OSError, ValueError):  # the lengths say that they are estimates, and why
        return
    said = {index: special_in_text(example, tokenizer) for index, example in examples.items()}
    sampled = "" if len(examples) == len(surveyed) else f" Looked for in {len(examples):,} rows drawn by chance."
    indices = np.array([index for index, word in said.items() if word], dtype=np.int64)
    for told in finding(
        surveyed,
        indices,
        lambda index, _: said[index] or "",
        name="special-tokens",
        title="special tokens written in texts",
        level="yellow",
        text="The model takes them for the ends and beginnings of turns, so that a row can break out of its own."
        + sampled,
        todo="Remove them, or write them in another way.",
    ):
        yield told, indices


def _sides(looked: Looked, split: Split, seed: int) -> SplitFacts | None:
    """Say how many rows would be trained and held out."""
    from pegbox_runs.rows.split import held_out_rows

    found = looked.survey
    if looked.held_out is not None:
        also = 0 if looked.leaks is None else len(looked.leaks.exact)
        by = "a file of their own"
        if also:
            by += f"; {also:,} rows that are also in it aren't" if also > 1 else "; 1 row that is also in it isn't"
            by += " trained"
        return SplitFacts(trained=len(found) - also, held_out=len(looked.held_out), by=by)
    if len(found) < 2:
        return None
    sides = held_out_rows(found.hashes, split.share, seed, groups=found.group, strata=found.stratum)
    held = int(sides.sum())
    by = "nothing is held out"
    if split.share:
        by = "content, equal rows together" if split.by is None else f"the column {split.by!r}, equal values together"
        by += f"; the same share of each {split.stratify!r}" if split.stratify else ""
    return SplitFacts(trained=len(found) - held, held_out=held, by=by)
