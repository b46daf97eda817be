"""Going through a source once, in as many processes as there are cores if it is big. The answer is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.formats import SAMPLE, understand
from pegbox_runs.rows.place import RawRow, Rejected
from pegbox_runs.rows.reading import Part, parts, read_source
from pegbox_runs.rows.source import Source
from pegbox_runs.rows.survey.orders import COLUMNS, MOST_REJECTED, Plan, Portion, SurveyPart
from pegbox_runs.rows.survey.shingles import BANDS
from pegbox_runs.rows.survey.survey import Checked, Survey, SurveyedPart
from pegbox_runs.rows.survey.workforce import Workforce, cores, workforce

PART_BYTES = 4 * 2**20
"""Large enough that a process's orders cost nothing, small enough that all are busy to the end."""
BIG_BYTES = 8 * 2**20
"""From this size on other processes help; starting them takes about half a second."""
LOOKED_AT = 20_000
"""Rejected rows that are passed over in the search for rows to recognise the format by."""
SAMPLE_LETTERS = 8 * 2**20
"""Of the rows that a format is recognised by, the first of which is always taken: huge ones tell it in a few."""
NAMED = 10
"""Rejected rows that are told where there is no other; as many columns are in one line."""


def survey(
    source: Source,
    *,
    asked: RowSource,
    by: str | None = None,
    stratify: str | None = None,
    balance: str | None = None,
    checks: bool,
    processes: int | None = None,
    limit: int | None = None,
    part_bytes: int = PART_BYTES,
    progress: Callable[[float], None] | None = None,
) -> Survey:
    """Go through all rows of a source, or the first ones, good or bad, up to a limit.

    `by`, `stratify`: columns that every row must have; `balance`: one whose values are counted. `checks`: whether to
    look for what is wrong with rows and between them, or only at their content. `processes`: how many read; None: as
    many as there are cores if the source is big, else this one. `progress`: told the share done; it may raise.
    Raises: Refusal: no row can be read, or the format isn't known.
    """
    source_parts = parts(source, part_bytes)
    sample = _sample(source)
    plan = Plan(
        understand(sample, asked.format, asked.columns, source=printable(asked.file)),
        (by, stratify, balance),
        checks,
    )
    if processes is None:
        processes = processes_for(source, len(source_parts))
    limit = asked.limit if limit is None else limit
    gathered = _Gathered(source, plan)
    with workforce(plan, processes) as force:
        for done, (part, portion) in enumerate(_portions(force, source_parts, limit), start=1):
            gathered.add(part, portion)
            if progress is not None:
                progress(done / len(source_parts))
    if not gathered.rows:
        for column in filter(None, (by, stratify)):
            _refuse_unknown(column, sample, printable(asked.file))
    return gathered.survey()


def processes_for(source: Source, count: int) -> int:
    """Say how many processes should read a source of so many parts."""
    return min(cores(), count) if source.bytes >= BIG_BYTES else 1


def _portions(force: Workforce, source_parts: list[Part], limit: int | None) -> Iterator[tuple[Part, Portion]]:
    rows = 0
    for part, answer in zip(source_parts, force.answers(map(SurveyPart, source_parts), Portion), strict=True):
        if limit is not None and rows + answer.rows > limit:
            (answer,) = force.answers([SurveyPart(part, limit - rows)], Portion)
        rows += answer.rows
        yield part, answer
        if rows == limit:
            return


def _sample(source: Source) -> list[RawRow]:
    """Take the first rows that can be read. Raises: Refusal: there are none."""
    found: list[RawRow] = []
    bad: list[Rejected] = []
    bad_count = letters = 0
    for item in islice(read_source(source), LOOKED_AT):
        if isinstance(item, RawRow):
            found.append(item)
            letters += _letters(item.fields)
            if len(found) == SAMPLE or letters > SAMPLE_LETTERS:
                return found
        else:
            bad_count += 1
            bad += [item] if bad_count <= NAMED else []
    if found:
        return found
    name = printable(source.asked)
    if not bad:
        raise Refusal(f"{name}: the file holds no rows." if source.one_file else f"{name}: the files hold no rows.")
    told = "\n".join(f"{printable(row.where)}: {one_line(row.reason, 300)}" for row in bad)
    more = f"\n... and {bad_count - NAMED:,} more" if bad_count > NAMED else ""
    raise Refusal(f"{name}: no row can be read:\n{told}{more}")


def _letters(value: object) -> int:
    """Count about the memory that a value of a row takes."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _letters(inner) for key, inner in value.items())
    return sum(map(_letters, value)) if isinstance(value, list) else 8


def _refuse_unknown(column: str, sample: list[RawRow], name: str) -> None:
    """Refuse a column that rows are to be split by if no row has it. Raises: Refusal."""
    columns = list(dict.fromkeys(str(key) for row in sample for key in row.fields))
    if column in columns:
        return
    asked = one_line(column, 40)
    near = did_you_mean(asked, (one_line(known, 40) for known in columns))
    named = ", ".join(one_line(known, 40) for known in columns[:NAMED])
    more = f" and {len(columns) - NAMED:,} more" if len(columns) > NAMED else ""
    near = f"; {near}" if near.endswith("?") else "."
    raise Refusal(f'{name}: no row has a column "{asked}" to split by; the columns are {named}{more}{near}')


class _Gathered:
    """What came back so far. Byte arrays grow in place, so that nothing is ever held twice."""

    def __init__(self, source: Source, plan: Plan) -> None:
        self.source = source
        self.plan = plan
        self.rows = 0
        self.parts: list[SurveyedPart] = []
        self.columns = {name: bytearray() for name in COLUMNS}
        self.bands = [bytearray() for _ in range(BANDS)]
        self.rejected: list[Rejected] = list(source.problems)
        self.rejected_count = len(source.problems)
        self.conversational = False
        self.lines = 0
        """Of the file up to where the last part ends."""

    def add(self, part: Part, portion: Portion) -> None:
        """Take the next part's rows."""
        if not part.relative:
            self.lines = 0
        numbers = np.frombuffer(portion.arrays.get("number", b""), dtype="u4")
        good = len(numbers)
        if (numbers[1:] <= numbers[:-1]).any():  # rows are found again by it, and one of two would be lost
            raise Refusal(f"{printable(part.file)}: rows share a number; save them as JSON lines, one row a line.")
        self.parts.append(SurveyedPart(part, part.file, self.rows, self.lines, portion.unit))
        for name, chunk in portion.arrays.items():
            if name == "bands":
                for place, band in enumerate(self.bands):
                    band += memoryview(chunk)[place * 4 * good : (place + 1) * 4 * good]
            elif name == "number" and self.lines:
                self.columns[name] += (numbers + np.uint32(self.lines)).tobytes()
            else:
                self.columns[name] += chunk
        for row in portion.rejected[: max(0, MOST_REJECTED - len(self.rejected))]:
            moved = None if row.number is None else row.number + self.lines
            self.rejected.append(msgspec.structs.replace(row, number=moved))
        self.rejected_count += portion.rejected_count
        self.conversational = self.conversational or portion.conversational
        self.rows += good
        self.lines += portion.lines

    def survey(self) -> Survey:
        """Give it all as arrays."""
        by, stratify, balance = self.plan.columns
        checked = None
        if self.plan.checks:
            checked = Checked(
                self._array("flags"),
                self._array("asked"),
                tuple(np.frombuffer(band, dtype="u4") for band in self.bands),
                self._array("balance") if balance else None,
            )
        return Survey(
            source=self.source,
            plan=self.plan,
            key=self._array("key").reshape(-1, 2),
            group=self._array("group") if by else None,
            stratum=self._array("stratum") if stratify else None,
            number=self._array("number"),
            letters=self._array("letters"),
            parts=tuple(self.parts),
            rejected=tuple(self.rejected),
            rejected_count=self.rejected_count,
            conversational=self.conversational,
            checked=checked,
        )

    def _array(self, name: str) -> NDArray[Any]:
        return np.frombuffer(self.columns[name], dtype=COLUMNS[name])
