"""The dashboard's panels: each draws its part of a view, and explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text

from pegbox_runs.advisor import hints
from pegbox_tui.dashboard.advice_text import advice_lines, check_lines, first_hint
from pegbox_tui.dashboard.answers_text import answer_lines
from pegbox_tui.dashboard.evaluations_text import evaluation_lines
from pegbox_tui.dashboard.explanations import PANELS
from pegbox_tui.dashboard.figures_text import figure_lines, figures
from pegbox_tui.dashboard.memory_text import memory_lines
from pegbox_tui.dashboard.ranks_text import rank_lines
from pegbox_tui.dashboard.timeline_text import ending_lines, newest_remark, setback_lines, timeline_lines
from pegbox_tui.dashboard.view import View
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.sheet import Sheet


class Panel(Sheet):
    """A titled sheet that is drawn from a view whenever it is seen."""

    name_here: ClassVar[str]
    """Its id, and its key among the explanations."""
    title: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(id=self.name_here, classes="panel")
        self.border_title = self.title
        self._view: View | None = None

    def show(self, view: View) -> None:
        """Draw a view, if the panel is on the screen; else when it comes there."""
        self._view = view
        if self.display and self.content_size:
            self.put(self.lines(view))

    def lines(self, view: View) -> Sequence[Text]:
        """Give what is shown; lines longer than the width are broken or cut by the panel itself."""
        raise NotImplementedError

    def broken(self, lines: Sequence[Text]) -> list[Text]:
        """Break lines that are too long."""
        return [part for line in lines for part in self.wrapped(line)]

    def explanation(self) -> Explanation | None:
        """Explain the panel."""
        return PANELS.get(self.name_here)

    def on_resize(self) -> None:
        """Draw for the new width."""
        if self._view is not None:
            self.show(self._view)


class FiguresPanel(Panel):
    """The newest figures."""

    name_here, title = "figures", "Figures"

    def lines(self, view: View) -> Sequence[Text]:
        """Lay them out in columns."""
        return figure_lines(figures(view), self.text_width) or [Text("the first step tells them", "dim")]


class MemoryPanel(Panel):
    """Memory against its forecast."""

    name_here, title = "memory", "Memory"

    def lines(self, view: View) -> Sequence[Text]:
        """Draw the whole table where there is room."""
        return self.broken(memory_lines(view, self.text_width, full=self.screen.has_class("-page-memory")))


class EvaluationsPanel(Panel):
    """Evaluations and the checkpoint."""

    name_here, title = "evaluations", "Evaluations and checkpoint"

    def lines(self, view: View) -> Sequence[Text]:
        """List them."""
        return self.broken(evaluation_lines(view.state))


class NewsPanel(Panel, can_focus=False):
    """How the run ended, or the most pressing hint and the newest remark: a few lines for a small screen."""

    name_here, title = "news", "Advice and news"

    def lines(self, view: View) -> Sequence[Text]:
        """Give the lines that matter most."""
        said = list(ending_lines(view.run, view.state))
        lost = setback_lines(view.state)[:1]
        advised = None if said else first_hint(hints(view.state))
        remark = None if said or lost else newest_remark(view.state)
        self.set_class(bool(lost), "-setback")
        return self.broken([*said, *lost, *(text for text in (advised, remark) if text is not None)])


class AdvicePanel(Panel):
    """The advisor's hints."""

    name_here, title = "advice", "Advice"

    def lines(self, view: View) -> Sequence[Text]:
        """List the hints."""
        return self.broken(advice_lines(hints(view.state), view.state))


class ChecksPanel(Panel):
    """The sentinel's checks."""

    name_here, title = "checks", "Checks"

    def lines(self, view: View) -> Sequence[Text]:
        """List them."""
        return self.broken(check_lines(view.state))


class TimelinePanel(Panel):
    """What happened."""

    name_here, title = "timeline", "What happened, the newest first"

    def lines(self, view: View) -> Sequence[Text]:
        """List it."""
        return self.broken(timeline_lines(view.run, view.state))


class AnswersPanel(Panel):
    """Sample answers."""

    name_here, title = "answers", "Sample answers, the newest first"

    def lines(self, view: View) -> Sequence[Text]:
        """List them by question."""
        return self.broken(answer_lines(view.state))


class RanksPanel(Panel):
    """Rank by layer."""

    name_here, title = "ranks", "Rank by layer"

    def lines(self, view: View) -> Sequence[Text]:
        """Draw the table."""
        return rank_lines(view.state, self.text_width)
