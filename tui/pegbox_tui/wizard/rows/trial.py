"""Rows are an answer once they could be read: until then those before them stay it, if others had to be fetched."""

from __future__ import annotations

import msgspec

from pegbox_methods.recipe import Rows
from pegbox_runs.drafts import Draft
from pegbox_tui.wizard.rows.reading import Reading

OF_ROWS = ("rows", "split", "values")
"""What picking other rows changes of a draft."""


class Trial:
    """Holds the draft as it was before rows were picked that nobody has read well yet."""

    def __init__(self) -> None:
        self._before: Draft | None = None
        self._doubtful = False

    @property
    def way_back(self) -> Rows | None:
        """Give the rows to go back to; None: what was picked counts, or there were none before."""
        return self._before.rows if self._doubtful and self._before is not None else None

    def picked(self, before: Draft, *, fetch: bool) -> None:
        """Begin with other rows. Those that must be fetched may be nobody's: they don't count before they came."""
        self._before = self._before or before
        self._doubtful = fetch

    def read(self, state: Reading) -> None:
        """Learn what came of reading them."""
        if state.rows is not None:
            self.end()
        elif state.over:
            self._doubtful = self._before is not None

    def end(self) -> None:
        """Let count what is in the draft."""
        self._before, self._doubtful = None, False

    def answer(self, draft: Draft) -> Draft:
        """Give a draft with the rows that count."""
        if self._before is None or not self._doubtful:
            return draft
        return msgspec.structs.replace(draft, **{name: getattr(self._before, name) for name in OF_ROWS})
