"""What can be done with the recipe, what must be mended, and what is in the comparison: one list for keys and mouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.widgets.option_list import Option

from pegbox_runs.comparison import Compared
from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.review.explaining import ACTIONS_EXPLAINED
from pegbox_tui.wizard.review.findings import Finding
from pegbox_tui.wizard.review.words import compared_line


class Todo(ChoiceList):
    """Each line's id is an action, `finding:NUMBER`, or `entry:NAME`."""

    def show(self, findings: Sequence[Finding] | None, there: Sequence[Compared], *, measuring: bool) -> None:
        """Show anew; the chosen line stays chosen."""
        before = None if self.highlighted is None else self.get_option_at_index(self.highlighted).id
        lines = list(_lines(findings, there, measuring=measuring))
        self.clear_options().add_options(lines)
        ids = [line.id for line in lines]
        self.choose(ids.index(before) if before in ids else None)

    def explanation(self) -> Explanation | None:
        """Explain the chosen line."""
        option = self.highlighted_option
        return None if option is None or option.id is None else ACTIONS_EXPLAINED.get(option.id.partition(":")[0])


def _lines(findings: Sequence[Finding] | None, there: Sequence[Compared], *, measuring: bool) -> Iterator[Option]:
    start = "Start the run"
    if findings is None:
        start += " (being checked…)"
    elif findings:
        things = "1 thing is" if len(findings) == 1 else f"{len(findings)} things are"
        start = f"Can't start: {things} to be mended"
    yield Option(Text(f"s  {start}"), id="start")
    yield Option(Text("t  Give the measurement up" if measuring else "t  Measure for real"), id="measure")
    yield Option(Text("v  Save the recipe…"), id="save")
    yield Option(Text("m  Compare methods on these rows…"), id="methods")
    yield Option(Text("c  Add to a comparison of recipes"), id="compare")
    for number, finding in enumerate(findings or ()):
        text = f"!  {one_line(finding.text, 500)} → {finding.step} (Enter)"
        yield Option(Text(text, "bold"), id=f"finding:{number}")
    for one in there:
        yield Option(Text(f"   {compared_line(one)}"), id=f"entry:{one.name}")
    if there:
        recipes = "1 recipe" if len(there) == 1 else f"{len(there)} recipes"
        yield Option(Text(f"   Start the comparison: {recipes}…"), id="start-all")
