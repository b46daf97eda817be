"""What the rows cost: waiting for them, and padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegbox_runs.hints.hint import Hint, percent

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

KRELL = 'Krell et al. 2021, "Efficient sequence packing without cross-contamination", arXiv:2107.02027'
TUNING = "PyTorch performance tuning guide, docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"
LEAST = 20
WAITED = 0.1
"""Share of the time: rows are made ready before the run, so that a few per mille are usual."""
PADDED = 0.3
"""Share of the positions: from there on grouping or packing saves more than a quarter of the time."""


def waiting(state: RunState) -> Hint | None:
    """The device stands still for want of rows."""
    split = state.split
    if state.over or state.steps_done < LEAST or split.whole <= 0 or split.rows < WAITED * split.whole:
        return None
    return Hint(
        name="waiting-for-rows",
        level="look",
        text=f"{percent(split.rows / split.whole)} of the time goes into waiting for rows. Look whether PEGBOX_HOME "
        "lies on a slow or a network disk, and whether other programs keep the processor busy.",
        source=f"{TUNING}: loading rows should overlap with training.",
    )


def padded(state: RunState) -> Hint | None:
    """Much of what is computed is padding."""
    share, prepared = state.padding_share, state.prepared
    if prepared is None or state.steps_done < LEAST or share < PADDED or prepared.order == "packed":
        return None
    grouped = "" if prepared.order == "grouped" else '"grouped" puts rows of like length together, '
    return Hint(
        name="padding",
        level="look",
        text=f"{percent(share)} of the positions are padding, which is computed and thrown away. Next time set "
        f'training.order: {grouped}"packed" fills each sequence with several rows.',
        source=f"{KRELL}.",
    )
