"""From a sample of rows to one way of reading all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pegbox_methods.recipe import Column, RowsFormat
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.printable import one_line
from pegbox_runs.rows.formats.evidence import ACCEPTED, evidence
from pegbox_runs.rows.formats.names import EXTRAS, PAIR_EXTRAS, PAIRS
from pegbox_runs.rows.formats.preferences import preference
from pegbox_runs.rows.formats.recognition import (
    CONVERSATIONS,
    LOOKED_FOR,
    TELLING,
    extra_columns,
    looker,
    looks_like,
    needed_columns,
)
from pegbox_runs.rows.formats.tools import read_tools
from pegbox_runs.rows.formats.understanding import (
    PREFERENCE,
    UNKNOWN,
    Understanding,
    Unfit,
    keys_of,
    listed,
    quoted,
)
from pegbox_runs.rows.formats.values import is_blank, list_of

SAMPLE = 1000
"""Rows that are looked at, in at most 20 ms."""


def understand(
    sample: Sequence[tuple[object, Mapping[str, Any]]],
    asked: RowsFormat,
    columns: Mapping[Column, str],
    *,
    source: str,
) -> Understanding:
    """Decide how a source's rows are read, from its first rows.

    The most frequent format wins. Columns that the recipe maps are taken as told, the others are looked for. A
    question and an answer that are mapped become a conversation, unless 'prompt-completion' is asked for: then they are
    plain text, put one after the other.

    Raises: Refusal: no row has a known format or the one asked for, most are preferences, or a mapped column isn't
    there or contradicts another or the format.
    """
    rows = [row[1] for row in sample[:SAMPLE]]
    mapped: dict[str, str] = {str(column): key for column, key in columns.items()}
    _refuse_absent(rows, mapped, source)
    forms = _forms(asked, mapped, source)
    look = looker(forms, mapped, tuple(mapped))
    looks = [look(row) for row in rows]
    found = dict(Counter(form for form, _ in looks).most_common())
    winner = next((form for form in found if form != UNKNOWN), UNKNOWN)
    if winner == UNKNOWN:
        raise _unknown(rows, asked, mapped, source)
    if winner == PREFERENCE:
        raise _preferences(rows, found, source)
    chosen = [(row, its) for row, (form, its) in zip(rows, looks, strict=True) if form == winner]
    final, kept, aside = _settle(winner, chosen, mapped, plain=asked == "prompt-completion")
    if final != winner:
        found = dict(Counter({final: found.pop(winner) + found.pop(final, 0)} | found).most_common())
    said = evidence(final, [row for row, _ in chosen], len(rows), kept, aside, mapped, named=asked != "auto")
    return Understanding(final, said, kept, found, tuple(mapped), aside)


def _refuse_absent(rows: Sequence[Mapping[str, Any]], mapped: Mapping[str, str], source: str) -> None:
    if not rows:
        raise Refusal(f"{source}: there is no row to look at.")
    present = {key: None for row in rows for key in row if isinstance(key, str)}
    for column, key in mapped.items():
        if key not in present:
            near = one_line(did_you_mean(key, list(present)[:50]), 300)
            raise Refusal(
                f"{source}: rows.columns says that {column} is {quoted(key)}, and none of the {len(rows):,} rows "
                f"looked at has that key; {near}{'' if near.endswith('?') else '.'}"
            )
    twice = [key for key, count in Counter(mapped.values()).items() if count > 1]
    if twice:
        raise Refusal(f"{source}: rows.columns names {quoted(twice[0])} twice; a key can be one column only.")


def _forms(asked: RowsFormat, mapped: Mapping[str, str], source: str) -> tuple[str, ...]:
    """Give the formats to look for, in order. Raises: Refusal: the mapped columns go with none of them."""
    base = TELLING & set(mapped)
    if asked != "auto":
        forms: tuple[str, ...] = (asked,)
    elif not base:
        forms = LOOKED_FOR
    elif "messages" in base:
        forms = CONVERSATIONS
    else:
        forms = ("text",) if "text" in base else ("instruction-response",)
    fitting = tuple(form for form in forms if set(mapped) <= {*needed_columns(form), *_mappable(form)})
    if not fitting:
        told = listed(sorted(mapped))
        rather = "each other" if asked == "auto" else f"rows of the format '{asked}'"
        raise Refusal(
            f"{source}: rows.columns names {told}, which don't go with {rather}. Name messages (with system, "
            "reasoning, tools), or prompt and completion (with input, system, history, reasoning, tools), or text."
        )
    return fitting if base else (PREFERENCE, *fitting)


def _mappable(form: str) -> tuple[str, ...]:
    """Name the optional columns that may be mapped: two plain texts have no place for most of them."""
    return ("tools",) if form == "prompt-completion" else extra_columns(form)


def _settle(
    form: str, chosen: Sequence[tuple[Mapping[str, Any], dict[str, str]]], mapped: Mapping[str, str], *, plain: bool
) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Choose each column's most frequent key, and drop keys that are only called like a column.

    Returns: (format, columns, keys left aside).
    """
    kept: dict[str, str] = {}
    aside: list[str] = []
    for column in (*needed_columns(form), *extra_columns(form)):
        if column in mapped:
            kept[column] = mapped[column]
            continue
        keys = Counter(its[column] for _, its in chosen if column in its)
        if not keys:
            continue
        key = keys.most_common(1)[0][0]
        values = [row[key] for row, _ in chosen if not is_blank(row.get(key))]
        used = column not in EXTRAS or not values or any(_is_meant(column, v) for v in values)
        if used:
            kept[column] = key
        else:
            aside.append(key)
    if form == "prompt-completion" and any(isinstance(row.get(kept["prompt"]), str) for row, _ in chosen):
        beside = [kept[column] for column in PAIR_EXTRAS if column in kept]
        filled = [key for key in beside if any(not is_blank(row.get(key)) for row, _ in chosen)]
        if filled and not plain:
            return "instruction-response", kept, tuple(aside)
        aside += filled
        kept = {column: key for column, key in kept.items() if key not in filled}
    return form, kept, tuple(aside)


def _is_meant(column: str, value: object) -> bool:
    """Whether a value is what its key's name promises: `reasoning` may be `on`, `tools` a list of names."""
    if column == "reasoning":
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        return isinstance(text, str) and len(text.split()) > 1
    if column == "history":
        return list_of(value) is not None
    if column == "tools":
        try:
            return bool(read_tools(value, ""))
        except Unfit:
            return False
    return isinstance(value, str)


def _unknown(rows: Sequence[Mapping[str, Any]], asked: RowsFormat, mapped: Mapping[str, str], source: str) -> Refusal:
    keys = keys_of({key: None for row in rows for key in row})
    if mapped and asked in ("auto", *PAIRS) and {"prompt", "completion"} & set(mapped):
        lacking = "completion" if "prompt" in mapped else "prompt"
        return Refusal(
            f"{source}: rows.columns names {listed(sorted(mapped))}, and no {lacking} was found beside it; name that "
            f"too. The rows' keys are {keys}."
        )
    others = Counter(looks_like(row) for row in rows)
    others.pop(UNKNOWN, None)
    if asked != "auto" and others:
        return Refusal(
            f"{source}: none of the {len(rows):,} rows looked at is in the format '{asked}'; they look like "
            f"{listed(list(others))}. Change rows.format, or let 'auto' recognise it."
        )
    wanted = "a known format" if asked == "auto" else f"the format '{asked}'"
    return Refusal(
        f"{source}: none of the {len(rows):,} rows looked at is in {wanted}; their keys are {keys}. Accepted are rows "
        f'such as\n{ACCEPTED}\nOr say which key is what: rows.columns = {{ prompt = "...", completion = "..." }}.'
    )


def _preferences(rows: Sequence[Mapping[str, Any]], found: Mapping[str, int], source: str) -> Refusal:
    first = next(seen for row in rows if (seen := preference(row)) is not None)
    return Refusal(
        f"{source}: the rows are preferences: {found[PREFERENCE]:,} of {len(rows):,} rows looked at have "
        f"{first.evidence}. Fine-tuning learns to give answers, and can't learn that one is better than another. "
        f"{first.advice}"
    )
