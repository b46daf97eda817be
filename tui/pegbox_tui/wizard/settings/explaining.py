"""What `?` says of a setting: what it is, what it takes, what is advised and whose word that is."""

from __future__ import annotations

from textwrap import wrap

from pegbox_runs.printable import one_line
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.settings.lines import FormLine
from pegbox_tui.wizard.settings.typed import write_value

WHY_LINES = 3
"""That stand below the form."""


def explained_line(line: FormLine) -> Explanation:
    """Explain a setting."""
    field = line.field
    unit = f" Unit: {field.unit}." if field.unit else ""
    takes = f"It takes {field.accepted}.{unit}"
    if field.optional:
        takes += " It may be left open: type `default`, or put it back."
    if field.kind == "method":
        takes = "Enter lists all methods with what they take here and what stands in their way."
    advised = f"Advised: {write_value(line.advised)}. {_sentence(line.why)}"
    yours = f"You set it to {write_value(line.value)}; Backspace puts the advised value back." if _yours(line) else ""
    follows = f"It {line.note}." if line.mark == "follows" else ""
    text = "\n\n".join(part for part in (field.help, takes, advised, yours, follows) if part)
    return Explanation(f"{field.title} ({field.key})", text, line.source)


def why_text(line: FormLine) -> tuple[str, str]:
    """Say what a setting is, and why this value."""
    if line.mark == "fault":
        return line.field.help, line.note
    return line.field.help, f"Advised {write_value(line.advised)}: {line.why} ({line.source})"


def lines_within(what: str, why: str, width: int) -> tuple[list[str], list[str]]:
    """Lay both out in the lines below the form: what it is gives way first, to one line; what is cut ends in `…`."""
    of_why = wrap(one_line(why, 600), width, max_lines=WHY_LINES - 1, placeholder="…")
    return wrap(one_line(what, 600), width, max_lines=WHY_LINES - len(of_why), placeholder="…"), of_why


def _yours(line: FormLine) -> bool:
    return line.mark == "yours"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
