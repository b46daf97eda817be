"""Rows that the doctor has seen, with the tokenizer that shows them: what screen and command line stand on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import FoundModel, find_config
from pegbox_runs.printable import printable
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import Report
from pegbox_tui.rows.browsing import BrowsedRow

if TYPE_CHECKING:
    from pegbox_runs.rows.doctor.examined import Examined
    from pegbox_runs.rows.row_tokenizer import RowTokenizer

UNCUT = 4_194_304
"""Where rows are cut if nothing else says so: the longest that a recipe takes."""


@dataclass(frozen=True)
class RowsAsked:
    """What is to be looked at, and how."""

    source: RowSource
    split: Split
    held_out: RowSource | None = None
    model: Model | None = None
    balance: str | None = None
    micro_batch: int = 4
    length: int | None = None
    """Where shown rows are cut, in tokens; None: at the recommended length."""


class ExaminedRows:
    """An examination and its rows in tokens."""

    def __init__(self, examined: Examined, tokenizer: RowTokenizer | str, length: int | None) -> None:
        """`tokenizer`: or why there is none."""
        lengths = examined.report.lengths
        self.examined = examined
        self.report: Report = examined.report
        self.length = length or (UNCUT if lengths is None else lengths.recommended)
        self._tokenizer = tokenizer
        self._rows_of: dict[str, Sequence[int]] = {}
        self._one_at_a_time = threading.Lock()
        self._stamps = {path: _stamp(path) for path in _files(examined)}

    @property
    def rejected(self) -> Sequence[Rejected]:
        """Give the rows that can't be taken."""
        return self.examined.survey.rejected

    def row(self, number: int) -> BrowsedRow:
        """Read a good row again, and show it as the model sees it.

        Raises: Refusal: there is no row of that number, or the file has changed since.
        """
        from pegbox_runs.rows.mask_view import show_row

        place, example = self.examined.row(number)
        if isinstance(self._tokenizer, str):
            return BrowsedRow(number, str(place), None, self._tokenizer)
        try:
            with self._one_at_a_time:
                shown = show_row(example, self._tokenizer, self.length)
        except Refusal as refusal:
            return BrowsedRow(number, str(place), None, refusal.sentence)
        return BrowsedRow(number, str(place), shown)

    def parted(self, share: float) -> ExaminedRows:
        """Give the same rows, parted by another share."""
        from pegbox_runs.rows.doctor.examine import parted_anew

        examined = parted_anew(self.examined, share)
        if examined is self.examined:
            return self
        other = ExaminedRows(examined, self._tokenizer, self.length)
        other._stamps = self._stamps
        return other

    def changed(self) -> str | None:
        """Say in a sentence which file is no longer as it was read; None: all are."""
        for path, stamp in self._stamps.items():
            now = _stamp(path)
            if now is None:
                return f"{printable(str(path))} can't be found any more."
            if now != stamp:
                return f"{printable(str(path))} has changed since it was read."
        return None

    def rows_of(self, finding: str) -> Sequence[int]:
        """Give the numbers of a finding's rows, in order."""
        if finding not in self._rows_of:
            found = self.examined.found.get(finding)
            self._rows_of[finding] = () if found is None else sorted((found + 1).tolist())
        return self._rows_of[finding]


def look_at(asked: RowsAsked, told: Callable[[float], None]) -> ExaminedRows:
    """Examine rows; `told` hears the share done, and ends it where it raises.

    Raises: Refusal: the model or the rows can't be read at all.
    """
    from pegbox_runs.light_tokenizer import template_file
    from pegbox_runs.rows.doctor.examine import examine

    model = None if asked.model is None else find_config(asked.model)
    template = None if asked.model is None else template_file(asked.model)
    examined = examine(
        asked.source,
        held_out=asked.held_out,
        model=model,
        template_file=template,
        balance=asked.balance,
        split=asked.split,
        micro_batch=asked.micro_batch,
        length=asked.length,
        progress=told,
    )
    return ExaminedRows(examined, _tokenizer(model, template), asked.length)


def _files(examined: Examined) -> Iterator[Path]:
    yield from examined.survey.source.files
    if examined.looked.held_out is not None:
        yield from examined.looked.held_out.source.files


def _stamp(path: Path) -> tuple[int, int] | None:
    """Take what tells a file that was written anew: its size and when it was written. None: it can't be seen."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _tokenizer(model: FoundModel | None, template: Path | None) -> RowTokenizer | str:
    """Load a model's tokenizer, with the template that a recipe names. Returns: it, or why there is none."""
    from pegbox_runs.light_tokenizer import LightTokenizer

    if model is None:
        return "Rows are shown as a model sees them: give --model too."
    try:
        return LightTokenizer(model.folder, template_file=template)
    except (OSError, ValueError) as error:
        return f"Rows can't be shown as this model sees them: {error}."
