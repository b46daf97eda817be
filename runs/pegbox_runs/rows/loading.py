"""From a recipe's sources to the examples of a run: found, looked through, parted and mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegbox_methods.recipe import Recipe, RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.examples import Examples
from pegbox_runs.rows.held_out import held_out_source
from pegbox_runs.rows.mixing import Portion, Taken, mix
from pegbox_runs.rows.rejecting import left_out
from pegbox_runs.rows.source import Source, find_source, kind_of
from pegbox_runs.rows.split import held_out_rows
from pegbox_runs.rows.survey.survey import Survey
from pegbox_runs.rows.survey.surveying import survey


@dataclass(frozen=True)
class FoundSource:
    """A source of a recipe, and the files it consists of."""

    asked: RowSource
    source: Source


@dataclass(frozen=True)
class FoundRows:
    """Where a recipe's rows lie, and what tells them from others."""

    sources: tuple[FoundSource, ...]
    """The recipe's own first, then those mixed in."""
    held_out: FoundSource | None
    """Of its own, where there is one."""
    sha256: str
    """Of the sources' files; of a single file, of its bytes."""
    held_out_sha256: str | None

    @property
    def kinds(self) -> list[list[str]]:
        """Give the kind of each file, by which its bytes are read, as its name has it."""
        places = self.sources if self.held_out is None else (*self.sources, self.held_out)
        return [["".join(kind_of(path.name)) for path in place.source.files] for place in places]


@dataclass(frozen=True)
class LoadedRows:
    """The examples of a run, parted, and what they came from."""

    format: str
    """Of the recipe's own source."""
    trained: Examples
    held_out: Examples
    conversational: bool
    """Whether any example needs a chat template."""
    remarks: tuple[str, ...]
    """What people should know of how the rows were chosen: sentences."""
    found: FoundRows

    @property
    def sha256(self) -> str:
        """Of the sources' files."""
        return self.found.sha256

    @property
    def held_out_sha256(self) -> str | None:
        """Of the held-out rows' own files, if they have any."""
        return self.found.held_out_sha256


def find_rows(recipe: Recipe) -> FoundRows:
    """Find the files of a recipe's sources; a Hub data set that isn't here yet is fetched.

    Raises: Refusal.
    """
    sources = tuple(FoundSource(asked, find_source(asked)) for asked in (recipe.rows, *recipe.rows.mix))
    held_out = None if (asked := held_out_source(recipe)) is None else FoundSource(asked, find_source(asked))
    hashes = [found.source.sha256() for found in sources]
    return FoundRows(
        sources,
        held_out,
        hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        None if held_out is None else held_out.source.sha256(),
    )


def load_rows(recipe: Recipe, found: FoundRows | None = None) -> LoadedRows:
    """Look through a recipe's rows, part them and mix them.

    The same recipe and files give the same examples in every process, on every machine.
    Raises: Refusal: a file or a row is not as it should be, or too few rows are left to train or to hold out.
    """
    found = found or find_rows(recipe)
    surveys = [_surveyed(source, recipe) for source in found.sources]
    other = None if found.held_out is None else survey(found.held_out.source, asked=found.held_out.asked, checks=False)
    seen = surveys if other is None else [*surveys, other]
    remarks = left_out(seen, recipe)
    held = _held_out(recipe, surveys) if other is None else [np.zeros(len(one), dtype=bool) for one in surveys]
    barred = _keys([(one, side) for one, side in zip(surveys, held, strict=True)] if other is None else [(other, None)])
    free = [~side & ~np.isin(one.hashes, barred) for one, side in zip(surveys, held, strict=True)]
    taken = _mixed(recipe, surveys, free)
    trained = Examples(tuple(zip(surveys, (copies for copies, _ in taken), strict=True)))
    if not len(trained):
        raise Refusal(_nothing_left(recipe, surveys, free))
    remarks += _twice(held, free, other)
    if other is None:
        remarks += _far_from_share(held, surveys, recipe)
    remarks += [sentence for _, sentence in taken if sentence]
    parts = zip(surveys, held, strict=True) if other is None else [(other, np.ones(len(other), dtype=bool))]
    return LoadedRows(
        format=surveys[0].understanding.format,
        trained=trained,
        held_out=Examples(tuple((one, side.astype(np.int64)) for one, side in parts)),
        conversational=any(one.conversational for one in seen),
        remarks=tuple(remarks),
        found=found,
    )


def _surveyed(found: FoundSource, recipe: Recipe) -> Survey:
    """Look through one source; rows with a share are never held out, so no column need say with which they belong."""
    split = recipe.split
    parted = not getattr(found.asked, "share", None)
    return survey(
        found.source,
        asked=found.asked,
        by=split.by if parted else None,
        stratify=split.stratify if parted else None,
        checks=False,
        limit=found.asked.limit,
    )


def _held_out(recipe: Recipe, surveys: Sequence[Survey]) -> list[NDArray[np.bool_]]:
    """Choose among all sources that have a weight together, so that equal rows of two sources stay on one side.

    Raises: Refusal: there is only one row.
    """
    split = recipe.split
    parted = [one for one, share in zip(surveys, _shares(recipe), strict=True) if share is None]
    keys = np.concatenate([one.hashes for one in parted])
    if split.share and len(np.unique(keys)) < 2:
        raise Refusal(
            f"{recipe.rows.file}: only one distinct row, so none can be held out. Add rows, or set split.share to 0."
        )
    held = held_out_rows(
        keys,
        split.share,
        recipe.seeds.split,
        groups=None if split.by is None else np.concatenate([one.group for one in parted]),
        strata=None if split.stratify is None else np.concatenate([one.stratum for one in parted]),
    )
    if split.share and not held.any():
        raise Refusal(
            f"{recipe.rows.file}: all rows belong to one group of {split.by}, so none can be held out. Leave split.by "
            "out, or set split.share to 0."
        )
    sides = iter(np.split(held, np.cumsum([len(one) for one in parted])[:-1]))
    return [
        next(sides) if share is None else np.zeros(len(one), dtype=bool)
        for one, share in zip(surveys, _shares(recipe), strict=True)
    ]


def _shares(recipe: Recipe) -> list[float | None]:
    """Give each source's share of an epoch; None: it has a weight."""
    return [None, *(source.share for source in recipe.rows.mix)]


def _keys(sides: Sequence[tuple[Survey, NDArray[np.bool_] | None]]) -> NDArray[np.uint64]:
    """Collect the keys of the rows that are held out."""
    return np.concatenate([one.hashes if side is None else one.hashes[side] for one, side in sides])


def _mixed(
    recipe: Recipe, surveys: Sequence[Survey], free: Sequence[NDArray[np.bool_]]
) -> list[tuple[NDArray[np.int64], str]]:
    """Give, of each source, how often each good row is seen in an epoch, and what to tell of it."""
    weights = [recipe.rows.weight, *(source.weight for source in recipe.rows.mix)]
    portions = [
        Portion(one.hashes[side], weight, share)
        for one, side, weight, share in zip(surveys, free, weights, _shares(recipe), strict=True)
    ]
    return [
        (_spread(taken, side), _lacking(taken, source.file))
        for taken, side, source in zip(
            mix(portions, recipe.seeds.split), free, (recipe.rows, *recipe.rows.mix), strict=True
        )
    ]


def _spread(taken: Taken, free: NDArray[np.bool_]) -> NDArray[np.int64]:
    copies = np.zeros(len(free), dtype=np.int64)
    copies[free] = taken.copies
    return copies


def _lacking(taken: Taken, file: str) -> str:
    if taken.rows >= taken.wanted:
        return ""
    return f"{file} has {taken.rows} rows to mix in, and its share asks for {taken.wanted}; all of them are taken."


def _nothing_left(recipe: Recipe, surveys: Sequence[Survey], free: Sequence[NDArray[np.bool_]]) -> str:
    rows = sum(map(len, surveys))
    if rows and not any(side.any() for side in free) and recipe.split.file is not None:
        return f"{recipe.rows.file}: all {rows} rows are also in split.file, so none is left to train on."
    return f"{recipe.rows.file}: no rows are left to train on. Hold out fewer, or bring more."


def _twice(held: Sequence[NDArray[np.bool_]], free: Sequence[NDArray[np.bool_]], other: Survey | None) -> list[str]:
    """Tell of training rows that are left out because the evaluation has the same ones."""
    count = sum(int((~side & ~kept).sum()) for side, kept in zip(held, free, strict=True))
    if not count:
        return []
    where = "held out" if other is None else "in the held-out rows' own file"
    rows = "1 training row is" if count == 1 else f"{count} training rows are"
    return [f"{rows} also {where}, and left out of the training."]


def _far_from_share(held: Sequence[NDArray[np.bool_]], surveys: Sequence[Survey], recipe: Recipe) -> list[str]:
    """Tell where groups, or many equal rows, let the share be missed by more than half."""
    parted = [one for one, share in zip(surveys, _shares(recipe), strict=True) if share is None]
    rows, wanted = sum(map(len, parted)), recipe.split.share
    count = sum(int(side.sum()) for side in held)
    if abs(count - wanted * rows) <= max(1.0, wanted * rows / 2):
        return []
    return [
        f"{count} of {rows} rows are held out, {100 * count / rows:.3g} % where split.share asks for "
        f"{100 * wanted:.3g} %: rows that must stay together are too many to come closer."
    ]
