"""What each line of the form shows: the value that counts, where it comes from, what was advised and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pegbox_methods.advice.records import Choice
from pegbox_runs.drafts import Draft
from pegbox_runs.settling import Settled
from pegbox_tui.wizard.settings.fields import FormField
from pegbox_tui.wizard.settings.typed import write_value

Mark = Literal["", "yours", "follows", "fault"]


@dataclass(frozen=True)
class FormLine:
    """A setting as it stands."""

    field: FormField
    value: Any
    advised: Any
    why: str
    """Of the advised value."""
    source: str
    mark: Mark = ""
    note: str = ""
    """Where the value comes from, in a few words."""


def lines_of(fields: Sequence[FormField], draft: Draft, settled: Settled) -> tuple[FormLine, ...]:
    """Fill the form's lines from what a draft came to."""
    reasons = {choice.key: choice for choice in settled.advice.choices}
    taken = flat(msgspec.to_builtins(settled.recipe))
    return tuple(_line(field, draft, settled, reasons, taken) for field in fields)


def advised_value(field: FormField, settled: Settled) -> Any:
    """Give what would stand there if nobody set it."""
    advised = flat(settled.advice.settings)
    if field.key in advised:
        return advised[field.key]
    if field.key == "method.name":
        return settled.usual_method
    if field.key == "training.learning_rate":
        return settled.card.learning_rate
    return field.default


def flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Give a recipe's values by their dotted keys."""
    return dict(_flat(tables, ""))


def _flat(tables: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, Mapping) and prefix.count(".") < 2 and name not in ("columns",):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _line(
    field: FormField,
    draft: Draft,
    settled: Settled,
    reasons: Mapping[str, Choice],
    taken: Mapping[str, Any],
) -> FormLine:
    advised = advised_value(field, settled)
    reason = reasons.get(field.key)
    line = FormLine(
        field=field,
        value=taken.get(field.key, advised),
        advised=advised,
        why=reason.why if reason else "the usual value",
        source=reason.source if reason else "the recipe's default",
    )
    mark, note = _told(line, draft, settled)
    value = line.value if mark == "fault" or field.key not in draft.values else draft.values[field.key]
    return FormLine(field, value, advised, line.why, line.source, mark, note)


def _told(line: FormLine, draft: Draft, settled: Settled) -> tuple[Mark, str]:
    key = line.field.key
    if key == "method.name":
        if settled.faults and draft.method is not None and draft.method != settled.card.name:
            return "fault", f"{draft.method} can't be taken"
        if draft.method is None or draft.method == settled.usual_method:
            return "", "advised"
        return "yours", f"yours; advised: {settled.usual_method or 'none'}"
    if key in settled.left_out:
        return "fault", f"{write_value(draft.values.get(key))} isn't accepted; this stands in its place"
    fault = next((said for said in settled.faults if said.startswith(f"{key} ")), None)
    if fault is not None:
        return "fault", f"! {fault.partition(': ')[2]}"
    if key in draft.values and draft.values[key] != line.advised:  # a repeated recipe names every value
        return "yours", f"yours; advised: {write_value(line.advised)}"
    if key in settled.follows:
        return "follows", settled.follows[key]
    return "", ""
