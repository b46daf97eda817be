"""One part of a source, read once: each row becomes a few numbers, and its texts are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from pegbox_runs.rows.example import Conversation, Example
from pegbox_runs.rows.formats import Unfit, reader
from pegbox_runs.rows.place import RawRow, Rejected
from pegbox_runs.rows.reading import Part, read_part
from pegbox_runs.rows.survey.orders import (
    COLUMNS,
    MOST_REJECTED,
    Answer,
    Failed,
    Order,
    Plan,
    Portion,
    Shingles,
    SurveyPart,
)
from pegbox_runs.rows.survey.shingles import band_keys, shingled
from pegbox_runs.rows.survey.texts import Texts, asked_before, texts_of

BATCH = 1000
"""Rows whose texts are held at once."""
BATCH_LETTERS = 4_000_000
COLUMN_NAMES = ("group", "stratum", "balance")
NEEDED = 2
"""Of these columns, the first ones that every row must have."""
KEYS_NAMED = 30
KEY_LETTERS = 60
"""Of a rejected row's keys, as up to a hundred thousand such rows are kept."""
NOTHING = bytes(8)
"""The hash of what was asked where nothing was."""
_encode = msgspec.json.Encoder().encode
_encode_value = msgspec.json.Encoder(enc_hook=str, order="deterministic").encode


def carry_out(order: Order, plan: Plan) -> Answer:
    """Do as ordered. Raises: Refusal: the part can't be read."""
    if isinstance(order, SurveyPart):
        return _Surveying(plan).part(order.part, order.limit)
    return _shingles(order.part, np.frombuffer(order.numbers, dtype="u4"), plan)


def key_of(example: Example) -> bytes:
    """Hash an example's content to 16 bytes: equal examples have equal keys, on every machine."""
    return blake2b(_encode(example), digest_size=16).digest()


def hash_of(value: object) -> int:
    """Hash a column's value to 64 bits, above 0."""
    return int.from_bytes(blake2b(_encode_value(value), digest_size=8).digest(), "little") or 1


class _Surveying:
    """The numbers of a part, as they come together."""

    def __init__(self, plan: Plan) -> None:
        self._needed = tuple(column for column in plan.columns[:NEEDED] if column)
        self._columns = [(name, key) for name, key in zip(COLUMN_NAMES, plan.columns, strict=True) if key]
        self._read = reader(plan.understanding)
        self._flags_of: Callable[[Texts, bytes], int] | None = None
        if plan.checks:
            from pegbox_runs.rows.doctor.row_checks import flags_of

            self._flags_of = flags_of
        self._batch: list[tuple[int, int, bytes, int, bytes]] = []
        """Number, letters, key, flags, and hash of what was asked."""
        self._values: dict[str, list[int]] = {name: [] for name, _ in self._columns}
        self._bodies: list[str] = []
        self._batch_letters = 0
        self._bands: list[NDArray[np.uint32]] = []
        self._chunks: dict[str, list[bytes]] = {}
        self._rejected: list[Rejected] = []
        self._rejected_count = 0
        self._conversational = False

    def part(self, part: Part, limit: int | None) -> Portion:
        """Read the part's rows, at most `limit` of them."""
        rows, unit = 0, "line"
        reading = read_part(part)
        for item in reading:
            if isinstance(item, Rejected):
                rows += item.number is not None
                self._reject(item)
            else:
                rows += 1
                unit = item.place.unit
                self._row(item)
            if rows == limit:
                break
        self._flush()
        arrays = {name: b"".join(chunks) for name, chunks in self._chunks.items()}
        if self._bands:
            arrays["bands"] = np.concatenate(self._bands, axis=1).tobytes()
        return Portion(
            rows=rows,
            lines=reading.lines,
            unit=unit,
            conversational=self._conversational,
            arrays=arrays,
            rejected=self._rejected,
            rejected_count=self._rejected_count,
        )

    def _row(self, raw: RawRow) -> None:
        place, fields = raw
        try:
            example = self._read(fields)
        except Unfit as error:
            self._reject(rejected(raw, str(error)))
            return
        for column in self._needed:
            if fields.get(column) is None:
                self._reject(rejected(raw, f'it has no "{column}", by which the rows are split'))
                return
        for name, column in self._columns:
            value = fields.get(column)
            self._values[name].append(0 if value is None else hash_of(value))
        self._conversational = self._conversational or isinstance(example, Conversation)
        texts = texts_of(example)
        encoded = _encode(example)
        letters = texts.letters
        flags, asked = 0, NOTHING
        if self._flags_of is not None:
            flags = self._flags_of(texts, encoded)
            before = asked_before(example)
            if before is not None:
                asked = blake2b(_encode(before), digest_size=8).digest()
            self._bodies.append(texts.body)
        self._batch.append((place.number, letters, blake2b(encoded, digest_size=16).digest(), flags, asked))
        self._batch_letters += letters
        if len(self._batch) == BATCH or self._batch_letters > BATCH_LETTERS:
            self._flush()

    def _reject(self, row: Rejected) -> None:
        self._rejected_count += 1
        if len(self._rejected) < MOST_REJECTED:
            self._rejected.append(row)

    def _flush(self) -> None:
        """Turn a batch into arrays' bytes, which are ten times smaller."""
        if not self._batch:
            return
        numbers, letters, keys, flags, asked = zip(*self._batch, strict=True)
        made = {"number": _bytes("number", numbers), "letters": _bytes("letters", letters), "key": b"".join(keys)}
        for name, values in self._values.items():
            made[name] = _bytes(name, values)
            values.clear()
        if self._flags_of is not None:
            made |= {"flags": _bytes("flags", flags), "asked": b"".join(asked)}
            self._bands.append(band_keys(self._bodies))
            self._bodies.clear()
        for name, chunk in made.items():
            self._chunks.setdefault(name, []).append(chunk)
        self._batch.clear()
        self._batch_letters = 0


def _bytes(name: str, numbers: Sequence[int]) -> bytes:
    return np.array(numbers, dtype=COLUMNS[name]).tobytes()


def rejected(raw: RawRow, reason: str) -> Rejected:
    """Say that a row can't be taken."""
    keys = tuple(str(key)[:KEY_LETTERS] for key in islice(raw.fields, KEYS_NAMED))
    return Rejected(raw.place.file, raw.place.number, raw.place.unit, keys, reason)


def _shingles(part: Part, numbers: NDArray[np.uint32], plan: Plan) -> Answer:
    read = reader(plan.understanding)
    wanted = set(numbers.tolist())
    found: list[NDArray[np.uint32]] = []
    texts: list[str] = []
    """Of each row two: its body, and what is beside it."""
    letters = 0
    for item in read_part(part):
        if isinstance(item, Rejected) or item.place.number not in wanted:
            continue
        row = texts_of(read(item.fields))
        texts += (row.body or " ", row.beside)
        letters += len(row.body) + len(row.beside)
        if letters > BATCH_LETTERS:
            found += _distinct(texts)
            texts.clear()
            letters = 0
        if len(found) + len(texts) == 2 * len(wanted):
            break
    found += _distinct(texts)
    if len(found) < 2 * len(wanted):
        return Failed("a file of rows has changed while it was looked at; begin again.")
    begins = np.cumsum([0, *map(len, found)], dtype=np.uint64)
    return Shingles(begins.tobytes(), b"".join(row.tobytes() for row in found))


def _distinct(texts: list[str]) -> list[NDArray[np.uint32]]:
    """Give each text's distinct shingles, sorted; an empty text has none."""
    filled = [place for place, text in enumerate(texts) if text]
    found = [np.zeros(0, dtype=np.uint32)] * len(texts)
    if not filled:
        return found
    hashes, begins = shingled([texts[place] for place in filled])
    # Half of a hash is enough: two texts' few hundred shingles don't meet by chance in 2^32.
    halves = (hashes >> np.uint64(32)).astype(np.uint32)
    for place, row in zip(filled, np.split(halves, begins[1:-1].astype(np.int64)), strict=True):
        found[place] = np.unique(row)
    return found
