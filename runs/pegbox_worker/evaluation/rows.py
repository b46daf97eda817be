"""The rows that both models are held against, in the run's own tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.asking import (
    EvaluateRequest,
    file_name,
    find_judged_rows,
    find_rows_as_they_were,
    read_by_looks,
)
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.loading import FoundRows, find_rows, load_rows
from pegbox_runs.rows.masking import mask_rows
from pegbox_runs.tuned import TunedRun
from pegbox_worker.general_rows import general_rows, no_general_rows
from pegbox_worker.prepared import PreparedRows, prepare
from pegbox_worker.row_care import judge_of
from pegbox_worker.row_tokenizer import FastRowTokenizer
from pegbox_worker.token_rows import BATCH_ROWS, RowFacts, TokenRows


@dataclass(frozen=True)
class JudgedRows:
    """What is judged, and where its texts are found."""

    rows: TokenRows
    of: int
    """Rows that there are."""
    of_written: int
    """Rows that there are, with those that are left out because they have nothing to judge by."""
    plain: TokenRows
    """Of which one decides how the loss is computed: the run's own training rows, or those of the file."""
    general: TokenRows | None
    recipe: Recipe
    found: FoundRows
    own: bool
    """Whether they are the run's held-out rows."""
    kept: tuple[Example, ...]
    """The first held-out rows as they are."""
    words: FastRowTokenizer
    trained_on: int | None
    """Rows that the run was trained on; None: nothing tells."""
    remarks: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rows' file, for people."""
        split = self.recipe.split.file if self.own else None
        return file_name(split or self.recipe.rows.file)

    @property
    def sha256(self) -> str:
        """Of the file."""
        return (self.found.held_out_sha256 if self.own else None) or self.found.sha256

    def examples(self) -> Iterator[tuple[int, Example]]:
        """Walk through the judged rows as they are, each with its place; rows of which nothing is learned are none."""
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(_keys(self.rows)):
            places.setdefault(key, []).append(place)
        for waiting in places.values():
            waiting.reverse()
        length = self.recipe.training.length
        source = self._source()
        for example, masked in zip(source, mask_rows(source, self.words), strict=False):
            waiting = places.get(_key(masked.ids[:length], masked.labels[:length]), [])
            if waiting:
                yield waiting.pop(), example

    def _source(self) -> Iterable[Example]:
        """Take the rows that were kept with the tokens, where those are all; else read the files once more."""
        if len(self.kept) >= self.of_written:
            return self.kept
        loaded = load_rows(self.recipe, self.found)
        return loaded.held_out if self.own else loaded.trained


def judged_rows(run: TunedRun, asked: EvaluateRequest, tokenizer: Any, ends: Set[int]) -> JudgedRows:
    """Take the run's held-out rows as it saw them, or a file's as it would have seen them.

    Raises: Refusal: there are none, or they can't be told any more.
    """
    recipe, found = find_judged_rows(run, asked)
    own = asked.file is None
    if own:
        prepared = prepare(run.recipe, found, tokenizer, ends, judge_of(run.recipe))
    else:
        recipe, found, prepared = _of_file(recipe, found, tokenizer, ends)
    whole = prepared.held_out if own else prepared.trained
    if not len(whole):
        raise Refusal(
            f"{file_name(recipe.rows.file)}: no row has a token to judge by within training.length = "
            f"{recipe.training.length} of {run.id}."
        )
    limit = asked.limit
    rows = whole if limit is None or limit >= len(whole) else TokenRows.of(*_first(whole, limit))
    trained_on = 0 if own else _trained_on(run, rows, tokenizer, ends)
    general = general_rows(recipe, tokenizer, ends)
    return JudgedRows(
        rows=rows,
        of=len(whole),
        of_written=len(whole) + whole.facts.dropped,
        plain=prepared.trained,
        general=general,
        recipe=run.recipe if own else recipe,
        found=found,
        own=own,
        kept=prepared.questions if own else (),
        words=FastRowTokenizer(tokenizer, ends),
        trained_on=trained_on,
        remarks=(
            *_of_training(run, len(rows), trained_on),
            *_of_length(len(rows), whole.facts),
            *([] if general is not None else [as_sentence(no_general_rows(recipe.training.length))]),
        ),
    )


def _of_file(
    recipe: Recipe, found: FoundRows, tokenizer: Any, ends: Set[int]
) -> tuple[Recipe, FoundRows, PreparedRows]:
    """Read a file's rows as the run read its own, or else by what they look like.

    Returns: by which recipe that went, the files, and the rows.
    Raises: Refusal.
    """
    by_looks = read_by_looks(recipe)
    try:
        return recipe, found, prepare(recipe, found, tokenizer, ends, lambda *_: None)
    except Refusal as refusal:
        if by_looks == recipe:
            raise
        try:
            found = find_rows(by_looks)
            return by_looks, found, prepare(by_looks, found, tokenizer, ends, lambda *_: None)
        except Refusal:
            raise refusal from None


def _first(rows: TokenRows, count: int) -> tuple[list[list[int]], list[list[int]]]:
    return list(rows.input_ids[:count]), list(rows.labels[:count])


def _trained_on(run: TunedRun, rows: TokenRows, tokenizer: Any, ends: Set[int]) -> int | None:
    """Count the rows that the run was trained on; None: its own rows aren't there any more, as they were."""
    try:
        own = prepare(run.recipe, find_rows_as_they_were(run), tokenizer, ends, judge_of(run.recipe)).trained
    except Refusal:
        return None
    known = set(_keys(own))
    return sum(key in known for key in _keys(rows))


def _of_training(run: TunedRun, rows: int, trained_on: int | None) -> Iterator[str]:
    """Say what the training had of these rows."""
    if trained_on is None:
        yield (
            f"Nothing tells whether {run.id} was trained on these rows: its own were changed since, or can't be read. "
            "What rows that it was trained on say flatters the tuned model."
        )
    elif trained_on:
        yield (
            f"{trained_on} of these {rows} rows were trained on, token by token: what is said of them flatters the "
            "tuned model."
        )


def _of_length(rows: int, whole: RowFacts) -> Iterator[str]:
    """Say what the run's length did to the rows, of which `rows` are judged."""
    written = whole.rows + whole.dropped
    those = "the rows" if rows == whole.rows else f"all {written} rows, of which only the first {rows} are judged,"
    if whole.truncated:
        yield f"{whole.truncated} of {those} are longer than training.length; what lies beyond isn't judged."
    if whole.dropped:
        yield f"{whole.dropped} rows have nothing to judge by within training.length, and are left out."


def as_sentence(told: str) -> str:
    """Begin what a run tells as a notice with a capital, as a remark is."""
    return told[:1].upper() + told[1:]


def _keys(rows: TokenRows) -> Iterator[bytes]:
    """Name each row by what it is in tokens."""
    for part in rows.table.with_format("arrow").iter(batch_size=BATCH_ROWS):
        for ids, labels in zip(part["input_ids"], part["labels"], strict=True):
            yield _hashed(np.asarray(ids.values, dtype=np.int32), np.asarray(labels.values, dtype=np.int32))


def _key(ids: list[int], labels: list[int]) -> bytes:
    return _hashed(np.array(ids, dtype=np.int32), np.array(labels, dtype=np.int32))


def _hashed(ids: Any, labels: Any) -> bytes:
    return hashlib.blake2b(ids.tobytes() + b"|" + labels.tobytes(), digest_size=16).digest()
