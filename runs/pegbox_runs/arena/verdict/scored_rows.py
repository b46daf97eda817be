"""What is said of the rows on which scores rest."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.verdict.contestant_figures import Basis


def remarks_on_scored_rows(basis: Basis) -> Iterator[str]:
    """Say so where scores rest on rows that chose learning rates too: which row an answer is of isn't recorded."""
    looks = [one.after for judged in basis.compared.judged.values() for one in judged]
    if basis.compared.choosing and any(look.scores for look in looks):
        yield (
            "Scores of answers rest on all answered rows, those that chose learning rates too; losses are those of "
            "the other rows alone."
        )
