"""Going through a source once, in as many processes as there are cores if it is big. The answer is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
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
    plan = Plan(
        understand(_sample(source), asked.format, asked.columns, source=printable(asked.file)),
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
    for item in islice(read_source(source), LOOKED_AT):
        if isinstance(item, RawRow):
            found.append(item)
            if len(found) == SAMPLE:
                return found
        else:
            bad.append(item)
    if found:
        return found
    name = printable(source.asked)
    if not bad:
        raise Refusal(f"{name}: the file holds no rows." if source.one_file else f"{name}: the files hold no rows.")
    told = "\n".join(f"{printable(row.where)}: {one_line(row.reason, 300)}" for row in bad[:10])
    more = f"\n... and {len(bad) - 10:,} more" if len(bad) > 10 else ""
    raise Refusal(f"{name}: no row can be read:\n{told}{more}")


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
        good = len(portion.arrays.get("number", b"")) // 4
        self.parts.append(SurveyedPart(part, part.file, self.rows, self.lines, portion.unit))
        for name, chunk in portion.arrays.items():
            if name == "bands":
                for place, band in enumerate(self.bands):
                    band += memoryview(chunk)[place * 4 * good : (place + 1) * 4 * good]
            elif name == "number" and self.lines:
                self.columns[name] += (np.frombuffer(chunk, dtype="u4") + np.uint32(self.lines)).tobytes()
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
