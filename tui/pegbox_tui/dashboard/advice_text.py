"""What the advisor and the sentinel say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from pegbox_runs.advisor import Hint
from pegbox_runs.printable import printable
from pegbox_runs.run_state import RunState

LEVELS = {"good": ("well", "green"), "look": ("look", "yellow"), "act": ("ACT", "bold red")}
"""Word and color of each level: the word alone says it too."""
VERDICTS = {
    "passed": ("✓ passed", "green"),
    "unsure": ("? look", "yellow"),
    "failed": ("✗ failed", "bold red"),
    "not-applicable": ("- not here", "dim"),
}


def advice_lines(hints: Sequence[Hint], state: RunState) -> list[Text]:
    """Tell the hints in their order, each with its level in a word and whose rule it is."""
    if not hints:
        begun = state.step is not None
        return [Text("nothing stands out" if begun else "there is nothing to advise on before the first step", "dim")]
    return [line for hint in hints for line in _hint(hint)]


def _hint(hint: Hint) -> Iterator[Text]:
    word, style = LEVELS.get(hint.level, (hint.level, ""))
    yield Text(f"{word}: ", style).append(printable(hint.text), "default")
    yield Text(f"  source: {printable(hint.source)}", "dim")


def first_hint(hints: Sequence[Hint]) -> Text | None:
    """Give the most pressing one in a line, without its source."""
    return next(_hint(hints[0])) if hints else None


def check_lines(state: RunState) -> list[Text]:
    """Tell what the sentinel looked at last."""
    seen = state.inspected
    if seen is None:
        return [Text("the first steps are looked at for what goes wrong without an error; not yet", "dim")]
    lines = [Text(f"after step {seen.step:,}, in {seen.seconds:.2f} s so far", "dim")]
    for check in seen.checks:
        word, style = VERDICTS.get(check.verdict, (check.verdict, ""))
        lines.append(Text(f"{word:<11}", style).append(f"{printable(check.name)}: {printable(check.text)}", "default"))
    return lines
