"""Why rows are read as they are, and what would be accepted, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegbox_runs.rows.formats.turns import PAIRED_KEYS, TURN_KEYS
from pegbox_runs.rows.formats.understanding import listed, quoted
from pegbox_runs.rows.formats.values import list_of

ACCEPTED = """\
messages:             {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
sharegpt:             {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
alpaca:               {"instruction": "...", "input": "...", "output": "..."}
prompt-completion:    {"prompt": "...", "completion": "..."}
instruction-response: {"instruction": "...", "context": "...", "response": "..."}
question-answer:      {"question": "...", "answer": "..."}
text:                 {"text": "..."}"""

READ_AS = {
    "input": "what the question is about",
    "system": "the system text",
    "history": "the earlier turns",
    "reasoning": "the reasoning",
    "tools": "the functions",
}
KEYS_SHOWN = 5


def evidence(
    form: str,
    rows: Sequence[Mapping[str, Any]],
    looked_at: int,
    columns: Mapping[str, str],
    aside: Sequence[str],
    mapped: Mapping[str, str],
    *,
    named: bool,
) -> str:
    """Say in a clause what the decision rests on; `rows` are those of the format, of all that were looked at."""
    needed = [quoted(key) for column, key in columns.items() if column not in READ_AS]
    parts = [f"{len(rows):,} of {looked_at:,} rows looked at have {listed(needed)}{_inside(form, rows, columns)}"]
    extras = [f"{quoted(columns[column])} holds {meaning}" for column, meaning in READ_AS.items() if column in columns]
    if extras:
        parts.append(listed(extras))
    if "completion" in columns and any(_several(row.get(columns["completion"])) for row in rows):
        parts.append(f"of several answers in {quoted(columns['completion'])} the first is learned")
    used = {*columns.values(), *aside}
    unread = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in used]
    if aside:
        parts.append(f"{listed([quoted(key) for key in aside])} {'is' if len(aside) == 1 else 'are'} left aside")
    if unread:
        more = f" and {len(unread) - KEYS_SHOWN:,} more" if len(unread) > KEYS_SHOWN else ""
        parts.append(f"not read: {', '.join(quoted(key) for key in unread[:KEYS_SHOWN])}{more}")
    if mapped:
        parts.append(f"rows.columns names {listed(sorted(mapped))}")
    if named:
        parts.append("the recipe names the format")
    return "; ".join(parts)


def _inside(form: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Say what turns look like, by the first there is."""
    if form not in TURN_KEYS:
        return ""
    lists = (list_of(row.get(columns["messages"])) for row in rows)
    first = next((turns[0] for turns in lists if turns and isinstance(turns[0], Mapping)), {})
    keys = next((keys for keys in (TURN_KEYS[form], *PAIRED_KEYS) if keys[0] in first), TURN_KEYS[form])
    return f", a list of turns with {listed([quoted(key) for key in keys])}"


def _several(value: object) -> bool:
    answers = value.get("text") if isinstance(value, Mapping) else value
    return isinstance(answers, list) and len(answers) > 1 and all(isinstance(answer, str) for answer in answers)
