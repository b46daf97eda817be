"""A cleaned copy of a source: rows left out or mended, each with its reason. The source stays as it is.

The copy holds the rows' own fields, those of which nothing is known too, one row a line. It is looked at again before
it gets its name, and treated anew until nothing is left to treat: a mended row may equal another one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.doctor.fix_report import Fixed, Treated, markdown
from pegbox_runs.rows.doctor.looking import FIXABLE, MENDED, Looked, look_at
from pegbox_runs.rows.doctor.mending import mend_controls, mend_encoding
from pegbox_runs.rows.doctor.row_checks import BITS, ROW_CHECKS, flags_of
from pegbox_runs.rows.formats import Unfit, reader
from pegbox_runs.rows.survey.texts import texts_of

SUFFIX = ".jsonl"
_encode = msgspec.json.Encoder(enc_hook=str).encode
_TITLES = {check.name: check.title for check in ROW_CHECKS} | {
    "rejected-rows": "can't be read",
    "leaks": "is also in the evaluation",
    "exact-duplicates": "the same content as an earlier row",
    "near-duplicates": "a near duplicate of an earlier row",
}


def fix(examined: Examined, target: Path, *, keep: Collection[str] = ()) -> Fixed:
    """Write a cleaned copy, and beside it what was done to which row, as JSON and for people.

    Left out are rows that can't be read, equal and near duplicates but for the first, rows with an empty answer or a
    secret (with a placeholder in its place the model would learn the placeholder), and rows that are also in the
    evaluation. Control characters and wrong decoding are mended; a row in which letters are lost is left out.
    `keep`: names of findings whose rows stay as they are.
    Raises: Refusal: the target is there already or lies in the source, nothing would be left, or a name is unknown.
    """
    unknown = sorted(set(keep) - set(FIXABLE))
    if unknown:
        raise Refusal(f"{printable(unknown[0])}: nothing that is fixed has that name; {did_you_mean(unknown[0], FIXABLE)}")
    _refuse_target(examined, target)
    copy = _Copy(examined, target, frozenset(keep))
    try:
        return copy.make()
    except OSError as error:
        raise Refusal(f"{printable(str(target))}: can't write the cleaned copy: {error.strerror or error}.") from None
    finally:
        copy.clear()


def report_paths(target: Path) -> tuple[Path, Path]:
    """Name the two reports beside a cleaned copy: JSON, and for people."""
    return target.with_name(f"{target.name}.report.json"), target.with_name(f"{target.name}.report.md")


def _refuse_target(examined: Examined, target: Path) -> None:
    name, source = printable(str(target)), examined.survey.source
    if target.suffix != SUFFIX:
        raise Refusal(f"{name}: a cleaned copy is written as JSON lines; name it with {SUFFIX} at its end.")
    for path in (target, *report_paths(target)):
        if path.exists() or path.is_symlink():
            raise Refusal(f"{printable(str(path))}: is there already; name another file, or move that away.")
    if not target.parent.is_dir():
        raise Refusal(f"{printable(str(target.parent))}: there is no such folder to write the cleaned copy into.")
    if not source.one_file and target.resolve().is_relative_to(source.folder.resolve()):
        raise Refusal(f"{name}: lies in the folder of the rows itself, and would be read with them; name another place.")


@dataclass
class _Copy:
    """A copy in the making, round after round."""

    examined: Examined
    target: Path
    keep: frozenset[str]
    treated: list[Treated] = field(default_factory=list)
    rounds: int = 0

    def make(self) -> Fixed:
        """Write rounds until one leaves nothing to treat, and give the last its name."""
        looked: Looked = self.examined.looked
        self._tell_rejected(looked)
        origins = np.arange(len(looked.survey))
        while True:
            kept = self._write(looked, origins)
            if not len(kept):
                raise Refusal(f"{printable(self.examined.asked.file)}: no row would be left; nothing was written.")
            done = len(self.treated)
            looked = self._look_again()
            origins = kept[looked.survey.number.astype(np.int64) - 1]
            if not any(len(looked.found.get(name, ())) for name in self._treats()):
                break
            if self.rounds > 1 and len(self.treated) == done == 0:
                break
        return self._finish(len(kept))

    def clear(self) -> None:
        """Remove what has no name yet."""
        for number in range(1, self.rounds + 1):
            with suppress(OSError):
                self._aside(number).unlink(missing_ok=True)

    def _treats(self) -> tuple[str, ...]:
        return tuple(name for name in FIXABLE if name not in self.keep)

    def _aside(self, number: int) -> Path:
        return self.target.with_name(f".{self.target.stem}.{os.getpid()}.{number}{SUFFIX}")

    def _tell_rejected(self, looked: Looked) -> None:
        """Rejected rows can't be copied whatever is kept: they aren't rows."""
        for row in looked.survey.rejected:
            self.treated.append(
                Treated(one_line(row.file, 500), row.number, row.unit, "left out", "rejected-rows", one_line(row.reason, 300))
            )

    def _write(self, looked: Looked, origins: Any) -> Any:
        """Write the rows that stay. Returns: for each line the index of the row in the source."""
        survey = looked.survey
        leaving: dict[int, str] = {}
        mended: dict[int, str] = {}
        for name in self._treats():
            reasons = mended if name in MENDED else leaving
            for index in looked.found.get(name, ()):
                reasons.setdefault(int(index), name)
        self.rounds += 1
        kept: list[int] = []
        bits = sum(BITS[name] for name in MENDED if name not in self.keep)
        read = reader(survey.understanding)
        for index in sorted(leaving):
            self._tell(int(origins[index]), "left out", leaving[index], _TITLES[leaving[index]])
        with self._aside(self.rounds).open("xb") as file:
            for index, raw, _ in survey.rows(index for index in range(len(survey)) if index not in leaving):
                fields = raw.fields
                if index in mended:
                    name = mended[index]
                    fields = _mended(fields)
                    if not _is_whole(fields, read, bits):
                        self._tell(int(origins[index]), "left out", name, "can't be mended: letters are lost")
                        continue
                    self._tell(int(origins[index]), "mended", name, _TITLES[name])
                file.write(_encode(fields) + b"\n")
                kept.append(int(origins[index]))
        return np.array(kept, dtype=np.int64)
