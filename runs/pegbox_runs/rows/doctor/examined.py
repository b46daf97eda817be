"""What an examination leaves behind: the report for people, and the rows behind it for whoever wants to see one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegbox_methods.recipe import RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.place import Place
from pegbox_runs.rows.report import Report

if TYPE_CHECKING:
    from pegbox_runs.rows.doctor.looking import Looked
    from pegbox_runs.rows.doctor.similarity import Indices
    from pegbox_runs.rows.survey.survey import Survey


@dataclass(frozen=True)
class Examined:
    """A source that the doctor has seen."""

    asked: RowSource
    held_out: RowSource | None
    split: Split
    report: Report
    survey: Survey
    found: Mapping[str, Indices]
    """By a finding's name: the rows that it concerns, as indices into the survey's arrays."""
    looked: Looked

    def row(self, number: int) -> tuple[Place, Example]:
        """Read the good row of a number, from 1, again.

        Raises: Refusal: there is no such row, or the file has changed since.
        """
        if not 1 <= number <= len(self.survey):
            good = f"the good rows go from 1 to {len(self.survey)}" if len(self.survey) else "no row is good"
            raise Refusal(f"{self.asked.file}: there is no row {number}; {good}.")
        return self.survey.row(number - 1)
