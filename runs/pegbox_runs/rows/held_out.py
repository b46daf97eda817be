"""Where held-out rows of their own lie."""

from __future__ import annotations

from pegbox_methods.recipe import Recipe, Rows, RowSource, Split


def held_out_source(recipe: Recipe) -> RowSource | None:
    """Describe the source of a recipe's held-out rows; None: a share is drawn."""
    return held_out_rows(recipe.rows, recipe.split)


def held_out_rows(rows: Rows, split: Split) -> RowSource | None:
    """Describe the source of held-out rows, read as the training rows are; None: a share is drawn."""
    if split.file is None:
        return None
    return RowSource(
        file=split.file,
        format=rows.format,
        columns=rows.columns,
        hub_split=split.hub_split,
        revision=split.revision,
    )
