"""The examination: one pass over the rows, all checks, and a report with the worst first."""

from __future__ import annotations

from collections.abc import Callable

from pegbox_methods.recipe import RowSource, Split
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.doctor.examined import Examined


def examine(
    asked: RowSource,
    *,
    held_out: RowSource | None = None,
    model: FoundModel | None = None,
    balance: str | None = None,
    split: Split,
    seed: int = 42,
    micro_batch: int = 4,
    progress: Callable[[float], None] | None = None,
) -> Examined:
    """Examine a source of rows.

    `held_out`: rows for evaluation, looked for leaks. `model`: whose tokens are counted; None counts none.
    `balance`: a column whose values are counted. `seed`: the recipe's seeds.split.
    `progress`: told the share done, from 0 to 1, now and then; may raise to end the examination.
    Raises: Refusal: nothing of the source can be read.
    """
    raise NotImplementedError
