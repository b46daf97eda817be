"""Where held-out rows of their own lie."""

from __future__ import annotations

from pegbox_methods.recipe import Recipe, RowSource


def held_out_source(recipe: Recipe) -> RowSource | None:
    """Describe the source of held-out rows, read as the recipe's own rows are; None: a share is drawn."""
    if recipe.split.file is None:
        return None
    return RowSource(
        file=recipe.split.file,
        format=recipe.rows.format,
        columns=recipe.rows.columns,
        hub_split=recipe.split.hub_split,
        revision=recipe.split.revision,
    )
