"""A cleaned copy of a source: rows left out or mended, each with its reason. The source stays as it is.

The copy holds the rows' own fields, those of which nothing is known too, one row a line. It is looked at again before
it gets its name, and treated anew until nothing is left to treat: a mended row may equal another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.doctor.between_rows import first_of
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.doctor.fix_report import Fixed, Treated, counted, markdown, report_paths
from pegbox_runs.rows.doctor.looking import FIXABLE, MENDED, Looked, look_at
from pegbox_runs.rows.doctor.mending import mend_controls, mend_encoding
from pegbox_runs.rows.doctor.row_checks import BITS, TITLES, flags_of
from pegbox_runs.rows.doctor.secrets import without_secrets
from pegbox_runs.rows.doctor.similarity import Indices
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.formats import Unfit, reader
from pegbox_runs.rows.survey.texts import texts_of

SUFFIX = ".jsonl"
KEEPABLE = tuple(name for name in FIXABLE if name != "rejected-rows")
REASONS = TITLES | {"leaks": "also in the evaluation"}
_encode = msgspec.json.Encoder(enc_hook=str).encode


def fix(examined: Examined, target: Path, *, keep: Collection[str] = ()) -> Fixed:
    """Write a cleaned copy, and beside it what was done to which row, as JSON and for people.

    Left out are rows that can't be read, equal and near duplicates but for the first, rows with an empty answer or a
    secret (with a placeholder in its place the model would learn the placeholder), and rows that are also in the
    evaluation. Control characters and wrong decoding are mended; a row in which letters are lost is left out.
    `keep`: names of findings whose rows stay as they are.
    Raises: Refusal: the target is there already or lies in the source, nothing would be left, or a name is unknown.
    """
    for name in keep:
        if name not in KEEPABLE:
            raise Refusal(f"{one_line(name, 80)}: nothing that is fixed has that name; {did_you_mean(name, KEEPABLE)}")
    _refuse_target(examined, target)
    copy = _Copy(examined, target.absolute(), frozenset(keep))
    try:
        return copy.make()
    except OSError as error:
        raise Refusal(f"{printable(str(target))}: can't write the cleaned copy: {error.strerror or error}.") from None
    finally:
        copy.clear()


def _refuse_target(examined: Examined, target: Path) -> None:
    name, source = printable(str(target)), examined.survey.source
    if target.suffix != SUFFIX:
        raise Refusal(f"{name}: a cleaned copy is written as JSON lines; name it with {SUFFIX} at its end.")
    for path in (target, *report_paths(target)):
        if path.exists() or path.is_symlink():
            raise _is_there(path)
    if not target.parent.is_dir():
        raise Refusal(f"{printable(str(target.parent))}: there is no such folder to write the cleaned copy into.")
    if not source.one_file and target.resolve().is_relative_to(source.folder.resolve()):
        raise Refusal(
            f"{name}: lies in the folder of the rows itself, and would be read with them; name another place."
        )


def _is_there(path: Path) -> Refusal:
    return Refusal(f"{printable(str(path))}: is there already; name another file, or move that away.")


class _Copy:
    """A copy in the making, written and looked at round after round."""

    def __init__(self, examined: Examined, target: Path, keep: frozenset[str]) -> None:
        self._examined = examined
        self._target = target
        self._keep = keep
        self._treats = tuple(name for name in KEEPABLE if name not in keep)
        self._bits = sum(BITS[name] for name in MENDED if name not in keep)
        self._treated: dict[int, Treated] = {}
        """By the row's index in the source."""
        self._rounds = 0

    def make(self) -> Fixed:
        """Write until a look finds nothing to treat, and give the last round its name."""
        looked = self._examined.looked
        origins = np.arange(len(looked.survey))
        while True:
            lines = self._write(looked, origins)
            if not len(lines):
                raise Refusal(f"{printable(self._examined.asked.file)}: no row would be left; nothing was written.")
            asked = msgspec.structs.replace(
                _plain(self._examined.asked), file=str(self._aside()), format=looked.survey.understanding.format
            )
            looked = look_at(asked, self._examined.held_out, self._examined.split)
            origins = lines[looked.survey.number.astype(np.int64) - 1]
            for row in looked.survey.rejected:  # a mended row that its format can't take any more
                if row.number is not None:
                    self._tell(int(lines[row.number - 1]), "left out", "rejected-rows", row.reason)
            if not looked.survey.rejected_count and not any(len(looked.found.get(name, ())) for name in self._treats):
                return self._finish(len(lines))

    def clear(self) -> None:
        """Remove what has no name yet."""
        for number in range(self._rounds + 1):
            with suppress(OSError):
                self._aside(number).unlink(missing_ok=True)

    def _aside(self, number: int | None = None) -> Path:
        return self._target.with_name(f".{self._target.stem}.{os.getpid()}.{number or self._rounds}{SUFFIX}")

    def _write(self, looked: Looked, origins: Indices) -> Indices:
        """Write the rows that stay. Returns: for each line the row's index in the source."""
        survey = looked.survey
        leaving, mending = self._sorted(looked)
        for index, name in leaving.items():
            self._tell(int(origins[index]), "left out", name, self._reason(looked, name, index, origins))
        read = reader(survey.understanding)
        lines: list[int] = []
        self._rounds += 1
        with self._aside().open("xb") as file:
            for index, raw, _ in survey.rows(row for row in range(len(survey)) if row not in leaving):
                origin, fields = int(origins[index]), raw.fields
                if index in mending:
                    fields = _mended(fields)
                    if not _is_whole(fields, read, self._bits):
                        self._tell(origin, "left out", mending[index], f"{REASONS[mending[index]]}, some lost for good")
                        continue
                    self._tell(origin, "mended", mending[index], REASONS[mending[index]])
                file.write(_encode(fields) + b"\n")
                lines.append(origin)
        return np.array(lines, dtype=np.int64)

    def _sorted(self, looked: Looked) -> tuple[dict[int, str], dict[int, str]]:
        """Name for each row that leaves, and each that is mended, the first finding it is in."""
        leaving: dict[int, str] = {}
        mending: dict[int, str] = {}
        for name in self._treats:
            for index in looked.found.get(name, ()):
                (mending if name in MENDED else leaving).setdefault(int(index), name)
        return leaving, mending

    def _reason(self, looked: Looked, name: str, index: int, origins: Indices) -> str:
        if name in ("exact-duplicates", "near-duplicates"):
            repeats = looked.doubles.equal if name == "exact-duplicates" else looked.doubles.alike
            first = self._examined.survey.place(int(origins[first_of(repeats, index)]))
            return f"{'the same as' if name == 'exact-duplicates' else 'much like'} {first}"
        return REASONS[name]

    def _tell(self, origin: int, done: str, finding: str, reason: str) -> None:
        """Note what became of a row; what comes last holds."""
        place = self._examined.survey.place(origin)
        treated = {"done": done, "finding": finding, "reason": one_line(reason, 300)}
        self._treated[origin] = msgspec.convert({**place._asdict(), "file": printable(place.file), **treated}, Treated)

    def _finish(self, rows: int) -> Fixed:
        examined, survey = self._examined, self._examined.survey
        rejected = [
            Treated(
                printable(row.file),
                row.number,
                row.unit,
                "left out",
                "rejected-rows",
                one_line(without_secrets(row.reason), 300),
            )
            for row in survey.rejected
        ]
        treated = [*rejected, *(self._treated[origin] for origin in sorted(self._treated))]
        left_out = counted(treated, "left out")
        if survey.rejected_count:
            left_out["rejected-rows"] = left_out.get("rejected-rows", 0) + survey.rejected_count - len(rejected)
        fixed = Fixed(
            source=examined.asked.file,
            target=str(self._target),
            held_out=None if examined.held_out is None else examined.held_out.file,
            rows_before=len(survey),
            rows_rejected=survey.rejected_count,
            rows_after=rows,
            left_out=left_out,
            mended=counted(treated, "mended"),
            kept=tuple(sorted(self._keep)),
            rounds=self._rounds,
            treated=tuple(treated),
        )
        self._publish(fixed)
        return fixed

    def _publish(self, fixed: Fixed) -> None:
        """Give the copy its name and write the reports: all or nothing, and never over what came there meanwhile."""
        as_json, for_people = report_paths(self._target)
        written: list[Path] = []
        try:
            for path, content in (
                (self._target, b""),  # takes the name, where a hard link can't be made everywhere
                (as_json, msgspec.json.format(msgspec.json.encode(fixed), indent=1) + b"\n"),
                (for_people, markdown(fixed).encode()),
            ):
                with path.open("xb") as file:
                    written.append(path)
                    file.write(content)
            self._aside().replace(self._target)
        except BaseException as error:
            for path in written:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                raise _is_there(Path(error.filename)) from None
            raise


def _plain(asked: RowSource) -> RowSource:
    """Leave out where the source was and how much of it was read: the copy is one file, and all of it counts."""
    return RowSource(file=asked.file, columns=asked.columns)


def _mended(value: Any) -> Any:
    """Mend all texts in a row's fields; their names stay."""
    if isinstance(value, str):
        return mend_controls(mend_encoding(value))
    if isinstance(value, dict):
        return {key: _mended(inner) for key, inner in value.items()}
    return [_mended(inner) for inner in value] if isinstance(value, list) else value


def _is_whole(fields: dict[str, Any], read: Callable[[Any], Example], bits: int) -> bool:
    """Whether a mended row can still be read, and has nothing left of what was mended."""
    try:
        example = read(msgspec.json.decode(_encode(fields)))
    except Unfit:
        return False
    return not flags_of(texts_of(example), msgspec.json.encode(example)) & bits
