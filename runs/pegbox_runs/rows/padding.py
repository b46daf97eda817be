"""What each order of rows wastes on padding, worked out on the rows' own lengths."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain, cycle, islice

from pegbox_runs.rows.report import Padding

MOST_ROWS = 20_000
"""Rows that an order is tried on; a share of padding hardly changes with more."""
MEGA_BATCHES = 50
"""Batches that are sorted together, at most. Source: transformers.trainer_pt_utils.get_length_grouped_indices."""


def paddings(
    lengths: Sequence[int], limit: int, total_rows: int, micro_batch: int, accumulation: int
) -> tuple[Padding, ...]:
    """Give the share of padding for each value of training.order, in the order of a recipe's choices.

    `lengths` are those of all `total_rows` rows or of a sample, which is then repeated; each is cut at `limit`.
    """
    chance = random.Random(0)  # noqa: S311 - the same shares for the same rows
    cut = [min(length, limit) for length in lengths]
    rows = list(islice(cycle(cut), min(max(total_rows, len(cut)), max(MOST_ROWS, len(cut)))))
    chance.shuffle(rows)
    orders = {"grouped": grouped(rows, micro_batch * accumulation), "shuffled": rows}
    shares = [Padding(order, padded_share(order_rows, micro_batch)) for order, order_rows in orders.items()]
    return (*shares, Padding("packed", 0.0))  # a micro-batch of packed sequences goes through the model as one row


def padded_share(lengths: Sequence[int], micro_batch: int) -> float:
    """Give the share of padding where each micro-batch is filled up to its longest row."""
    batches = [lengths[at : at + micro_batch] for at in range(0, len(lengths), micro_batch)]
    positions = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(lengths) / positions if positions else 0.0


def grouped(shuffled: Sequence[int], batch: int) -> list[int]:
    """Order shuffled lengths as transformers does for "group_by_length", `batch` being that of one optimizer step."""
    mega = batch * max(1, min(len(shuffled) // (batch * 4), MEGA_BATCHES))
    portions = [sorted(shuffled[at : at + mega], reverse=True) for at in range(0, len(shuffled), mega)]
    if portions:
        # The longest row of all comes first, so that memory is short at once or never.
        longest = max(range(len(portions)), key=lambda portion: portions[portion][0])
        portions[0][0], portions[longest][0] = portions[longest][0], portions[0][0]
    return list(chain.from_iterable(portions))
