"""What stands below the list of models, where it can be scrolled."""

from __future__ import annotations

from textual.containers import VerticalScroll

from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.model.explanations import DETAILS


class Details(VerticalScroll):
    """What is known of the highlighted model."""

    def explanation(self) -> Explanation | None:
        """Explain the words in it."""
        return DETAILS
